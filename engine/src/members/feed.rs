//! Feed: what becomes of orders reaches the book through the outbox of their sales, at least once, and
//! counts once. An entry that the book has not taken in is kept. After a lost history everything is taken in
//! once more: the store may have been told that entries were taken in whose postings it does not have.

use super::ask::{Ask, NotTaken};
use super::book::Book;
use crate::open::fed::Came;
use crate::open::sale::OpenSale;
use crate::rules::order::Status;
use crate::rules::terms::{SaleId, Terms};
use crate::store::{OutboxEntry, Reading, Record, StoreError, Who};
use futures_util::future::try_join_all;
use membership::event::{Event, Order, Refund};
use membership::posting::Source;
use std::collections::{BTreeSet, HashMap};

/// Entries that are taken in at a time.
const TURN: usize = 500;
/// Entries of so many months are taken in once more. Lines become an opening balance later.
const MONTHS_AGAIN: u16 = 12;
/// In the place of a sale's number: it is noted before the first member is enrolled, by whatever process.
pub(super) const SOMEBODY: u32 = u32::MAX;

impl Book {
    /// Takes in the next entries of a sale's outbox. Returns whether there may be more.
    ///
    /// # Errors
    /// [`StoreError`]; the entries are taken in again.
    pub async fn feed(&self, reading: &dyn Reading, open: &OpenSale) -> Result<bool, StoreError> {
        let (sale, number) = (&open.sale.terms().id, open.sale_number);
        let Some(turn) = open.fed.begin(open.feed().steps()) else { return Ok(false) };
        let stored = self.taken_in(number).await?;
        if self.totals.members().await? == 0 {
            let end = reading.outbox_end(sale).await?.seq;
            // Nobody had an account when this end was read, so nothing up to it concerns one.
            if !self.store.taken_in().await?.contains_key(&SOMEBODY) {
                self.store.take_in(number, end).await?;
                open.fed.end(turn, Came::ToTheEnd { end, stored });
                return Ok(false);
            }
        }
        if turn.is_first {
            let end = reading.outbox_end(sale).await?;
            if end.has_gaps || end.seq < stored {
                // The process before this one may not have come to it.
                open.fed.ask_again();
                return Ok(true);
            }
        }
        let after = turn.after(stored);
        let mut entries = reading.outbox_after(sale, after, TURN).await?;
        let mut end = 0;
        if entries.is_empty() {
            // The end is read before it is looked once more: nothing comes in between.
            end = reading.outbox_end(sale).await?.seq;
            entries = reading.outbox_after(sale, after, TURN).await?;
        }
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            // Old entries may have gone, and a lost history may have a gap at its end.
            if end > stored {
                self.store.take_in(number, end).await?;
            }
            open.fed.end(turn, Came::ToTheEnd { end, stored });
            return Ok(false);
        };
        // What was taken in so long ago may be part of an opening balance, and would count twice.
        let oldest = self.clock.now().months_earlier(MONTHS_AGAIN);
        let is_new = |entry: &&OutboxEntry| turn.again.is_none() || entry.at >= oldest;
        let concerning = entries.iter().filter(is_new).filter(|entry| concerns_the_book(entry));
        let told: Vec<_> = concerning.collect();
        let records = records(reading, sale, &told).await?;
        let asks = told.iter().filter_map(|entry| {
            // After a lost history an entry may tell of an order that is gone.
            let record = records.get(&entry.number)?;
            let id = Source(record.id(sale).to_string());
            let event = event(entry, record, id, open.sale.terms())?;
            Some(Ask { who: Who::Named(record.member.clone()), event, at: entry.at })
        });
        for answer in self.take_all(asks.collect()).await? {
            if let Err(NotTaken::Refused(why)) = answer {
                tracing::error!(%sale, %why, "the book does not take an order");
            }
        }
        crate::fault::crash_point("fed");
        self.store.take_in(number, last).await?;
        open.fed.end(turn, Came::To(last));
        Ok(true)
    }

    /// Whether everything up to this entry of a sale's outbox is taken in, and is not to be once more.
    pub(crate) async fn has_taken_in(&self, open: &OpenSale, seq: u64) -> Result<bool, StoreError> {
        Ok(open.fed.taken_in(self.taken_in(open.sale_number).await?) >= seq)
    }

    async fn taken_in(&self, sale: u32) -> Result<u64, StoreError> {
        Ok(self.store.taken_in().await?.get(&sale).copied().unwrap_or(0))
    }
}

/// The orders that these entries tell of, by number.
async fn records(
    reading: &dyn Reading,
    sale: &SaleId,
    told: &[&OutboxEntry],
) -> Result<HashMap<u64, Record>, StoreError> {
    let numbers: BTreeSet<u64> = told.iter().map(|entry| entry.number).collect();
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return Ok(HashMap::new());
    };
    // Orders are confirmed about in the order of their numbers; payments come in any.
    let span = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
    let records = if span <= 4 * numbers.len() {
        reading.orders_after(sale, first - 1, span).await?
    } else {
        let each = numbers.iter().map(|number| reading.order(sale, *number));
        try_join_all(each).await?.into_iter().flatten().collect()
    };
    Ok(records.into_iter().map(|record| (record.number, record)).collect())
}

/// Nothing is earned by money that was owed back all the time.
fn concerns_the_book(entry: &OutboxEntry) -> bool {
    match entry.status {
        Status::Confirmed
        | Status::Paid
        | Status::Cancelled
        | Status::Expired
        | Status::Released
        | Status::Returned => true,
        Status::Reserved | Status::RefundDue | Status::Refunded => false,
    }
}

fn event(entry: &OutboxEntry, record: &Record, id: Source, terms: &Terms) -> Option<Event> {
    let (due, with) = (record.money.due.0, record.money.tender());
    let list = terms.price.0.saturating_mul(record.units.0.into());
    let by_points = terms.members.worth.of(record.money.points).0;
    let saved = list.saturating_sub(due).saturating_sub(by_points);
    if let Some(refund) = &entry.refund {
        let is_before = |known: &&crate::rules::money::Refund| known.id != refund.id;
        let before = record.refunds.iter().take_while(is_before).map(|known| known.amount.0).sum();
        let (id, order) = (refund.id.to_string(), id);
        let amount = refund.amount.0;
        let currency = terms.currency.clone();
        return Some(Event::Refunded(Refund {
            order,
            id,
            due,
            before,
            amount,
            with,
            currency,
            saved,
        }));
    }
    match entry.status {
        // Nothing is pending of an order that was released.
        Status::Released if with.is_nothing() => None,
        Status::Cancelled | Status::Expired | Status::Released => {
            Some(Event::Ended { order: id, with })
        }
        status => {
            let order = Order { id, due, currency: terms.currency.clone(), with, saved };
            match status {
                Status::Confirmed => Some(Event::Confirmed(order)),
                Status::Paid => Some(Event::Paid(order)),
                _ => None,
            }
        }
    }
}
