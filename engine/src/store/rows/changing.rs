//! The transactions that change stored orders and the waitlist, and those that put back what was lost.

use super::{Extra, NewOrder, SaleRows, Stored, damaged};
use crate::rules::order::Step;
use crate::rules::time::Millis;
use crate::store::change::{self, Event, Lost};
use crate::store::commit::{self, Counted};
use crate::store::counters::{Counters, Holder};
use crate::store::section::{ChangeEntry, Kind, Section};
use crate::store::{Change, Changed, Changes, Head, Record, StoreError};
use std::borrow::Cow;

impl SaleRows {
    pub(in crate::store) fn change(
        &mut self,
        changes: &Changes,
        block: &mut Vec<u8>,
    ) -> Stored<Vec<Changed>> {
        self.counters.sold_by(changes.epoch)?;
        let mut section = Section::begin(block, Kind::Changes, self.number);
        let mut made = Vec::with_capacity(changes.changes.len());
        let mut is_new = false;
        self.is_half_changed = true;
        for change in changes.changes.iter() {
            let (changed, is_changed) = self.make(change, changes.at, &mut section)?;
            made.push(changed);
            is_new |= is_changed;
        }
        self.is_half_changed = false;
        if is_new {
            section.finish(Some(&self.counters));
        }
        Ok(made)
    }

    /// Makes one change; says what is stored after it, and whether that is new.
    fn make(
        &mut self,
        change: &Change,
        at: Millis,
        section: &mut Section<'_>,
    ) -> Stored<(Changed, bool)> {
        Ok(match change {
            Change::Order { step, epoch, number } => {
                self.step(*step, *epoch, *number, at, section)?
            }
            Change::Refund { epoch, number, refund } => {
                let Some(mut record) = self.of_epoch(*epoch, *number)? else {
                    return Ok((Changed::NoOrder, false));
                };
                match change::refund(&record, refund, at) {
                    Err(bad) => (Changed::BadRefund(bad), false),
                    Ok(event) => {
                        let is_new = event.is_some();
                        if let Some(event) = event {
                            self.advance(&mut record, &event, Some(section))?;
                        }
                        (Changed::Order(record), is_new)
                    }
                }
            }
            Change::Join(wish) => match self.waiting.get(&wish.member) {
                Some(waiting) => (Changed::Waits(waiting.clone()), false),
                None => {
                    self.waiting.insert(wish.member.clone(), wish.clone());
                    section.push(&ChangeEntry::Join(Cow::Borrowed(wish)));
                    (Changed::Waits(wish.clone()), true)
                }
            },
            Change::Leave(member) => {
                let was_there = self.waiting.remove(member).is_some();
                if was_there {
                    section.push(&ChangeEntry::Leave(member.as_str()));
                }
                (Changed::DoesNotWait, was_there)
            }
            Change::Dissolve => {
                let is_new = !self.waiting.is_empty();
                if is_new {
                    self.waiting.clear();
                    section.push(&ChangeEntry::Dissolve);
                }
                (Changed::DoesNotWait, is_new)
            }
        })
    }

    fn step(
        &mut self,
        step: Step,
        epoch: u64,
        number: u64,
        at: Millis,
        section: &mut Section<'_>,
    ) -> Stored<(Changed, bool)> {
        let Some(mut record) = self.of_epoch(epoch, number)? else {
            return Ok((Changed::NoOrder, false));
        };
        let next = record.status.after(step);
        if let Some(status) = next {
            self.advance(&mut record, &Event { status, at, refund: None }, Some(section))?;
        }
        Ok((Changed::Order(record), next.is_some()))
    }

    fn of_epoch(&self, epoch: u64, number: u64) -> Stored<Option<Record>> {
        Ok(self.record(number)?.filter(|record| record.epoch == epoch))
    }

    /// Moves a stored order on. Its holder is looked at only if units go back.
    pub(super) fn advance(
        &mut self,
        record: &mut Record,
        event: &Event,
        section: Option<&mut Section<'_>>,
    ) -> Stored<()> {
        let number = record.number;
        let gone = || damaged(format!("order {number} is gone"));
        let row = self.orders.get_mut(number).ok_or_else(gone)?;
        if change::gives_back(record.status, event) {
            let holder = self.holders.get_mut(row.holder).ok_or_else(gone)?;
            change::give_back(&mut self.counters, holder, record)?;
        }
        change::advance(&mut self.counters, record, event);
        (row.status, row.changed_at) = (record.status, record.changed_at);
        if let Some(refund) = &event.refund {
            let extra = self.extras.entry(number);
            let extra = extra.or_insert(Extra { money: None, refunds: Vec::new() });
            extra.refunds.push(refund.clone());
        }
        if let Some(section) = section {
            let Event { status, at, ref refund } = *event;
            let refund = refund.as_ref().map(Cow::Borrowed);
            section.push(&ChangeEntry::Event { number, status, at, refund });
        }
        Ok(())
    }

    pub(in crate::store) fn restore(
        &mut self,
        epoch: u64,
        records: &[Record],
        block: &mut Vec<u8>,
    ) -> Stored<Head> {
        self.counters.sold_by(epoch)?;
        let lost = self.lost(records)?;
        if !lost.is_empty() {
            let mut section = Section::begin(block, Kind::Changes, self.number);
            self.is_half_changed = true;
            for (record, missing) in lost {
                match missing {
                    Lost::Nothing => {}
                    Lost::Order => {
                        self.put(record)?;
                        section.push(&match record.why {
                            None => ChangeEntry::Put(Cow::Borrowed(record)),
                            Some(why) => ChangeEntry::PutReleased(Cow::Borrowed(record), why),
                        });
                    }
                    Lost::Events(events) => {
                        let stored = self.record(record.number)?;
                        let mut stored = stored.expect("an order that is behind is stored");
                        for event in &events {
                            self.advance(&mut stored, event, Some(&mut section))?;
                        }
                    }
                }
            }
            self.is_half_changed = false;
            section.finish(Some(&self.counters));
        }
        let Counters { stock, left, tallies, .. } = self.counters;
        Ok(Head { stock, left, tallies })
    }

    /// What is missing of these orders. Everything is checked before anything is written.
    fn lost<'r>(&self, records: &'r [Record]) -> Stored<Vec<(&'r Record, Lost)>> {
        let mut left = u64::from(self.counters.left.0);
        let mut lost = Vec::new();
        for record in records {
            let stored = self.record(record.number)?;
            let missing = change::compare(stored.as_ref(), record)?;
            if missing == Lost::Nothing {
                continue;
            }
            let held = stored.is_some_and(|stored| stored.status.holds_units());
            let units = u64::from(record.units.0);
            match (held, record.status.holds_units()) {
                (false, true) if units > left => {
                    return Err(StoreError::TooLittleStock(self.counters.left));
                }
                (false, true) => left -= units,
                (true, false) => left += units,
                (true, true) | (false, false) => {}
            }
            lost.push((record, missing));
        }
        Ok(lost)
    }

    /// Writes down an order that is not stored yet, with all its history.
    pub(super) fn put(&mut self, record: &Record) -> Stored<()> {
        let Record { number, tier, units, status, .. } = *record;
        let known = self.holders.find(record.member.as_str());
        let add = || self.holders.add(record.member.clone(), Holder::default());
        let holder = known.unwrap_or_else(add);
        let row = self.holders.get_mut(holder).expect("a holder has a row");
        let limit = self.terms.limits[tier];
        if status.holds_units() && units > self.counters.left {
            return Err(StoreError::TooLittleStock(self.counters.left));
        }
        let counted = Counted { number, tier, units, status };
        let before = commit::count_in(&mut self.counters, row, counted, limit);
        self.counters.seq += record.entries();
        self.keep(holder, before, &NewOrder::from(record))
    }
}

impl<'a> From<&'a Record> for NewOrder<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            number: record.number,
            epoch: record.epoch,
            tier: record.tier,
            units: record.units,
            status: record.status,
            reserved_at: record.reserved_at,
            settled_at: record.settled_at,
            changed_at: record.changed_at,
            pay_by: record.pay_by,
            key: record.key,
            money: Some(&record.money),
            refunds: &record.refunds,
            why: record.why,
        }
    }
}
