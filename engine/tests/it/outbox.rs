//! Reading the outbox of all sales: every change at least once, with a cursor that stays small.

use crate::support::{CALM, OPEN, click, id, patient, terms, windows_until};
use engine::clock::Clock;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::sale::Click;
use engine::store::{JournalOptions, JournalStore, MemoryStore, Store};
use engine::{ChangeSource, Cursor, Engine, OpenSale, Told};
use membership::Tier::Diamond;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const HOUR: u64 = 3_600_000;
/// Longer than any clock goes here.
const FOR_LONG: Duration = Duration::from_secs(10_000_000);

struct World {
    engine: Engine,
    store: Store,
    clock: Clock,
    members: u32,
}

impl World {
    async fn new(sales: u32) -> Self {
        let clock = Clock::by_hand(OPEN);
        let store = Store::from(MemoryStore::default());
        let engine = Engine::start(store.clone(), clock.clone(), patient(FOR_LONG)).await.unwrap();
        let world = Self { engine, store, clock, members: 0 };
        for n in 0..sales {
            let id = format!("sale-{n}").parse().unwrap();
            let terms = Terms { id, windows: windows_until(1_000 * HOUR), ..terms(10_000) };
            world.engine.create(&terms).await.unwrap();
        }
        world
    }

    fn sale(&self, n: u32) -> Arc<OpenSale> {
        self.engine.sale(&format!("sale-{n}")).unwrap()
    }

    /// Makes an order, which is confirmed when this returns.
    async fn order(&mut self, n: u32) {
        self.members += 1;
        buy(&self.engine, &self.sale(n), self.members).await;
    }

    fn pass(&self, ms: u64) {
        self.clock.set(Millis(self.clock.now().0 + ms));
    }
}

async fn buy(engine: &Engine, open: &OpenSale, member: u32) {
    let seat = engine.roster().seat(&format!("m-{member}")).unwrap();
    let accepted = open.sale.buy(engine.now(), Click { seat, ..click(0, Diamond, 1) }).unwrap();
    open.wake();
    open.settled(accepted.number, Duration::from_secs(60)).await.unwrap();
}

/// What a reader has: the newest entry of each sale, which has all before it.
#[derive(Default)]
struct Reader {
    cursor: Cursor,
    has: BTreeMap<String, u64>,
}

impl Reader {
    /// Reads a page; returns whether there was anything.
    async fn read(&mut self, engine: &Engine, most: usize) -> bool {
        let (told, cursor) = engine.outbox(&self.cursor, most).await.unwrap();
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for told in &told {
            let Told::Change(open, entry) = told else { panic!("{told:?}") };
            let sale = open.sale.terms().id.to_string();
            let before = last.insert(sale.clone(), entry.seq);
            assert!(before.is_none_or(|before| entry.seq == before + 1), "in order: {told:?}");
            let has = self.has.entry(sale).or_default();
            assert!(entry.seq <= *has + 1, "{told:?} came before {}", *has + 1);
            *has = entry.seq.max(*has);
        }
        self.cursor = cursor;
        !told.is_empty()
    }
}

#[tokio::test]
async fn a_reader_gets_every_change_of_every_sale_wherever_it_stopped() {
    let seed = std::env::var("FLASHLANE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new(8).await;
    let (mut reader, mut before) = (Reader::default(), Cursor::default());
    for _ in 0..400 {
        match random.u32(..10) {
            0..5 => world.order(random.u32(..8)).await,
            5 => world.pass(random.u64(..2 * HOUR)),
            // The reader ended before it had written down where it was.
            6 => reader.cursor = before.clone(),
            _ => {
                before = reader.cursor.clone();
                reader.read(&world.engine, random.usize(1..20)).await;
            }
        }
    }
    while reader.read(&world.engine, 20).await {}
    for n in 0..8 {
        let sale = format!("sale-{n}");
        let end = world.store.reading.outbox_end(&sale.parse().unwrap()).await.unwrap();
        assert!(end.seq > 0);
        assert_eq!(reader.has.get(&sale), Some(&end.seq), "{sale}, FLASHLANE_SEED={seed}");
    }
    // What is over is listed no more.
    world.pass(3 * HOUR);
    while reader.read(&world.engine, 20).await {}
    assert_eq!(reader.cursor.listed(), 0);
    world.order(3).await;
    assert!(reader.read(&world.engine, 20).await);
    assert_eq!(reader.cursor.listed(), 1);
}

#[tokio::test]
async fn a_busy_sale_does_not_keep_others_from_being_read() {
    let mut world = World::new(3).await;
    for _ in 0..1_200 {
        world.order(0).await;
    }
    world.order(2).await;
    let mut reader = Reader::default();
    reader.read(&world.engine, 1_000).await;
    assert_eq!(reader.has["sale-2"], 1);
    assert_eq!(reader.has["sale-0"], 500);
}

#[tokio::test]
async fn entries_that_are_no_longer_kept_are_told_as_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let outbox_keep = Duration::from_millis(1);
    let options = JournalOptions { outbox_keep, segment_bytes: 4_096, snapshot_bytes: 4_096 };
    let store = JournalStore::open(folder.path(), options).unwrap();
    let clock = Clock::by_hand(OPEN);
    let engine = Engine::start(store.into(), clock, CALM).await.unwrap();
    let open = engine.create(&terms(10_000)).await.unwrap();
    buy(&engine, &open, 0).await;
    let (_, cursor) = engine.outbox(&Cursor::default(), 10).await.unwrap();
    for member in 1..9_000 {
        buy(&engine, &open, member).await;
        engine.feed_book().await.unwrap();
        let (told, _) = engine.outbox(&cursor, 10).await.unwrap();
        if let [Told::Gap { source, from, to }, next, ..] = &told[..] {
            let Told::Change(_, entry) = next else { panic!("{next:?}") };
            let sale = ChangeSource::Sale(id());
            assert_eq!((source, *from, entry.seq), (&sale, 2, to + 1));
            return;
        }
    }
    panic!("nothing was ever trimmed");
}
