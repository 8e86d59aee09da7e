//! What points buy, how they expire, what is kept of them, and the gift of a birthday.

use crate::keeper::{
    ANN, Keeper, ended, on, order, order_with, refund, refund_with, source, tender,
};
use membership::Tier;
use membership::account::CouponState;
use membership::birthday::{Birthday, Calendar, NoGift};
use membership::event::{Event, Notice, Order, Refund, Refused, Tender};
use membership::plan::{Reward, RewardKind};
use membership::posting::{Account, Kind};
use membership::time::Millis;

fn redeem(id: &str, reward: &str, taken: u64) -> Event {
    Event::Redeem { id: source(id), reward: reward.into(), taken }
}

fn hold(id: &str, points: u64, until: Millis) -> Event {
    hold_with(id, &tender(points, None), until)
}

fn hold_with(id: &str, with: &Tender, until: Millis) -> Event {
    Event::Hold { order: source(id), with: with.clone(), until }
}

#[test]
fn points_expire_at_the_end_of_the_month_a_year_later_and_are_never_spent_after() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 1_000)), on(2026, 3, 5)).unwrap();
    assert_eq!(keeper.points(ANN, on(2027, 3, 31)), 1_000);
    let late = on(2027, 4, 1);
    // Nothing was swept: they do not count all the same.
    assert_eq!(keeper.points(ANN, late), 0);
    let refused = keeper.take(ANN, &redeem("x", "coupon-10", 0), late);
    assert_eq!(refused, Err(Refused::NotEnoughPoints { has: 0 }));
    let outcome = keeper.take(ANN, &Event::Sweep, late).unwrap();
    let expired =
        outcome.postings.iter().find(|posting| posting.account == Account::Points).unwrap();
    assert_eq!((expired.kind, expired.amount), (Kind::Expiry, -1_000));
}

#[test]
fn a_member_hears_30_and_7_days_before_points_expire() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 1_000)), on(2026, 3, 5)).unwrap();
    let mut told = Vec::new();
    for day in 1..=31 {
        let outcome = keeper.take(ANN, &Event::Sweep, on(2027, 3, day)).unwrap();
        let points = |notice: &Notice| matches!(notice, Notice::PointsExpiring { .. });
        told.extend(outcome.notices.iter().filter(|notice| points(notice)).map(|_| day));
    }
    assert_eq!(told, [2, 25]);
}

#[test]
fn spending_points_never_changes_the_tier() {
    let mut keeper = Keeper::with_ann();
    let at = on(2026, 3, 5);
    keeper.take(ANN, &Event::Paid(order("a", 1_000)), at).unwrap();
    keeper.take(ANN, &redeem("x", "coupon-10", 0), at).unwrap();
    let standing = keeper.ann().account.standing_at(&keeper.plan, at);
    assert_eq!(
        (standing.tier, keeper.points(ANN, at), keeper.growth(ANN, at)),
        (Tier::Silver, 0, 1_000)
    );
    assert_eq!(keeper.ann().account.coupons.len(), 1);
}

#[test]
fn a_reward_has_a_tier_a_stock_and_a_limit() {
    let mut keeper = Keeper::with_ann();
    let at = on(2026, 3, 5);
    let reward = Reward {
        title: "A call with the host".into(),
        kind: RewardKind::Interaction,
        coupon: None,
        points: 10,
        from: Tier::Silver,
        stock: Some(3),
        limit: Some(2),
    };
    keeper.plan.rewards.insert("call".into(), reward);
    keeper.take(ANN, &Event::Paid(order("a", 900)), at).unwrap();
    let refused = |keeper: &mut Keeper, id, taken| {
        keeper.take(ANN, &redeem(id, "call", taken), at).unwrap_err()
    };
    assert_eq!(refused(&mut keeper, "x", 0), Refused::TierNotAdmitted(Tier::Silver));
    keeper.take(ANN, &Event::Paid(order("b", 100)), at).unwrap();
    assert_eq!(refused(&mut keeper, "x", 3), Refused::RewardGone);
    keeper.take(ANN, &redeem("x", "call", 0), at).unwrap();
    keeper.take(ANN, &redeem("y", "call", 1), at).unwrap();
    assert_eq!(refused(&mut keeper, "z", 2), Refused::LimitReached(2));
    assert!(keeper.take(ANN, &redeem("x", "call", 2), at).unwrap().is_known);
    assert_eq!(refused(&mut keeper, "z", 0), Refused::LimitReached(2));
    let other = keeper.take(ANN, &redeem("x", "coupon-10", 0), at);
    assert_eq!(other, Err(Refused::OtherReward));
    let unknown = keeper.take(ANN, &redeem("z", "none", 0), at);
    assert_eq!((unknown, keeper.points(ANN, at)), (Err(Refused::Unknown("reward")), 980));
}

#[test]
fn points_that_are_kept_are_spent_or_go_back_and_never_both() {
    let mut keeper = Keeper::with_ann();
    let (at, until) = (on(2026, 3, 5), on(2026, 3, 6));
    keeper.take(ANN, &Event::Paid(order("a", 100)), at).unwrap();
    keeper.take(ANN, &hold("o", 60, until), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 40);
    assert_eq!(
        keeper.take(ANN, &hold("p", 41, until), at),
        Err(Refused::NotEnoughPoints { has: 40 })
    );
    let with = tender(60, None);
    keeper.take(ANN, &Event::Paid(order_with("o", 2, &with)), at).unwrap();
    assert!(keeper.take(ANN, &Event::Paid(order_with("o", 2, &with)), at).unwrap().is_known);
    assert!(keeper.take(ANN, &hold("o", 60, until), at).unwrap().is_known);
    assert_eq!(keeper.points(ANN, at), 42);
    // A part of the money went back: the points stay spent.
    keeper.take(ANN, &refund_with("o", "r", [200, 0, 100], &with), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 41);
    // The order is returned: what was spent comes back, once.
    for _ in 0..2 {
        keeper.take(ANN, &refund_with("o", "s", [200, 100, 100], &with), at).unwrap();
        assert_eq!(keeper.points(ANN, at), 100);
    }
}

#[test]
fn what_was_kept_for_an_order_that_ends_goes_back_once() {
    let mut keeper = Keeper::with_ann();
    let (at, until, with) = (on(2026, 3, 5), on(2026, 3, 6), tender(60, None));
    keeper.take(ANN, &Event::Paid(order("a", 100)), at).unwrap();
    keeper.take(ANN, &hold_with("o", &with, until), at).unwrap();
    keeper.take(ANN, &Event::Confirmed(order_with("o", 2, &with)), at).unwrap();
    for is_known in [false, true] {
        assert_eq!(keeper.take(ANN, &ended("o", &with), at).unwrap().is_known, is_known);
        assert_eq!((keeper.points(ANN, at), keeper.ann().account.pending), (100, 0));
    }
    // A confirmer that comes late with its hold is told so.
    assert_eq!(keeper.take(ANN, &hold_with("o", &with, until), at), Err(Refused::HoldIsOver));
}

#[test]
fn an_order_whose_hold_outlived_its_time_is_paid_with_points_all_the_same() {
    let mut keeper = Keeper::with_ann();
    let (at, with) = (on(2026, 3, 5), tender(60, None));
    keeper.take(ANN, &Event::Paid(order("a", 100)), at).unwrap();
    keeper.take(ANN, &hold_with("o", &with, on(2026, 3, 6)), at).unwrap();
    let late = on(2026, 3, 7);
    keeper.take(ANN, &Event::Sweep, late).unwrap();
    assert_eq!(keeper.points(ANN, late), 100);
    keeper.take(ANN, &hold("p", 70, on(2026, 3, 9)), late).unwrap();
    keeper.take(ANN, &Event::Paid(order_with("o", 0, &with)), late).unwrap();
    assert_eq!(keeper.points(ANN, late), -30);
    keeper.take(ANN, &refund_with("o", "r", [0, 0, 0], &with), late).unwrap();
    assert_eq!(keeper.points(ANN, late), 30);
}

#[test]
fn a_confirmed_order_whose_hold_was_lost_with_the_books_history_is_held_again() {
    let mut keeper = Keeper::with_ann();
    let (at, with) = (on(2026, 3, 5), tender(60, None));
    keeper.take(ANN, &Event::Paid(order("a", 100)), at).unwrap();
    keeper.take(ANN, &Event::Confirmed(order_with("o", 2, &with)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 40);
    assert!(keeper.take(ANN, &hold_with("o", &with, at), at).unwrap().is_known);
    // What is not there is taken when it is paid.
    let more = tender(50, None);
    keeper.take(ANN, &Event::Confirmed(order_with("p", 2, &more)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 40);
    for paid in [order_with("o", 2, &with), order_with("p", 2, &more)] {
        keeper.take(ANN, &Event::Paid(paid), at).unwrap();
    }
    assert_eq!(keeper.points(ANN, at), -6);
}

#[test]
fn a_coupon_is_for_one_order_at_a_time_and_is_used_once() {
    let mut keeper = Keeper::with_ann();
    let (at, until) = (on(2026, 3, 5), on(2026, 3, 6));
    let issue = Event::Issue { id: source("c"), kind: "welcome".into() };
    keeper.take(ANN, &issue, at).unwrap();
    let with = tender(0, Some("c"));
    let other = tender(0, Some("d"));
    assert_eq!(keeper.take(ANN, &hold_with("o", &other, until), at), Err(Refused::CouponNotValid));
    keeper.take(ANN, &hold_with("o", &with, until), at).unwrap();
    assert!(keeper.take(ANN, &hold_with("o", &with, until), at).unwrap().is_known);
    assert_eq!(keeper.take(ANN, &hold_with("p", &with, until), at), Err(Refused::CouponNotValid));
    keeper.take(ANN, &ended("o", &with), at).unwrap();
    keeper.take(ANN, &hold_with("p", &with, until), at).unwrap();
    keeper.take(ANN, &Event::Paid(order_with("p", 40, &with)), at).unwrap();
    let used = CouponState::Used(source("p"));
    assert_eq!(keeper.ann().account.coupons[0].state, used);
    assert_eq!(keeper.take(ANN, &hold_with("q", &with, until), at), Err(Refused::CouponNotValid));
    // The order is returned, and the coupon is good until its own end.
    keeper.take(ANN, &refund_with("p", "r", [4_000, 0, 4_000], &with), at).unwrap();
    let end = keeper.ann().account.coupons[0].until;
    let late = Event::Hold { order: source("s"), with: with.clone(), until: end };
    assert_eq!(keeper.take(ANN, &late, end), Err(Refused::CouponNotValid));
    keeper.take(ANN, &hold_with("s", &with, until), at).unwrap();
    // It outlives its time: the coupon comes back with it.
    keeper.take(ANN, &Event::Sweep, on(2026, 3, 7)).unwrap();
    assert_eq!(keeper.ann().account.coupons[0].state, CouponState::Free);
}

#[test]
fn points_or_coupon_that_are_not_there_keep_nothing() {
    let mut keeper = Keeper::with_ann();
    let (at, until) = (on(2026, 3, 5), on(2026, 3, 6));
    keeper.take(ANN, &Event::Issue { id: source("c"), kind: "welcome".into() }, at).unwrap();
    let before = keeper.ann().account.clone();
    let refused = keeper.take(ANN, &hold_with("o", &tender(1, Some("c")), until), at);
    assert_eq!(refused, Err(Refused::NotEnoughPoints { has: 0 }));
    keeper.take(ANN, &Event::Paid(order("a", 100)), at).unwrap();
    let refused = keeper.take(ANN, &hold_with("o", &tender(1, Some("d")), until), at);
    assert_eq!(refused, Err(Refused::CouponNotValid));
    assert_eq!((keeper.points(ANN, at), &keeper.ann().account.coupons), (100, &before.coupons));
}

#[test]
fn what_members_saved_is_counted_when_they_pay_and_goes_with_a_return() {
    let mut keeper = Keeper::with_ann();
    let at = on(2026, 3, 5);
    keeper.take(ANN, &Event::Paid(Order { saved: 700, ..order("a", 100) }), at).unwrap();
    let dollars = Order { saved: 9, currency: "USD".into(), ..order("b", 100) };
    keeper.take(ANN, &Event::Paid(dollars), at).unwrap();
    assert_eq!(keeper.ann().account.saved_cents, 700);
    // What an order in another currency saved is not in it, and does not go out of it.
    let Event::Refunded(dollars) = refund("b", "r", 10_000, 0, 10_000) else { unreachable!() };
    let dollars = Refund { saved: 9, currency: "USD".into(), ..dollars };
    keeper.take(ANN, &Event::Refunded(dollars), at).unwrap();
    let Event::Refunded(part) = refund("a", "r", 10_000, 0, 1) else { unreachable!() };
    keeper.take(ANN, &Event::Refunded(Refund { saved: 700, ..part }), at).unwrap();
    assert_eq!(keeper.ann().account.saved_cents, 700);
    let Event::Refunded(rest) = refund("a", "s", 10_000, 1, 9_999) else { unreachable!() };
    keeper.take(ANN, &Event::Refunded(Refund { saved: 700, ..rest }), at).unwrap();
    assert_eq!(keeper.ann().account.saved_cents, 0);
}

#[test]
fn a_hold_that_outlives_its_time_goes_back_into_the_lots_that_it_came_from() {
    let mut keeper = Keeper::with_ann();
    let at = on(2026, 3, 5);
    keeper.take(ANN, &Event::Paid(order("a", 100)), at).unwrap();
    let before = keeper.ann().account.points.clone();
    keeper.take(ANN, &hold("o", 60, on(2026, 3, 6)), at).unwrap();
    keeper.take(ANN, &Event::Sweep, on(2026, 3, 7)).unwrap();
    assert_eq!(keeper.ann().account.points, before);
    let again = keeper.take(ANN, &hold("o", 60, on(2026, 3, 8)), on(2026, 3, 7));
    assert_eq!(again, Err(Refused::HoldIsOver));
}

#[test]
fn points_that_expire_while_they_are_kept_do_not_come_back() {
    let mut keeper = Keeper::with_ann();
    keeper.take(ANN, &Event::Paid(order("a", 100)), on(2026, 3, 5)).unwrap();
    keeper.take(ANN, &hold("o", 60, on(2027, 5, 1)), on(2027, 3, 31)).unwrap();
    keeper.take(ANN, &ended("o", &tender(60, None)), on(2027, 4, 2)).unwrap();
    assert_eq!(keeper.points(ANN, on(2027, 4, 2)), 0);
}

#[test]
fn amounts_out_of_range_are_refused() {
    let mut keeper = Keeper::with_ann();
    let at = on(2026, 3, 5);
    for points in [0, 1 << 63, u64::MAX] {
        assert_eq!(keeper.take(ANN, &hold("o", points, at), at), Err(Refused::BadAmount));
    }
    for amount in [0, i64::MIN, i64::MAX] {
        let adjust = Event::Adjust { id: source("x"), account: Account::Points, amount };
        assert_eq!(keeper.take(ANN, &adjust, at), Err(Refused::BadAmount));
    }
}

#[test]
fn a_correction_counts_once_and_may_leave_a_deficit() {
    let mut keeper = Keeper::with_ann();
    let at = on(2026, 3, 5);
    let adjust =
        |id: &str, amount| Event::Adjust { id: source(id), account: Account::Points, amount };
    keeper.take(ANN, &adjust("x", 10), at).unwrap();
    assert!(keeper.take(ANN, &adjust("x", 10), at).unwrap().is_known);
    keeper.take(ANN, &adjust("y", -25), at).unwrap();
    assert_eq!(keeper.points(ANN, at), -15);
}

#[test]
fn the_birthday_gift_is_for_gold_and_up_and_comes_once() {
    let mut keeper = Keeper::with_ann();
    let at = on(2026, 3, 5);
    let claim = |keeper: &mut Keeper, at| keeper.take(ANN, &Event::ClaimGift, at).map(drop);
    assert_eq!(claim(&mut keeper, at), Err(Refused::TierNotAdmitted(Tier::Gold)));
    keeper.take(ANN, &Event::Paid(order("a", 5_000)), at).unwrap();
    assert_eq!(claim(&mut keeper, at), Err(Refused::NoBirthday));
    let birthday = Birthday::new(Calendar::Solar, 4, 1, false).unwrap();
    keeper.take(ANN, &Event::SetBirthday(birthday), at).unwrap();
    assert_eq!(claim(&mut keeper, at), Err(Refused::NoGift(NoGift::NotYourMonth)));
    let outcome = keeper.take(ANN, &Event::Sweep, on(2026, 4, 1)).unwrap();
    assert_eq!(outcome.notices, [Notice::GiftWaiting]);
    claim(&mut keeper, on(2026, 4, 2)).unwrap();
    assert_eq!(claim(&mut keeper, on(2026, 4, 30)), Err(Refused::NoGift(NoGift::AlreadyClaimed)));
    let coupons: Vec<_> = keeper.ann().account.coupons.iter().map(|coupon| &coupon.kind).collect();
    assert_eq!(coupons, ["birthday"]);
}

#[test]
fn a_coupon_is_issued_once_under_its_id() {
    let mut keeper = Keeper::with_ann();
    let at = on(2026, 3, 5);
    let issue = |kind: &str| Event::Issue { id: source("x"), kind: kind.into() };
    assert_eq!(keeper.take(ANN, &issue("none"), at), Err(Refused::Unknown("coupon")));
    keeper.take(ANN, &issue("welcome"), at).unwrap();
    assert!(keeper.take(ANN, &issue("welcome"), at).unwrap().is_known);
    assert_eq!(keeper.ann().account.coupons.len(), 1);
}
