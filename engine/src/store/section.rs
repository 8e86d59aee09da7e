//! Section: what one transaction on one sale did, as bytes, and how it is read again.
//!
//! A section says what was decided, and not what was asked for: reading it again needs no rule, so a
//! later version with other rules finds the same orders in it.

use super::change::{self, Event};
use super::commit::Decided;
use super::counters::Counters;
use super::rows::{Stored, damaged};
use super::{OutboxEntry, Record, StoreError, Switch, Waiting};
use crate::rules::key::IdempotencyKey;
use crate::rules::money::{Money, Refund};
use crate::rules::order::Status;
use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::rules::why::Why;
use membership::Tier;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a section is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sale was made: its [`Terms`](crate::rules::terms::Terms) in JSON.
    Create = 1,
    /// A process took the sale over: its epoch.
    Open = 2,
    /// Orders were decided: [`OrdersHead`], then an [`OrderEntry`] each.
    Orders = 3,
    /// Something else became of orders and waits: a [`ChangeEntry`] each.
    Changes = 4,
    /// A switch was turned: [`Switch`].
    Switch = 5,
    /// Units were added: [`TopUpEntry`].
    TopUp = 6,
    /// A member may not buy, or may again, in any sale: [`BlockedEntry`].
    Blocked = 7,
    /// Outbox entries of a store that was taken over: an [`OutboxEntry`] each. The orders that they
    /// tell of are in the snapshot.
    Told = 8,
    /// A sale has other terms: its [`Terms`](crate::rules::terms::Terms) in JSON.
    Terms = 9,
    /// A holder has another name: [`RenamedEntry`].
    Renamed = 10,
    /// Names were taken away; what was written before this is to go as soon as it may. It is about no
    /// sale and says nothing else.
    Forgotten = 11,
    /// As [`Self::Booked`], as format 3 of the journal has it.
    Posted = 12,
    /// The membership plan has a new version: its [`PlanVersion`](super::PlanVersion).
    Plan = 13,
    /// The book has taken in a sale's outbox up to the entry (8 bytes) that follows.
    TakenIn = 14,
    /// A member is being erased, or is not any more: [`ErasingEntry`].
    Erasing = 15,
    /// Something was posted in a bucket of the book: its [`BucketChange`](super::BucketChange). It names
    /// the bucket in a sale's place.
    Booked = 16,
    /// A sale is archived: the version (8 bytes) of the archive that has it.
    Archived = 17,
    /// A sale is out of the archive again, as the archive has it. It says nothing else.
    Unarchived = 18,
}

impl Kind {
    const ALL: [Self; 18] = [
        Self::Create,
        Self::Open,
        Self::Orders,
        Self::Changes,
        Self::Switch,
        Self::TopUp,
        Self::Blocked,
        Self::Told,
        Self::Terms,
        Self::Renamed,
        Self::Forgotten,
        Self::Posted,
        Self::Plan,
        Self::TakenIn,
        Self::Erasing,
        Self::Booked,
        Self::Archived,
        Self::Unarchived,
    ];
}

/// What the orders of one commit share.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrdersHead {
    pub(super) epoch: u64,
    pub(super) at: Millis,
    /// For those that were confirmed.
    pub(super) pay_by: Millis,
}

/// How an entry names a holder.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HolderName<'a> {
    /// By number.
    Known(u32),
    /// By name, at the first order of the member in the sale; the number is the next one.
    New(&'a str),
}

/// An order that was decided.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrderEntry<'a> {
    /// The order's number, less the one of the entry before it: most are 1.
    pub(super) step: i64,
    #[serde(borrow)]
    pub(super) holder: HolderName<'a>,
    pub(super) tier: Tier,
    pub(super) units: Units,
    pub(super) decided: Decided,
    /// From the click to the commit; below 0 if the clock went back.
    pub(super) waited_ms: i64,
    pub(super) key: Option<IdempotencyKey>,
    /// `None` for what the terms say of such a click.
    pub(super) money: Option<Cow<'a, Money>>,
    pub(super) ends_wait: bool,
}

/// What became of one order, or of the waitlist.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ChangeEntry<'a> {
    Event {
        number: u64,
        status: Status,
        at: Millis,
        refund: Option<Cow<'a, Refund>>,
    },
    /// An order that was lost came back, with all its history.
    Put(Cow<'a, Record>),
    Join(Cow<'a, Waiting>),
    Leave(&'a str),
    Dissolve,
    /// As [`Self::Put`], of an order that was released.
    PutReleased(Cow<'a, Record>, Why),
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopUpEntry<'a> {
    pub(super) key: &'a str,
    pub(super) add: Units,
    pub(super) total: Units,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RenamedEntry<'a> {
    pub(super) holder: u32,
    pub(super) to: &'a str,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlockedEntry<'a> {
    pub(super) member: &'a str,
    pub(super) is_blocked: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ErasingEntry<'a> {
    pub(super) member: &'a str,
    /// `None` when it is done.
    pub(super) pseudonym: Option<&'a str>,
}

/// A section begins with: its kind (1 byte), the sale's number (4), the length of what follows this
/// head (4), and after it the newest outbox entry (8) and the units left (4).
const HEAD: usize = 21;

/// Writes a section at the end of a block. One that is dropped unfinished leaves nothing there.
#[derive(Debug)]
pub(super) struct Section<'b> {
    block: &'b mut Vec<u8>,
    start: usize,
    is_finished: bool,
}

struct Tail<'b>(&'b mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends a value as it stands in the journal.
pub(super) fn append(bytes: &mut Vec<u8>, value: &impl Serialize) {
    postcard::serialize_with_flavor(value, Tail(bytes)).expect("plain data has a length");
}

impl<'b> Section<'b> {
    /// Begins a section about the sale with this number; 0 for one about no sale.
    pub(super) fn begin(block: &'b mut Vec<u8>, kind: Kind, sale: u32) -> Self {
        let start = block.len();
        block.push(kind as u8);
        block.extend_from_slice(&sale.to_le_bytes());
        block.resize(start + HEAD, 0);
        Self { block, start, is_finished: false }
    }

    pub(super) fn push(&mut self, value: &impl Serialize) {
        append(self.block, value);
    }

    /// Ends the section; `counters` are those after it, `None` for one about no sale.
    pub(super) fn finish(self, counters: Option<&Counters>) {
        let (seq, left) = counters.map_or((0, 0), |counters| (counters.seq, counters.left.0));
        self.end(seq, left);
    }

    /// Ends a section of outbox entries, the last of which is `seq`.
    pub(super) fn finish_told(self, seq: u64) {
        self.end(seq, 0);
    }

    fn end(mut self, seq: u64, left: u32) {
        let len = u32::try_from(self.block.len() - self.start - HEAD).expect("a block is small");
        let head = &mut self.block[self.start..self.start + HEAD];
        head[5..9].copy_from_slice(&len.to_le_bytes());
        head[9..17].copy_from_slice(&seq.to_le_bytes());
        head[17..21].copy_from_slice(&left.to_le_bytes());
        self.is_finished = true;
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.block.truncate(self.start);
        }
    }
}

/// A section as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadSection<'a> {
    pub(super) kind: Kind,
    pub(super) sale: u32,
    /// The newest outbox entry after it.
    pub(super) seq: u64,
    /// The units left after it.
    pub(super) left: Units,
    body: &'a [u8],
}

/// The sections of a block, in their order.
pub(super) fn sections(mut block: &[u8]) -> impl Iterator<Item = Stored<ReadSection<'_>>> {
    std::iter::from_fn(move || {
        if block.is_empty() {
            return None;
        }
        let read = take_section(block);
        block = read.as_ref().map_or(&[], |(_, rest)| *rest);
        Some(read.map(|(section, _)| section))
    })
}

fn take_section(block: &[u8]) -> Stored<(ReadSection<'_>, &[u8])> {
    let cut_off = || damaged("a section is cut off");
    let (head, rest) = block.split_at_checked(HEAD).ok_or_else(cut_off)?;
    let four = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == head[0]);
    let kind = kind.ok_or_else(|| damaged(format!("no section is of the kind {}", head[0])))?;
    let (body, rest) = rest.split_at_checked(four(5) as usize).ok_or_else(cut_off)?;
    let seq = u64::from_le_bytes(head[9..17].try_into().expect("eight bytes"));
    Ok((ReadSection { kind, sale: four(1), seq, left: Units(four(17)), body }, rest))
}

/// Terms as they stand in the journal: in JSON, so that a later version may add fields.
pub(super) fn terms_of(json: &str) -> Stored<Terms> {
    serde_json::from_str(json).map_err(damaged)
}

/// Reads values one after the other.
#[derive(Debug)]
pub(super) struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next<T: Deserialize<'a>>(&mut self) -> Stored<T> {
        let (value, rest) = postcard::take_from_bytes(self.0).map_err(damaged)?;
        self.0 = rest;
        Ok(value)
    }
}

impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> ReadSection<'a> {
    pub(super) fn body(&self) -> Body<'a> {
        Body(self.body)
    }

    /// The outbox entries that this section makes; `seq` is the newest one before it.
    pub(super) fn entries(&self, seq: u64) -> Stored<Vec<OutboxEntry>> {
        let (mut entries, mut body) = (Vec::new(), self.body());
        let tell = |entries: &mut Vec<OutboxEntry>, number, event: Event| {
            let Event { status, at, refund } = event;
            let seq = seq + 1 + entries.len() as u64;
            entries.push(OutboxEntry { seq, number, status, at, refund });
        };
        match self.kind {
            Kind::Orders => {
                let OrdersHead { at, .. } = body.next()?;
                let mut number = 0_u64;
                while !body.is_empty() {
                    let OrderEntry { step, decided, .. } = body.next()?;
                    number = number.wrapping_add_signed(step);
                    for status in decided.status().path() {
                        tell(&mut entries, number, Event { status: *status, at, refund: None });
                    }
                }
            }
            Kind::Changes => {
                while !body.is_empty() {
                    match body.next()? {
                        ChangeEntry::Event { number, status, at, refund } => {
                            let refund = refund.map(Cow::into_owned);
                            tell(&mut entries, number, Event { status, at, refund });
                        }
                        ChangeEntry::Put(record) | ChangeEntry::PutReleased(record, _) => {
                            for event in change::history(&record) {
                                tell(&mut entries, record.number, event);
                            }
                        }
                        ChangeEntry::Join(_) | ChangeEntry::Leave(_) | ChangeEntry::Dissolve => {}
                    }
                }
            }
            Kind::Told => {
                while !body.is_empty() {
                    let OutboxEntry { number, status, at, refund, .. } = body.next()?;
                    tell(&mut entries, number, Event { status, at, refund });
                }
            }
            Kind::Create
            | Kind::Open
            | Kind::Switch
            | Kind::TopUp
            | Kind::Terms
            | Kind::Renamed
            | Kind::Forgotten
            | Kind::Posted
            | Kind::Booked
            | Kind::Plan
            | Kind::TakenIn
            | Kind::Erasing
            | Kind::Archived
            | Kind::Unarchived
            | Kind::Blocked => {}
        }
        Ok(entries)
    }

    /// The terms of a sale that was made, or has others.
    pub(super) fn terms(&self) -> Stored<Terms> {
        terms_of(self.body().next()?)
    }

    /// The switch that was turned.
    pub(super) fn switch(&self) -> Result<Switch, StoreError> {
        self.body().next()
    }
}
