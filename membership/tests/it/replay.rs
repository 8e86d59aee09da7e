//! Another plan is asked what it would have given.

use crate::keeper::{ANN, BOB, Keeper, act, on, order, refund};
use membership::Tier;
use membership::event::{Act, Event};
use membership::plan::Plan;
use membership::posting::Kind;
use membership::replay::{Given, compare};

/// Ann referred Bob, who bought; she bought three times, gave a part of one back, shared and watched.
fn spring() -> Keeper {
    let mut keeper = Keeper::with_ann();
    keeper.enrol(BOB, Some(ANN), on(2026, 2, 1));
    keeper.take(BOB, &Event::Paid(order("b1", 300)), on(2026, 2, 2)).expect("it is taken");
    for (id, yuan, day) in [("o1", 100, 1), ("o2", 250, 2), ("o3", 650, 3)] {
        keeper
            .take(ANN, &Event::Confirmed(order(id, yuan)), on(2026, 3, day))
            .expect("it is taken");
        keeper.take(ANN, &Event::Paid(order(id, yuan)), on(2026, 3, day)).expect("it is taken");
    }
    keeper.take(ANN, &refund("o2", "r1", 25_000, 0, 10_000), on(2026, 3, 4)).expect("it is taken");
    for nth in 0..7 {
        keeper
            .take(ANN, &act(&format!("s{nth}"), Act::Share), on(2026, 3, 5))
            .expect("it is taken");
    }
    keeper.take(ANN, &act("w1", Act::Watch(1_500)), on(2026, 3, 5)).expect("it is taken");
    keeper.take(ANN, &act("w2", Act::Watch(900)), on(2026, 3, 5)).expect("it is taken");
    keeper
}

fn by_rule(keeper: &Keeper, plan: &Plan) -> Vec<(Kind, (Given, Given))> {
    compare(&keeper.ann().postings, plan, Tier::Gold, on(2026, 4, 1)).rules.into_iter().collect()
}

#[test]
fn the_same_plan_would_have_given_the_same() {
    let keeper = spring();
    let rules = by_rule(&keeper, &keeper.plan);
    assert_eq!(rules.len(), 6, "{rules:?}");
    assert!(rules.iter().all(|(_, (was, would))| was == would), "{rules:?}");
}

#[test]
fn other_rates_and_caps_give_what_they_say() {
    let (keeper, mut plan) = (spring(), Plan::default());
    plan.points.order = 3;
    plan.acts.shares_a_day = 2;
    plan.acts.watch_s = 300;
    plan.referral.first_order = 70;
    let rules = by_rule(&keeper, &plan);
    let of = |kind| rules.iter().find(|(of, _)| *of == kind).unwrap().1;
    let given = |growth, points| Given { growth, points };
    assert_eq!(of(Kind::Order), (given(1_000, 1_000), given(1_000, 3_000)));
    assert_eq!(of(Kind::Refund), (given(-100, -100), given(-100, -300)));
    assert_eq!(of(Kind::Share), (given(25, 5), given(10, 2)));
    // 2,400 s: 4 times 600 s, but 8 times 300 s, of which 6 count.
    assert_eq!(of(Kind::Watch), (given(4, 4), given(6, 6)));
    assert_eq!(of(Kind::ReferralFirstOrder), (given(0, 100), given(0, 70)));
    assert_eq!(of(Kind::ReferralRegistration), (given(100, 50), given(100, 50)));
}

#[test]
fn a_refund_of_an_order_from_before_takes_what_it_took() {
    let keeper = spring();
    let lines = &keeper.ann().postings;
    let from = lines.iter().position(|line| line.kind == Kind::Refund).unwrap();
    let mut plan = Plan::default();
    plan.points.order = 3;
    let compared = compare(&lines[from..], &plan, Tier::Gold, on(2026, 4, 1));
    let taken = Given { growth: -100, points: -100 };
    assert_eq!(compared.rules[&Kind::Refund], (taken, taken));
    assert!(!compared.rules.contains_key(&Kind::Order));
}

#[test]
fn only_growth_that_still_counts_moves_a_tier() {
    let (keeper, mut plan) = (spring(), Plan::default());
    plan.growth.order = 3;
    plan.growth.invite = 500;
    let lines = &keeper.ann().postings;
    let more = |now| compare(lines, &plan, Tier::Gold, now).growth;
    // 1,000 paid and 100 given back, and one invite.
    assert_eq!(more(on(2026, 4, 1)), 2 * 900 + 400);
    assert_eq!(more(on(2027, 2, 15)), 2 * 900);
}
