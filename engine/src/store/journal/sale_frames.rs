//! Sale frames: all that is kept of one sale, as a row of frames: in a snapshot, and in the archive.

use super::live::Kept;
use super::outbox::Outbox;
use crate::rules::why::Why;
use crate::store::Waiting;
use crate::store::counters::{Counters, Holder};
use crate::store::planted::is_planted;
use crate::store::rows::{Extra, Gap, OrderRow, SaleRows, Stored, TopUp, damaged};
use crate::store::section::{Body, append, terms_of};
use serde::{Deserialize, Serialize};

/// The first frame of a sale; frames with its holders and its orders follow.
#[derive(Debug, Serialize, Deserialize)]
struct SaleTop {
    block: u64,
    number: u32,
    /// In JSON, so that a later version may add fields.
    terms: String,
    counters: Counters,
    gaps: Vec<Gap>,
    trimmed_to: u64,
    epochs: Vec<u64>,
    extras: Vec<(u64, Extra)>,
    top_ups: Vec<(String, TopUp)>,
    waiting: Vec<Waiting>,
    outbox: Outbox,
    holders: u64,
    orders: u64,
}

/// Holders or orders in a frame.
const ROWS: usize = 8_192;

/// Writes a sale, frame by frame.
pub(super) fn write<E>(kept: &Kept, put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut frame = Vec::new();
    let rows = &kept.rows;
    let top = SaleTop {
        block: kept.block + u64::from(is_planted("snapshot-without-its-last-block")),
        number: rows.number,
        terms: serde_json::to_string(&rows.terms).expect("terms are plain data"),
        counters: rows.counters.clone(),
        gaps: rows.gaps.clone(),
        trimmed_to: rows.trimmed_to,
        epochs: rows.epochs.clone(),
        extras: rows.extras.iter().map(|(number, extra)| (*number, extra.clone())).collect(),
        top_ups: rows.top_ups.iter().map(|(key, top_up)| (key.clone(), *top_up)).collect(),
        waiting: rows.waiting.values().cloned().collect(),
        outbox: kept.outbox.clone(),
        holders: rows.holders.len() as u64,
        orders: rows.orders.len(),
    };
    // What a later version adds stands behind.
    let whys: Vec<_> = rows.whys.iter().map(|(number, why)| (*number, *why)).collect();
    append(&mut frame, &(top, whys));
    put(&frame)?;
    let mut holders = rows.holders.rows().peekable();
    while holders.peek().is_some() {
        frame.clear();
        let some = holders.by_ref().take(ROWS);
        some.for_each(|row| append(&mut frame, &(row.member.as_str(), row.holder)));
        put(&frame)?;
    }
    let mut orders = rows.orders.after(0).peekable();
    while orders.peek().is_some() {
        frame.clear();
        orders.by_ref().take(ROWS).for_each(|order| append(&mut frame, &order));
        put(&frame)?;
    }
    Ok(())
}

/// What a sale's first frame says: the sale without its holders and orders, and how many there are.
pub(super) struct Beginning {
    pub(super) kept: Kept,
    holders: u64,
    orders: u64,
}

/// Reads a sale's first frame.
pub(super) fn read_beginning(mut first: Body<'_>) -> Stored<Beginning> {
    let top: SaleTop = first.next()?;
    // Snapshots of before orders had reasons end here.
    let whys: Vec<(u64, Why)> = if first.is_empty() { Vec::new() } else { first.next()? };
    let mut rows = SaleRows::new(top.number, terms_of(&top.terms)?);
    rows.counters = top.counters;
    rows.gaps = top.gaps;
    rows.trimmed_to = top.trimmed_to;
    rows.epochs = top.epochs;
    rows.extras = top.extras.into_iter().collect();
    rows.whys = whys.into_iter().collect();
    rows.top_ups = top.top_ups.into_iter().collect();
    rows.waiting = top.waiting.into_iter().map(|w| (w.member.clone(), w)).collect();
    let kept = Kept { block: top.block, outbox: top.outbox, ..Kept::new(rows) };
    Ok(Beginning { kept, holders: top.holders, orders: top.orders })
}

/// Reads a sale, frame by frame.
pub(super) fn read<'a>(frame: &mut impl FnMut() -> Stored<Body<'a>>) -> Stored<Kept> {
    let Beginning { mut kept, holders, orders } = read_beginning(frame()?)?;
    let rows = &mut kept.rows;
    rows.holders.reserve(usize::try_from(holders).map_err(damaged)?);
    while (rows.holders.len() as u64) < holders {
        let mut frame = frame()?;
        while !frame.is_empty() {
            let (member, holder): (&str, Holder) = frame.next()?;
            rows.holders.add(member.parse().map_err(damaged)?, holder);
        }
    }
    while rows.orders.len() < orders {
        let mut frame = frame()?;
        while !frame.is_empty() {
            let (number, row): (u64, OrderRow) = frame.next()?;
            rows.orders.put(number, row);
        }
    }
    Ok(kept)
}
