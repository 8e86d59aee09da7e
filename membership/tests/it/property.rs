//! Under any order of events, duplicates and crashes, a balance is the sum of its postings.

use crate::keeper::{ANN, BOB, Keeper, act, ended, on, order_with, refund_with, source, tender};
use membership::event::{Act, Event, MemberNumber, Order, Tender};
use membership::posting::Account;
use membership::time::Millis;
use proptest::collection::vec;
use proptest::prelude::*;

/// What an order is paid with beside money: some with nothing, some with a coupon, some with more points than
/// there may be.
fn with(id: u8) -> Tender {
    tender(60 * u64::from(id % 4), (id % 2 == 1).then(|| id.to_string()).as_deref())
}

fn order_of(id: u8) -> Order {
    order_with(&id.to_string(), 100 * u64::from(id), &with(id))
}

fn events() -> impl Strategy<Value = (bool, Event, u64)> {
    let id = 0..6_u8;
    let event = prop_oneof![
        (id.clone(), 1..3_000_u64).prop_map(|(id, _)| Event::Confirmed(order_of(id))),
        id.clone().prop_map(|id| Event::Paid(order_of(id))),
        id.clone().prop_map(|id| ended(&id.to_string(), &with(id))),
        (id.clone(), 0..4_u64).prop_map(|(id, part)| {
            let due = 10_000 * u64::from(id);
            refund_with(
                &id.to_string(),
                &part.to_string(),
                [due, part * due / 4, due / 4],
                &with(id),
            )
        }),
        id.clone().prop_map(|id| {
            let due = 10_000 * u64::from(id);
            refund_with(&id.to_string(), "all", [due, 0, due], &with(id))
        }),
        (id.clone(), 0..900_u32).prop_map(|(id, s)| act(&id.to_string(), Act::Watch(s))),
        id.clone().prop_map(|id| act(&id.to_string(), Act::Share)),
        id.clone().prop_map(|id| {
            Event::Hold { order: source(&id.to_string()), with: with(id), until: on(2026, 9, 1) }
        }),
        id.clone()
            .prop_map(|id| Event::Issue { id: source(&id.to_string()), kind: "welcome".into() }),
        id.clone().prop_map(|id| Event::Redeem {
            id: source(&id.to_string()),
            reward: "coupon-10".into(),
            taken: 0
        }),
        (id, -500..500_i64).prop_map(|(id, amount)| Event::Adjust {
            id: source(&id.to_string()),
            account: Account::Points,
            amount
        }),
        Just(Event::Sweep),
    ];
    (any::<bool>(), event, 0..40_u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_balance_is_the_sum_of_its_postings_whatever_happens(story in vec(events(), 0..120)) {
        let mut keeper = Keeper::with_ann();
        keeper.enrol(BOB, Some(ANN), on(2026, 1, 2));
        let mut at = on(2026, 1, 3);
        for (is_bob, event, days) in story {
            at = Millis(at.0 + days * 86_400_000 / 4);
            let member = if is_bob { BOB } else { ANN };
            // The keeper checks every balance after each event.
            let first = keeper.take(member, &event, at);
            let before = keeper.members.clone();
            let again = keeper.take(member, &event, at);
            if let Event::Sweep = event {
                continue;
            }
            // Whatever was taken is known from then on, and changes nothing.
            prop_assert_eq!(first.is_ok(), again.is_ok());
            for (number, kept) in &keeper.members {
                let MemberNumber(n) = number;
                prop_assert_eq!(kept.postings.len(), before[number].postings.len(), "{} after {:?}", n, &event);
            }
        }
    }

    #[test]
    fn points_that_can_be_spent_were_earned_and_not_spent_before(story in vec(events(), 0..80)) {
        let mut keeper = Keeper::with_ann();
        let at = on(2026, 1, 3);
        for (_, event, _) in story {
            let before = keeper.points(ANN, at);
            let is_spent = matches!(event, Event::Hold { .. } | Event::Redeem { .. });
            if keeper.take(ANN, &event, at).is_ok() && is_spent {
                prop_assert!(keeper.points(ANN, at) >= 0 || keeper.points(ANN, at) == before);
            }
        }
    }
}
