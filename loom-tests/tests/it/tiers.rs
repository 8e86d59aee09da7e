//! Models with more than one tier: windows and their edges, limits, lanes.

use engine::lanes::Lanes;
use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::stock::Stock;
use engine::sale::{Click, Sale};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom_tests::world::{CLOSES_AT, Lamps, Model, NOW, click, every_way, sale, sale_of, spawn};
use membership::{PerTier, Tier};

/// When the window of regular members opens; that of gold members is open.
const REGULAR_OPENS_AT: Millis = Millis(50);

/// A sale of one unit with two windows.
fn two_windows() -> Sale {
    let opens_at = [REGULAR_OPENS_AT, Millis(2), Millis(1), Millis(1), Millis(1)].map(Some);
    sale_of(1, PerTier(opens_at), PerTier([1, 1, 2, 2, 2]))
}

fn by(tier: Tier, seat: u32, units: u32) -> Click {
    Click { tier, ..click(seat, Units(units)) }
}

#[test]
fn a_click_before_its_window_takes_nothing_from_a_member_who_may_buy() {
    every_way(|| {
        let drop = Arc::new(two_windows());
        let early = Arc::clone(&drop);
        let early = spawn(move || early.buy(NOW, by(Tier::Regular, 1, 1)));
        let bought = drop.buy(NOW, by(Tier::Gold, 0, 1));
        assert!(bought.is_ok(), "a member who may buy heard {bought:?}");
        let refused = Err(Refusal::NotOpen { opens_at: REGULAR_OPENS_AT });
        assert_eq!(early.join().expect("a click"), refused);
    });
}

#[test]
#[should_panic(expected = "a member who may buy heard")]
fn twin_a_window_that_is_looked_at_after_the_unit_was_taken() {
    every_way(|| {
        let parts = Arc::new((Stock::new(Units(1)), two_windows()));
        let early = Arc::clone(&parts);
        let early = spawn(move || {
            let taken = early.0.reserve(Units(1));
            // The bug: the unit goes back only now.
            let entered = early.1.terms().windows.enter(Tier::Regular, NOW);
            assert!(entered.is_err());
            drop(taken);
        });
        let bought = parts.0.reserve(Units(1)).map(engine::sale::stock::Reservation::keep);
        assert!(bought.is_ok(), "a member who may buy heard {bought:?}");
        early.join().expect("a click");
    });
}

/// One member clicks in the last millisecond before the window, and in its first.
fn at_the_edge(buy: impl Fn(&Sale, &AtomicU32, Millis) -> bool + Send + Sync + Copy + 'static) {
    every_way(move || {
        let parts = Arc::new((two_windows(), AtomicU32::new(0)));
        let other = Arc::clone(&parts);
        let early = spawn(move || {
            let early = Millis(REGULAR_OPENS_AT.0 - 1);
            assert!(!buy(&other.0, &other.1, early), "an order of before its window");
        });
        assert!(buy(&parts.0, &parts.1, REGULAR_OPENS_AT), "the window is open by now");
        early.join().expect("the early click");
    });
}

#[test]
fn the_first_millisecond_of_a_window_is_open_and_the_one_before_is_not() {
    at_the_edge(|drop, _, now| drop.buy(now, by(Tier::Regular, 1, 1)).is_ok());
}

#[test]
#[should_panic(expected = "an order of before its window")]
fn twin_a_window_that_one_click_opens_for_another() {
    at_the_edge(|_, is_open, now| {
        if now >= REGULAR_OPENS_AT {
            // Ordering: Release and Acquire, so that only the shared flag is the bug.
            is_open.store(1, Ordering::Release);
        }
        is_open.load(Ordering::Acquire) == 1
    });
}

/// A click at the closing instant meets one of the millisecond before.
fn at_the_close(model: Model) {
    every_way(move || {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 2 }));
        let before = Millis(CLOSES_AT.0 - 1);
        let buy = move |drop: &Sale, now: Millis| match model {
            Model::Real => drop.buy(now, click(0, Units(1))).map(drop_it),
            // The bug: the clock alone decides, and it may go back.
            Model::Twin => drop.terms().windows.enter(Tier::Gold, now).map(drop_it),
        };
        let other = Arc::clone(&drop);
        let other = spawn(move || buy(&other, before));
        let closing = buy(&drop, CLOSES_AT);
        let again = buy(&drop, before);
        let in_time = other.join().expect("the click of before");
        assert_eq!([closing, again], [Err(Refusal::Closed); 2], "sold after the close");
        let left = drop.stock().level().left();
        assert_eq!(left, Units(2 - u32::from(in_time.is_ok())));
    });
}

fn drop_it<T>(_: T) {}

#[test]
fn what_the_clock_has_closed_stays_closed_though_the_clock_goes_back() {
    at_the_close(Model::Real);
}

#[test]
#[should_panic(expected = "sold after the close")]
fn twin_a_close_that_is_not_latched() {
    at_the_close(Model::Twin);
}

/// A member's tier changes: one click comes under each of two limits.
fn under_two_limits(
    claim: impl Fn(&Sale, &[AtomicU32; 2], Click) -> bool + Send + Sync + Copy + 'static,
) {
    every_way(move || {
        let limits = PerTier([1, 1, 2, 2, 2]);
        let drop = sale_of(3, PerTier([Some(Millis(1)); 5]), limits);
        let parts = Arc::new((drop, [AtomicU32::new(0), AtomicU32::new(0)]));
        let other = Arc::clone(&parts);
        let other = spawn(move || claim(&other.0, &other.1, by(Tier::Regular, 0, 1)));
        let gold = claim(&parts.0, &parts.1, by(Tier::Gold, 0, 2));
        let regular = other.join().expect("the other click");
        assert!(gold ^ regular, "over the limits of both tiers: {gold} {regular}");
    });
}

#[test]
fn a_member_whose_tier_changes_stays_within_one_limit() {
    under_two_limits(|drop, _, click| drop.buy(NOW, click).is_ok());
}

#[test]
#[should_panic(expected = "over the limits of both tiers")]
fn twin_a_count_for_each_tier() {
    under_two_limits(|drop, counts, click| {
        let limit = drop.terms().limits[click.tier].0;
        // The bug: each tier has a count of its own.
        let count = &counts[usize::from(click.tier == Tier::Gold)];
        // Ordering: AcqRel, so that only the two counts are the bug.
        count.fetch_add(click.units.0, Ordering::AcqRel) + click.units.0 <= limit
    });
}

/// Two tiers click while the confirmer takes orders in. Returns the numbers in the order of service:
/// what was served meanwhile, and what was left.
fn served(model: Model) {
    every_way(move || {
        let drop = Arc::new(sale(Lamps { stock: 2, limit: 1 }));
        let confirmer = Arc::clone(&drop);
        let confirmer = spawn(move || {
            let (mut lanes, mut intake) = (Lanes::default(), confirmer.intake());
            while let Some((queued, order)) = confirmer.take_in(&mut intake) {
                lanes.push(queued, order);
            }
            let first = lanes.pop(NOW).map(|(_, order)| order.number);
            (lanes, intake, first)
        });
        drop.buy(NOW, by(Tier::Regular, 0, 1)).expect("a unit");
        drop.buy(NOW, by(Tier::Diamond, 1, 1)).expect("a unit");
        let (mut lanes, mut intake, first) = confirmer.join().expect("the confirmer");
        let was_waiting = lanes.len();
        let mut rest = Vec::new();
        match model {
            Model::Real => {
                while let Some((queued, order)) = drop.take_in(&mut intake) {
                    lanes.push(queued, order);
                }
                while let Some((_, order)) = lanes.pop(NOW) {
                    rest.push(order.number);
                }
            }
            // The bug: orders are served as they come off the queue.
            Model::Twin => {
                let left = std::iter::from_fn(|| drop.take_in(&mut intake));
                rest.extend(left.map(|(_, order)| order.number));
            }
        }
        match (first, was_waiting, &rest[..]) {
            (None, 0, [2, 1]) | (Some(1), 0, [2]) | (Some(2), 1, [1]) => {}
            other => panic!("a waiting diamond order is served first, and each once: {other:?}"),
        }
    });
}

#[test]
fn of_two_tiers_that_wait_the_higher_one_is_served_first_and_each_order_once() {
    served(Model::Real);
}

#[test]
#[should_panic(expected = "a waiting diamond order is served first")]
fn twin_orders_that_are_served_as_they_come() {
    served(Model::Twin);
}
