//! Snapshot: what all blocks up to one came to, so that a start need not read them again. Each sale's
//! rows say themselves up to which block they go: they are written one after the other while others
//! are sold on.

use super::block::{self, Bad};
use super::disk::Disk;
use super::failure::failed;
use super::files::{self, Unfinished};
use super::live::Kept;
use super::outbox::Outbox;
use crate::rules::time::Millis;
use crate::store::counters::{Counters, Holder};
use crate::store::planted::is_planted;
use crate::store::rows::{Extra, Gap, OrderRow, SaleRows, Stored, TopUp, damaged};
use crate::store::section::{Body, append, terms_of};
use crate::store::{StoreError, Waiting};
use membership::MemberId;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A snapshot as it was read. By default nothing is stored.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) covers: u64,
    /// The oldest segment that is still needed.
    pub(super) oldest: u64,
    pub(super) next_sale: u32,
    pub(super) blocked: BTreeSet<MemberId>,
    pub(super) sales: Vec<Kept>,
    pub(super) bytes: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        let (blocked, sales) = (BTreeSet::new(), Vec::new());
        Self { covers: 0, oldest: 1, next_sale: 1, blocked, sales, bytes: 0 }
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) covers: u64,
    pub(super) oldest: u64,
    pub(super) next_sale: u32,
    pub(super) blocked: BTreeSet<MemberId>,
    pub(super) sales: Vec<Arc<RwLock<Kept>>>,
}

/// The first frame.
#[derive(Debug, Serialize, Deserialize)]
struct Top {
    oldest: u64,
    next_sale: u32,
    blocked: BTreeSet<MemberId>,
    sales: u64,
}

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

struct Frames {
    file: Unfinished,
    number: u64,
    bytes: u64,
    frame: Vec<u8>,
}

impl Frames {
    /// Writes one frame with these values.
    fn put<T: Serialize>(&mut self, values: impl IntoIterator<Item = T>) -> std::io::Result<()> {
        self.frame.clear();
        block::begin(&mut self.frame);
        values.into_iter().for_each(|value| append(&mut self.frame, &value));
        self.number += 1;
        block::seal(&mut self.frame, 0, self.number, Millis(0));
        self.bytes += self.frame.len() as u64;
        self.file.append(&self.frame)
    }
}

/// Writes a snapshot; it counts when this returns its size in bytes. `None`: a sale's rows must not be
/// used, so none is made.
pub(super) fn write(disk: &dyn Disk, scene: &Scene, name: String) -> Stored<Option<u64>> {
    let file = Unfinished::create(disk, name, scene.covers).map_err(failed)?;
    let mut frames = Frames { file, number: 0, bytes: 0, frame: Vec::new() };
    let Scene { oldest, next_sale, ref blocked, ref sales, .. } = *scene;
    let top = Top { oldest, next_sale, blocked: blocked.clone(), sales: sales.len() as u64 };
    frames.put([top]).map_err(failed)?;
    for sale in sales {
        let kept = sale.read();
        if kept.trouble.is_some() {
            return Ok(None);
        }
        write_sale(&mut frames, &kept).map_err(failed)?;
    }
    // The last frame says that no frame is missing.
    let last = frames.number + 1;
    frames.put([last]).map_err(failed)?;
    let bytes = frames.bytes;
    frames.file.finish(disk).map_err(failed)?;
    crate::fault::crash_point("snapshot");
    Ok(Some(bytes))
}

fn write_sale(frames: &mut Frames, kept: &Kept) -> std::io::Result<()> {
    let rows = &kept.rows;
    frames.put([SaleTop {
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
        holders: rows.holders.rows().len() as u64,
        orders: rows.orders.len(),
    }])?;
    for holders in rows.holders.rows().chunks(ROWS) {
        frames.put(holders.iter().map(|row| (row.member.as_str(), row.holder)))?;
    }
    let mut orders = rows.orders.after(0).peekable();
    while orders.peek().is_some() {
        frames.put(orders.by_ref().take(ROWS))?;
    }
    Ok(())
}

/// Reads the snapshot of the blocks up to `covers`.
pub(super) fn read(disk: &dyn Disk, covers: u64) -> Stored<Snapshot> {
    let name = files::snapshot(covers);
    let bytes = disk.read(&name).map_err(failed)?;
    let at = files::check(&name, covers, &bytes)?;
    let mut reader = FrameReader { name: &name, bytes: &bytes, at, number: 0 };
    let Top { oldest, next_sale, blocked, sales } = reader.frame()?.next()?;
    let sales = (0..sales).map(|_| read_sale(&mut reader)).collect::<Stored<Vec<_>>>()?;
    let last: u64 = reader.frame()?.next()?;
    if last != reader.number || reader.at != bytes.len() {
        return Err(reader.damaged("it does not end where it should"));
    }
    Ok(Snapshot { covers, oldest, next_sale, blocked, sales, bytes: bytes.len() as u64 })
}

fn read_sale(reader: &mut FrameReader<'_>) -> Stored<Kept> {
    let top: SaleTop = reader.frame()?.next()?;
    let mut rows = SaleRows::new(top.number, terms_of(&top.terms)?);
    rows.counters = top.counters;
    rows.gaps = top.gaps;
    rows.trimmed_to = top.trimmed_to;
    rows.epochs = top.epochs;
    rows.extras = top.extras.into_iter().collect::<HashMap<_, _>>();
    rows.top_ups = top.top_ups.into_iter().collect();
    rows.waiting = top.waiting.into_iter().map(|w| (w.member.clone(), w)).collect();
    rows.holders.reserve(usize::try_from(top.holders).map_err(damaged)?);
    while (rows.holders.rows().len() as u64) < top.holders {
        let mut frame = reader.frame()?;
        while !frame.is_empty() {
            let (member, holder): (&str, Holder) = frame.next()?;
            rows.holders.add(member.parse().map_err(damaged)?, holder);
        }
    }
    while rows.orders.len() < top.orders {
        let mut frame = reader.frame()?;
        while !frame.is_empty() {
            let (number, row): (u64, OrderRow) = frame.next()?;
            rows.orders.put(number, row);
        }
    }
    Ok(Kept { block: top.block, outbox: top.outbox, ..Kept::new(rows) })
}

struct FrameReader<'a> {
    name: &'a str,
    bytes: &'a [u8],
    at: usize,
    number: u64,
}

impl<'a> FrameReader<'a> {
    fn frame(&mut self) -> Stored<Body<'a>> {
        self.number += 1;
        match block::read(self.bytes, self.at) {
            Ok(Some(frame)) if frame.number == self.number => {
                self.at += frame.bytes.len();
                Ok(frame.payload.into())
            }
            Err(Bad::Newer(format)) => Err(files::newer(self.name, format)),
            Ok(_) | Err(_) => Err(self.damaged("it is not what was written")),
        }
    }

    fn damaged(&self, why: &str) -> StoreError {
        damaged(format!("{}: frame {} at byte {}: {why}", self.name, self.number, self.at))
    }
}
