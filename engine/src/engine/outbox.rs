//! Outbox: the changes of all sales, and what members should hear of, for readers that pull. A reader keeps
//! a cursor, and this process keeps nothing of the reader.
//!
//! A cursor that named a place in every sale would grow with all that was ever sold. So it names an
//! instant: of a sale that it does not list, the reader has every change from before that instant. It
//! lists only sales that changed lately, and those that the reader has not read to their end.

use super::{Engine, NoSale};
use crate::open::sale::OpenSale;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::{Bucket, NoticeEntry, OutboxEnd, OutboxEntry, StoreError};
use membership::MemberId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// How long a sale stays listed behind its newest change. A change may be seen later than one of another
/// sale that has a later instant; what is listed is not passed over for that. It also bounds how far a
/// clock may go back.
const LISTED_FOR_MS: u64 = 3_600_000;
/// Entries of one sale that are read before another sale has its turn.
const TURN: usize = 500;

/// Where a reader is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Of a sale that is not listed, the reader has every change from before this instant.
    since: Millis,
    /// The round that is going on: of sales up to this number the reader has every change from before
    /// that instant.
    round: Option<(u32, Millis)>,
    /// By the sales' numbers: the newest entry that the reader has.
    places: BTreeMap<u32, u64>,
    /// By the places of the buckets of members: the newest notice that the reader has.
    pub(super) notices: Vec<u64>,
}

/// What changes come from; those of one are numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeSource {
    /// The orders of a sale.
    Sale(SaleId),
    /// The members of a bucket.
    Members(Bucket),
}

/// As readers see it.
impl fmt::Display for ChangeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sale(sale) => write!(f, "sale/{sale}"),
            Self::Members(bucket) => write!(f, "members/{:04}", bucket.place()),
        }
    }
}

/// What a reader is told.
#[derive(Debug)]
pub enum Told {
    /// A change of an order.
    Change(Arc<OpenSale>, OutboxEntry),
    /// Something that a member should hear of.
    Notice(MemberId, Bucket, NoticeEntry),
    /// Entries that there are no more: they were kept for long enough, or the store has lost them.
    Gap {
        /// Of what.
        source: ChangeSource,
        /// The first entry that is missing.
        from: u64,
        /// The last one.
        to: u64,
    },
}

/// A sale that is read.
enum Source {
    Open(Arc<OpenSale>),
    Archived(SaleId),
}

impl Cursor {
    /// From when on the reader may lack changes of a sale that is not listed.
    fn since(&self, sale: u32) -> Millis {
        match self.round {
            Some((read_to, until)) if sale <= read_to => until,
            _ => self.since,
        }
    }

    /// How many sales are listed.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.places.len()
    }
}

impl Engine {
    /// At least one and about `most` of the changes behind `cursor`, if there are any, and the cursor
    /// behind them. Changes of one sale come in their order; a change may come again.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn outbox(
        &self,
        cursor: &Cursor,
        most: usize,
    ) -> Result<(Vec<Told>, Cursor), StoreError> {
        let (mut cursor, mut told) = (cursor.clone(), Vec::new());
        // Notices have half a page at most, so that neither waits for the other.
        if let Err(error) = self.read_notices(&mut cursor, most / 2, &mut told).await {
            tracing::warn!(%error, "notices of members are told later; orders go on");
        }
        self.read_sales(cursor, most, told).await
    }

    async fn read_sales(
        &self,
        mut cursor: Cursor,
        most: usize,
        mut told: Vec<Told>,
    ) -> Result<(Vec<Told>, Cursor), StoreError> {
        // This look comes first: a sale is shown before it is taken off the list.
        let are_all_opened = self.not_opened.lock().is_empty();
        let mut sales = self.everywhere().await?;
        // What was sent to a store that does not answer may come to be told late, with an old instant.
        let are_well = sales.iter().all(|open| open.trouble().is_none());
        sales.sort_by_key(|open| open.sale_number);
        if !(are_all_opened && are_well) {
            // Nothing may be said of a sale that is not here or not well, so the cursor's instant stays.
            cursor.round = None;
            let until = cursor.since;
            for open in &sales {
                if told.len() < most {
                    self.read_sale(open, &mut cursor, until, &mut told).await?;
                }
            }
            return Ok((told, cursor));
        }
        let sales = self.with_archived(sales, &cursor).await?;
        // A round goes on where the page before ended; when it is over, the next one may still fill this
        // page, so that a reader is never sent away empty-handed before every sale was looked at.
        loop {
            let (read_to, until) = cursor.round.unwrap_or_else(|| (0, self.round_until()));
            for (number, sale) in sales.range((Bound::Excluded(read_to), Bound::Unbounded)) {
                if told.len() >= most {
                    return Ok((told, cursor));
                }
                match sale {
                    Source::Open(open) => {
                        self.read_sale(open, &mut cursor, until, &mut told).await?;
                    }
                    Source::Archived(id) => match self.any_sale(id.as_str()).await {
                        Ok(open) => self.read_sale(&open, &mut cursor, until, &mut told).await?,
                        // It was deleted in between.
                        Err(NoSale::Unknown) => {}
                        Err(NoSale::Store(error)) => return Err(error),
                        Err(none) => return Err(StoreError::Refused(none.to_string())),
                    },
                }
                cursor.round = Some((*number, until));
            }
            (cursor.since, cursor.round) = (until.max(cursor.since), None);
            cursor.places.retain(|number, _| sales.contains_key(number));
            if read_to == 0 || !told.is_empty() {
                return Ok((told, cursor));
            }
        }
    }

    /// These sales, and the archived ones that the reader may not have read to their end, by number.
    async fn with_archived(
        &self,
        sales: Vec<Arc<OpenSale>>,
        cursor: &Cursor,
    ) -> Result<BTreeMap<u32, Source>, StoreError> {
        let archiving = &self.store.archiving;
        let archived = archiving.archived_since(cursor.since).await?;
        let archived = archived.into_iter().map(|(number, id)| (number, Source::Archived(id)));
        let mut all: BTreeMap<_, _> = archived.collect();
        all.extend(sales.into_iter().map(|open| (open.sale_number, Source::Open(open))));
        let listed = cursor.places.keys().filter(|number| !all.contains_key(number));
        let listed: Vec<u32> = listed.copied().collect();
        for number in listed {
            let id = archiving.archived_numbered(number).await?;
            all.extend(id.map(|id| (number, Source::Archived(id))));
        }
        Ok(all)
    }

    /// Is another number whenever there may be something new for readers.
    #[must_use]
    pub fn steps_told(&self) -> u64 {
        let steps: u64 = self.sales.load().values().map(|open| open.feed().steps()).sum();
        steps + self.book.notices_known() + self.looks_due()
    }

    fn round_until(&self) -> Millis {
        Millis(self.now().0.saturating_sub(LISTED_FOR_MS))
    }

    /// Reads what one sale has behind the cursor, and moves the cursor on.
    async fn read_sale(
        &self,
        open: &Arc<OpenSale>,
        cursor: &mut Cursor,
        until: Millis,
        told: &mut Vec<Told>,
    ) -> Result<(), StoreError> {
        let (id, number) = (&open.sale.terms().id, open.sale_number);
        let OutboxEnd { seq, newest_at, .. } = self.end(open).await?;
        let is_recent = |since: Millis| newest_at.is_some_and(|at| at >= since);
        let mut place = match cursor.places.get(&number) {
            Some(place) => *place,
            None if is_recent(cursor.since(number)) => {
                self.place_at(id, cursor.since(number), seq).await?
            }
            None => return Ok(()),
        };
        let gap = |from, to| Told::Gap { source: ChangeSource::Sale(id.clone()), from, to };
        if place > seq {
            // The store is of before the reader's last look.
            told.push(gap(seq + 1, place));
            place = seq;
        }
        let entries = self.store.reading.outbox_after(id, place, TURN).await?;
        let is_last = entries.len() < TURN;
        for entry in entries {
            if entry.seq > place + 1 {
                told.push(gap(place + 1, entry.seq - 1));
            }
            place = entry.seq;
            told.push(Told::Change(Arc::clone(open), entry));
        }
        if is_last && place < seq {
            told.push(gap(place + 1, seq));
            place = seq;
        }
        if place < seq || is_recent(until) {
            cursor.places.insert(number, place);
        } else {
            cursor.places.remove(&number);
        }
        Ok(())
    }

    /// Where a sale's outbox ends. The store is asked only if something has been told since the last
    /// look, or if another process may sell the sale.
    async fn end(&self, open: &OpenSale) -> Result<OutboxEnd, StoreError> {
        if open.is_archived() {
            return self.store.reading.outbox_end(&open.sale.terms().id).await;
        }
        let (steps, number) = (open.feed().steps(), open.sale_number);
        if let Some(end) = self.ends.known(number, steps)
            && !open.sale.stock().level().is_halted()
        {
            return Ok(end);
        }
        let end = self.store.reading.outbox_end(&open.sale.terms().id).await?;
        self.ends.note(number, steps, end);
        Ok(end)
    }

    /// The last entry from before `since`, of those up to `newest`.
    async fn place_at(&self, id: &SaleId, since: Millis, newest: u64) -> Result<u64, StoreError> {
        if since == Millis(0) {
            return Ok(0);
        }
        // All up to `low` are from before, none over `high`.
        let (mut low, mut high) = (0, newest);
        while low < high {
            let middle = low + (high - low) / 2;
            let next = self.store.reading.outbox_after(id, middle, 1).await?;
            match next.first() {
                Some(entry) if entry.at < since => low = entry.seq,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}
