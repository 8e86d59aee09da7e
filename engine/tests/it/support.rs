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
use engine::sale::{Click, Sale};
use engine::store::{
    Audit, Batch, Change, Changed, Changes, Head, MemoryStore, Opened, OutboxEntry, Placed, Record,
    Store, StoreError, Switch, Verdict, Waiting,
};
use engine::{Engine, OpenSale};
use membership::{MemberId, PerTier, Tier};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Diamond enters at 1,000, each lower tier 100 ms later, regular at 1,400; closed at 9,000.
pub(crate) fn windows() -> Windows {
    let opens_at = PerTier([1_400, 1_300, 1_200, 1_100, 1_000].map(|at| Some(Millis(at))));
    Windows::new(opens_at, Millis(9_000)).unwrap()
}

/// So long that no order waits too long.
pub(crate) const CALM: Duration = Duration::from_secs(3_600);

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
    Sale::new(terms(stock), 1, Units(stock), Units(stock), 1)
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

pub(crate) fn placed(number: u64, name: &str, tier: Tier, units: u32) -> Placed {
    let (member, units) = (member(name), Units(units));
    Placed { number, member, tier, units, reserved_at: OPEN, key: None, is_offer: false }
}

pub(crate) fn batch(epoch: u64, orders: Vec<Placed>) -> Batch {
    Batch { sale: id(), epoch, at: Millis(5_001), orders: orders.into() }
}

pub(crate) fn changes(epoch: u64, at: u64, changes: Vec<Change>) -> Changes {
    Changes { sale: id(), epoch, at: Millis(at), changes: changes.into() }
}

pub(crate) fn waiting(name: &str, tier: Tier, units: u32, place: u64) -> Waiting {
    Waiting { member: member(name), tier, units: Units(units), place }
}

/// A sale opened from a store, and its confirmer, driven by hand.
pub(crate) struct World {
    pub(crate) open: Arc<OpenSale>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) clock: Clock,
    pub(crate) confirmer: Confirmer,
    _running: watch::Sender<bool>,
}

impl World {
    pub(crate) async fn open(store: &Arc<FaultyStore>, clock: &Clock) -> Self {
        let opened = store.inner.open(&id()).await.unwrap();
        let (running, stopping) = watch::channel(false);
        let roster = Arc::new(Roster::new());
        let open = Arc::new(OpenSale::resume(opened, &roster, Arc::default(), stopping).unwrap());
        let store: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
        let confirmer =
            Confirmer::new(Arc::clone(&open), Arc::clone(&roster), store, clock.clone(), CALM);
        Self { open, roster, clock: clock.clone(), confirmer, _running: running }
    }

    pub(crate) fn status(&self, number: u64) -> Option<Status> {
        self.open.sale.board().read(number).map(|order| order.status)
    }
}

/// An engine over a memory store, with one sale, at [`OPEN`].
pub(crate) async fn engine(stock: u32) -> (Engine, Arc<OpenSale>) {
    let store = Arc::new(MemoryStore::default());
    let engine = Engine::start(store, Clock::by_hand(OPEN), CALM).await.unwrap();
    let open = engine.create(&terms(stock)).await.unwrap();
    (engine, open)
}

/// One way in which a commit may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing was done, and the store says so.
    Refused,
    /// Nothing was done, and no answer came.
    LostBefore,
    /// It was done, and no answer came.
    LostAfter,
    /// It was done twice; the second answer came.
    Twice,
    /// It was done, but the clock had moved by then.
    Slow(u64),
}

/// A memory store whose commits fail as they are told to.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub(crate) inner: MemoryStore,
    faults: Mutex<VecDeque<Fault>>,
    clock: Clock,
}

impl FaultyStore {
    pub(crate) async fn with_sale(stock: u32, clock: &Clock) -> Arc<Self> {
        Self::selling(&terms(stock), clock).await
    }

    pub(crate) async fn selling(terms: &Terms, clock: &Clock) -> Arc<Self> {
        let inner = MemoryStore::default();
        inner.create(terms).await.unwrap();
        Arc::new(Self { inner, faults: Mutex::default(), clock: clock.clone() })
    }

    /// How the next commits go; after these they succeed.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    fn next_fault(&self) -> Fault {
        self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None)
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn batch_orders_max(&self) -> usize {
        // Small, so that a batch seldom holds everything.
        3
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        let unknown = || StoreError::Unknown("cut off".into());
        match self.next_fault() {
            Fault::None => self.inner.commit(batch).await,
            Fault::Refused => Err(StoreError::Refused("loading".into())),
            Fault::LostBefore => Err(unknown()),
            Fault::LostAfter => self.inner.commit(batch).await.and(Err(unknown())),
            Fault::Twice => {
                let first = self.inner.commit(batch).await;
                let second = self.inner.commit(batch).await;
                assert_eq!(first, second, "a known order gets the verdict that is stored");
                second
            }
            Fault::Slow(by_ms) => {
                let verdicts = self.inner.commit(batch).await;
                self.clock.set(Millis(self.clock.now().0 + by_ms));
                verdicts
            }
        }
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        let unknown = || StoreError::Unknown("cut off".into());
        match self.next_fault() {
            Fault::None => self.inner.change(changes).await,
            Fault::Refused => Err(StoreError::Refused("loading".into())),
            Fault::LostBefore => Err(unknown()),
            Fault::LostAfter => self.inner.change(changes).await.and(Err(unknown())),
            Fault::Twice => {
                self.inner.change(changes).await?;
                self.inner.change(changes).await
            }
            Fault::Slow(by_ms) => {
                let made = self.inner.change(changes).await;
                self.clock.set(Millis(self.clock.now().0 + by_ms));
                made
            }
        }
    }

    async fn waiting(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError> {
        self.inner.waiting(sale).await
    }

    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError> {
        self.inner.blocked().await
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError> {
        self.inner.set_blocked(member, is_blocked).await
    }

    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        self.inner.create(terms).await
    }

    async fn sales(&self) -> Result<Vec<SaleId>, StoreError> {
        self.inner.sales().await
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        self.inner.open(sale).await
    }

    async fn hold(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        self.inner.hold(sale, epoch).await
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        self.inner.restore(sale, epoch, orders).await
    }

    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError> {
        self.inner.switch(sale, epoch, switch).await
    }

    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError> {
        self.inner.top_up(sale, epoch, key, add).await
    }

    async fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError> {
        self.inner.order(sale, number).await
    }

    async fn orders_of(&self, sale: &SaleId, member: &MemberId) -> Result<Vec<Record>, StoreError> {
        self.inner.orders_of(sale, member).await
    }

    async fn orders_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.inner.orders_after(sale, after, most).await
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        self.inner.outbox_after(sale, after, most).await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        self.inner.audit().await
    }
}
