//! How tiers rise, are kept and fall, over years of a clock that is moved by hand.

use crate::keeper::{ANN, Keeper, on, order, refund};
use membership::Tier;
use membership::event::{Event, Notice};
use membership::time::Millis;

fn tier(keeper: &Keeper, at: Millis) -> Tier {
    keeper.ann().account.standing_at(&keeper.plan, at).tier
}

#[test]
fn reaching_a_threshold_raises_the_tier_at_once() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 999)), on(2026, 1, 10)).unwrap();
    assert_eq!(tier(&keeper, on(2026, 1, 10)), Tier::Regular);
    let outcome = keeper.take(ANN, &Event::Paid(order("b", 1)), on(2026, 1, 11)).unwrap();
    assert_eq!(outcome.notices, [Notice::TierReached(Tier::Silver)]);
    assert_eq!(tier(&keeper, on(2026, 1, 11)), Tier::Silver);
    keeper.take(ANN, &Event::Paid(order("c", 60_000)), on(2026, 1, 12)).unwrap();
    assert_eq!(tier(&keeper, on(2026, 1, 12)), Tier::Diamond);
}

#[test]
fn two_years_show_a_tier_kept_for_one_and_then_falling_a_step_a_year() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 20_000)), on(2026, 1, 10)).unwrap();
    // The growth is gone with the year; the tier falls one step at the end of each.
    for (at, expected) in [
        (on(2026, 12, 31), Tier::Platinum),
        (on(2027, 1, 9), Tier::Platinum),
        (on(2027, 1, 11), Tier::Gold),
        (on(2028, 1, 9), Tier::Gold),
        (on(2028, 1, 11), Tier::Silver),
        (on(2029, 1, 11), Tier::Regular),
        (on(2039, 1, 11), Tier::Regular),
    ] {
        assert_eq!(tier(&keeper, at), expected, "{at:?}");
        keeper.take(ANN, &Event::Sweep, at).unwrap();
        assert_eq!(tier(&keeper, at), expected, "{at:?}, swept");
    }
    assert_eq!(keeper.growth(ANN, on(2027, 1, 12)), 0);
}

#[test]
fn a_tier_that_is_earned_again_within_its_year_is_kept_for_another() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 5_000)), on(2026, 1, 10)).unwrap();
    keeper.take(ANN, &Event::Paid(order("b", 5_000)), on(2026, 11, 1)).unwrap();
    assert_eq!(tier(&keeper, on(2027, 6, 1)), Tier::Gold);
    assert_eq!(tier(&keeper, on(2028, 1, 9)), Tier::Gold);
    assert_eq!(tier(&keeper, on(2028, 1, 11)), Tier::Silver);
}

#[test]
fn growth_that_is_taken_back_leaves_the_tier_until_its_year_is_over() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 1_000)), on(2026, 1, 10)).unwrap();
    keeper.take(ANN, &refund("a", "r", 100_000, 0, 100_000), on(2026, 1, 20)).unwrap();
    assert_eq!(
        (keeper.growth(ANN, on(2026, 1, 20)), tier(&keeper, on(2026, 12, 1))),
        (0, Tier::Silver)
    );
    assert_eq!(tier(&keeper, on(2027, 1, 11)), Tier::Regular);
}

#[test]
fn growth_of_the_last_twelve_months_decides() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 600)), on(2026, 1, 10)).unwrap();
    keeper.take(ANN, &Event::Paid(order("b", 600)), on(2027, 1, 20)).unwrap();
    assert_eq!(
        (keeper.growth(ANN, on(2027, 1, 20)), tier(&keeper, on(2027, 1, 20))),
        (600, Tier::Regular)
    );
}

#[test]
fn a_refund_of_an_old_order_takes_nothing_from_what_was_earned_since() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 600)), on(2026, 1, 10)).unwrap();
    keeper.take(ANN, &Event::Paid(order("b", 500)), on(2026, 12, 1)).unwrap();
    keeper.take(ANN, &refund("a", "r", 60_000, 0, 60_000), on(2027, 2, 10)).unwrap();
    assert_eq!(keeper.growth(ANN, on(2027, 2, 10)), 500);
}

#[test]
fn a_member_hears_once_that_the_tier_is_at_risk() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 1_000)), on(2026, 1, 10)).unwrap();
    for day in 1..=28 {
        keeper.take(ANN, &Event::Sweep, on(2026, 12, day)).unwrap();
    }
    let end = Millis::start_of(jiff::civil::date(2027, 1, 11));
    let at_risk: Vec<_> = keeper
        .ann()
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::TierAtRisk(_)))
        .collect();
    assert_eq!(at_risk, [&Notice::TierAtRisk(end)]);
}
