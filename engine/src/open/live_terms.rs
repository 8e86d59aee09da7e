//! Live terms: what of a sale's terms may change while it sells, beside the instant of its close.

use crate::clock::Clock;
use crate::rules::terms::Terms;
use crate::rules::time::Millis;
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;

/// Most changes of the time to pay while a process has the sale open.
const CHANGES_MAX: usize = 1_000;

/// What may change while a sale sells.
#[derive(Debug)]
pub(crate) struct LiveTerms(RwLock<State>);

#[derive(Debug)]
struct State {
    title: Arc<str>,
    image_url: Option<Arc<str>>,
    /// From when on an order that is confirmed has so many seconds; in order. An order keeps the time
    /// that it was given.
    pay_within_s: Vec<(Millis, u32)>,
}

impl LiveTerms {
    pub(crate) fn new(terms: &Terms) -> Self {
        let pay_within_s = vec![(Millis(0), terms.pay_within_s)];
        let (title, image_url) =
            (terms.title.as_str().into(), terms.image_url.as_deref().map(Arc::from));
        Self(RwLock::new(State { title, image_url, pay_within_s }))
    }

    /// Whether the time to pay can be changed once more.
    pub(crate) fn has_room(&self) -> bool {
        self.0.read().pay_within_s.len() < CHANGES_MAX
    }

    /// Follows a change; the time to pay is another one for orders that are confirmed after this.
    pub(crate) fn follow(&self, terms: &Terms, clock: &Clock) {
        let mut state = self.0.write();
        // The clock is read under the lock: a batch that asks before has an earlier instant.
        let now = clock.now();
        state.title = terms.title.as_str().into();
        state.image_url = terms.image_url.as_deref().map(Arc::from);
        let (last_from, last) =
            *state.pay_within_s.last().expect("there is one from the beginning");
        if last != terms.pay_within_s {
            // A batch that is on its way has the time of this millisecond at the latest.
            let from = Millis(now.0 + 1).max(last_from);
            state.pay_within_s.push((from, terms.pay_within_s));
        }
    }

    pub(crate) fn title(&self) -> Arc<str> {
        Arc::clone(&self.0.read().title)
    }

    pub(crate) fn image_url(&self) -> Option<Arc<str>> {
        self.0.read().image_url.clone()
    }

    pub(crate) fn pay_within_s(&self) -> u32 {
        self.0.read().pay_within_s.last().expect("there is one from the beginning").1
    }

    /// When a payment for an order confirmed at `at` is due.
    pub(crate) fn pay_by(&self, at: Millis) -> Millis {
        let state = self.0.read();
        let of = state.pay_within_s.iter().rfind(|(from, _)| *from <= at);
        let (_, seconds) = of.expect("there is one from the beginning");
        at + Duration::from_secs(u64::from(*seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::cents::Cents;
    use crate::rules::member_terms::MemberTerms;
    use crate::rules::units::Units;
    use crate::rules::window::Windows;
    use membership::PerTier;

    #[test]
    fn an_order_keeps_the_time_to_pay_that_it_was_given() {
        let terms = |pay_within_s| Terms {
            id: "drop".parse().expect("a sale id"),
            title: format!("{pay_within_s} s"),
            price: Cents(1),
            currency: "CNY".into(),
            stock: Units(10),
            windows: Windows::new(PerTier([Some(Millis(0)); 5]), Millis(9)).expect("windows"),
            limits: PerTier([Units(1); 5]),
            pay_within_s,
            adults_only: false,
            image_url: None,
            members: MemberTerms::default(),
        };
        let live = LiveTerms::new(&terms(10));
        live.follow(&terms(1), &Clock::by_hand(Millis(500)));
        live.follow(&terms(20), &Clock::by_hand(Millis(900)));
        for (at, by) in [(0, 10_000), (500, 10_500), (501, 1_501), (900, 1_900), (901, 20_901)] {
            assert_eq!(live.pay_by(Millis(at)), Millis(by));
        }
        assert_eq!((&*live.title(), live.pay_within_s()), ("20 s", 20));
    }
}
