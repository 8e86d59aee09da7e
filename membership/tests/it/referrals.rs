//! What referrals earn, and what they do not.

use crate::keeper::{ANN, BOB, Keeper, act, on, order, refund};
use membership::account::StageState;
use membership::event::{Act, Event, MemberNumber, Notice, Stage};

fn keeper() -> Keeper {
    let mut keeper = Keeper::with_ann();
    keeper.enrol(BOB, Some(ANN), on(2026, 2, 1));
    keeper
}

fn states(keeper: &Keeper) -> Vec<StageState> {
    let ann = &keeper.ann().account;
    ann.referred().flat_map(|referee| referee.stages.map(|(_, state)| state)).collect()
}

#[test]
fn a_registration_waits_until_the_referee_has_shown_to_be_a_member() {
    let mut keeper = keeper();
    let at = on(2026, 2, 2);
    assert_eq!((keeper.points(ANN, at), keeper.points(BOB, at)), (0, 0));
    assert_eq!(states(&keeper), [StageState::Waiting; 3]);
    keeper.take(BOB, &Event::Paid(order("o", 10)), at).unwrap();
    // 50 for both, 100 for the first order, and Bob's ten for the order itself.
    assert_eq!((keeper.points(ANN, at), keeper.points(BOB, at)), (150, 60));
    assert_eq!(keeper.growth(ANN, at), 100);
    assert_eq!(states(&keeper), [StageState::Paid, StageState::Paid, StageState::Waiting]);
    assert!(keeper.ann().notices.contains(&Notice::ReferralPaid(100)));
    let kept: Vec<_> =
        keeper.ann().account.notices.iter().map(|told| (told.id, told.notice)).collect();
    assert_eq!(kept, [(1, Notice::ReferralPaid(50)), (2, Notice::ReferralPaid(100))]);
}

#[test]
fn watching_on_three_days_shows_it_too() {
    let mut keeper = keeper();
    for day in 2..=3 {
        keeper.take(BOB, &act(&format!("w{day}"), Act::Watch(3_000)), on(2026, 2, day)).unwrap();
        keeper.take(BOB, &act(&format!("v{day}"), Act::Watch(3_000)), on(2026, 2, day)).unwrap();
    }
    assert_eq!(keeper.points(ANN, on(2026, 2, 3)), 0);
    keeper.take(BOB, &act("w4", Act::Watch(600)), on(2026, 2, 4)).unwrap();
    assert_eq!(keeper.points(ANN, on(2026, 2, 4)), 50);
}

#[test]
fn the_third_stage_is_silver_and_each_comes_once() {
    let mut keeper = keeper();
    let at = on(2026, 2, 2);
    keeper.take(BOB, &Event::Paid(order("a", 1_000)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 350);
    for stage in [Stage::Registration, Stage::FirstOrder, Stage::Silver] {
        let event = Event::Referral { referee: BOB, stage };
        assert!(keeper.take(ANN, &event, at).unwrap().is_known, "{stage:?}");
    }
    keeper.take(BOB, &Event::Paid(order("b", 5_000)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 350);
}

#[test]
fn nothing_left_of_the_first_order_takes_its_stage_back() {
    let mut keeper = keeper();
    let at = on(2026, 2, 2);
    keeper.take(BOB, &Event::Paid(order("a", 100)), at).unwrap();
    keeper.take(BOB, &refund("a", "part", 10_000, 0, 9_000), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 150);
    keeper.take(BOB, &refund("a", "rest", 10_000, 9_000, 1_000), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 50);
    assert_eq!(states(&keeper)[1], StageState::TakenBack);
    // A second order is not a first one.
    keeper.take(BOB, &Event::Paid(order("b", 100)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 50);
}

#[test]
fn nobody_refers_themselves_and_a_member_is_referred_once() {
    let mut keeper = Keeper::new();
    keeper.enrol(ANN, Some(ANN), on(2026, 1, 1));
    assert_eq!(keeper.ann().account.referral, None);
    keeper.enrol(BOB, Some(ANN), on(2026, 1, 2));
    // Ann is enrolled already, so no loop can come to be.
    keeper.enrol(ANN, None, on(2026, 1, 3));
    let carol = MemberNumber(3);
    keeper.enrol(carol, None, on(2026, 1, 3));
    keeper.enrol(BOB, Some(carol), on(2026, 1, 4));
    assert_eq!(keeper.members[&BOB].account.referral.as_ref().unwrap().referrer, ANN);
}

#[test]
fn twenty_referees_count_in_a_month() {
    let mut keeper = Keeper::with_ann();
    for n in 0..25 {
        let referee = MemberNumber(100 + n);
        keeper.enrol(referee, Some(ANN), on(2026, 2, 1));
        keeper.take(referee, &Event::Paid(order(&format!("o{n}"), 1)), on(2026, 2, 2)).unwrap();
    }
    assert_eq!(keeper.points(ANN, on(2026, 2, 2)), 20 * 150);
    assert_eq!(
        states(&keeper).iter().filter(|state| **state == StageState::NotCounted).count(),
        5 * 3
    );
    let late = MemberNumber(200);
    keeper.enrol(late, Some(ANN), on(2026, 2, 3));
    keeper.take(late, &Event::Paid(order("late", 1)), on(2026, 3, 1)).unwrap();
    assert_eq!(keeper.points(ANN, on(2026, 3, 1)), 21 * 150);
}

#[test]
fn a_thousand_fake_registrations_earn_nothing_and_keep_no_true_one_from_counting() {
    let mut keeper = Keeper::with_ann();
    for n in 0..1_000 {
        keeper.enrol(MemberNumber(100 + n), Some(ANN), on(2026, 2, 1));
    }
    let at = on(2026, 2, 2);
    assert_eq!((keeper.points(ANN, at), keeper.growth(ANN, at)), (0, 0));
    keeper.enrol(BOB, Some(ANN), at);
    keeper.take(BOB, &Event::Paid(order("o", 10)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), 150);
}
