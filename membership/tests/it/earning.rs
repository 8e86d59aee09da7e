//! What buying, sharing and watching earn.

use crate::keeper::{ANN, Keeper, act, ended, on, order, refund, source};
use membership::event::{Act, Event, Tender};
use membership::posting::{Account, Kind};

#[test]
fn an_orders_points_are_pending_until_it_is_paid_and_growth_counts_then() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    keeper.take(ANN, &Event::Confirmed(order("o", 199)), at).unwrap();
    assert_eq!(
        (keeper.ann().account.pending, keeper.points(ANN, at), keeper.growth(ANN, at)),
        (199, 0, 0)
    );
    keeper.take(ANN, &Event::Paid(order("o", 199)), at).unwrap();
    assert_eq!(
        (keeper.ann().account.pending, keeper.points(ANN, at), keeper.growth(ANN, at)),
        (0, 199, 199)
    );
}

#[test]
fn an_order_that_is_cancelled_or_expires_earns_nothing() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    keeper.take(ANN, &Event::Confirmed(order("o", 199)), at).unwrap();
    keeper.take(ANN, &ended("o", &Tender::default()), at).unwrap();
    assert_eq!((keeper.ann().account.pending, keeper.points(ANN, at)), (0, 0));
}

#[test]
fn each_source_counts_once_however_often_it_is_told() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    let told = [
        Event::Confirmed(order("o", 199)),
        Event::Paid(order("o", 199)),
        refund("o", "r", 19_900, 0, 9_900),
        act("s", Act::Share),
        act("w", Act::Watch(600)),
    ];
    for event in &told {
        keeper.take(ANN, event, at).unwrap();
    }
    let (once, account) = (keeper.ann().postings.len(), keeper.ann().account.clone());
    // The whole outbox is read again, and again out of order.
    for event in told.iter().chain(told.iter().rev()) {
        assert!(keeper.take(ANN, event, at).unwrap().is_known, "{event:?}");
    }
    assert_eq!((keeper.ann().postings.len(), &keeper.ann().account), (once, &account));
}

#[test]
fn money_that_goes_back_takes_growth_and_points_back_in_proportion() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    keeper.take(ANN, &Event::Paid(order("o", 200)), at).unwrap();
    keeper.take(ANN, &refund("o", "first", 20_000, 0, 5_000), at).unwrap();
    assert_eq!((keeper.points(ANN, at), keeper.growth(ANN, at)), (150, 150));
    keeper.take(ANN, &refund("o", "rest", 20_000, 5_000, 15_000), at).unwrap();
    assert_eq!((keeper.points(ANN, at), keeper.growth(ANN, at)), (0, 0));
}

#[test]
fn points_that_were_spent_before_they_are_taken_back_leave_a_deficit_that_credits_settle() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    keeper.take(ANN, &Event::Paid(order("o", 1_000)), at).unwrap();
    let redeem = Event::Redeem { id: source("x"), reward: "coupon-10".into(), taken: 0 };
    keeper.take(ANN, &redeem, at).unwrap();
    keeper.take(ANN, &refund("o", "r", 100_000, 0, 100_000), at).unwrap();
    assert_eq!(keeper.points(ANN, at), -1_000);
    keeper.take(ANN, &Event::Paid(order("p", 1_200)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 200);
}

#[test]
fn a_refund_of_an_order_that_was_never_paid_takes_nothing() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    keeper.take(ANN, &Event::Confirmed(order("o", 200)), at).unwrap();
    keeper.take(ANN, &refund("o", "r", 20_000, 0, 20_000), at).unwrap();
    assert_eq!((keeper.points(ANN, at), keeper.growth(ANN, at)), (0, 0));
}

#[test]
fn money_in_a_currency_without_a_rate_earns_nothing() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    let mut dollars = order("o", 200);
    dollars.currency = "USD".into();
    keeper.take(ANN, &Event::Paid(dollars), at).unwrap();
    assert_eq!((keeper.points(ANN, at), keeper.growth(ANN, at)), (0, 0));
}

#[test]
fn five_shares_and_an_hour_of_watching_count_in_a_day_in_shanghai() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    for n in 0..9 {
        keeper.take(ANN, &act(&format!("s{n}"), Act::Share), at).unwrap();
        keeper.take(ANN, &act(&format!("w{n}"), Act::Watch(900)), at).unwrap();
    }
    assert_eq!((keeper.growth(ANN, at), keeper.points(ANN, at)), (5 * 5 + 6, 5 + 6));
    let next_day = on(2026, 3, 6);
    keeper.take(ANN, &act("s", Act::Share), next_day).unwrap();
    assert_eq!(keeper.growth(ANN, next_day), 5 * 5 + 6 + 5);
}

#[test]
fn ten_minutes_count_whatever_pieces_they_come_in() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    for n in 0..20 {
        keeper.take(ANN, &act(&format!("w{n}"), Act::Watch(61)), at).unwrap();
    }
    assert_eq!(keeper.growth(ANN, at), 2);
}

#[test]
fn what_a_member_is_told_late_counts_on_its_own_day() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    for n in 0..5 {
        keeper.take(ANN, &act(&format!("s{n}"), Act::Share), at).unwrap();
    }
    keeper.take(ANN, &act("today", Act::Share), on(2026, 3, 6)).unwrap();
    keeper.take(ANN, &act("late", Act::Share), at).unwrap();
    assert_eq!(keeper.growth(ANN, on(2026, 3, 6)), 5 * 5 + 5);
}

#[test]
fn invite_and_interact_earn_nothing_by_themselves() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    keeper.take(ANN, &act("i", Act::Invite), at).unwrap();
    keeper.take(ANN, &act("j", Act::Interact), at).unwrap();
    assert_eq!((keeper.growth(ANN, at), keeper.points(ANN, at)), (0, 0));
    assert!(keeper.take(ANN, &act("i", Act::Invite), at).unwrap().is_known);
}

#[test]
fn a_rule_that_has_given_enough_gives_growth_and_no_points() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    keeper.stopped = vec![Kind::Share];
    let outcome = keeper.take(ANN, &act("s", Act::Share), at).unwrap();
    assert_eq!(outcome.braked, Some(Kind::Share));
    assert_eq!((keeper.growth(ANN, at), keeper.points(ANN, at)), (5, 0));
}

#[test]
fn a_posting_names_the_version_of_its_plan() {
    let (mut keeper, at) = (Keeper::with_ann(), on(2026, 3, 5));
    let outcome = keeper.take(ANN, &Event::Paid(order("o", 10)), at).unwrap();
    assert!(outcome.postings.iter().all(|posting| posting.plan == 1));
    let accounts: Vec<_> = outcome.postings.iter().map(|posting| posting.account).collect();
    assert_eq!(accounts, [Account::Growth, Account::Points]);
}
