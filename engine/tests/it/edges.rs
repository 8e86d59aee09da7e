//! Windows and limits over all inputs, with their exact edges.

use crate::support::{OPEN, click, sale, terms};
use engine::rules::refusal::Refusal;
use engine::rules::terms::BadTerms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::window::{BadWindows, Windows};
use engine::sale::Sale;
use membership::{PerTier, Tier};
use proptest::prelude::*;

fn any_windows() -> impl Strategy<Value = (PerTier<Option<Millis>>, Millis)> {
    let opens_at = prop::array::uniform5(prop::option::of(0_u64..50));
    (opens_at, 0_u64..60)
        .prop_map(|(at, close)| (PerTier(at.map(|at| at.map(Millis))), Millis(close)))
}

/// Valid windows, made from the highest tier's opening and the steps down to the lowest tier.
fn good_windows() -> impl Strategy<Value = Windows> {
    let gaps = prop::array::uniform5(0_u64..1_000);
    (gaps, 1_u64..1_000, 0_usize..5).prop_map(|(gaps, open_for, left_out)| {
        let (mut at, mut opens_at) = (0, PerTier([None; 5]));
        for (tier, gap) in Tier::ALL.into_iter().rev().zip(gaps) {
            at += gap;
            opens_at[tier] = (tier as usize >= left_out).then_some(Millis(at));
        }
        Windows::new(opens_at, Millis(at + open_for)).unwrap()
    })
}

fn with(windows: Windows) -> Sale {
    let terms = engine::rules::terms::Terms { windows, ..terms(10) };
    Sale::new(terms)
}

proptest! {
    #[test]
    fn a_tier_enters_from_its_very_millisecond_until_the_close(windows in good_windows()) {
        let drop = with(windows.clone());
        for (seat, tier) in (0..).zip(Tier::ALL) {
            let buy = |at: u64| drop.buy(Millis(at), click(seat, tier, 1)).map(|_| ());
            let Some(opens_at) = windows.opens_at(tier) else {
                prop_assert_eq!(buy(windows.closes_at().0 - 1), Err(Refusal::TierNotAdmitted));
                continue;
            };
            if opens_at.0 > 0 {
                prop_assert_eq!(buy(opens_at.0 - 1), Err(Refusal::NotOpen { opens_at }));
            }
            let at = if seat % 2 == 0 { opens_at.0 } else { windows.closes_at().0 - 1 };
            prop_assert_eq!(buy(at), Ok(()));
        }
        for late in 0..2 {
            // What has closed stays closed, so each of these needs a sale of its own.
            let at = Millis(windows.closes_at().0 + late);
            for tier in Tier::ALL {
                let over = with(windows.clone());
                prop_assert_eq!(over.buy(at, click(9, tier, 1)), Err(Refusal::Closed));
            }
        }
    }

    #[test]
    fn windows_are_taken_exactly_if_they_make_a_sale((opens_at, closes_at) in any_windows()) {
        let admitted: Vec<_> = opens_at.iter().filter_map(|(tier, at)| Some((tier, (*at)?))).collect();
        let makes_a_sale = !admitted.is_empty()
            && admitted.windows(2).all(|pair| pair[1].1 <= pair[0].1)
            && admitted.iter().all(|(_, at)| *at < closes_at);
        prop_assert_eq!(Windows::new(opens_at, closes_at).is_ok(), makes_a_sale);
    }

    #[test]
    fn a_member_never_holds_more_than_the_limit(
        units in prop::collection::vec(0_u32..8, 1..20),
        tier in 0_usize..5,
    ) {
        let (drop, tier) = (sale(1_000), Tier::ALL[tier]);
        let limit = terms(1).limits[tier];
        let mut held = Units(0);
        for units in units {
            let expected = if units == 0 || units > limit.0 {
                Err(Refusal::BadUnits { limit })
            } else if held.0 + units > limit.0 {
                Err(Refusal::LimitReached { limit, held })
            } else {
                held.0 += units;
                Ok(())
            };
            prop_assert_eq!(drop.buy(OPEN, click(0, tier, units)).map(|_| ()), expected);
        }
        prop_assert_eq!(drop.held(click(0, tier, 1).seat), held);
    }
}

#[test]
fn each_fault_of_windows_is_named() {
    let at = |at: [Option<u64>; 5]| PerTier(at.map(|at| at.map(Millis)));
    let close = Millis(10);
    let cases = [
        (at([None; 5]), BadWindows::NoTier),
        (
            at([None, None, Some(5), Some(6), Some(6)]),
            BadWindows::HigherOpensLater(Tier::Platinum, Tier::Gold),
        ),
        (
            at([None, Some(5), None, None, Some(6)]),
            BadWindows::HigherOpensLater(Tier::Diamond, Tier::Silver),
        ),
        (at([None, None, None, None, Some(10)]), BadWindows::OpensAfterClose(Tier::Diamond)),
    ];
    for (opens_at, fault) in cases {
        assert_eq!(Windows::new(opens_at, close), Err(fault));
    }
}

#[test]
fn a_sale_may_be_for_one_tier_alone() {
    let windows = Windows::new(PerTier([None, None, Some(Millis(5)), None, None]), Millis(10));
    let drop = with(windows.unwrap());
    assert!(drop.buy(Millis(5), click(0, Tier::Gold, 1)).is_ok());
    for (seat, tier) in [(1, Tier::Silver), (2, Tier::Platinum), (3, Tier::Diamond)] {
        let refused = drop.buy(Millis(5), click(seat, tier, 1));
        assert_eq!(refused, Err(Refusal::TierNotAdmitted), "{tier}");
    }
}

#[test]
fn the_largest_limit_can_be_held_and_not_one_unit_more() {
    let limits = PerTier([Units(65_535); 5]);
    let terms = engine::rules::terms::Terms { limits, ..terms(100_000) };
    let drop = Sale::new(terms);
    assert!(drop.buy(OPEN, click(0, Tier::Gold, 65_534)).is_ok());
    assert!(drop.buy(OPEN, click(0, Tier::Gold, 1)).is_ok());
    let at_limit = Refusal::LimitReached { limit: Units(65_535), held: Units(65_535) };
    assert_eq!(drop.buy(OPEN, click(0, Tier::Gold, 1)), Err(at_limit));
}

#[test]
fn terms_name_every_fault_at_once() {
    let bad = engine::rules::terms::Terms {
        title: "a\u{7}".into(),
        currency: "cny".into(),
        stock: Units(10_000_001),
        limits: PerTier([0, 1, 1, 1, 65_536].map(Units)),
        pay_within_s: 0,
        ..terms(1)
    };
    let fields: Vec<_> = bad.faults().iter().map(BadTerms::field).collect();
    assert_eq!(fields, ["title", "currency", "stock", "pay_within_s", "limits", "limits"]);
    assert_eq!(terms(1).faults(), []);
}
