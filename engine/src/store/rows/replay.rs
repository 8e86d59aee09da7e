//! Replay: a sale's rows follow a section that was written before.

use super::{HolderNumber, NewOrder, SaleRows, Stored, TopUp, damaged};
use crate::rules::order::Status;
use crate::rules::time::Millis;
use crate::store::Record;
use crate::store::change::Event;
use crate::store::commit::{self, Counted};
use crate::store::counters::Holder;
use crate::store::section::{
    ChangeEntry, HolderName, Kind, OrderEntry, OrdersHead, ReadSection, RenamedEntry, TopUpEntry,
};
use membership::MemberId;
use std::borrow::Cow;

impl SaleRows {
    /// Follows a section about this sale.
    ///
    /// # Errors
    /// [`StoreError::Damaged`](crate::store::StoreError::Damaged) when the section does not fit what
    /// came before it.
    pub(in crate::store) fn replay(&mut self, section: &ReadSection<'_>) -> Stored<()> {
        let mut body = section.body();
        match section.kind {
            Kind::Open => self.counters.epoch = body.next()?,
            Kind::Switch => self.counters.turn(section.switch()?),
            Kind::Terms => {
                let terms = section.terms()?;
                self.counters.change_terms(&self.terms, &terms).map_err(damaged)?;
                self.terms = terms;
            }
            Kind::Renamed => {
                let RenamedEntry { holder, to } = body.next()?;
                let to: MemberId = to.parse().map_err(damaged)?;
                // They may have it already: the archive is not told later than the journal.
                let is_others = self.holders.find(to.as_str()).is_some_and(|other| other != holder);
                if self.holders.get(holder).is_none() || is_others {
                    return Err(damaged(format!("holder {holder} cannot become {to}")));
                }
                self.holders.rename(holder, to);
            }
            Kind::TopUp => {
                let TopUpEntry { key, add, total } = body.next()?;
                self.counters.add_stock(add).map_err(damaged)?;
                self.top_ups.insert(key.to_owned(), TopUp { add, total });
            }
            Kind::Orders => {
                let head: OrdersHead = body.next()?;
                let mut number = 0_u64;
                while !body.is_empty() {
                    let entry: OrderEntry<'_> = body.next()?;
                    number = number.wrapping_add_signed(entry.step);
                    self.replay_order(&head, number, &entry)?;
                }
            }
            Kind::Changes => {
                while !body.is_empty() {
                    self.replay_change(body.next()?)?;
                }
            }
            Kind::Create
            | Kind::Blocked
            | Kind::Told
            | Kind::Forgotten
            | Kind::Posted
            | Kind::Booked
            | Kind::Archived
            | Kind::Unarchived
            | Kind::Plan
            | Kind::TakenIn
            | Kind::Erasing => {
                return Err(damaged(format!("a section {:?} is about no open sale", section.kind)));
            }
        }
        let (seq, left) = (self.counters.seq, self.counters.left);
        if (seq, left) != (section.seq, section.left) {
            return Err(damaged(format!(
                "{} comes to {left} units left and outbox entry {seq}, and was written with {} and {}",
                self.terms.id, section.left, section.seq
            )));
        }
        Ok(())
    }

    fn replay_order(
        &mut self,
        head: &OrdersHead,
        number: u64,
        entry: &OrderEntry<'_>,
    ) -> Stored<()> {
        let OrderEntry { tier, units, decided, key, .. } = *entry;
        let holder = self.holder_of(&entry.holder)?;
        let status = decided.status();
        if status.holds_units() && units > self.counters.left || self.orders.get(number).is_some() {
            return Err(damaged(format!("order {number} has no place in {}", self.terms.id)));
        }
        let unknown = || damaged(format!("order {number} has no holder"));
        let row = self.holders.get_mut(holder).ok_or_else(unknown)?;
        let counted = Counted { number, tier, units, status };
        let limit = self.terms.limits[tier];
        let before = commit::count_in(&mut self.counters, row, counted, limit);
        self.counters.seq += status.steps();
        if entry.ends_wait {
            let row = self.holders.get(holder).ok_or_else(unknown)?;
            self.waiting.remove(&row.member);
        }
        let new = NewOrder {
            number,
            epoch: head.epoch,
            tier,
            units,
            status,
            reserved_at: Millis(head.at.0.wrapping_sub(entry.waited_ms.cast_unsigned())),
            settled_at: head.at,
            changed_at: head.at,
            pay_by: if status == Status::Released { head.at } else { head.pay_by },
            key,
            money: entry.money.as_deref(),
            refunds: &[],
            why: decided.why(),
        };
        self.keep(holder, before, &new)
    }

    fn holder_of(&mut self, name: &HolderName<'_>) -> Stored<HolderNumber> {
        match *name {
            HolderName::Known(number) => Ok(number),
            HolderName::New(member) if self.holders.find(member).is_some() => {
                Err(damaged(format!("{member} becomes a holder twice")))
            }
            HolderName::New(member) => {
                let member: MemberId = member.parse().map_err(damaged)?;
                Ok(self.holders.add(member, Holder::default()))
            }
        }
    }

    fn replay_change(&mut self, entry: ChangeEntry<'_>) -> Stored<()> {
        match entry {
            ChangeEntry::Event { number, status, at, refund } => {
                let gone = || damaged(format!("order {number} changes and is not there"));
                let mut record = self.record(number)?.ok_or_else(gone)?;
                let event = Event { status, at, refund: refund.map(Cow::into_owned) };
                self.advance(&mut record, &event, None)?;
            }
            ChangeEntry::Put(record) => self.put(&record).map_err(damaged)?,
            ChangeEntry::PutReleased(record, why) => {
                let record = Record { why: Some(why), ..record.into_owned() };
                self.put(&record).map_err(damaged)?;
            }
            ChangeEntry::Join(waiting) => {
                self.waiting.insert(waiting.member.clone(), waiting.into_owned());
            }
            ChangeEntry::Leave(member) => {
                self.waiting.remove(member);
            }
            ChangeEntry::Dissolve => self.waiting.clear(),
        }
        Ok(())
    }
}
