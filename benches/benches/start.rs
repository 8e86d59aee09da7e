//! What a start costs: a sale of a million orders, each with a key and unpaid, from its files until
//! clicks are judged.

use benches::run::redis::RedisServer;
use benches::world::fill;
use engine::Engine;
use engine::clock::Clock;
use engine::store::{JournalOptions, JournalStore, RedisOptions, RedisStore, Store};
use engine::{Settings, sale::ORDERS_PER_MEMBER};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const ORDERS: u64 = 1_000_000;

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
    fill(&store, ORDERS).await;
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
    fill(&connect().await, ORDERS).await;
    let start = Instant::now();
    let engine = ready(connect().await).await;
    writeln!(out, "| Redis | | {:.2} s |", start.elapsed().as_secs_f64()).expect("stdout");
    drop(engine);
}
