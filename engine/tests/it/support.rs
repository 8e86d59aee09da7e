//! The small world that the tests share.

use async_trait::async_trait;
use engine::clock::Clock;
use engine::confirm::Confirmer;
use engine::members::Book;
use engine::open::blocked::Blocked;
use engine::roster::Roster;
use engine::rules::cents::Cents;
use engine::rules::member_terms::MemberTerms;
use engine::rules::money::{Money, Refund};
use engine::rules::order::{Status, Step};
use engine::rules::seat::Seat;
use engine::rules::terms::{SaleId, Terms};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::window::Windows;
use engine::sale::{Click, ORDERS_PER_MEMBER, Sale};
use engine::store::{
    Batch, BrokenOff, Change, Changed, Changes, MemoryStore, ReservedOrder, Selling, Store,
    StoreError, Verdict, Waiting,
};
use engine::{Engine, OpenSale, Settings};
use futures_util::future::BoxFuture;
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
        adults_only: false,
        image_url: None,
        members: MemberTerms::default(),
    }
}

pub(crate) fn sale(stock: u32) -> Sale {
    Sale::new(terms(stock))
}

pub(crate) fn click(seat: u32, tier: Tier, units: u32) -> Click {
    Click { seat: Seat::new(seat), tier, units: Units(units), key: None, is_minor: false }
}

pub(crate) fn id() -> SaleId {
    "drop".parse().unwrap()
}

pub(crate) fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

pub(crate) fn reserved(number: u64, name: &str, tier: Tier, units: u32) -> ReservedOrder {
    let (member, units) = (member(name), Units(units));
    let money = Money::list(terms(1).price, units);
    let reserved_at = OPEN;
    let (key, is_offer, refused) = (None, false, None);
    ReservedOrder { number, member, tier, units, reserved_at, money, key, is_offer, refused }
}

pub(crate) fn batch(epoch: u64, orders: Vec<ReservedOrder>) -> Batch {
    let at = Millis(5_001);
    Batch { sale: id(), epoch, at, pay_by: terms(1).pay_by(at), orders: orders.into() }
}

/// What may become of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Pay,
    Cancel,
    Expire,
    /// All of the money goes back.
    Refund,
}

impl Move {
    /// This move of an order of so many units.
    pub(crate) fn of(self, epoch: u64, number: u64, units: Units) -> Change {
        let step = match self {
            Self::Pay => Step::Pay,
            Self::Cancel => Step::Cancel,
            Self::Expire => Step::Expire,
            Self::Refund => {
                let amount = Money::list(terms(1).price, units).due;
                return Change::Refund { epoch, number, refund: refund("all", amount.0) };
            }
        };
        Change::Order { step, epoch, number }
    }
}

pub(crate) fn refund(id: &str, amount: u64) -> Refund {
    Refund { id: id.parse().unwrap(), amount: Cents(amount) }
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
    pub(crate) blocked: Arc<Blocked>,
    pub(crate) clock: Clock,
    pub(crate) book: Arc<Book>,
    pub(crate) confirmer: Confirmer,
    _running: watch::Sender<bool>,
}

impl World {
    pub(crate) async fn open(store: &Arc<FaultyStore>, clock: &Clock) -> Self {
        Self::open_with(store, clock, ORDERS_PER_MEMBER, &[]).await
    }

    /// As `open`, with the most orders of a member and those who may not buy.
    pub(crate) async fn open_with(
        store: &Arc<FaultyStore>,
        clock: &Clock,
        orders_per_member: u16,
        blocked: &[&str],
    ) -> Self {
        let opened = store.inner.opening.open(&id()).await.unwrap();
        let (running, stopping) = watch::channel(false);
        let (roster, list) = (Arc::new(Roster::new()), Arc::<Blocked>::default());
        for member in blocked {
            list.insert(roster.seat(member).unwrap()).await;
        }
        let blocked = list;
        let open = Arc::new(
            OpenSale::resume(opened, orders_per_member, &roster, Arc::clone(&blocked), stopping)
                .unwrap(),
        );
        let selling = Arc::clone(store) as Arc<dyn Selling>;
        let store = Store { selling, ..store.inner.clone() };
        let book = Book::open(Arc::clone(&store.book), clock.clone(), Arc::clone(&roster));
        let book = Arc::new(book.await.unwrap());
        let confirmer = Confirmer::new(
            Arc::clone(&open),
            Arc::clone(&roster),
            &store,
            Arc::clone(&book),
            clock.clone(),
            CALM.confirm_within,
        );
        let clock = clock.clone();
        Self { open, roster, blocked, clock, book, confirmer, _running: running }
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

/// What a call of the confirmer came to.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// The store decided the first `done` orders, and told of the first `answered` of these.
    Commit { batch: Batch, done: usize, answered: usize },
    /// How often the store made the changes, and whether it told so.
    Changes { changes: Changes, times: usize, answered: bool },
    /// The store was asked who sells the sale.
    Look,
}

/// Something that happens while a call to the store is under way.
pub(crate) type Meanwhile = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// A memory store whose commits fail as the test wants.
pub(crate) struct FaultyStore {
    pub(crate) inner: Store,
    faults: Mutex<VecDeque<Fault>>,
    batch_max: Mutex<usize>,
    seen: Mutex<Vec<Seen>>,
    meanwhile: Mutex<Option<Meanwhile>>,
    clock: Clock,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyStore").field("inner", &self.inner).finish_non_exhaustive()
    }
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
        let (faults, seen, meanwhile) = (Mutex::default(), Mutex::default(), Mutex::default());
        // Small, so that a batch seldom takes all the orders that wait.
        let batch_max = Mutex::new(3);
        Arc::new(Self { inner, faults, batch_max, seen, meanwhile, clock: clock.clone() })
    }

    /// Sets how the next commits go. Those after them succeed.
    pub(crate) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// Sets how many orders or changes a transaction may carry.
    pub(crate) fn set_batch_max(&self, most: usize) {
        *self.batch_max.lock().unwrap() = most;
    }

    /// What the calls since the last time came to.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// The changes that the store was asked to make since the last time, by transaction.
    pub(crate) fn take_asked(&self) -> Vec<Arc<[Change]>> {
        let changes = |seen| match seen {
            Seen::Changes { changes, .. } => Some(changes.changes),
            Seen::Commit { .. } | Seen::Look => None,
        };
        self.take_seen().into_iter().filter_map(changes).collect()
    }

    /// Lets this happen while the next call is under way: the store has done its part, and memory has
    /// not followed.
    pub(crate) fn meanwhile(&self, what: Meanwhile) {
        *self.meanwhile.lock().unwrap() = Some(what);
    }

    async fn happen(&self) {
        let what = self.meanwhile.lock().unwrap().take();
        if let Some(what) = what {
            what().await;
        }
    }

    /// From now on every commit succeeds, and nothing happens meanwhile.
    pub(crate) fn fail_no_more(&self) {
        *self.meanwhile.lock().unwrap() = None;
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
        let (fault, all) = (self.next_fault(), batch.orders.len());
        let (done, answered) = match fault {
            Fault::Refused | Fault::LostBefore => (0, 0),
            Fault::LostAfter => (all, 0),
            // The last order is never answered: a commit that answers for all has not broken off.
            Fault::Part(orders) => {
                (orders.min(all.saturating_sub(1)), orders.min(all.saturating_sub(1)))
            }
            Fault::None | Fault::Twice | Fault::Slow(_) => (all, all),
        };
        let batch_seen = batch.clone();
        self.seen.lock().unwrap().push(Seen::Commit { batch: batch_seen, done, answered });
        let unknown = || StoreError::Unknown("cut off".into());
        let part = Batch { orders: batch.orders[..done].to_vec().into(), ..batch.clone() };
        let verdicts = if done > 0 { self.inner.selling.commit(&part).await? } else { Vec::new() };
        self.happen().await;
        match fault {
            Fault::None => Ok(verdicts),
            Fault::Refused => Err(StoreError::Refused("loading".into()).into()),
            Fault::LostBefore | Fault::LostAfter => Err(unknown().into()),
            Fault::Part(_) => {
                let mut answered: Vec<_> = verdicts.into_iter().map(Some).collect();
                answered.resize(all, None);
                Err(BrokenOff { error: unknown(), answered })
            }
            Fault::Twice => {
                let again = self.inner.selling.commit(batch).await?;
                assert_eq!(again, verdicts, "a known order gets the verdict that is stored");
                Ok(again)
            }
            Fault::Slow(by_ms) => {
                self.clock.set(Millis(self.clock.now().0 + by_ms));
                Ok(verdicts)
            }
        }
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        let fault = self.next_fault();
        let done = !matches!(fault, Fault::Refused | Fault::LostBefore | Fault::Part(_));
        let answered = done && fault != Fault::LostAfter;
        let times = if fault == Fault::Twice { 2 } else { usize::from(done) };
        let changes_seen = changes.clone();
        self.seen.lock().unwrap().push(Seen::Changes { changes: changes_seen, times, answered });
        let made = match done {
            true => self.inner.selling.change(changes).await,
            false => Ok(Vec::new()),
        };
        self.happen().await;
        let unknown = || StoreError::Unknown("cut off".into());
        match fault {
            Fault::None => made,
            Fault::Refused => Err(StoreError::Refused("loading".into())),
            Fault::LostBefore | Fault::Part(_) => Err(unknown()),
            Fault::LostAfter => made.and(Err(unknown())),
            Fault::Twice => {
                made?;
                self.inner.selling.change(changes).await
            }
            Fault::Slow(by_ms) => {
                self.clock.set(Millis(self.clock.now().0 + by_ms));
                made
            }
        }
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        self.seen.lock().unwrap().push(Seen::Look);
        self.inner.selling.still_sells(sale, epoch).await
    }
}
