//! The store on a cluster of Redis, and on one that Sentinels watch: what is on the way when nodes fail or slots
//! move is decided once all the same.

use crate::redis::{RIGHTS, started};
use crate::redis_server::{RedisCluster, RedisServer};
use crate::support::{batch, changes, reserved, terms, waiting};
use engine::rules::order::Status::Confirmed;
use engine::rules::terms::{SaleId, Terms};
use engine::rules::units::Units;
use engine::store::{
    Batch, Bucket, BucketChange, BucketHead, Change, Changes, Durability, RedisOptions, RedisStore,
    Store, StoreError, Verdict, Wanted, Who,
};
use membership::Tier::Gold;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// The documented rights beside those on a single Redis: see docs/redis.md.
const MORE_RIGHTS: &str = "+cluster|shards +asking +wait";

/// A cluster on which the store has the documented rights, and no more.
fn cluster() -> (TempDir, RedisCluster) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = RedisCluster::start(folder.path(), 3);
    cluster.nodes.iter().for_each(let_in);
    (folder, cluster)
}

/// Makes the users, of which no other Redis tells this one.
fn let_in(node: &RedisServer) {
    node.must(&format!("ACL SETUSER seller >s3cret {RIGHTS} {MORE_RIGHTS}"));
    node.must("ACL SETUSER loader >l0ad on -@all +function|load");
}

fn options(addresses: &str) -> RedisOptions {
    let url = |user: &str| addresses.replace("redis://", &format!("redis://{user}@"));
    RedisOptions { loader_url: Some(url("loader:l0ad")), ..RedisOptions::new(url("seller:s3cret")) }
}

async fn connect(options: &RedisOptions) -> Store {
    RedisStore::connect(options).await.unwrap().0.into()
}

fn named(sale: &str) -> Terms {
    Terms { id: sale.parse().unwrap(), ..terms(100) }
}

fn key(sale: &SaleId) -> String {
    format!("flashlane:{{{sale}}}:sale")
}

/// An order of a sale with this number.
fn order(sale: &SaleId, epoch: u64, number: u64) -> Batch {
    let orders = vec![reserved(number, &format!("m{number}"), Gold, 1)];
    Batch { sale: sale.clone(), ..batch(epoch, orders) }
}

/// Commits until there is a verdict, as a confirmer does.
async fn until_decided(store: &Store, batch: &Batch) -> Vec<Verdict> {
    let decided = async {
        loop {
            match store.selling.commit(batch).await {
                Ok(verdicts) => return verdicts,
                Err(broken) => assert!(broken.error.is_transient(), "{:?}", broken.error),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, decided).await.expect("a verdict")
}

/// Commits until Redis is heard to say this; nothing may be decided before.
async fn until_error(store: &Store, batch: &Batch, said: &str) {
    let told = async {
        loop {
            let broken = store.selling.commit(batch).await.expect_err("no replica has the order");
            if broken.error.to_string().contains(said) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is said");
}

fn assert_confirmed(verdicts: &[Verdict]) {
    assert!(verdicts.iter().all(|verdict| verdict.status() == Confirmed), "{verdicts:?}");
}

#[test]
fn the_rights_that_a_cluster_needs_are_documented() {
    let documented = include_str!("../../../docs/redis.md");
    for right in MORE_RIGHTS.split(' ') {
        assert!(documented.contains(&format!("`{right}`")), "{right}");
    }
}

#[tokio::test]
async fn sales_are_sold_on_the_primaries_of_their_slots() {
    let (_folder, cluster) = cluster();
    // A replica is asked first: it leads to the others.
    let store = connect(&options(&cluster.nodes[4].url())).await;
    let mut serving = Vec::new();
    for sale in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let terms = named(sale);
        store.opening.create(&terms).await.unwrap();
        let epoch = store.opening.open(&terms.id).await.unwrap().epoch;
        assert_confirmed(&store.selling.commit(&order(&terms.id, epoch, 1)).await.unwrap());
        let orders = store.reading.orders_after(&terms.id, 0, 9).await.unwrap();
        assert_eq!(orders.len(), 1, "{sale}");
        serving.push(cluster.serving(&key(&terms.id)));
    }
    serving.sort_unstable();
    serving.dedup();
    assert_eq!(serving, [0, 1, 2]);
    assert_eq!(store.reading.sales().await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_slot_that_moves_costs_no_call() {
    let (_folder, cluster) = cluster();
    moves(&cluster, &connect(&options(&cluster.url())).await, "drop").await;
    let replicated = RedisOptions { replicas: 1, ..options(&cluster.url()) };
    moves(&cluster, &connect(&replicated).await, "other").await;
}

async fn moves(cluster: &RedisCluster, store: &Store, sale: &str) {
    let terms = named(sale);
    let sale = &terms.id;
    store.opening.create(&terms).await.unwrap();
    let epoch = store.opening.open(sale).await.unwrap().epoch;
    let from = &cluster.nodes[cluster.serving(&key(sale))];
    let to = cluster.primaries().iter().find(|node| node.id() != from.id()).unwrap();
    // While a slot moves, a node wants to see all keys of a call or none.
    assert_confirmed(&store.selling.commit(&order(sale, epoch, 1)).await.unwrap());
    store.operating.top_up(sale, epoch, "more", Units(5)).await.unwrap();
    let waits = Change::Join(waiting("ann", Gold, 1, 1));
    let waits = Changes { sale: sale.clone(), ..changes(epoch, 5_000, vec![waits]) };
    store.selling.change(&waits).await.unwrap();

    let slot = from.must(&format!("CLUSTER KEYSLOT {}", key(sale)));
    let slot = slot.trim_start_matches(':');
    to.must(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", from.id()));
    from.must(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", to.id()));
    assert_confirmed(&store.selling.commit(&order(sale, epoch, 2)).await.unwrap());
    let keys = from.must(&format!("CLUSTER GETKEYSINSLOT {slot} 100"));
    for key in keys.lines().filter(|line| line.starts_with("flashlane:")) {
        from.must(&format!("MIGRATE 127.0.0.1 {} {key} 0 5000", to.address().port()));
    }
    // All keys are there, and the slot is not: each call is sent on for this once.
    assert_confirmed(&store.selling.commit(&order(sale, epoch, 3)).await.unwrap());
    for node in [to, from] {
        node.must(&format!("CLUSTER SETSLOT {slot} NODE {}", to.id()));
    }
    assert_confirmed(&store.selling.commit(&order(sale, epoch, 4)).await.unwrap());
    assert_eq!(store.reading.orders_after(sale, 0, 9).await.unwrap().len(), 4);
}

#[tokio::test]
async fn the_replica_of_a_killed_primary_goes_on_with_its_sales() {
    let (_folder, mut cluster) = cluster();
    let options = RedisOptions { replicas: 1, ..options(&cluster.urls()) };
    let store = connect(&options).await;
    let terms = named("drop");
    let sale = &terms.id;
    store.opening.create(&terms).await.unwrap();
    let epoch = store.opening.open(sale).await.unwrap().epoch;
    for number in 1..=20 {
        assert_confirmed(&store.selling.commit(&order(sale, epoch, number)).await.unwrap());
    }
    let serving = cluster.serving(&key(sale));
    cluster.nodes[serving].kill();
    until(|| cluster.serving_beside(&key(sale), serving).is_some());
    // The new primary has no replica, so nothing counts yet; then the old one is its replica.
    let next = order(sale, epoch, 21);
    until_error(&store, &next, "0 of the 1 replicas").await;
    cluster.nodes[serving].start_again();
    let_in(&cluster.nodes[serving]);
    assert_confirmed(&until_decided(&store, &next).await);
    let orders = store.reading.orders_after(sale, 0, 99).await.unwrap();
    assert_eq!(orders.len(), 21);
}

#[tokio::test]
async fn an_order_counts_only_when_the_replicas_have_it_also_when_it_is_sent_again() {
    let (folder, primary) = started(&["--repl-diskless-sync-delay", "0"]);
    let replica = replica_of(&primary, folder.path());
    let options = RedisOptions {
        replicas: 1,
        deadline: Duration::from_millis(400),
        ..RedisOptions::new(primary.url())
    };
    primary.must(&format!("ACL SETUSER seller >s3cret {RIGHTS}"));
    let url = primary.url().replace("redis://", "redis://seller:s3cret@");
    let poor = RedisOptions { loader_url: Some(primary.url()), url, ..options.clone() };
    let why = refused(&poor).await;
    assert!(why.contains("may not run wait"), "{why}");
    let store = connect(&options).await;
    store.opening.create(&terms(9)).await.unwrap();
    let sale = &terms(9).id;
    let epoch = store.opening.open(sale).await.unwrap().epoch;
    assert_confirmed(&store.selling.commit(&order(sale, epoch, 1)).await.unwrap());

    signal(&replica, "STOP");
    for _ in 0..3 {
        let broken = store.selling.commit(&order(sale, epoch, 2)).await.unwrap_err();
        assert!(matches!(broken.error, StoreError::Unknown(_)), "{:?}", broken.error);
    }
    // Nor is it told to those who act on it; the sale itself can be read.
    let told = store.reading.outbox_after(sale, 0, 9).await;
    assert!(matches!(told, Err(StoreError::Unknown(_))), "{told:?}");
    assert_eq!(store.reading.orders_after(sale, 0, 9).await.unwrap().len(), 2);
    // What is posted in the book is not found posted by a second look.
    let post =
        BucketChange::of(Bucket::of("ann"), BucketHead { version: 1, ..BucketHead::default() });
    let wanted = [Wanted { who: Who::Named("ann".parse().unwrap()), keys: Vec::new() }];
    assert!(matches!(store.book.post(&post).await, Err(StoreError::Unknown(_))));
    let found = store.book.read_members(Bucket::of("ann"), &wanted).await;
    assert!(matches!(found, Err(StoreError::Unknown(_))), "{found:?}");
    signal(&replica, "CONT");
    assert_confirmed(&until_decided(&store, &order(sale, epoch, 2)).await);
    drop(replica);
    until(|| primary.must("INFO replication").contains("connected_slaves:0"));
    let why = refused(&options).await;
    assert!(why.contains("--redis-replicas"), "{why}");
}

#[tokio::test]
async fn the_primary_that_sentinels_name_is_used_and_its_successor_after_it() {
    let (folder, mut primary) = started(&["--repl-diskless-sync-delay", "0"]);
    let _replica = replica_of(&primary, folder.path());
    let sentinel = sentinel_of(&primary, folder.path());
    let options =
        RedisOptions { sentinel: Some("drops".into()), ..RedisOptions::new(sentinel.url()) };
    let nobody = RedisOptions { sentinel: Some("nobody".into()), ..options.clone() };
    let why = refused(&nobody).await;
    assert!(why.contains("knows no primary `nobody`"), "{why}");

    let store = connect(&options).await;
    store.opening.create(&terms(9)).await.unwrap();
    let sale = &terms(9).id;
    let epoch = store.opening.open(sale).await.unwrap().epoch;
    assert_confirmed(&store.selling.commit(&order(sale, epoch, 1)).await.unwrap());
    primary.must("WAIT 1 5000");
    primary.kill();
    assert_confirmed(&until_decided(&store, &order(sale, epoch, 2)).await);
    assert_eq!(store.reading.orders_after(sale, 0, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_cluster_that_does_not_cover_all_slots_is_refused_in_a_sentence() {
    let (_folder, cluster) = cluster();
    for node in &cluster.nodes {
        node.must("CLUSTER DELSLOTS 77");
    }
    let why = refused(&options(&cluster.url())).await;
    assert!(why.contains("serves slot 77"), "{why}");
}

#[tokio::test]
async fn several_addresses_of_no_cluster_are_refused_in_a_sentence() {
    let (_folder, server) = started(&[]);
    let url = format!("redis://{},{}", server.address(), server.address());
    let why = refused(&RedisOptions::new(url)).await;
    assert!(why.contains("--redis-sentinel"), "{why}");
}

#[tokio::test]
async fn a_service_that_is_trusted_need_not_show_its_log() {
    let (_folder, server) = started(&["--appendonly", "no"]);
    let options = RedisOptions::new(server.url());
    let why = refused(&options).await;
    assert!(why.contains("--redis-durability trusted"), "{why}");
    let trusted = RedisOptions { durability: Durability::Trusted, ..options };
    let (store, warnings) = RedisStore::connect(&trusted).await.unwrap();
    assert!(warnings[0].contains("trusted"), "{warnings:?}");
    let store = Store::from(store);
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&terms(9).id).await.unwrap().epoch;
    assert_confirmed(&store.selling.commit(&order(&terms(9).id, epoch, 1)).await.unwrap());
}

/// Returns why this Redis may not be used.
async fn refused(options: &RedisOptions) -> String {
    match RedisStore::connect(options).await {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn replica_of(primary: &RedisServer, folder: &Path) -> RedisServer {
    let folder = folder.join("replica");
    std::fs::create_dir_all(&folder).unwrap();
    let port = primary.address().port().to_string();
    let replica = RedisServer::with(&folder, &["--replicaof", "127.0.0.1", &port]);
    primary.must("SET written-to-be-taken-over 1");
    // It is there once it has said that it has everything.
    until(|| {
        let about = primary.must("INFO replication");
        let of = about.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
        of.is_some_and(|of| of != "0" && about.contains(&format!("state=online,offset={of},")))
    });
    primary.must("DEL written-to-be-taken-over");
    replica
}

fn sentinel_of(primary: &RedisServer, folder: &Path) -> RedisServer {
    let folder = folder.join("sentinel");
    std::fs::create_dir_all(&folder).unwrap();
    let port = primary.address().port();
    let watching = format!(
        "sentinel monitor drops 127.0.0.1 {port} 1\nsentinel down-after-milliseconds drops 500\n\
         sentinel failover-timeout drops 2000\n"
    );
    std::fs::write(folder.join("sentinel.conf"), watching).unwrap();
    let sentinel = RedisServer::sentinel(&folder);
    until(|| sentinel.must("SENTINEL REPLICAS drops").contains("slave"));
    sentinel
}

fn until(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(server: &RedisServer, signal: &str) {
    let pid = server.pid().to_string();
    let sent = std::process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
    assert!(sent.success());
}
