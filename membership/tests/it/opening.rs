//! The opening balance: old lines go, what they came to stays.

use crate::keeper::{ANN, Keeper, on, order, refund};
use membership::event::{Act, Event, MemberNumber, Order};
use membership::posting::{Account, Kind, Source};

/// Ann bought in January, March and July of 2026.
fn two_years() -> Keeper {
    let mut keeper = Keeper::with_ann();
    for (id, month) in [("o1", 1), ("o2", 3), ("o3", 7)] {
        let bought = order(id, 100);
        keeper
            .take(ANN, &Event::Confirmed(bought.clone()), on(2026, month, 5))
            .expect("it is taken");
        keeper.take(ANN, &Event::Paid(bought), on(2026, month, 6)).expect("it is taken");
    }
    keeper
}

#[test]
fn lines_older_than_13_months_become_an_opening_balance() {
    let keeper = two_years();
    let account = |keeper: &Keeper| keeper.ann().account.clone();
    assert_eq!(account(&keeper).folds_before(&keeper.plan, on(2027, 2, 28)), None);
    let before = account(&keeper).folds_before(&keeper.plan, on(2027, 6, 1)).unwrap();
    assert_eq!(before, on(2026, 5, 1));
    let mut folded = account(&keeper);
    let gone = folded.fold(&keeper.ann().postings, before, on(2027, 6, 1)).to_vec();
    // Confirmed, no more pending, growth, points: of two orders.
    assert_eq!((gone.len(), folded.opening.number), (8, 8));
    for of in Account::ALL {
        let kept = keeper.ann().postings[8..].iter().filter(|line| line.account == of);
        let kept: i64 = kept.map(|line| line.amount).sum();
        assert_eq!(folded.opening.sum(of) + kept, account(&keeper).posted(of), "{of:?}");
    }
    assert_eq!(folded.opening.line(Account::Growth).unwrap().amount, 200);
    // A month passes before anybody looks again.
    assert_eq!(folded.folds_before(&keeper.plan, on(2027, 6, 30)), None);
    assert!(folded.folds_before(&keeper.plan, on(2027, 7, 1)).is_some());
    assert_eq!(folded.fold(&keeper.ann().postings[8..], on(2026, 7, 1), on(2027, 8, 1)), []);
}

#[test]
fn nothing_is_folded_while_points_are_pending_or_kept() {
    let mut keeper = two_years();
    let late = Order { ..order("o4", 10) };
    keeper.take(ANN, &Event::Confirmed(late), on(2027, 6, 1)).unwrap();
    assert_eq!(keeper.ann().account.folds_before(&keeper.plan, on(2027, 6, 1)), None);
}

#[test]
fn a_refund_of_an_order_whose_lines_are_gone_takes_nothing() {
    let mut keeper = two_years();
    let before = keeper.ann().account.folds_before(&keeper.plan, on(2027, 6, 1)).unwrap();
    keeper.fold(ANN, before, on(2027, 6, 1));
    let back = refund("o1", "r1", 10_000, 0, 10_000);
    let outcome = keeper.take(ANN, &back, on(2027, 6, 1)).unwrap();
    assert!(outcome.postings.iter().all(|line| line.kind != Kind::Refund), "{outcome:?}");
}

#[test]
fn a_long_history_is_folded_in_pieces() {
    let mut keeper = two_years();
    let before = keeper.ann().account.folds_before(&keeper.plan, on(2027, 9, 1)).unwrap();
    let mut folded = keeper.ann().account.clone();
    let lines = &keeper.ann().postings;
    assert_eq!(folded.fold(&lines[..5], before, on(2027, 9, 1)).len(), 5);
    assert!(folded.folds_before(&keeper.plan, on(2027, 9, 1)).is_some(), "there is more");
    assert_eq!(folded.fold(&lines[5..12], before, on(2027, 9, 1)).len(), 7);
    keeper.fold(ANN, before, on(2027, 9, 1));
    assert_eq!(keeper.ann().account.opening.number, 12);
}

#[test]
fn lines_whose_lots_still_count_stay_whatever_plan_holds_by_now() {
    let mut keeper = two_years();
    keeper.plan.growth.months = 36;
    keeper.plan.points.months = 36;
    keeper.take(ANN, &Event::Paid(order("long", 50)), on(2026, 8, 1)).unwrap();
    // The plan of before holds again.
    keeper.plan = membership::plan::Plan::default();
    let at = on(2027, 12, 1);
    let before = keeper.ann().account.folds_before(&keeper.plan, at).unwrap();
    keeper.fold(ANN, before, at);
    assert_eq!(keeper.ann().account.opening.number, 12);
    let back = refund("long", "r1", 5_000, 0, 5_000);
    keeper.take(ANN, &back, at).unwrap();
    assert_eq!(keeper.points(ANN, at), 0);
    // A short plan keeps lines as long as the usual one.
    keeper.plan.growth.months = 3;
    keeper.plan.points.months = 3;
    let short = keeper.ann().account.folds_before(&keeper.plan, on(2028, 2, 1)).unwrap();
    assert_eq!(short, on(2027, 1, 1));
}

#[test]
fn a_referee_who_was_not_counted_is_not_counted_after_their_line_is_gone() {
    let mut keeper = Keeper::with_ann();
    let referee = |n: u64| MemberNumber(100 + n);
    for n in 0..21 {
        keeper.enrol(referee(n), Some(ANN), on(2026, 2, 1));
        for day in 1..=3 {
            let watch = Event::Act { id: Source(format!("{n}-{day}")), act: Act::Watch(600) };
            keeper.take(referee(n), &watch, on(2026, 2, day)).unwrap();
        }
    }
    let at = on(2027, 6, 1);
    let before = keeper.ann().account.folds_before(&keeper.plan, at).unwrap();
    keeper.fold(ANN, before, at);
    let balance = keeper.points(ANN, at);
    keeper.take(referee(20), &Event::Paid(order("late", 100)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), balance);
    keeper.take(referee(19), &Event::Paid(order("counted", 100)), at).unwrap();
    assert_eq!(keeper.points(ANN, at), balance + 100);
}
