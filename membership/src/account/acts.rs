//! Acts: what members do in live rooms, as the platform's servers tell it. So much counts in a day.

use super::membership::{Membership, Taking};
use super::parts::ActDay;
use crate::event::Act;
use crate::posting::{Account, Basis, Kind, Source};
use jiff::civil::Date;

impl Membership {
    pub(super) fn acted(&mut self, id: &Source, act: Act, taking: &mut Taking<'_>) {
        let kind = act.kind();
        if taking.is_posted(Account::Growth, kind, id) {
            return;
        }
        let (growth, points) = match act {
            Act::Watch(seconds) => self.watched(seconds, taking),
            Act::Share => self.shared(taking),
            Act::Interact | Act::Invite => (0, 0),
        };
        let points = if points > 0 && taking.stops(kind) { 0 } else { points };
        self.credit(Account::Growth, kind, id, growth, taking);
        if let Act::Watch(seconds) = act {
            taking.base(Basis::Watched(seconds));
        }
        if points > 0 {
            self.credit(Account::Points, kind, id, points, taking);
        }
    }

    fn watched(&mut self, seconds: u32, taking: &mut Taking<'_>) -> (u64, u64) {
        let (plan, day) = (taking.context.plan, taking.context.at.day());
        let acts = &plan.acts;
        let today = self.day(day);
        let counts = |seconds: u32| (seconds / acts.watch_s).min(acts.watches_a_day.into());
        let before = counts(today.watched_s);
        today.watched_s = today.watched_s.saturating_add(seconds);
        let times = u64::from(counts(today.watched_s) - before);
        let days = self.acts.iter().filter(|day| day.watched_s >= acts.watch_s).count();
        if days >= plan.referral.watch_days.into() {
            self.qualify(taking);
        }
        (times * u64::from(plan.growth.watch), times * u64::from(plan.points.watch))
    }

    fn shared(&mut self, taking: &Taking<'_>) -> (u64, u64) {
        let (plan, day) = (taking.context.plan, taking.context.at.day());
        let today = self.day(day);
        if today.shares >= plan.acts.shares_a_day {
            return (0, 0);
        }
        today.shares += 1;
        (plan.growth.share.into(), plan.points.share.into())
    }

    fn day(&mut self, day: Date) -> &mut ActDay {
        let at = match self.acts.binary_search_by_key(&day, |act| act.day) {
            Ok(at) => at,
            Err(at) => {
                self.acts.insert(at, ActDay { day, shares: 0, watched_s: 0 });
                at
            }
        };
        &mut self.acts[at]
    }
}

impl Taking<'_> {
    /// Whether a rule has given enough today; notes that it would have given more.
    pub(super) fn stops(&mut self, kind: Kind) -> bool {
        let stops = self.context.stopped.contains(&kind);
        if stops {
            self.outcome.braked = Some(kind);
        }
        stops
    }
}
