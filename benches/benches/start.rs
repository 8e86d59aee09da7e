//! What a start costs: a sale of a million orders, each with a key and unpaid, from its files until
//! clicks are judged.

use benches::run::redis::RedisServer;
use benches::world::{Lamps, NOW, terms};
use engine::Engine;
use engine::clock::Clock;
use engine::rules::key::IdempotencyKey;
use engine::rules::money::Money;
use engine::rules::terms::Cents;
use engine::rules::units::Units;
use engine::store::{
    Batch, JournalOptions, JournalStore, RedisOptions, RedisStore, ReservedOrder, Store,
};
use engine::{Settings, sale::ORDERS_PER_MEMBER};
use membership::Tier;
use std::io::Write;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};

const ORDERS: u64 = 1_000_000;

async fn fill(store: &Store) {
    store
        .opening
        .create(&terms("bench", Lamps { stock: 10_000_000, limit: 65_535 }))
        .await
        .expect("a sale");
    let sale: engine::rules::terms::SaleId = "bench".parse().expect("a sale id");
    let epoch = store.opening.open(&sale).await.expect("an epoch").epoch;
    let most = store.selling.batch_orders_max() as u64;
    let mut first = 1;
    while first <= ORDERS {
        let next = (first + most).min(ORDERS + 1);
        let reserved = |number: u64| ReservedOrder {
            number,
            member: format!("member-{:07}", fastrand::u64(..ORDERS)).parse().expect("a member id"),
            tier: Tier::Gold,
            units: Units(1),
            reserved_at: NOW,
            money: Money::list(Cents(19_900), Units(1)),
            key: NonZeroU64::new(number).map(IdempotencyKey),
            is_offer: false,
        };
        let orders = (first..next).map(reserved).collect();
        let at = Clock::Wall.now();
        let pay_by = at + Duration::from_secs(900);
        let batch = Batch { sale: sale.clone(), epoch, at, pay_by, orders };
        store.selling.commit(&batch).await.expect("the store takes all");
        first = next;
    }
}

async fn ready(store: Store) -> Engine {
    let settings = Settings {
        confirm_within: Duration::from_secs(3_600),
        orders_per_member: ORDERS_PER_MEMBER,
    };
    Engine::start(store, Clock::Wall, settings).await.expect("an engine")
}

fn open(folder: &Path) -> Store {
    JournalStore::open(folder, JournalOptions::default()).expect("a journal").into()
}

#[tokio::main]
async fn main() {
    let mut out = std::io::stdout();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = open(folder.path());
    fill(&store).await;
    drop(store);
    writeln!(out, "| a start with {ORDERS} orders, keyed and unpaid | files read | ready after |")
        .expect("stdout");
    writeln!(out, "| --- | --- | --- |").expect("stdout");
    let start = Instant::now();
    let store = open(folder.path());
    let read = start.elapsed();
    let engine = ready(store).await;
    writeln!(
        out,
        "| embedded | {:.2} s | {:.2} s |",
        read.as_secs_f64(),
        start.elapsed().as_secs_f64()
    )
    .expect("stdout");
    drop(engine);

    let folder = tempfile::tempdir().expect("a folder");
    let server = RedisServer::start(folder.path());
    let connect = async || -> Store {
        let options = RedisOptions {
            outbox_keep: Duration::from_secs(10_000_000_000),
            ..RedisOptions::new(server.url())
        };
        RedisStore::connect(&options).await.expect("a store").0.into()
    };
    fill(&connect().await).await;
    let start = Instant::now();
    let engine = ready(connect().await).await;
    writeln!(out, "| Redis | | {:.2} s |", start.elapsed().as_secs_f64()).expect("stdout");
    drop(engine);
}
