//! Benefits: granted with the tier, seen, used; each step once.

use crate::keeper::{ANN, Keeper, on, order, source};
use membership::Tier;
use membership::birthday::{Birthday, Calendar};
use membership::event::{BenefitStep, Event, Refused};
use membership::posting::Kind;

fn used(id: &str, benefit: &str) -> Event {
    Event::UseBenefit { id: source(id), benefit: benefit.into() }
}

fn steps(keeper: &mut Keeper, event: &Event, day: i8) -> Vec<(String, BenefitStep)> {
    keeper.take(ANN, event, on(2026, 2, day)).expect("it is taken").benefits
}

#[test]
fn reaching_a_tier_grants_its_benefits_once() {
    let mut keeper = Keeper::with_ann();
    let granted = |steps: Vec<(String, BenefitStep)>| {
        assert!(steps.iter().all(|(_, step)| *step == BenefitStep::Granted));
        steps.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let silver = steps(&mut keeper, &Event::Paid(order("o1", 1_000)), 1);
    assert_eq!(granted(silver), ["discount", "priority_service"]);
    let gold = steps(&mut keeper, &Event::Paid(order("o2", 4_000)), 2);
    assert_eq!(granted(gold), ["account_manager", "birthday_gift", "member_day"]);
    assert!(steps(&mut keeper, &Event::Sweep, 3).is_empty());
}

#[test]
fn a_benefit_is_seen_once_and_its_uses_are_counted_once_by_their_ids() {
    let mut keeper = Keeper::with_ann();
    steps(&mut keeper, &Event::Paid(order("o1", 1_000)), 1);
    assert!(keeper.ann().account.has_unseen_benefits());
    let seen = steps(&mut keeper, &Event::SeeBenefits, 2);
    assert_eq!(seen.len(), 2);
    assert!(!keeper.ann().account.has_unseen_benefits());
    assert!(steps(&mut keeper, &Event::SeeBenefits, 2).is_empty());
    let mut step = |id| {
        let steps = steps(&mut keeper, &used(id, "priority_service"), 3);
        steps.into_iter().map(|(_, step)| step).collect::<Vec<_>>()
    };
    assert_eq!(step("c1"), [BenefitStep::Used]);
    assert_eq!(step("c1"), []);
    assert_eq!(step("c2"), [BenefitStep::UsedAgain]);
    assert_eq!(keeper.ann().account.entitled["priority_service"].used, 2);
}

#[test]
fn nobody_uses_a_benefit_that_they_do_not_have() {
    let mut keeper = Keeper::with_ann();
    let mut take = |event| keeper.take(ANN, &event, on(2026, 2, 1)).map(|_| ());
    assert_eq!(take(used("c1", "priority_service")), Err(Refused::NotEntitled));
    assert_eq!(take(used("c1", "free_lunch")), Err(Refused::Unknown("benefit")));
    assert!(keeper.ann().postings.is_empty());
}

#[test]
fn a_benefit_ends_with_its_tier_and_is_granted_anew_with_the_next() {
    let mut keeper = Keeper::with_ann();
    steps(&mut keeper, &Event::Paid(order("o1", 1_000)), 1);
    steps(&mut keeper, &used("c1", "discount"), 1);
    keeper.take(ANN, &Event::Sweep, on(2027, 2, 3)).unwrap();
    assert_eq!(keeper.ann().account.standing.tier, Tier::Regular);
    assert!(keeper.ann().account.entitled.is_empty());
    let again = keeper.take(ANN, &Event::Paid(order("o2", 1_000)), on(2027, 3, 1)).unwrap();
    assert_eq!(again.benefits.len(), 2);
    assert_eq!(keeper.ann().account.entitled["discount"].used, 0);
}

#[test]
fn claiming_the_gift_of_a_birthday_uses_that_benefit() {
    let mut keeper = Keeper::with_ann();
    steps(&mut keeper, &Event::Paid(order("o1", 5_000)), 1);
    let birthday = Birthday::new(Calendar::Solar, 2, 20, false).unwrap();
    steps(&mut keeper, &Event::SetBirthday(birthday), 1);
    let claimed = steps(&mut keeper, &Event::ClaimGift, 2);
    assert_eq!(claimed, [("birthday_gift".to_owned(), BenefitStep::Used)]);
    let lines = keeper.ann().postings.iter().filter(|line| line.kind == Kind::Birthday);
    assert_eq!(lines.count(), 1);
}
