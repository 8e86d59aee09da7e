//! The members' book as time goes by: what is old goes, what members should hear of is told, and another
//! plan is tried on what was.

use crate::contract;
use crate::members::{World, adjusted, again, world};
use crate::support::{OPEN, member};
use engine::members::Ask;
use engine::rules::order::Step;
use engine::rules::time::Millis;
use engine::store::{Bucket, MemoryStore, Store, Who};
use engine::{ChangeSource, Cursor, Told};
use membership::Tier;
use membership::event::{Act, Event, Notice, Order, Tender};
use membership::posting::{Account, Kind, Source};
use std::sync::Arc;
use std::time::Duration;

const DAY_MS: u64 = 86_400_000;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

async fn take(world: &World, name: &str, event: Event) {
    let ask = Ask { who: Who::Named(member(name)), event, at: world.engine.now() };
    world.engine.book().take(ask).await.unwrap().unwrap();
}

/// So much growth by hand.
fn grow(id: &str, amount: i64) -> Event {
    Event::Adjust { id: Source(id.into()), account: Account::Growth, amount }
}

fn days_later(world: &World, days: u64) {
    world.clock.set(Millis(world.engine.now().0 + days * DAY_MS));
}

/// Everything behind a cursor: the notices, and the gaps in those of members.
async fn notices(world: &World, cursor: &mut Cursor) -> (Vec<(String, Notice)>, Vec<(u64, u64)>) {
    let (mut notices, mut gaps) = (Vec::new(), Vec::new());
    loop {
        let (told, next) = world.engine.outbox(cursor, 100).await.unwrap();
        let is_end = told.is_empty();
        *cursor = next;
        for told in told {
            match told {
                Told::Notice(member, bucket, entry) => {
                    assert_eq!(Bucket::of(member.as_str()), bucket);
                    notices.push((member.to_string(), entry.notice));
                }
                Told::Gap { source: ChangeSource::Members(_), from, to } => gaps.push((from, to)),
                _ => {}
            }
        }
        if is_end {
            return (notices, gaps);
        }
    }
}

#[tokio::test]
async fn what_members_should_hear_of_is_in_the_outbox_once() {
    let world = World::new().await;
    let mut cursor = Cursor::default();
    for n in 0..300 {
        let name = format!("m{n}");
        world.enrol(&name, None).await;
        take(&world, &name, grow("g", 1_000)).await;
    }
    let (mut told, gaps) = notices(&world, &mut cursor).await;
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let names: std::collections::BTreeSet<_> = told.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 300);
    assert_eq!((told.len(), gaps.len()), (300, 0));
    assert!(told.iter().all(|(_, notice)| *notice == Notice::TierReached(Tier::Silver)));
    let (told, _) = notices(&world, &mut cursor).await;
    assert!(told.is_empty(), "{told:?}");
    world.enrol("ann", None).await;
    take(&world, "ann", grow("a", 5_000)).await;
    let (told, _) = notices(&world, &mut cursor).await;
    assert_eq!(told, [("ann".to_owned(), Notice::TierReached(Tier::Gold))]);
}

#[tokio::test]
async fn notices_go_after_their_time_and_a_reader_is_told_of_the_gap() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    world.enrol("ann", None).await;
    let bucket = Bucket::of("ann");
    take(&world, "ann", grow("a", 1_000)).await;
    take(&world, "ann", grow("b", 4_000)).await;
    days_later(&world, 6);
    take(&world, "ann", grow("c", 15_000)).await;
    world.engine.book().trim(bucket, WEEK).await.unwrap();
    assert_eq!(store.book.notices(bucket, 0, 9).await.unwrap().len(), 3);
    days_later(&world, 2);
    world.engine.book().trim(bucket, WEEK).await.unwrap();
    assert_eq!(store.book.notices(bucket, 0, 9).await.unwrap().len(), 1);
    let (told, gaps) = notices(&world, &mut Cursor::default()).await;
    assert_eq!(told, [("ann".to_owned(), Notice::TierReached(Tier::Platinum))]);
    assert_eq!(gaps, [(1, 2)]);
    // The member's own list is theirs.
    assert_eq!(world.account("ann").await.1.notices.len(), 3);
}

#[tokio::test]
async fn a_cursor_from_before_a_lost_history_is_told_what_is_gone() {
    let world = World::new().await;
    let other = World::new().await;
    world.enrol("ann", None).await;
    other.enrol("ann", None).await;
    for (id, amount) in [("a", 1_000), ("b", 4_000)] {
        take(&world, "ann", grow(id, amount)).await;
    }
    take(&other, "ann", grow("a", 1_000)).await;
    let mut cursor = Cursor::default();
    notices(&world, &mut cursor).await;
    let (told, gaps) = notices(&other, &mut cursor).await;
    assert_eq!((told.len(), gaps), (0, vec![(2, 2)]));
}

#[tokio::test]
async fn what_another_process_has_trimmed_is_told_as_a_gap() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    world.enrol("ann", None).await;
    take(&world, "ann", grow("a", 1_000)).await;
    take(&world, "ann", grow("b", 4_000)).await;
    days_later(&world, 8);
    take(&world, "ann", grow("c", 15_000)).await;
    let (told, gaps) = notices(&world, &mut Cursor::default()).await;
    assert_eq!((told.len(), gaps.len()), (3, 0));
    let other = again(&store).await;
    other.clock.set(world.engine.now());
    other.engine.book().trim(Bucket::of("ann"), WEEK).await.unwrap();
    let (told, gaps) = notices(&world, &mut Cursor::default()).await;
    assert_eq!((told.len(), gaps), (1, vec![(1, 2)]));
}

#[tokio::test]
async fn an_order_of_a_member_whom_another_process_enrols_first_counts() {
    let store = Store::from(MemoryStore::default());
    let world = world(store.clone()).await;
    // This process has seen that nobody has an account.
    assert!(world.engine.outbox(&Cursor::default(), 10).await.unwrap().0.is_empty());
    let other = again(&store).await;
    other.enrol("ann", None).await;
    let order = other.buy("ann").await;
    other.step(&order, Step::Pay).await;
    world.fed().await;
    other.fed().await;
    assert_eq!(other.balances("ann").await.0, 199);
}

/// Old lines become an opening balance in a sweep, on any store, and the book adds up.
async fn folded(store: Store) {
    let world = world(store.clone()).await;
    let ann = world.enrol("ann", None).await;
    let order = world.buy("ann").await;
    world.step(&order, Step::Pay).await;
    world.fed().await;
    for n in 0..700 {
        let id = Source(format!("s{n}"));
        take(&world, "ann", Event::Act { id, act: Act::Share }).await;
    }
    let book = world.engine.book();
    let bucket = Bucket::of("ann");
    days_later(&world, 13 * 31 + 31);
    adjusted(&world, "ann", 5).await;
    let before = world.account("ann").await.1;
    book.sweep(bucket).await.unwrap();
    let (_, account) = world.account("ann").await;
    let kept = book.postings(ann, u64::MAX, 1_000).await.unwrap();
    assert!(kept.iter().all(|line| line.at.0 > OPEN.0), "{kept:?}");
    assert_eq!(account.opening.number + kept.len() as u64, account.postings);
    assert!(account.opening.number > 700);
    for of in Account::ALL {
        assert_eq!(account.posted(of), before.posted(of), "{of:?}");
    }
    world.adds_up(&store).await;
    // Nothing of it is asked for any more, and the next day has nothing to do.
    let version = store.book.read_members(bucket, &[]).await.unwrap().head.version;
    book.sweep(bucket).await.unwrap();
    assert_eq!(store.book.read_members(bucket, &[]).await.unwrap().head.version, version);
    world.engine.drain(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn old_lines_become_an_opening_balance_in_memory() {
    folded(MemoryStore::default().into()).await;
}

#[tokio::test]
async fn old_lines_become_an_opening_balance_in_the_journal_and_stay_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = contract::journal(folder.path()).await;
    folded(store.clone()).await;
    drop(store);
    let store = contract::journal(folder.path()).await;
    let world = again(&store).await;
    assert!(world.account("ann").await.1.opening.number > 700);
    world.adds_up(&store).await;
}

#[tokio::test]
async fn old_lines_become_an_opening_balance_in_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = crate::redis_server::RedisServer::start(folder.path());
    folded(contract::redis(&server).await).await;
}

#[tokio::test]
async fn another_plan_is_tried_on_the_last_days() {
    let world = World::new().await;
    let bought = |id: &str| {
        let (with, saved) = (Tender::default(), 0);
        let (id, currency) = (Source(id.into()), "CNY".into());
        Event::Paid(Order { id, due: 20_000, currency, with, saved })
    };
    for name in ["ann", "bob"] {
        world.enrol(name, None).await;
        take(&world, name, bought("first")).await;
    }
    days_later(&world, 20);
    take(&world, "ann", bought("second")).await;
    let book = world.engine.book();
    let mut plan = book.plans.current().plan.clone();
    plan.growth.order = 4;
    plan.growth.invite = 200;
    plan.tiers.silver.growth = 600;
    let run = book.dry_run(&plan, Millis(world.engine.now().0 - 5 * DAY_MS)).await.unwrap();
    let (was, would) = run.rules[&Kind::Order];
    assert_eq!((was.growth, would.growth), (200, 800));
    assert_eq!((run.members, run.rules.len()), (2, 1));
    assert_eq!(run.tiers[Tier::Regular], (2, 1));
    assert_eq!(run.tiers[Tier::Silver], (0, 1));
    let long = book.dry_run(&plan, Millis(OPEN.0 - 1)).await.unwrap();
    assert_eq!(long.rules[&Kind::Order].0.growth, 600);
    assert_eq!(book.plans.current().version, 0, "nothing has changed");
}

#[tokio::test]
async fn benefits_are_counted_over_all_members() {
    let world = World::new().await;
    for name in ["ann", "bob"] {
        world.enrol(name, None).await;
        take(&world, name, grow("g", 1_000)).await;
    }
    take(&world, "ann", Event::SeeBenefits).await;
    for id in ["c1", "c2", "c1"] {
        let (id, benefit) = (Source(id.into()), "priority_service".into());
        take(&world, "ann", Event::UseBenefit { id, benefit }).await;
    }
    let counts = world.engine.book().benefits().await.unwrap();
    let of = |id: &str| {
        let count = counts[id];
        (count.granted, count.seen, count.used, count.uses)
    };
    assert_eq!(of("priority_service"), (2, 1, 1, 2));
    assert_eq!(of("discount"), (2, 1, 0, 0));
    assert!(!counts.contains_key("birthday_gift"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_that_is_added_up_while_it_goes_on_has_no_differences() {
    let world = Arc::new(World::new().await);
    world.enrol("ann", None).await;
    let posting = tokio::spawn({
        let world = Arc::clone(&world);
        async move {
            for n in 0..3_000 {
                take(&world, "ann", grow(&format!("a{n}"), 1)).await;
            }
        }
    });
    while !posting.is_finished() {
        let audit = world.engine.book().audit().await.unwrap();
        assert_eq!((audit.members, audit.differences), (1, vec![]));
    }
    posting.await.unwrap();
}
