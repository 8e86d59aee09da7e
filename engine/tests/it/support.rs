//! The small world that the tests share.

use async_trait::async_trait;
use engine::clock::Clock;
use engine::confirm::Confirmer;
use engine::roster::Roster;
use engine::rules::order::Status;
use engine::rules::seat::Seat;
use engine::rules::terms::{Cents, SaleId, Terms};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::window::Windows;
use engine::sale::{Click, ORDERS_PER_MEMBER, Sale};
use engine::store::{
    Batch, BrokenOff, Change, Changed, Changes, MemoryStore, ReservedOrder, Selling, Store,
    StoreError, Verdict, Waiting,
};
use engine::{Engine, OpenSale, Settings};
use membership::{MemberId, PerTier, Tier};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Diamond enters at 1,000, each lower tier 100 ms later, regular at 1,400; closed at 9,000.
pub(crate) fn windows() -> Windows {
    windows_until(9_000)
}

/// The same windows, closed at `closes_at`.
pub(crate) fn windows_until(closes_at: u64) -> Windows {
    let opens_at = PerTier([1_400, 1_300, 1_200, 1_100, 1_000].map(|at| Some(Millis(at))));
    Windows::new(opens_at, Millis(closes_at)).unwrap()
}

/// A patience so long that no order waits too long.
pub(crate) const CALM: Settings = patient(Duration::from_secs(3_600));

/// The usual settings with this patience.
pub(crate) const fn patient(confirm_within: Duration) -> Settings {
    Settings { confirm_within, orders_per_member: ORDERS_PER_MEMBER }
}

/// An instant at which every tier may buy.
pub(crate) const OPEN: Millis = Millis(5_000);

pub(crate) fn terms(stock: u32) -> Terms {
    Terms {
        id: "drop".parse().unwrap(),
        title: "A lamp".into(),
        price: Cents(19_900),
        currency: "CNY".into(),
        stock: Units(stock),
        windows: windows(),
        limits: PerTier([1, 2, 3, 4, 5].map(Units)),
        pay_within_s: 900,
    }
}

pub(crate) fn sale(stock: u32) -> Sale {
    Sale::new(terms(stock))
}

pub(crate) fn click(seat: u32, tier: Tier, units: u32) -> Click {
    Click { seat: Seat::new(seat), tier, units: Units(units), key: None }
}

pub(crate) fn id() -> SaleId {
    "drop".parse().unwrap()
}

pub(crate) fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

pub(crate) fn reserved(number: u64, name: &str, tier: Tier, units: u32) -> ReservedOrder {
    let (member, units) = (member(name), Units(units));
    ReservedOrder { number, member, tier, units, reserved_at: OPEN, key: None, is_offer: false }
}

pub(crate) fn batch(epoch: u64, orders: Vec<ReservedOrder>) -> Batch {
    Batch { sale: id(), epoch, at: Millis(5_001), orders: orders.into() }
}

pub(crate) fn changes(epoch: u64, at: u64, changes: Vec<Change>) -> Changes {
    Changes { sale: id(), epoch, at: Millis(at), changes: changes.into() }
}

pub(crate) fn waiting(name: &str, tier: Tier, units: u32, place: u64) -> Waiting {
    Waiting { member: member(name), tier, units: Units(units), place }
}

/// A sale opened from a store, and its confirmer, which the test drives step by step.
pub(crate) struct World {
    pub(crate) open: Arc<OpenSale>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) clock: Clock,
    pub(crate) confirmer: Confirmer,
    _running: watch::Sender<bool>,
}

impl World {
    pub(crate) async fn open(store: &Arc<FaultyStore>, clock: &Clock) -> Self {
        let opened = store.inner.opening.open(&id()).await.unwrap();
        let (running, stopping) = watch::channel(false);
        let roster = Arc::new(Roster::new());
        let open = Arc::new(
            OpenSale::resume(opened, ORDERS_PER_MEMBER, &roster, Arc::default(), stopping).unwrap(),
        );
        let selling = Arc::clone(store) as Arc<dyn Selling>;
        let store = Store { selling, ..store.inner.clone() };
        let confirmer = Confirmer::new(
            Arc::clone(&open),
            Arc::clone(&roster),
            &store,
            clock.clone(),
            CALM.confirm_within,
        );
        Self { open, roster, clock: clock.clone(), confirmer, _running: running }
    }

    pub(crate) fn status(&self, number: u64) -> Option<Status> {
        self.open.sale.board().read(number).map(|order| order.status)
    }
}

/// An engine over a memory store, with one sale, at [`OPEN`].
pub(crate) async fn engine(stock: u32) -> (Engine, Arc<OpenSale>) {
    let store = MemoryStore::default().into();
    let engine = Engine::start(store, Clock::by_hand(OPEN), CALM).await.unwrap();
    let open = engine.create(&terms(stock)).await.unwrap();
    (engine, open)
}

/// One way in which a commit may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The store did nothing, and says so.
    Refused,
    /// The store did nothing, and no answer came.
    LostBefore,
    /// The store made the commit, and no answer came.
    LostAfter,
    /// The store made the commit twice, and the second answer came.
    Twice,
    /// The store decided this many orders and told so; nothing is known of the others, which never
    /// came to it.
    Part(usize),
    /// The store made the commit, but the clock had moved by then.
    Slow(u64),
}

/// A memory store whose commits fail as the test wants.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub(crate) inner: Store,
    faults: Mutex<VecDeque<Fault>>,
    batch_max: Mutex<usize>,
    asked: Mutex<Vec<Arc<[Change]>>>,
    clock: Clock,
}

impl FaultyStore {
    pub(crate) async fn with_sale(stock: u32, clock: &Clock) -> Arc<Self> {
        Self::selling(&terms(stock), clock).await
    }

    pub(crate) async fn selling(terms: &Terms, clock: &Clock) -> Arc<Self> {
        let inner: Store = MemoryStore::default().into();
        inner.opening.create(terms).await.unwrap();
        Self::over(inner, clock)
    }

    pub(crate) fn over(inner: Store, clock: &Clock) -> Arc<Self> {
        let (faults, asked) = (Mutex::default(), Mutex::default());
        // Small, so that a batch seldom takes all the orders that wait.
        let batch_max = Mutex::new(3);
        Arc::new(Self { inner, faults, batch_max, asked, clock: clock.clone() })
    }

    /// Sets how the next commits go. Those after them succeed.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// Sets how many orders or changes a transaction may carry.
    pub(crate) fn set_batch_max(&self, most: usize) {
        *self.batch_max.lock().unwrap() = most;
    }

    /// The changes that the store was asked to make since the last call, by transaction.
    pub(crate) fn take_asked(&self) -> Vec<Arc<[Change]>> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// From now on every commit succeeds.
    pub(crate) fn fail_no_more(&self) {
        self.faults.lock().unwrap().clear();
    }

    fn next_fault(&self) -> Fault {
        self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None)
    }
}

#[async_trait]
impl Selling for FaultyStore {
    fn batch_orders_max(&self) -> usize {
        *self.batch_max.lock().unwrap()
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, BrokenOff> {
        let unknown = || StoreError::Unknown("cut off".into());
        match self.next_fault() {
            Fault::None => self.inner.selling.commit(batch).await,
            Fault::Refused => Err(StoreError::Refused("loading".into()).into()),
            Fault::LostBefore => Err(unknown().into()),
            Fault::LostAfter => self.inner.selling.commit(batch).await.and(Err(unknown().into())),
            Fault::Part(orders) => {
                let part = batch.orders[..orders.min(batch.orders.len())].to_vec();
                let part = Batch { orders: part.into(), ..batch.clone() };
                let verdicts = self.inner.selling.commit(&part).await?;
                let mut answered: Vec<_> = verdicts.into_iter().map(Some).collect();
                answered.resize(batch.orders.len(), None);
                Err(BrokenOff { error: unknown(), answered })
            }
            Fault::Twice => {
                let first = self.inner.selling.commit(batch).await;
                let second = self.inner.selling.commit(batch).await;
                assert_eq!(first, second, "a known order gets the verdict that is stored");
                second
            }
            Fault::Slow(by_ms) => {
                let verdicts = self.inner.selling.commit(batch).await;
                self.clock.set(Millis(self.clock.now().0 + by_ms));
                verdicts
            }
        }
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        self.asked.lock().unwrap().push(Arc::clone(&changes.changes));
        let unknown = || StoreError::Unknown("cut off".into());
        match self.next_fault() {
            Fault::None => self.inner.selling.change(changes).await,
            Fault::Refused => Err(StoreError::Refused("loading".into())),
            Fault::LostBefore | Fault::Part(_) => Err(unknown()),
            Fault::LostAfter => self.inner.selling.change(changes).await.and(Err(unknown())),
            Fault::Twice => {
                self.inner.selling.change(changes).await?;
                self.inner.selling.change(changes).await
            }
            Fault::Slow(by_ms) => {
                let made = self.inner.selling.change(changes).await;
                self.clock.set(Millis(self.clock.now().0 + by_ms));
                made
            }
        }
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        self.inner.selling.still_sells(sale, epoch).await
    }
}
