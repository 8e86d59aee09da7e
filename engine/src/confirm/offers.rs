//! Offers: units that came back go to members who wait, higher tiers first, then by arrival.

use super::confirmer::Confirmer;
use crate::rules::refusal::Refusal;
use crate::rules::units::Units;
use crate::rules::waitlist::Waiter;
use crate::sale::Click;
use crate::store::Change;

impl Confirmer {
    /// Offers units that came back to members who wait, higher tiers first, then by arrival; the
    /// units that they leave go on sale.
    pub(super) fn serve_waitlist(&self) {
        let (sale, now) = (&self.open.sale, self.clock.now());
        let mut list = self.open.waitlist();
        if list.is_empty() {
            // The last member may have been dismissed before a pause kept units aside.
            sale.end_waiting();
            return;
        }
        if sale.is_over(now) {
            // Nothing is sold any more, so no member need wait.
            list.dissolve();
            self.open.asks().push(Change::Dissolve, now);
            sale.end_waiting();
            return;
        }
        let blocked = self.open.look_at_blocked();
        while sale.aside().units().0 > 0 {
            let level = sale.stock().level();
            if level.is_halted() || level.is_paused() {
                return;
            }
            let aside = sale.aside().units();
            let within = Units(aside.0 + level.left().0);
            // The clock may have gone back since a member joined.
            let may_be_served = |waiter: &Waiter| {
                !blocked.contains(waiter.seat) && sale.has_entered(waiter.tier, now)
            };
            let Some(waiter) = list.first_within(within, may_be_served) else {
                // Every waiting member is blocked or wants more units than there are.
                break;
            };
            let Waiter { seat, tier, units, .. } = waiter;
            if units > aside {
                // The units aside are enough together with those that are on sale already.
                sale.set_aside();
                continue;
            }
            match sale.offer(now, Click { seat, tier, units, key: None, is_minor: false }) {
                Ok(number) => list.serve(seat, number),
                // The member has bought in the meantime: waiting longer would not change that.
                Err(Refusal::LimitReached { .. } | Refusal::TooManyOrders { .. }) => {
                    list.leave(seat);
                    self.dismiss(&waiter);
                }
                // The sale was paused or closed at this instant.
                Err(_) => return,
            }
        }
        if list.is_empty() { sale.end_waiting() } else { sale.put_on_sale() }
    }

    fn dismiss(&self, waiter: &Waiter) {
        let leave = Change::Leave(self.roster.member(waiter.seat));
        self.open.asks().push(leave, self.clock.now());
    }
}
