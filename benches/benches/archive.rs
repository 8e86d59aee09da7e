//! What 10,000 archived sales of 1,000 orders cost a process on each store: its start, its memory, and what it is
//! asked of them. The process that is measured is another one than the one that made them.

use benches::run::redis::RedisServer;
use benches::world::{Lamps, terms};
use engine::clock::Clock;
use engine::rules::money::Money;
use engine::rules::order::Step;
use engine::rules::terms::{SaleId, Terms};
use engine::rules::units::Units;
use engine::store::{
    Batch, Change, Changes, JournalOptions, JournalStore, RedisOptions, RedisStore, ReservedOrder,
    Store, Switch,
};
use engine::{Engine, Settings, sale::ORDERS_PER_MEMBER};
use membership::Tier;
use std::env;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ORDERS: u64 = 1_000;
/// Members who buy in all of these sales.
const MEMBERS: u32 = 1_000_000;
/// Names the folder, or the address of Redis, to the process that is measured.
const STORE: &str = "FLASHLANE_ARCHIVE_BENCH";
/// Calls of each kind.
const CALLS: u32 = 200;

fn sales() -> u32 {
    env::var("ARCHIVED_SALES").ok().and_then(|sales| sales.parse().ok()).unwrap_or(10_000)
}

async fn open(at: &str) -> Store {
    if at.starts_with("redis://") {
        let (store, _) = RedisStore::connect(&RedisOptions::new(at)).await.expect("a redis-server");
        return Arc::new(store).into();
    }
    // What is over is not kept for order systems, so that only the archive is weighed.
    let options =
        JournalOptions { outbox_keep: Duration::from_millis(1), ..JournalOptions::default() };
    JournalStore::open(Path::new(at), options).expect("a journal").into()
}

fn id(nth: u32) -> SaleId {
    format!("drop-{nth:05}").parse().expect("a sale id")
}

/// Makes a sale of which every unit is sold and paid, and archives it.
async fn over(store: &Store, nth: u32, rng: &mut fastrand::Rng) {
    let (sale, at) = (id(nth), Clock::Wall.now());
    let stock = u32::try_from(ORDERS).expect("few");
    let terms = Terms { id: sale.clone(), ..terms("drop", Lamps { stock, limit: 10 }) };
    store.opening.create(&terms).await.expect("a new sale");
    let opened = store.opening.open(&sale).await.expect("a sale");
    let order = |number| ReservedOrder {
        number,
        member: format!("viewer-{:07}", rng.u32(..MEMBERS)).parse().expect("a member id"),
        tier: Tier::Gold,
        units: Units(1),
        reserved_at: at,
        money: Money::list(terms.price, Units(1)),
        key: None,
        is_offer: false,
        refused: None,
    };
    let orders: Vec<_> = (1..=ORDERS).map(order).collect();
    let epoch = opened.epoch;
    let batch =
        Batch { sale: sale.clone(), epoch, at, pay_by: terms.pay_by(at), orders: orders.into() };
    store.selling.commit(&batch).await.expect("a commit");
    let pay = |number| Change::Order { step: Step::Pay, epoch, number };
    let changes: Vec<_> = (1..=ORDERS).map(pay).collect();
    let changes = Changes { sale: sale.clone(), epoch, at, changes: changes.into() };
    store.selling.change(&changes).await.expect("payments");
    store.operating.switch(&sale, epoch, Switch::Close).await.expect("a close");
    let end = store.reading.outbox_end(&sale).await.expect("an outbox").seq;
    store.book.take_in(opened.sale_number, end).await.expect("a note");
    store.archiving.archive(&sale, epoch, at).await.expect("an archived sale");
}

fn resident_mb() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).expect("Linux");
    pages * 4_096.0 / 1e6
}

/// The median of these times, in microseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Prints a line for each figure: its name, what it is, and what it may be at most.
async fn measured(at: &str) {
    let (start, sales) = (Instant::now(), sales());
    let store = open(at).await;
    let settings =
        Settings { confirm_within: Duration::from_secs(5), orders_per_member: ORDERS_PER_MEMBER };
    let engine = Engine::start(store.clone(), Clock::Wall, settings).await.expect("an engine");
    let (ready, resident) = (start.elapsed().as_secs_f64(), resident_mb());
    assert!(engine.sales().is_empty() && engine.not_opened().is_empty(), "all are archived");
    let mut rng = fastrand::Rng::with_seed(5);
    let (mut pages, mut looks, mut orders, mut members) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..CALLS {
        let after = id(rng.u32(..sales));
        let (watch, sale) = (Instant::now(), id(rng.u32(..sales)));
        engine.archived_after(after.as_str(), 100).await.expect("a page");
        pages.push(watch.elapsed());
        let watch = Instant::now();
        let copy = engine.any_sale(sale.as_str()).await.expect("a copy");
        looks.push(watch.elapsed());
        let watch = Instant::now();
        let found = engine.order_numbered(&copy, rng.u64(1..=ORDERS)).await.expect("an order");
        assert!(found.is_some(), "every order is there");
        orders.push(watch.elapsed());
        let member = format!("viewer-{:07}", rng.u32(..MEMBERS)).parse().expect("a member id");
        let watch = Instant::now();
        engine.archived_of(&member).await.expect("sales");
        members.push(watch.elapsed());
    }
    engine.archive_due(Duration::from_secs(1)).await.expect("nothing is due");
    let mut out = std::io::stdout();
    let mut line = |what: &str, is: String, goal: &str| {
        writeln!(out, "{what}\t{is}\t{goal}").expect("stdout");
    };
    line("a start, until all is ready", format!("{ready:.2} s"), "1 s");
    line("resident memory after it", format!("{resident:.0} MB"), "50 MB");
    line("and after all these calls", format!("{:.0} MB", resident_mb()), "");
    line("a page of 100 on the list", format!("{:.0} us", median(pages)), "");
    line("a sale that was not asked for lately", format!("{:.0} us", median(looks)), "");
    line("an order of it, by number", format!("{:.0} us", median(orders)), "");
    line("the sales that a member bought in", format!("{:.0} us", median(members)), "");
    assert!(ready <= 1.0 && resident <= 50.0, "{ready} s, {resident} MB");
}

/// Makes the sales in this store, and has another process measured; returns what that printed.
async fn of_store(at: &str) -> String {
    let (store, start) = (open(at).await, Instant::now());
    let mut rng = fastrand::Rng::with_seed(4);
    for nth in 0..sales() {
        over(&store, nth, &mut rng).await;
        if nth % 1_000 == 999 {
            let so_far = start.elapsed().as_secs();
            writeln!(std::io::stderr(), "{} sales made after {so_far} s", nth + 1).expect("stderr");
        }
    }
    drop(store);
    let this = env::current_exe().expect("this program");
    let mut measured = Command::new(this);
    let done = measured.env(STORE, at).stderr(Stdio::inherit()).output().expect("it starts again");
    assert!(done.status.success(), "the figures are as asked");
    String::from_utf8(done.stdout).expect("figures")
}

/// The bytes that all keys of this Redis take.
fn used(redis: &RedisServer) -> f64 {
    let told = redis.must("INFO memory");
    let used = told.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a figure");
    used.trim().parse().expect("a figure")
}

#[tokio::main]
async fn main() {
    if let Ok(at) = env::var(STORE) {
        return measured(&at).await;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (own, beside) = (folder.path().join("own"), folder.path().join("redis"));
    std::fs::create_dir(&own).and_then(|()| std::fs::create_dir(&beside)).expect("folders");
    let embedded = of_store(own.to_str().expect("a plain name")).await;
    let file = std::fs::metadata(own.join("archive.redb")).expect("the archive").len();
    let redis = RedisServer::start(&beside);
    let on_redis = of_store(&redis.url()).await;
    let each = |bytes: f64| format!("{:.0} KiB", bytes / f64::from(sales()) / 1_024.0);
    let mut out = std::io::stdout();
    let mut line = |what: &str, own: &str, redis: &str, goal: &str| {
        writeln!(out, "| {what} | {own} | {redis} | {goal} |").expect("stdout");
    };
    let title = format!("{} archived sales of {ORDERS} orders", sales());
    line(&title, "embedded", "Redis", "at most");
    line("---", "---", "---", "---");
    for (own, redis) in embedded.lines().zip(on_redis.lines()) {
        let words: Vec<&str> = own.split('\t').chain(redis.split('\t').skip(1).take(1)).collect();
        let [what, own, goal, redis] = words[..] else { panic!("{own} and {redis}") };
        line(what, own, redis, goal);
    }
    line("a sale, on disk or in the memory of Redis", &each(file as f64), &each(used(&redis)), "");
}
