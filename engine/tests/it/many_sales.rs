//! Thousands of sales in the store: what a start and a block cost is counted in calls to the store.

use crate::support::{CALM, OPEN, click, member, terms, windows_until};
use async_trait::async_trait;
use engine::Engine;
use engine::clock::Clock;
use engine::rules::terms::{SaleId, Terms};
use engine::rules::units::Units;
use engine::store::{
    Head, Members, MemoryStore, Opened, Opening, Operating, Record, Store, StoreError, Switch,
};
use membership::{MemberId, Tier::Gold};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const STORED: usize = 10_000;
const ON_SALE: usize = 1_000;

/// A store that counts the calls that write or open, by name.
#[derive(Debug)]
struct Counting {
    inner: Store,
    calls: Mutex<BTreeMap<&'static str, usize>>,
}

impl Counting {
    fn count(&self, call: &'static str) {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
    }

    /// The calls since the last time.
    fn take(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

#[async_trait]
impl Opening for Counting {
    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        self.count("create");
        self.inner.opening.create(terms).await
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        self.count("open");
        self.inner.opening.open(sale).await
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        self.count("restore");
        self.inner.opening.restore(sale, epoch, orders).await
    }
}

#[async_trait]
impl Operating for Counting {
    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError> {
        self.count("switch");
        self.inner.operating.switch(sale, epoch, switch).await
    }

    async fn change_terms(&self, epoch: u64, terms: &Terms) -> Result<(), StoreError> {
        self.count("change_terms");
        self.inner.operating.change_terms(epoch, terms).await
    }

    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError> {
        self.count("top_up");
        self.inner.operating.top_up(sale, epoch, key, add).await
    }
}

#[async_trait]
impl Members for Counting {
    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError> {
        self.count("blocked");
        self.inner.members.blocked().await
    }

    async fn erasing(&self) -> Result<Vec<(MemberId, MemberId)>, StoreError> {
        self.inner.members.erasing().await
    }

    async fn set_erasing(
        &self,
        member: &MemberId,
        pseudonym: Option<&MemberId>,
    ) -> Result<(), StoreError> {
        self.inner.members.set_erasing(member, pseudonym).await
    }

    async fn rename(
        &self,
        sale: &SaleId,
        epoch: u64,
        member: &MemberId,
        to: &MemberId,
    ) -> Result<(), StoreError> {
        self.inner.members.rename(sale, epoch, member, to).await
    }

    async fn forget(&self) -> Result<(), StoreError> {
        self.inner.members.forget().await
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError> {
        self.count("set_blocked");
        self.inner.members.set_blocked(member, is_blocked).await
    }
}

/// A store of many sales, of which one in ten can be bought from at [`OPEN`].
async fn stored() -> (Store, Arc<Counting>) {
    let inner: Store = MemoryStore::default().into();
    for n in 0..STORED {
        let is_on_sale = n % (STORED / ON_SALE) == 0;
        let windows = windows_until(if is_on_sale { 9_000 } else { 4_000 });
        let terms = Terms { id: format!("sale-{n:05}").parse().unwrap(), windows, ..terms(5) };
        inner.opening.create(&terms).await.unwrap();
    }
    let counting = Arc::new(Counting { inner: inner.clone(), calls: Mutex::default() });
    let store = Store {
        opening: Arc::clone(&counting) as Arc<dyn Opening>,
        operating: Arc::clone(&counting) as Arc<dyn Operating>,
        members: Arc::clone(&counting) as Arc<dyn Members>,
        ..inner
    };
    (store, counting)
}

#[tokio::test]
async fn a_start_opens_each_sale_once_and_a_block_is_one_write_whatever_their_number() {
    let (store, counting) = stored().await;
    let engine = Engine::start(store, Clock::by_hand(OPEN), CALM).await.unwrap();
    let calls = counting.take();
    assert_eq!((calls["open"], calls["blocked"]), (STORED, 1));
    let closed = calls.get("switch").copied().unwrap_or_default();
    assert!(closed <= STORED - ON_SALE, "a sale that is over is closed once: {closed}");
    assert_eq!(
        calls.keys().filter(|call| !["open", "blocked", "switch"].contains(call)).count(),
        0
    );

    engine.block(&member("ann")).await.unwrap();
    engine.unblock(&member("ann")).await.unwrap();
    let calls = counting.take();
    assert_eq!(calls["set_blocked"], 2, "one write for each change: {calls:?}");

    let (mut after, mut on_sale, mut pages) = (String::new(), 0, 0);
    loop {
        let page = engine.sales_after(&after, 100, |open| !open.sale.is_over(OPEN));
        let Some(last) = page.last() else { break };
        after = last.sale.terms().id.to_string();
        (on_sale, pages) = (on_sale + page.len(), pages + 1);
    }
    assert_eq!((on_sale, pages), (ON_SALE, ON_SALE / 100));
    let open = engine.sale("sale-09990").unwrap();
    open.sale.buy(OPEN, click(engine.roster().seat("bob").unwrap().number(), Gold, 1)).unwrap();
}
