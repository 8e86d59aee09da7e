//! After a lost history: puts back into the store what this process knows.

use super::confirmer::Confirmer;
use super::work::Progress;
use crate::fault::crash_point;
use crate::open::sale::OpenSale;
use crate::roster::PSEUDONYM;
use crate::rules::order::Status;
use crate::rules::waitlist::Waiter;
use crate::store::{Change, Changes, Head, Record, StoreError, Switch, Waiting};
use membership::MemberId;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

fn is_pseudonym(member: &MemberId) -> bool {
    member.as_str().starts_with(PSEUDONYM)
}

impl Confirmer {
    /// Puts back into the store the orders of this process that it lost. The sale goes on if the
    /// store then has as many units in all as this process knows of, and the same tallies.
    pub(super) async fn put_back(&mut self) -> Result<(), StoreError> {
        if !self.open.has_lost_history() {
            return Ok(());
        }
        let records = self.known_records();
        let outcome = self.put_back_all(&records).await;
        if outcome == Err(StoreError::Fenced) {
            self.leave(&records).await?;
        }
        outcome
    }

    async fn put_back_all(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let open = Arc::clone(&self.open);
        let sale = &open.sale;
        let (id, epoch) = (&sale.terms().id, sale.epoch());
        self.erase_again(records).await?;
        self.store.opening.restore(id, epoch, records).await?;
        open.feed().note_step();
        crash_point("put_back");
        self.learn_of_work().await?;
        check_whole(&open, &self.store.opening.restore(id, epoch, &[]).await?)?;
        self.put_back_waitlist().await?;
        if sale.stock().level().is_closed() {
            self.store.operating.switch(id, epoch, Switch::Close).await?;
        }
        tracing::warn!(sale = %id, orders = records.len(), "orders put back");
        open.right().vouch(sale, self.clock.now() + self.patience, Duration::ZERO);
        // The halt ends before the trouble is cleared: a confirmer that found a halted sale without
        // trouble would release its orders.
        sale.stock().go_on();
        open.set_trouble(None);
        open.wake();
        Ok(())
    }

    /// Takes the names away again of members who were erased since the history that the store has now: it
    /// has their orders under them.
    async fn erase_again(&self, records: &[Record]) -> Result<(), StoreError> {
        let (id, epoch) = (&self.open.sale.terms().id, self.open.sale.epoch());
        let mut done = BTreeSet::new();
        if records.iter().any(|record| is_pseudonym(&record.member)) {
            // A store that does not know how far the sale had come takes no rename.
            self.store.opening.restore(id, epoch, &[]).await?;
        }
        for record in records.iter().filter(|record| is_pseudonym(&record.member)) {
            if !done.insert(&record.member) {
                continue;
            }
            let stored = self.store.reading.order(id, record.number).await?;
            match stored.filter(|stored| stored.epoch == record.epoch) {
                Some(stored) if stored.member != record.member => {
                    self.store.members.rename(id, epoch, &stored.member, &record.member).await?;
                }
                Some(_) => {}
                // Another order of theirs may be there.
                None => drop(done.remove(&record.member)),
            }
        }
        Ok(())
    }

    /// Sends the work that was on its way again, so that what became of it is known before the two
    /// sides are compared: the store may have done it and kept it.
    async fn learn_of_work(&mut self) -> Result<(), StoreError> {
        let Some(mut work) = self.in_flight.take() else { return Ok(()) };
        match self.send(&mut work, self.clock.now()).await {
            Ok(Progress::Halted) => Err(StoreError::Fenced),
            Ok(_) => Ok(()),
            Err(error) => {
                self.in_flight = Some(work);
                Err(error)
            }
        }
    }

    /// Every settled order that this process knows of, in the order in which they are put back.
    fn known_records(&self) -> Vec<Record> {
        let sale = &self.open.sale;
        let keys = sale.keys_by_number();
        let settled = |number| {
            let order = sale.board().read(number)?;
            let settled_at = order.settled_at.or(order.changed_at)?;
            Some(Record {
                number,
                epoch: sale.epoch(),
                member: self.roster.member(order.seat),
                tier: order.tier,
                units: order.units,
                status: order.status,
                reserved_at: order.reserved_at,
                settled_at,
                changed_at: order.changed_at?,
                pay_by: match order.status {
                    Status::Released => settled_at,
                    _ => self.open.pay_by(settled_at),
                },
                money: sale.money(&order),
                refunds: self.open.refunds(number),
                key: keys.get(number, order.seat),
                before: 0,
                why: self.open.why(number),
            })
        };
        let numbers = sale.board().first_number()..sale.next_number();
        let mut records: Vec<_> = numbers.filter_map(settled).collect();
        records.extend(self.open.former().values().cloned());
        // Orders that hold no units come first: others may hold what they gave back.
        records.sort_by_key(|record| (record.status.holds_units(), record.number));
        records
    }

    /// Called when another process sells the sale, so that this one cannot put its orders back.
    /// Logs which orders are lost by that, and lets the others come to their end.
    async fn leave(&self, records: &[Record]) -> Result<(), StoreError> {
        let id = &self.open.sale.terms().id;
        let mut lost = Vec::new();
        for record in records.iter().filter(|record| record.status.holds_units()) {
            let stored = self.store.reading.order(id, record.number).await?;
            if stored.is_none_or(|stored| stored.epoch != record.epoch) {
                lost.push(record.id(id).to_string());
            }
        }
        if !lost.is_empty() {
            let orders = lost.join(" ");
            tracing::error!(sale = %id, orders, "these confirmed orders are lost for good");
        }
        self.open.set_trouble(Some(StoreError::Fenced));
        self.open.wake();
        Ok(())
    }

    /// Makes the store's waitlist the same as the one of this process.
    async fn put_back_waitlist(&self) -> Result<(), StoreError> {
        let open = &self.open;
        let sale = open.sale.terms().id.clone();
        let wish = |waiter: &Waiter| Waiting {
            member: self.roster.member(waiter.seat),
            tier: waiter.tier,
            units: waiter.units,
            place: waiter.place,
        };
        let ours: Vec<Waiting> = open.waitlist().iter().map(wish).collect();
        let wait: HashSet<&MemberId> = ours.iter().map(|waiting| &waiting.member).collect();
        let stored =
            self.store.reading.waiting(&sale).await?.into_iter().map(|waiting| waiting.member);
        // The store keeps the wish of a member to whom an order is on its way.
        let is_offered = |member: &MemberId| {
            self.roster.find(member.as_str()).is_some_and(|seat| open.is_offered(seat))
        };
        let gone = stored.filter(|member| !wait.contains(member) && !is_offered(member));
        let gone = gone.map(Change::Leave);
        let changes: Vec<Change> = gone.chain(ours.iter().cloned().map(Change::Join)).collect();
        let (epoch, at) = (open.sale.epoch(), self.clock.now());
        let changes = Changes { sale, epoch, at, changes: changes.into() };
        self.store.selling.change(&changes).await.map(drop)
    }
}

/// Refuses a store that has other units or orders than this process knows of, with what to do.
fn check_whole(open: &OpenSale, head: &Head) -> Result<(), StoreError> {
    let (known, total) = (open.sale.meter().stored(), open.sale.stock().level().total());
    if (head.stock, head.tallies) == (total, known) {
        return Ok(());
    }
    let (has, knows) = (head.tallies.held_units(), known.held_units());
    let advice = match (head.stock, has) <= (total, knows) {
        true => "restore a newer state of it, or repeat the top-ups that it lacks, then resume",
        false => "it knows more than this process: restart this process",
    };
    Err(StoreError::HistoryLost(format!(
        "it has {has} units sold of {}, and this process knows of {knows} of {total}; {advice}",
        head.stock
    )))
}
