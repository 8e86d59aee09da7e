//! Waitlist: members who wait for units that come back, served by tier, then by arrival. Pure.

use crate::rules::seat::Seat;
use crate::rules::units::Units;
use membership::{PerTier, Tier};
use std::collections::{HashMap, VecDeque};

/// One member who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    /// The member's seat.
    pub seat: Seat,
    /// The tier when they joined.
    pub tier: Tier,
    /// Units they wait for.
    pub units: Units,
    /// Their place in the order of arrival, from 1; never given out twice.
    pub place: u64,
}

/// The members who wait in one sale.
#[derive(Debug, Default)]
pub struct Waitlist {
    /// The waiting members of each tier, by `place`.
    lines: PerTier<VecDeque<Waiter>>,
    by_seat: HashMap<Seat, (Tier, u64)>,
    /// The number of the order that is on its way to a member; the store keeps their wish until it
    /// has the order.
    offered: HashMap<Seat, u64>,
    last_place: u64,
}

impl Waitlist {
    /// The most members that may wait in one sale.
    pub const WAITING_MAX: usize = 100_000;

    /// The next place in the order of arrival.
    pub fn next_place(&mut self) -> u64 {
        self.last_place += 1;
        self.last_place
    }

    /// Adds a member. A member who waits already keeps the place and the wish that they have. A
    /// member to whom an order is on its way is not added: that order takes their wish off the
    /// waitlist.
    pub fn join(&mut self, waiter: Waiter) {
        self.last_place = self.last_place.max(waiter.place);
        if self.by_seat.contains_key(&waiter.seat) || self.is_offered(waiter.seat) {
            return;
        }
        self.by_seat.insert(waiter.seat, (waiter.tier, waiter.place));
        let line = &mut self.lines[waiter.tier];
        // The member nearly always goes to the end: places are written down in the order in which
        // they were given.
        let at = line.partition_point(|other| other.place < waiter.place);
        line.insert(at, waiter);
    }

    /// Takes a member who is served off the waitlist: this order is on its way to them until
    /// [`Waitlist::offer_settled`].
    pub fn serve(&mut self, seat: Seat, number: u64) {
        if self.leave(seat).is_some() {
            self.offered.insert(seat, number);
        }
    }

    /// Whether this order is the one that the member was offered.
    #[must_use]
    pub fn is_offer(&self, seat: Seat, number: u64) -> bool {
        self.offered.get(&seat) == Some(&number)
    }

    /// Notes that the store has decided the order that the member was offered.
    pub fn offer_settled(&mut self, seat: Seat) {
        self.offered.remove(&seat);
    }

    /// Whether an order is on its way to the member.
    #[must_use]
    pub fn is_offered(&self, seat: Seat) -> bool {
        self.offered.contains_key(&seat)
    }

    /// Removes all members who wait.
    pub fn dissolve(&mut self) {
        self.lines = PerTier::default();
        self.by_seat.clear();
    }

    /// Removes a member; `None` if they do not wait.
    pub fn leave(&mut self, seat: Seat) -> Option<Waiter> {
        let (tier, place) = self.by_seat.remove(&seat)?;
        let at = self.lines[tier].binary_search_by_key(&place, |waiter| waiter.place);
        self.lines[tier].remove(at.expect("a member who is known by seat stands in a line"))
    }

    /// The member's wish, and their position: the number of members who are served before them,
    /// plus one.
    #[must_use]
    pub fn position(&self, seat: Seat) -> Option<(Waiter, usize)> {
        let (tier, place) = *self.by_seat.get(&seat)?;
        let line = &self.lines[tier];
        let at = line.binary_search_by_key(&place, |waiter| waiter.place);
        let at = at.expect("a member who is known by seat stands in a line");
        let higher = Tier::ALL.into_iter().filter(|other| *other > tier);
        let before: usize = higher.map(|tier| self.lines[tier].len()).sum();
        Some((line[at], before + at + 1))
    }

    /// The member to serve when `units` have come back: the first in the order of service who may be
    /// served and whose wish is not larger than that. A member who wants more goes on waiting in
    /// their place.
    #[must_use]
    pub fn first_within(
        &self,
        units: Units,
        may_be_served: impl Fn(&Waiter) -> bool,
    ) -> Option<Waiter> {
        let fits = |waiter: &&Waiter| waiter.units <= units && may_be_served(waiter);
        self.iter().find(fits).copied()
    }

    /// All members who wait, in the order of service: higher tiers first, and each tier by arrival.
    pub fn iter(&self) -> impl Iterator<Item = &Waiter> {
        Tier::ALL.into_iter().rev().flat_map(|tier| &self.lines[tier])
    }

    /// Members who wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_seat.len()
    }

    /// Whether no member waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_seat.is_empty()
    }
}

#[cfg(all(test, not(flash_loom)))]
mod tests {
    use super::*;

    fn waiter(seat: u32, tier: Tier, units: u32, place: u64) -> Waiter {
        Waiter { seat: Seat::new(seat), tier, units: Units(units), place }
    }

    fn list(waiters: &[(u32, Tier, u32)]) -> Waitlist {
        let mut list = Waitlist::default();
        for (seat, tier, units) in waiters {
            let place = list.next_place();
            list.join(waiter(*seat, *tier, *units, place));
        }
        list
    }

    #[test]
    fn higher_tiers_are_served_first_and_each_tier_by_arrival() {
        use Tier::{Gold, Regular};
        let mut list = list(&[(1, Regular, 1), (2, Gold, 1), (3, Regular, 1), (4, Gold, 1)]);
        let position =
            |list: &Waitlist, seat| list.position(Seat::new(seat)).map(|(_, place)| place);
        assert_eq!([1, 2, 3, 4].map(|seat| position(&list, seat).unwrap()), [3, 1, 4, 2]);
        let mut served = Vec::new();
        while let Some(next) = list.first_within(Units(1), |_| true) {
            served.push(next.seat.number());
            list.leave(next.seat).unwrap();
        }
        assert_eq!((served, list.is_empty()), (vec![2, 4, 1, 3], true));
    }

    #[test]
    fn who_wants_more_than_came_back_keeps_the_place() {
        let mut list = list(&[(1, Tier::Gold, 2), (2, Tier::Regular, 1)]);
        assert_eq!(list.first_within(Units(1), |_| true).unwrap().seat, Seat::new(2));
        list.leave(Seat::new(2)).unwrap();
        assert_eq!(list.first_within(Units(1), |_| true), None);
        assert_eq!(list.first_within(Units(2), |_| true).unwrap().seat, Seat::new(1));
    }

    #[test]
    fn who_may_not_be_served_is_passed_over_and_keeps_the_place() {
        let list = list(&[(1, Tier::Gold, 1), (2, Tier::Regular, 1)]);
        let next =
            |but: u32| list.first_within(Units(1), |waiter| waiter.seat != Seat::new(but)).unwrap();
        assert_eq!((next(1).seat, next(2).seat), (Seat::new(2), Seat::new(1)));
    }

    #[test]
    fn who_joins_twice_keeps_the_first_place_and_who_leaves_loses_it() {
        let mut list = list(&[(1, Tier::Gold, 1), (2, Tier::Gold, 1), (1, Tier::Diamond, 2)]);
        assert_eq!(list.position(Seat::new(1)).unwrap(), (waiter(1, Tier::Gold, 1, 1), 1));
        list.leave(Seat::new(1)).unwrap();
        assert_eq!(list.leave(Seat::new(1)), None);
        let place = list.next_place();
        list.join(waiter(1, Tier::Gold, 1, place));
        assert_eq!(list.position(Seat::new(1)).unwrap().1, 2);
        assert_eq!(list.len(), 2);
    }
}
