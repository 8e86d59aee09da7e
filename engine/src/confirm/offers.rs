//! Offers: units that came back go to members who wait, higher tiers first, then by arrival.

use super::confirmer::Confirmer;
use crate::rules::refusal::Refusal;
use crate::rules::units::Units;
use crate::rules::waitlist::Waiter;
use crate::sale::Click;
use crate::store::Change;

impl Confirmer {
    /// Offers what came back to those who wait, higher tiers first, then by arrival; what they leave
    /// goes on sale.
    pub(super) fn serve_waitlist(&self) {
        let (sale, now) = (&self.open.sale, self.clock.now());
        let mut list = self.open.waitlist();
        if list.is_empty() {
            return;
        }
        if sale.stock().level().is_closed() || sale.terms().windows.is_over(now) {
            // Nothing is sold any more, and nobody need wait for it.
            list.dissolve().iter().for_each(|waiter| self.dismiss(waiter));
            sale.end_waiting();
            return;
        }
        while sale.aside().units().0 > 0 {
            let level = sale.stock().level();
            if level.is_halted() || level.is_paused() {
                return;
            }
            let aside = sale.aside().units();
            let Some(waiter) = list.first_within(Units(aside.0 + level.left().0)) else {
                // What there is is too little for everyone who waits.
                break;
            };
            let Waiter { seat, tier, units, .. } = waiter;
            if self.open.is_blocked(seat) {
                list.leave(seat);
                self.dismiss(&waiter);
                continue;
            }
            if units > aside {
                // Together with what is on sale already it is enough.
                sale.set_aside();
                continue;
            }
            match sale.offer(now, Click { seat, tier, units, key: None }) {
                Ok(number) => list.serve(seat, number),
                // They have bought in the meantime: waiting longer would not change it.
                Err(Refusal::LimitReached { .. }) => {
                    list.leave(seat);
                    self.dismiss(&waiter);
                }
                // Paused, closed or halted this instant.
                Err(_) => return,
            }
        }
        if list.is_empty() { sale.end_waiting() } else { sale.put_on_sale() }
    }

    fn dismiss(&self, waiter: &Waiter) {
        self.open.asks().push(Change::Leave(self.roster.member(waiter.seat)));
    }
}
