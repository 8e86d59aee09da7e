//! After a lost history: gives the store back what this process knows.

use super::Engine;
use crate::fault::crash_point;
use crate::open::sale::OpenSale;
use crate::sale::vouch::Vouch;
use crate::store::{Change, Changes, Record, StoreError, Switch, Waiting};
use membership::MemberId;
use std::collections::HashSet;
use std::time::Duration;

impl Engine {
    /// Gives the store back what it lost of this process's orders, and goes on selling if it then
    /// knows of as many units and sold as many as this process does.
    pub(super) async fn put_back(&self, open: &OpenSale) -> Result<(), StoreError> {
        let sale = &open.sale;
        let keys = sale.keys_by_number();
        let settled = |number| {
            let order = sale.board().read(number)?;
            Some(Record {
                number,
                epoch: sale.epoch(),
                member: self.roster.member(order.seat),
                tier: order.tier,
                units: order.units,
                status: order.status,
                reserved_at: order.reserved_at,
                settled_at: order.settled_at.or(order.changed_at)?,
                changed_at: order.changed_at?,
                key: keys.get(&number).copied(),
                before: 0,
            })
        };
        let numbers = sale.board().first_number()..sale.next_number();
        let mut records: Vec<_> = numbers.filter_map(settled).collect();
        records.extend(open.former().values().cloned());
        // Those that hold nothing first: what they gave back may be what others hold.
        records.sort_by_key(|record| (record.status.holds_units(), record.number));
        let head = match self.store.opening.restore(&sale.terms().id, sale.epoch(), &records).await
        {
            Err(StoreError::Fenced) => {
                self.leave(open, &records).await?;
                return Err(StoreError::Fenced);
            }
            head => head?,
        };
        crash_point("put_back");
        let (known, total) = (sale.meter().stored(), sale.stock().level().total());
        if (head.stock, head.tallies) != (total, known) {
            let (has, knows) = (head.tallies.held_units(), known.held_units());
            let advice = match (head.stock, has) <= (total, knows) {
                true => {
                    "restore a newer state of it, or repeat the top-ups that it lacks, then resume"
                }
                false => "it knows more than this process: restart this process",
            };
            return Err(StoreError::HistoryLost(format!(
                "it has {has} units sold of {}, and this process knows of {knows} of {total}; {advice}",
                head.stock
            )));
        }
        self.put_back_waitlist(open).await?;
        let (stored, ours) = (self.store.members.blocked().await?, self.blocked());
        for member in stored.iter().filter(|member| !ours.contains(member)) {
            self.store.members.set_blocked(member, false).await?;
        }
        for member in &ours {
            self.store.members.set_blocked(member, true).await?;
        }
        if sale.stock().level().is_closed() {
            self.store.operating.switch(&sale.terms().id, sale.epoch(), Switch::Close).await?;
        }
        tracing::warn!(sale = %sale.terms().id, orders = records.len(), "orders put back");
        sale.vouch(Vouch::new(self.clock.now() + self.confirm_within, Duration::ZERO));
        // In this order: a confirmer that found the sale halted for no reason would release its orders.
        sale.stock().go_on();
        open.set_trouble(None);
        open.wake();
        Ok(())
    }

    /// Another process sells what this one cannot put back: says which orders are lost by that, and
    /// lets the others come to their end.
    async fn leave(&self, open: &OpenSale, records: &[Record]) -> Result<(), StoreError> {
        let id = &open.sale.terms().id;
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
        open.set_trouble(Some(StoreError::Fenced));
        open.wake();
        Ok(())
    }

    /// The waitlist of the store is to be the one of this process.
    async fn put_back_waitlist(&self, open: &OpenSale) -> Result<(), StoreError> {
        let sale = open.sale.terms().id.clone();
        let wish = |waiter: &crate::rules::waitlist::Waiter| Waiting {
            member: self.roster.member(waiter.seat),
            tier: waiter.tier,
            units: waiter.units,
            place: waiter.place,
        };
        let ours: Vec<Waiting> = open.waitlist().iter().map(wish).collect();
        let wait: HashSet<&MemberId> = ours.iter().map(|waiting| &waiting.member).collect();
        let stored =
            self.store.reading.waiting(&sale).await?.into_iter().map(|waiting| waiting.member);
        let gone = stored.filter(|member| !wait.contains(member)).map(Change::Leave);
        let changes: Vec<Change> = gone.chain(ours.iter().cloned().map(Change::Join)).collect();
        let (epoch, at) = (open.sale.epoch(), self.clock.now());
        let changes = Changes { sale, epoch, at, changes: changes.into() };
        self.store.selling.change(&changes).await.map(drop)
    }
}
