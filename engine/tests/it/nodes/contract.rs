//! What every store that nodes share must keep of leases and owners.

use crate::redis_server::RedisServer;
use crate::support::{batch, id, member, reserved, terms};
use engine::rules::node::{Node, NodeId};
use engine::rules::time::Millis;
use engine::store::{
    Leasing, MemoryStore, Ownership, RedisOptions, RedisStore, Seen, Store, StoreError, Verdict,
};
use membership::Tier::Gold;
use std::sync::Arc;
use std::time::Duration;

const LASTS: Duration = Duration::from_secs(60);

/// A store, by what it is needed for, and its leases.
struct Shared {
    store: Store,
    leasing: Arc<dyn Leasing>,
}

fn memory() -> Shared {
    let store = Arc::new(MemoryStore::default());
    Shared { store: Arc::clone(&store).into(), leasing: store }
}

async fn redis(server: &RedisServer) -> Shared {
    let (store, _) = RedisStore::connect(&RedisOptions::new(server.url())).await.unwrap();
    let store = Arc::new(store);
    Shared { store: Arc::clone(&store).into(), leasing: store }
}

/// Runs each promise against each adapter.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod memory_keeps {
            $(#[tokio::test] async fn $promise() {
                super::$promise(&super::memory()).await;
            })*
        }
        mod redis_keeps {
            $(#[tokio::test] async fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                let server = crate::redis_server::RedisServer::start(folder.path());
                super::$promise(&super::redis(&server).await).await;
            })*
        }
    };
}

contract!(
    a_node_lives_while_its_lease_does,
    a_second_process_with_a_nodes_name_is_refused_while_the_first_lives,
    a_lease_that_is_ended_is_over_at_once,
    a_latch_is_one_processs_until_it_lets_it_go_or_its_time_is_over,
    a_sale_has_no_owner_before_a_node_takes_it,
    a_sale_is_taken_only_in_the_epoch_that_was_seen,
    a_take_over_fences_the_owner_before,
    an_owner_that_keeps_a_sale_refuses_who_saw_it_before,
    a_sale_that_is_left_is_not_kept,
    a_sale_is_left_to_another_node_once,
    a_fenced_owner_hands_nothing_over,
    a_sale_that_was_opened_by_no_node_has_no_owner,
    a_late_take_over_leaves_an_archived_sale_where_it_is,
    a_sale_that_is_not_there_has_no_owner,
);

fn node(name: &str, process: u64) -> Node {
    Node { id: named(name), process, address: format!("http://{name}:1").into() }
}

/// A sale in an epoch in which nobody has kept it.
fn at(epoch: u64) -> Seen {
    Seen { epoch, kept: 0 }
}

fn named(name: &str) -> NodeId {
    name.parse().unwrap()
}

async fn a_node_lives_while_its_lease_does(shared: &Shared) {
    let (a, b) = (node("a", 1), node("b", u64::MAX));
    assert_eq!(shared.leasing.renew(&b, LASTS).await.unwrap().living, std::slice::from_ref(&b));
    let both = [a.clone(), b.clone()];
    assert_eq!(shared.leasing.renew(&a, LASTS).await.unwrap().living, both);
    assert_eq!(shared.leasing.living().await.unwrap().living, both);
    // As if it had been renewed a minute ago.
    shared.leasing.renew(&b, Duration::ZERO).await.unwrap();
    assert_eq!(shared.leasing.renew(&a, LASTS).await.unwrap().living, [a]);
}

async fn a_second_process_with_a_nodes_name_is_refused_while_the_first_lives(shared: &Shared) {
    let (first, second) = (node("a", 1), node("a", 2));
    shared.leasing.renew(&first, LASTS).await.unwrap();
    let taken = StoreError::NodeIdTaken("http://a:1".into());
    assert_eq!(shared.leasing.renew(&second, LASTS).await, Err(taken));
    shared.leasing.renew(&first, Duration::ZERO).await.unwrap();
    assert_eq!(shared.leasing.renew(&second, LASTS).await.unwrap().living, [second]);
}

async fn a_lease_that_is_ended_is_over_at_once(shared: &Shared) {
    let (a, b) = (node("a", 1), node("b", 2));
    shared.leasing.renew(&a, LASTS).await.unwrap();
    // Another process of that name ends nothing.
    shared.leasing.end(&node("a", 9)).await.unwrap();
    assert_eq!(shared.leasing.renew(&b, LASTS).await.unwrap().living.len(), 2);
    for _ in 0..2 {
        shared.leasing.end(&a).await.unwrap();
    }
    assert_eq!(shared.leasing.renew(&b, LASTS).await.unwrap().living, [b]);
}

async fn a_latch_is_one_processs_until_it_lets_it_go_or_its_time_is_over(shared: &Shared) {
    let (leasing, rewards) = (&shared.leasing, named("rewards"));
    let latch = async |by| leasing.latch(&rewards, by, LASTS).await.unwrap();
    assert!(latch(1).await && latch(1).await && !latch(2).await);
    assert!(leasing.latch(&named("another"), 2, LASTS).await.unwrap());
    // A process that does not have it lets nothing go.
    leasing.unlatch(&rewards, 2).await.unwrap();
    assert!(!latch(2).await);
    leasing.unlatch(&rewards, 1).await.unwrap();
    assert!(latch(2).await && !latch(1).await);
    leasing.latch(&rewards, 2, Duration::ZERO).await.unwrap();
    assert!(latch(1).await);
    assert_eq!(leasing.living().await.unwrap().living, [], "who has a latch is no node by it");
}

async fn a_sale_has_no_owner_before_a_node_takes_it(shared: &Shared) {
    shared.store.opening.create(&terms(10)).await.unwrap();
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(Ownership::default()));
    let opened = shared.leasing.take(&id(), &named("a"), Seen::default()).await.unwrap();
    let owner = Ownership { seen: at(opened.epoch), owner: Some(named("a")), next: None };
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(owner));
    assert_eq!(opened.terms, terms(10));
}

async fn a_sale_is_taken_only_in_the_epoch_that_was_seen(shared: &Shared) {
    shared.store.opening.create(&terms(10)).await.unwrap();
    let first = shared.leasing.take(&id(), &named("a"), Seen::default()).await.unwrap().epoch;
    let late = shared.leasing.take(&id(), &named("b"), Seen::default()).await;
    assert_eq!(late, Err(StoreError::OtherOwner));
    assert_eq!(shared.store.selling.still_sells(&id(), first).await, Ok(()));
    // The owner itself takes the sale anew after a lapse, and what was on its way to another node is late.
    let again = shared.leasing.take(&id(), &named("a"), at(first)).await.unwrap().epoch;
    assert!(again > first);
    let late = shared.leasing.take(&id(), &named("b"), at(first)).await;
    assert_eq!(late, Err(StoreError::OtherOwner));
}

async fn a_take_over_fences_the_owner_before(shared: &Shared) {
    shared.store.opening.create(&terms(2)).await.unwrap();
    let selling = &shared.store.selling;
    let before = shared.leasing.take(&id(), &named("a"), Seen::default()).await.unwrap().epoch;
    let order = |epoch, number, name| batch(epoch, vec![reserved(number, name, Gold, 1)]);
    selling.commit(&order(before, 1, "ann")).await.unwrap();
    let opened = shared.leasing.take(&id(), &named("b"), at(before)).await.unwrap();
    assert_eq!((opened.left.0, &opened.holdings[0].member), (1, &member("ann")));
    let late = selling.commit(&order(before, 2, "bob")).await.unwrap();
    assert_eq!(late, [Verdict::Fenced]);
    assert_eq!(selling.still_sells(&id(), before).await, Err(StoreError::Fenced));
}

async fn an_owner_that_keeps_a_sale_refuses_who_saw_it_before(shared: &Shared) {
    shared.store.opening.create(&terms(10)).await.unwrap();
    let (a, b) = (named("a"), named("b"));
    let epoch = shared.leasing.take(&id(), &a, Seen::default()).await.unwrap().epoch;
    for kept in 1..=2 {
        shared.leasing.keep(&id(), epoch, &a).await.unwrap();
        let kept = Seen { epoch, kept };
        let owner = Ownership { seen: kept, owner: Some(a.clone()), next: None };
        assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(owner));
        let late = shared.leasing.take(&id(), &b, Seen { kept: kept.kept - 1, epoch }).await;
        assert_eq!(late, Err(StoreError::OtherOwner));
    }
    assert_eq!(shared.store.selling.still_sells(&id(), epoch).await, Ok(()));
    shared.leasing.take(&id(), &b, Seen { epoch, kept: 2 }).await.unwrap();
    assert_eq!(shared.leasing.keep(&id(), epoch, &a).await, Err(StoreError::Fenced));
}

async fn a_sale_that_is_left_is_not_kept(shared: &Shared) {
    shared.store.opening.create(&terms(10)).await.unwrap();
    let (a, b) = (named("a"), named("b"));
    let epoch = shared.leasing.take(&id(), &a, Seen::default()).await.unwrap().epoch;
    shared.leasing.keep(&id(), epoch, &a).await.unwrap();
    shared.leasing.hand_over(&id(), epoch, &b).await.unwrap();
    assert_eq!(shared.leasing.keep(&id(), epoch, &a).await, Err(StoreError::Fenced));
    let kept = Seen { epoch, kept: 1 };
    let left = Ownership { seen: kept, owner: None, next: Some(b.clone()) };
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(left));
    shared.leasing.take(&id(), &b, kept).await.unwrap();
}

async fn a_sale_is_left_to_another_node_once(shared: &Shared) {
    shared.store.opening.create(&terms(2)).await.unwrap();
    let epoch = shared.leasing.take(&id(), &named("a"), Seen::default()).await.unwrap().epoch;
    for _ in 0..2 {
        shared.leasing.hand_over(&id(), epoch, &named("b")).await.unwrap();
    }
    let left = Ownership { seen: at(epoch), owner: None, next: Some(named("b")) };
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(left));
    let taken = shared.leasing.take(&id(), &named("b"), at(epoch)).await.unwrap().epoch;
    let owner = Ownership { seen: at(taken), owner: Some(named("b")), next: None };
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(owner));
}

async fn a_fenced_owner_hands_nothing_over(shared: &Shared) {
    shared.store.opening.create(&terms(2)).await.unwrap();
    let before = shared.leasing.take(&id(), &named("a"), Seen::default()).await.unwrap().epoch;
    let epoch = shared.leasing.take(&id(), &named("b"), at(before)).await.unwrap().epoch;
    let late = shared.leasing.hand_over(&id(), before, &named("c")).await;
    assert_eq!(late, Err(StoreError::Fenced));
    let owner = Ownership { seen: at(epoch), owner: Some(named("b")), next: None };
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(owner));
}

async fn a_sale_that_was_opened_by_no_node_has_no_owner(shared: &Shared) {
    shared.store.opening.create(&terms(2)).await.unwrap();
    let before = shared.leasing.take(&id(), &named("a"), Seen::default()).await.unwrap().epoch;
    let epoch = shared.store.opening.open(&id()).await.unwrap().epoch;
    assert!(epoch > before);
    let owner = Ownership { seen: at(epoch), ..Ownership::default() };
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(owner));
}

async fn a_sale_that_is_not_there_has_no_owner(shared: &Shared) {
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), None);
    let taken = shared.leasing.take(&id(), &named("a"), Seen::default()).await;
    assert_eq!(taken, Err(StoreError::UnknownSale));
    let left = shared.leasing.hand_over(&id(), 1, &named("a")).await;
    assert_eq!(left, Err(StoreError::UnknownSale));
}

async fn a_late_take_over_leaves_an_archived_sale_where_it_is(shared: &Shared) {
    shared.store.opening.create(&terms(2)).await.unwrap();
    let epoch = shared.leasing.take(&id(), &named("a"), Seen::default()).await.unwrap().epoch;
    shared.store.archiving.archive(&id(), epoch, Millis(5_001)).await.unwrap();
    let owner = Ownership { seen: at(epoch), owner: Some(named("a")), next: None };
    assert_eq!(shared.leasing.owner(&id()).await.unwrap(), Some(owner));
    let late = shared.leasing.take(&id(), &named("b"), Seen::default()).await;
    assert_eq!(late, Err(StoreError::OtherOwner));
    assert_eq!(shared.store.reading.sales().await.unwrap(), []);
    shared.leasing.take(&id(), &named("b"), at(epoch)).await.unwrap();
    assert_eq!(shared.store.reading.sales().await.unwrap(), [id()]);
}
