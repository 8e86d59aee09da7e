//! The plain model of a sale: its rules written a second time, as plainly as possible. It predicts what
//! every click hears, what the store decides and what memory then says, and copies none of it.

use crate::support::Seen;
use engine::rules::order::{Status, Step};
use engine::rules::refusal::Refusal;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Accepted;
use engine::store::{Batch, Change, Changes, Switch};
use membership::Tier;
use std::collections::{BTreeMap, BTreeSet};

/// Members of a simulation, with every kind of character and length that an id may have.
pub(crate) const NAMES: [&str; 7] = [
    "42",
    "~",
    "ann.lee@example.com",
    "auth0|5f7c2b",
    "LIVE:room-7_Viewer+1",
    "cGxhdGZvcm0tdXNlcg==",
    "m234567890123456789012345678901234567890123456789012345678901234",
];

/// An order, as the plain model knows it.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub(crate) member: usize,
    pub(crate) tier: Tier,
    pub(crate) units: u32,
    pub(crate) epoch: u64,
    pub(crate) reserved_at: Millis,
    /// What memory says of it.
    pub(crate) told: Status,
    /// What the store has of it.
    pub(crate) stored: Option<Status>,
    /// When the store decided it.
    pub(crate) settled_at: Millis,
    is_offer: bool,
}

/// A click, by the model's own names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) member: usize,
    pub(crate) tier: Tier,
    pub(crate) units: u32,
    pub(crate) key: Option<u64>,
}

/// A sale, in memory and in the store.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) terms: Terms,
    pub(crate) orders_max: u16,
    pub(crate) total: u32,
    pub(crate) orders: BTreeMap<u64, Plain>,
    keys: BTreeMap<(usize, u64), (u32, u64)>,
    pub(crate) next_number: u64,
    /// The opening that this process sells under, and the newest one that the store knows of.
    pub(crate) epoch: u64,
    pub(crate) store_epoch: u64,
    pub(crate) is_paused: bool,
    pub(crate) is_closed: bool,
    stored_paused: bool,
    stored_closed: bool,
    /// Whether the confirmer has seen the store closed.
    is_close_stored: bool,
    pub(crate) is_halted: bool,
    pub(crate) top_ups: BTreeMap<u64, u32>,
    /// Units that came back and are offered to the waitlist before any click can take them.
    pub(crate) aside: u32,
    /// Who waits, as the store has it.
    pub(crate) waits: BTreeMap<usize, (Tier, u32)>,
    /// As before the confirmer's last piece of work.
    waits_before: BTreeMap<usize, (Tier, u32)>,
    pub(crate) blocked: BTreeSet<usize>,
    /// Orders on their way to the store, whose outcome memory does not know.
    in_flight: BTreeSet<u64>,
    /// Whether changes are on their way, whose outcome memory does not know.
    changes_in_flight: bool,
    /// Payments that wait for the confirmer, and when they were told.
    payments: Vec<(u64, Millis)>,
}

fn holds(status: Status) -> bool {
    use Status::{Confirmed, Paid, Reserved, Returned};
    matches!(status, Reserved | Confirmed | Paid | Returned)
}

/// The state to which a step leads; `None` where it leads nowhere.
fn after(status: Status, step: Step) -> Option<Status> {
    Some(match (status, step) {
        (Status::Confirmed, Step::Pay) => Status::Paid,
        (Status::Confirmed, Step::Cancel) => Status::Cancelled,
        (Status::Confirmed, Step::Expire) => Status::Expired,
        (Status::Cancelled | Status::Expired, Step::Pay) => Status::RefundDue,
        _ => return None,
    })
}

pub(crate) fn member(name: &str) -> usize {
    NAMES.iter().position(|other| *other == name).expect("a member of the simulation")
}

impl Model {
    pub(crate) fn new(terms: Terms, orders_max: u16, epoch: u64) -> Self {
        Self {
            total: terms.stock.0,
            terms,
            orders_max,
            orders: BTreeMap::new(),
            keys: BTreeMap::new(),
            next_number: 1,
            epoch,
            store_epoch: epoch,
            is_paused: false,
            is_closed: false,
            stored_paused: false,
            stored_closed: false,
            is_close_stored: false,
            is_halted: false,
            top_ups: BTreeMap::new(),
            aside: 0,
            waits: BTreeMap::new(),
            waits_before: BTreeMap::new(),
            blocked: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            changes_in_flight: false,
            payments: Vec::new(),
        }
    }

    fn units(&self, of: impl Fn(&Plain) -> bool) -> u32 {
        self.orders.values().filter(|order| of(order)).map(|order| order.units).sum()
    }

    /// Units that a member holds, in memory.
    pub(crate) fn held(&self, member: usize) -> u32 {
        self.units(|order| order.member == member && holds(order.told))
    }

    /// Units that a click may take.
    pub(crate) fn left(&self) -> u32 {
        self.total - self.units(|order| holds(order.told)) - self.aside
    }

    pub(crate) fn pay_by(&self, number: u64) -> Millis {
        self.terms.pay_by(self.orders[&number].settled_at)
    }

    /// The clock is looked at for a click or a wish: what it has closed stays closed.
    pub(crate) fn look(&mut self, now: Millis) {
        self.is_closed |= now >= self.terms.windows.closes_at();
    }

    /// What a click hears.
    pub(crate) fn click(&mut self, now: Millis, asked: Asked) -> Result<Accepted, Refusal> {
        let Asked { member, tier, units, key } = asked;
        let limit = self.terms.limits[tier];
        if !(1..=limit.0).contains(&units) {
            return Err(Refusal::BadUnits { limit });
        }
        if let Some((asked, number)) = key.and_then(|key| self.keys.get(&(member, key)).copied()) {
            let same = Accepted { number, is_new: false };
            return if asked == units { Ok(same) } else { Err(Refusal::IdempotencyConflict) };
        }
        self.look(now);
        let opens_at = self.terms.windows.opens_at(tier).ok_or(Refusal::TierNotAdmitted);
        let (left, held) = (Units(self.left()), Units(self.held(member)));
        let made = self.orders.values().filter(|order| order.member == member).count();
        if self.is_closed {
            return Err(Refusal::Closed);
        }
        let opens_at = opens_at?;
        if now < opens_at {
            return Err(Refusal::NotOpen { opens_at });
        } else if self.is_paused {
            return Err(Refusal::Paused);
        } else if left.0 < units {
            return Err(Refusal::SoldOut { left });
        } else if held.0 + units > limit.0 {
            return Err(Refusal::LimitReached { limit, held });
        } else if made >= usize::from(self.orders_max) {
            return Err(Refusal::TooManyOrders { most: self.orders_max });
        } else if self.is_halted {
            return Err(Refusal::Busy);
        }
        let number = self.next_number;
        self.accept(now, asked, false);
        if let Some(key) = key {
            self.keys.insert((member, key), (units, number));
        }
        Ok(Accepted { number, is_new: true })
    }

    fn accept(&mut self, now: Millis, Asked { member, tier, units, .. }: Asked, is_offer: bool) {
        let (epoch, reserved_at, settled_at) = (self.epoch, now, Millis(0));
        let (told, stored) = (Status::Reserved, None);
        let order =
            Plain { member, tier, units, epoch, reserved_at, told, stored, settled_at, is_offer };
        self.orders.insert(self.next_number, order);
        self.next_number += 1;
    }

    /// An order that no click made: a unit that came back was offered to a member who waits.
    pub(crate) fn offered(&mut self, now: Millis, asked: Asked) {
        let Asked { member, tier, units, .. } = asked;
        assert!(!self.blocked.contains(&member), "an offer to a blocked member");
        // Offers are also made right before a call that takes the wish away.
        let wishes = [self.waits.get(&member), self.waits_before.get(&member)];
        assert!(
            wishes.contains(&Some(&(tier, units))),
            "an offer is the member's wish: {wishes:?}"
        );
        let limit = self.terms.limits[tier].0;
        assert!(self.held(member) + units <= limit, "I3: {member} is offered beyond {limit}");
        self.accept(now, asked, true);
    }

    pub(crate) fn switch(&mut self, switch: Switch) {
        match switch {
            Switch::Pause => (self.is_paused, self.stored_paused) = (true, true),
            Switch::Resume => (self.is_paused, self.stored_paused) = (false, false),
            Switch::Close => (self.is_closed, self.stored_closed) = (true, true),
        }
    }

    /// A payment was told.
    pub(crate) fn payment(&mut self, number: u64, now: Millis) {
        self.payments.push((number, now));
    }

    /// The confirmer is about to do one piece of work.
    pub(crate) fn begin_progress(&mut self, now: Millis) {
        self.waits_before.clone_from(&self.waits);
        if self.is_halted && self.in_flight.is_empty() {
            self.release_all();
        }
        let is_over = self.is_closed || now >= self.terms.windows.closes_at();
        if is_over && !self.is_halted && !self.is_close_stored {
            self.is_closed = true;
            self.is_halted = self.store_epoch != self.epoch;
            self.is_close_stored = !self.is_halted;
            self.stored_closed |= self.is_close_stored;
        }
    }

    /// A halted sale releases what never was on its way to the store.
    fn release_all(&mut self) {
        for (number, order) in &mut self.orders {
            if order.told == Status::Reserved && !self.in_flight.contains(number) {
                order.told = Status::Released;
            }
        }
        self.payments.clear();
        self.changes_in_flight = false;
    }

    /// What a call to the store came to.
    pub(crate) fn saw(&mut self, seen: &Seen) {
        match seen {
            Seen::Commit { batch, done, answered } => self.commit(batch, *done, *answered),
            Seen::Changes { changes, times, answered } => self.change(changes, *times, *answered),
            Seen::Look => self.is_halted |= self.store_epoch != self.epoch,
        }
    }

    fn commit(&mut self, batch: &Batch, done: usize, answered: usize) {
        if self.in_flight.is_empty() {
            self.check_precedence(batch);
        }
        let mut is_fenced = false;
        for (i, order) in batch.orders.iter().enumerate() {
            let verdict = if i < done { self.decide(batch, order.number) } else { None };
            let plain = self.orders.get_mut(&order.number).expect("an order of the model");
            assert_eq!(plain.is_offer, order.is_offer, "{plain:?}");
            if i >= answered {
                self.in_flight.insert(order.number);
                continue;
            }
            self.in_flight.remove(&order.number);
            is_fenced |= verdict.is_none();
            let status = verdict.unwrap_or(Status::Released);
            if plain.told.steps() < status.steps() {
                plain.told = status;
            }
        }
        if is_fenced {
            self.is_halted = true;
            self.release_all();
        }
    }

    /// What the store says of an order that came to it; `None` if another opening sells the sale.
    fn decide(&mut self, batch: &Batch, number: u64) -> Option<Status> {
        let Plain { member, tier, units, stored, is_offer, .. } = self.orders[&number];
        if stored.is_some() || batch.epoch != self.store_epoch {
            return stored;
        }
        let theirs = |order: &&Plain| order.member == member && order.stored.is_some();
        // A member's tier may change: the highest limit under which an order was stored counts.
        let limits = self.orders.values().filter(theirs).map(|order| self.terms.limits[order.tier]);
        let limit = limits.max().unwrap_or_default().max(self.terms.limits[tier]);
        let is_sold = |order: &Plain| order.stored.is_some_and(holds);
        let held = self.units(|order| order.member == member && is_sold(order));
        let fits = held + units <= limit.0 && self.units(is_sold) + units <= self.total;
        let status = if fits { Status::Confirmed } else { Status::Released };
        let plain = self.orders.get_mut(&number).expect("an order of the model");
        (plain.stored, plain.settled_at) = (Some(status), batch.at);
        if is_offer {
            self.waits.remove(&member);
        }
        Some(status)
    }

    /// Of the orders that wait, those with the highest precedence go first: a tier's orders in their
    /// sequence, and the first of each tier rises by a tier for each 100 ms that it has waited.
    fn check_precedence(&self, batch: &Batch) {
        let waiting = || self.orders.iter().filter(|(_, order)| order.told == Status::Reserved);
        if waiting().any(|(_, order)| order.is_offer) {
            // It is not known here which offers were made before the batch was gathered.
            return;
        }
        let mut lanes: [Vec<u64>; 5] = Default::default();
        for (number, order) in waiting() {
            lanes[order.tier as usize].push(*number);
        }
        let rank = |lane: &Vec<u64>| {
            let number = *lane.first()?;
            let Plain { tier, reserved_at, .. } = self.orders[&number];
            let waited_ms = batch.at.0.saturating_sub(reserved_at.0);
            Some((tier as u64 + waited_ms / 100, std::cmp::Reverse(number)))
        };
        for order in batch.orders.iter() {
            let next = lanes.iter_mut().max_by_key(|lane| rank(lane)).expect("five lanes");
            assert_eq!(next.remove(0), order.number, "the sequence of service: {batch:?}");
        }
    }

    fn change(&mut self, changes: &Changes, times: usize, answered: bool) {
        let is_resend = std::mem::replace(&mut self.changes_in_flight, !answered);
        if !is_resend {
            self.check_expiries(changes);
        }
        if self.store_epoch != changes.epoch {
            // The refusal is an answer, also where the answer to a change would have been lost.
            self.is_halted |= times > 0;
            return;
        }
        for change in std::iter::repeat_n(changes.changes.iter(), times).flatten() {
            match change {
                Change::Order { step, epoch, number } => {
                    let order = self.orders.get_mut(number).filter(|order| order.epoch == *epoch);
                    let Some(order) = order else { continue };
                    order.stored =
                        order.stored.map(|status| after(status, *step).unwrap_or(status));
                    if let Some(stored) = order.stored.filter(|_| answered)
                        && order.told.steps() < stored.steps()
                    {
                        order.told = stored;
                    }
                }
                // In the simulation all of the money goes back at once.
                Change::Refund { epoch, number, .. } => {
                    let order = self.orders.get_mut(number).filter(|order| order.epoch == *epoch);
                    let Some(order) = order else { continue };
                    order.stored = order.stored.map(|status| match status {
                        Status::RefundDue => Status::Refunded,
                        Status::Paid => Status::Returned,
                        other => other,
                    });
                    if let Some(stored) = order.stored.filter(|_| answered)
                        && order.told.steps() < stored.steps()
                    {
                        order.told = stored;
                    }
                }
                Change::Join(wish) => {
                    let wish_of = (wish.tier, wish.units.0);
                    self.waits.entry(member(wish.member.as_str())).or_insert(wish_of);
                }
                Change::Leave(name) => drop(self.waits.remove(&member(name.as_str()))),
                Change::Dissolve => self.waits.clear(),
            }
        }
    }

    /// An order expires when it is due, unless a payment of it was told in time and waits, or comes with
    /// these changes.
    fn check_expiries(&mut self, changes: &Changes) {
        let told = |of: u64| {
            let is_it = |change: &Change| matches!(change, Change::Order { step: Step::Pay, number, .. } if *number == of);
            changes.changes.iter().any(is_it)
        };
        self.payments.retain(|(number, _)| !told(*number));
        for change in changes.changes.iter() {
            let Change::Order { step: Step::Expire, number, .. } = change else { continue };
            let order = self.orders.get(number).filter(|o| o.stored == Some(Status::Confirmed));
            if order.is_none() || told(*number) {
                continue;
            }
            let pay_by = self.pay_by(*number);
            assert!(changes.at >= pay_by, "{number} expires before it is due");
            let in_time = |(of, told_at): &(u64, Millis)| of == number && *told_at < pay_by;
            assert!(!self.payments.iter().any(in_time), "{number} was paid in time, and expires");
        }
    }

    /// The process ends, and another one starts: only what the store has counts.
    pub(crate) fn restart(&mut self, epoch: u64) {
        for order in self.orders.values() {
            let told_well = matches!(order.told, Status::Reserved | Status::Released);
            assert!(told_well || order.stored.is_some(), "I4: {order:?} is lost");
        }
        self.orders.retain(|_, order| order.stored.is_some());
        for order in self.orders.values_mut() {
            order.told = order.stored.expect("the others are gone");
        }
        let orders = &self.orders;
        self.keys.retain(|_, (_, number)| orders.contains_key(number));
        self.next_number = orders.keys().max().map_or(1, |number| number + 1);
        (self.epoch, self.store_epoch, self.is_halted) = (epoch, epoch, false);
        (self.is_paused, self.is_closed) = (self.stored_paused, self.stored_closed);
        self.is_close_stored = self.stored_closed;
        self.in_flight.clear();
        self.payments.clear();
        self.changes_in_flight = false;
    }
}
