//! The transactions that orders and operators make on a sale's rows. Each changes the rows and writes
//! down in the block what it decided; one that fails writes nothing.

use super::{HolderNumber, NewOrder, Orders, SaleRows, Stored, TopUp, damaged};
use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use crate::rules::units::{Units, Wanted};
use crate::store::commit::{self, Counted, Decided, Known};
use crate::store::counters::Holder;
use crate::store::section::{
    HolderName, Kind, OrderEntry, OrdersHead, RenamedEntry, Section, TopUpEntry,
};
use crate::store::{Batch, ReservedOrder, StoreError, Switch, Verdict};
use membership::MemberId;
use std::borrow::Cow;

/// Holders are looked up for so many orders at a time: enough for the waits to overlap, few enough for what was
/// found to be near the processor when the orders are decided.
const LOOKED_UP_AT_ONCE: usize = 256;

impl SaleRows {
    pub(in crate::store) fn commit(
        &mut self,
        batch: &Batch,
        block: &mut Vec<u8>,
    ) -> Stored<Vec<Verdict>> {
        // All that may fail is found out before anything is changed.
        if batch.pay_by.since(batch.at) > Self::PAY_WITHIN_MAX {
            return Err(damaged("no order may stay unpaid for so long"));
        }
        batch.orders.iter().try_for_each(|order| self.known(batch.epoch, order).map(drop))?;
        let mut section = Section::begin(block, Kind::Orders, self.number);
        section.push(&OrdersHead { epoch: batch.epoch, at: batch.at, pay_by: batch.pay_by });
        let mut verdicts = Vec::with_capacity(batch.orders.len());
        let (mut last, mut is_new) = (0, false);
        self.is_half_changed = true;
        for orders in batch.orders.chunks(LOOKED_UP_AT_ONCE) {
            let holders = self.holders.find_all(orders.iter().map(|order| &order.member));
            for (order, holder) in orders.iter().zip(holders) {
                // Asked once more: it costs less than to keep what was said above. What this batch adds is of this
                // epoch, so no order is damage now that was none before.
                verdicts.push(match self.known(batch.epoch, order)? {
                    Some(verdict) => verdict,
                    None => {
                        let decided = self.decide(batch, order, holder, last, &mut section)?;
                        (last, is_new) = (order.number, true);
                        commit::verdict(decided.status(), decided.why(), batch.at)
                    }
                });
            }
        }
        self.is_half_changed = false;
        if is_new {
            section.finish(Some(&self.counters));
        }
        self.newest_batch = batch.orders.len();
        Ok(verdicts)
    }

    /// Makes room for as many orders as the newest batch had, if there are units for them: the next transaction then need
    /// not wait for memory that nobody has used yet.
    pub(in crate::store) fn make_room(&mut self) {
        let orders = self.newest_batch.min(self.counters.left.0 as usize);
        self.orders.make_room(self.counters.next_number, orders);
        self.holders.make_room(orders);
    }

    /// The verdict on an order that is not to be decided.
    fn known(&self, epoch: u64, order: &ReservedOrder) -> Stored<Option<Verdict>> {
        let ReservedOrder { number, units, .. } = *order;
        if number == 0 || number > Orders::NUMBER_MAX || units.0 > u32::from(u16::MAX) {
            return Err(damaged(format!("no sale has an order {number} of {units} units")));
        }
        // No order with a higher number than any that was stored can be stored.
        let known = match number < self.counters.next_number {
            true => self.orders.get(number),
            false => None,
        };
        let known = known.map(|row| Known {
            number,
            epoch: self.epochs.get(row.epoch as usize).copied().unwrap_or_default(),
            status: row.status,
            changed_at: row.changed_at,
            why: self.whys.get(&number).copied(),
        });
        commit::known_verdict(&self.counters, epoch, known)
    }

    fn decide(
        &mut self,
        batch: &Batch,
        order: &ReservedOrder,
        holder: Option<HolderNumber>,
        last: u64,
        section: &mut Section<'_>,
    ) -> Stored<Decided> {
        let ReservedOrder { number, ref member, tier, units, reserved_at, key, .. } = *order;
        let limit = self.terms.limits[tier];
        // A member's first two orders may come in one batch.
        let known = holder.or_else(|| self.holders.find(member.as_str()));
        let holder = known.unwrap_or_else(|| self.holders.add(member.clone(), Holder::default()));
        let row = self.holders.get_mut(holder).expect("a holder has a row");
        let (wanted, due) = (Wanted { units, limit }, order.money.due);
        let decided = commit::judge(&self.counters, row, wanted, due, order.refused);
        let (status, is_released) = (decided.status(), decided.why().is_some());
        let counted = Counted { number, tier, units, status };
        let before = commit::count_in(&mut self.counters, row, counted, limit);
        self.counters.seq += status.steps();
        let new = NewOrder {
            number,
            epoch: batch.epoch,
            tier,
            units,
            status,
            reserved_at,
            settled_at: batch.at,
            changed_at: batch.at,
            pay_by: if is_released { batch.at } else { batch.pay_by },
            key,
            money: Some(&order.money),
            refunds: &[],
            why: decided.why(),
        };
        self.keep(holder, before, &new)?;
        if order.is_offer {
            self.waiting.remove(member);
        }
        let money = self.extras.get(&number).and_then(|extra| extra.money.as_ref());
        section.push(&OrderEntry {
            step: number.wrapping_sub(last).cast_signed(),
            holder: match known {
                Some(known) => HolderName::Known(known),
                None => HolderName::New(member.as_str()),
            },
            tier,
            units,
            decided,
            waited_ms: batch.at.0.wrapping_sub(reserved_at.0).cast_signed(),
            key,
            money: money.map(Cow::Borrowed),
            ends_wait: order.is_offer,
        });
        Ok(decided)
    }

    /// Takes the sale over: every former epoch is fenced.
    pub(in crate::store) fn open(&mut self, now: Millis, block: &mut Vec<u8>) {
        self.counters.begin_epoch(now);
        let mut section = Section::begin(block, Kind::Open, self.number);
        section.push(&self.counters.epoch);
        section.finish(Some(&self.counters));
    }

    pub(in crate::store) fn switch(
        &mut self,
        epoch: u64,
        switch: Switch,
        block: &mut Vec<u8>,
    ) -> Stored<()> {
        self.counters.sold_by(epoch)?;
        self.counters.turn(switch);
        let mut section = Section::begin(block, Kind::Switch, self.number);
        section.push(&switch);
        section.finish(Some(&self.counters));
        Ok(())
    }

    /// Gives a holder another name. The entry names the holder by number, so that it does not write the
    /// name down that is taken away.
    pub(in crate::store) fn rename(
        &mut self,
        epoch: u64,
        member: &MemberId,
        to: MemberId,
        block: &mut Vec<u8>,
    ) -> Stored<()> {
        self.counters.sold_by(epoch)?;
        if *member == to {
            return Ok(());
        }
        if let Some(holder) = self.holders.find(member.as_str()) {
            if self.holders.find(to.as_str()).is_some() {
                return Err(StoreError::Refused(format!(
                    "{to} is another holder of {}",
                    self.terms.id
                )));
            }
            let mut section = Section::begin(block, Kind::Renamed, self.number);
            section.push(&RenamedEntry { holder, to: to.as_str() });
            section.finish(Some(&self.counters));
            self.holders.rename(holder, to);
        }
        Ok(())
    }

    pub(in crate::store) fn change_terms(
        &mut self,
        epoch: u64,
        terms: Terms,
        block: &mut Vec<u8>,
    ) -> Stored<()> {
        self.counters.sold_by(epoch)?;
        if terms == self.terms {
            return Ok(());
        }
        self.counters.change_terms(&self.terms, &terms)?;
        let mut section = Section::begin(block, Kind::Terms, self.number);
        section.push(&serde_json::to_string(&terms).expect("terms are plain data"));
        section.finish(Some(&self.counters));
        self.terms = terms;
        Ok(())
    }

    pub(in crate::store) fn top_up(
        &mut self,
        epoch: u64,
        key: &str,
        add: Units,
        block: &mut Vec<u8>,
    ) -> Stored<Units> {
        self.counters.sold_by(epoch)?;
        match self.top_ups.get(key) {
            // The answer is the sale's total now and not the one after that top-up: others may have
            // come since.
            Some(done) if done.add == add => return Ok(self.counters.stock),
            Some(done) => return Err(StoreError::TopUpConflict(done.add)),
            None => {}
        }
        self.counters.add_stock(add)?;
        let total = self.counters.stock;
        self.top_ups.insert(key.to_owned(), TopUp { add, total });
        let mut section = Section::begin(block, Kind::TopUp, self.number);
        section.push(&TopUpEntry { key, add, total });
        section.finish(Some(&self.counters));
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::cents::Cents;
    use crate::rules::member_terms::MemberTerms;
    use crate::rules::money::Money;
    use crate::rules::window::Windows;
    use membership::{PerTier, Tier};

    #[test]
    fn room_is_made_for_as_many_orders_as_came_together_and_for_no_more_than_there_are_units() {
        let terms = Terms {
            id: "lamp".parse().unwrap(),
            title: "A lamp".into(),
            price: Cents(100),
            currency: "CNY".into(),
            stock: Units(4_500),
            windows: Windows::new(PerTier([Some(Millis(1)); 5]), Millis::MAX).unwrap(),
            limits: PerTier([Units(1); 5]),
            pay_within_s: 900,
            adults_only: false,
            image_url: None,
            members: MemberTerms::default(),
        };
        let (mut rows, mut block) = (SaleRows::new(1, terms.clone()), Vec::new());
        rows.open(Millis(1), &mut block);
        let epoch = rows.counters.epoch;
        let mut commit_2_000 = |rows: &mut SaleRows, first: u64| {
            let reserved = |number: u64| ReservedOrder {
                number,
                member: format!("member-{number}").parse().unwrap(),
                tier: Tier::Gold,
                units: Units(1),
                reserved_at: Millis(1),
                money: Money::list(Cents(100), Units(1)),
                key: None,
                is_offer: false,
                refused: None,
            };
            let orders = (first..first + 2_000).map(reserved).collect();
            let (sale, at, pay_by) = (terms.id.clone(), Millis(2), Millis(3));
            let batch = Batch { sale, epoch, at, pay_by, orders };
            rows.commit(&batch, &mut block).unwrap();
            rows.make_room();
        };
        commit_2_000(&mut rows, 1);
        assert_eq!((rows.orders.room(), rows.holders.room()), (4_096, 4_096));
        commit_2_000(&mut rows, 2_001);
        assert_eq!((rows.orders.room(), rows.holders.room()), (5_120, 5_120), "500 are left");
    }
}
