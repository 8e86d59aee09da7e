//! The members who wait for units of an open sale.

use super::OpenSale;
use crate::roster::Roster;
use crate::rules::seat::Seat;
use crate::rules::units::Units;
use crate::rules::waitlist::{Waiter, Waitlist};
use crate::store::Waiting;
use membership::MemberId;
use parking_lot::MutexGuard;

impl OpenSale {
    /// How the member waits: the units, and their place in the order of service, from 1. A blocked
    /// member is passed over, so they do not wait as far as they are told.
    #[must_use]
    pub fn position(&self, seat: Seat) -> Option<(Units, usize)> {
        if self.blocked.contains(seat) {
            return None;
        }
        let position = self.waitlist.lock().position(seat);
        position.map(|(waiter, place)| (waiter.units, place))
    }

    /// The next place on the waitlist; `None` when the waitlist is full.
    #[must_use]
    pub fn next_place(&self) -> Option<u64> {
        let mut waitlist = self.waitlist.lock();
        (waitlist.len() < Waitlist::WAITING_MAX).then(|| waitlist.next_place())
    }

    /// Members who wait for units that come back.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waitlist.lock().len()
    }

    pub(crate) fn joined(&self, waiting: &Waiting, roster: &Roster) {
        let Waiting { tier, units, place, .. } = *waiting;
        let seat = roster.seat(waiting.member.as_str()).expect("a member who asks has a seat");
        let mut waitlist = self.waitlist.lock();
        waitlist.join(Waiter { seat, tier, units, place });
        if waitlist.position(seat).is_some() {
            // Units that came back since the member asked are also offered to waiting members
            // before they go on sale.
            self.sale.set_aside();
        }
    }

    pub(crate) fn left(&self, member: &MemberId, roster: &Roster) {
        let mut waitlist = self.waitlist.lock();
        let left = roster.find(member.as_str()).and_then(|seat| waitlist.leave(seat));
        if left.is_some() && waitlist.is_empty() {
            self.sale.end_waiting();
        }
    }

    /// No member waits any more.
    pub(crate) fn dissolved(&self) {
        let mut waitlist = self.waitlist.lock();
        waitlist.dissolve();
        self.sale.end_waiting();
    }

    pub(crate) fn waitlist(&self) -> MutexGuard<'_, Waitlist> {
        self.waitlist.lock()
    }
}
