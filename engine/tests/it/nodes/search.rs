//! Goes through every world that can be reached, and looks whether each is as it must be.

use super::model::{Bounds, Bug, Rules};
use foldhash::fast::FixedState;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::iter::successors;

/// Each mistake that is planted shows in less than this. `FLASHLANE_DEEP=1` adds a tick, a click, a take-over and a
/// lease to each search.
const SMALL: Bounds = Bounds {
    nodes: 2,
    sales: 1,
    stock: 1,
    ticks: 2,
    orders: 1,
    epochs: 2,
    asks: 4,
    crashes: 0,
    doubled: 0,
    mail: 2,
    lies: false,
};

/// Returns how many worlds there are, or what is wrong with one and the shortest way there.
fn search(bounds: Bounds, bug: Bug) -> Result<usize, String> {
    let rules = Rules::new(bounds, bug);
    let hasher = FixedState::default();
    let begin = rules.begin();
    // By the hash of a world: that of the world before it, and which of its successors it is.
    let mut seen = HashMap::from([(hasher.hash_one(&begin), None)]);
    let mut open = VecDeque::from([begin]);
    while let Some(world) = open.pop_front() {
        let from = hasher.hash_one(&world);
        if let Err(wrong) = rules.check(&world) {
            let before =
                |step: &Option<(u64, usize)>| step.and_then(|(from, _)| seen.get(&from).copied());
            let steps = successors(seen.get(&from).copied(), before);
            let steps: Vec<usize> = steps.flatten().map(|(_, nth)| nth).collect();
            return Err(format!("{wrong}:\n{}", way(&rules, &steps)));
        }
        for (nth, next) in rules.next(&world, None).into_iter().enumerate() {
            if let Entry::Vacant(place) = seen.entry(hasher.hash_one(&next)) {
                place.insert(Some((from, nth)));
                open.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

/// What happens on these steps, the last one first.
fn way(rules: &Rules, steps: &[usize]) -> String {
    let (mut world, mut said) = (rules.begin(), Vec::new());
    for nth in steps.iter().rev() {
        let mut told = Vec::new();
        world = rules.next(&world, Some(&mut told)).swap_remove(*nth);
        said.push(told.swap_remove(*nth));
    }
    said.join("\n")
}

/// Goes through every world of these bounds; there are so many at least.
fn holds(bounds: Bounds, at_least: usize) {
    let bounds = match std::env::var_os("FLASHLANE_DEEP") {
        None => bounds,
        Some(_) => Bounds {
            ticks: bounds.ticks + 1,
            orders: bounds.orders + 1,
            epochs: bounds.epochs + 1,
            asks: bounds.asks + 1,
            ..bounds
        },
    };
    let worlds = search(bounds, Bug::None).unwrap_or_else(|why| panic!("{why}"));
    assert!(worlds >= at_least, "only {worlds} worlds were seen");
}

#[test]
fn no_two_nodes_ever_sell_one_sale() {
    holds(Bounds { ticks: 3, orders: 0, ..SMALL }, 500_000);
}

#[test]
fn a_click_is_confirmed_or_told_otherwise_whoever_owns_the_sale_by_then() {
    holds(SMALL, 300_000);
}

#[test]
fn a_node_that_ends_and_comes_back_takes_nothing_from_one_that_lives() {
    holds(Bounds { crashes: 1, asks: 3, ..SMALL }, 100_000);
}

#[test]
fn letters_that_come_twice_change_nothing() {
    holds(Bounds { doubled: 1, asks: 3, ..SMALL }, 100_000);
}

#[test]
fn a_clock_that_stands_still_costs_a_pause_and_no_unit() {
    holds(Bounds { lies: true, ticks: 3, orders: 2, asks: 3, ..SMALL }, 100_000);
}

#[test]
fn a_sale_moves_alone() {
    holds(Bounds { sales: 2, orders: 0, asks: 3, ..SMALL }, 100_000);
}

#[test]
fn three_nodes_share_a_sale() {
    holds(Bounds { nodes: 3, orders: 0, asks: 3, ..SMALL }, 100_000);
}

/// Finds a mistake, for this reason.
fn is_found(bug: Bug, why: &str) {
    let found = search(Bounds { ticks: 4, epochs: 3, ..SMALL }, bug);
    let wrong = found.expect_err("the mistake was not noticed");
    assert!(wrong.starts_with(why), "{bug:?} is noticed for another reason: {wrong}");
}

const STALE: &str = "a node sells what another one has taken over";
const TWO: &str = "two nodes sell one sale";

/// Each in a test of its own, so that they run side by side.
macro_rules! found {
    ($($mistake:ident: $bug:ident, $why:expr;)+) => {
        $(#[test] fn $mistake() {
            is_found(Bug::$bug, $why);
        })+
    };
}

found! {
    a_node_that_judges_after_its_lease_is_found: JudgesAfterTheLease, STALE;
    a_take_over_whatever_was_seen_is_found: TakesWhateverItSaw, STALE;
    leases_that_are_looked_at_first_are_found: LooksAtLeasesFirst, STALE;
    a_node_that_goes_on_after_a_lapse_is_found: GoesOnAfterALapse, STALE;
    a_lease_that_counts_from_its_answer_is_found: CountsFromTheAnswer, STALE;
    a_sale_that_is_kept_without_a_mark_is_found: KeepsWithoutAMark, STALE;
    a_sale_that_is_kept_in_any_term_is_found: KeepsInAnyTerm, TWO;
    a_take_over_that_does_not_fence_is_found: DoesNotFence, TWO;
    a_hand_over_that_forgets_reserved_orders_is_found: ForgetsReserved, "a reserved order is forgotten";
}
