//! Opening the sales of a store: one that fails keeps no other from being sold, and is tried again.

use crate::support::{CALM, OPEN, click, terms};
use async_trait::async_trait;
use engine::clock::Clock;
use engine::rules::terms::{SaleId, Terms};
use engine::store::{Head, MemoryStore, Opened, Opening, Record, Store, StoreError};
use engine::{Engine, NoSale};
use membership::Tier::Gold;
use std::sync::{Arc, Mutex};

/// Opens sales, but for one; and counts how many are being opened at once.
#[derive(Debug)]
struct Stuck {
    inner: Arc<dyn Opening>,
    sale: SaleId,
    why: Mutex<Option<StoreError>>,
    /// How many are being opened, and the most that were.
    at_once: Mutex<(usize, usize)>,
}

#[async_trait]
impl Opening for Stuck {
    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        self.inner.create(terms).await
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        {
            let (now, most) = &mut *self.at_once.lock().unwrap();
            *now += 1;
            *most = (*most).max(*now);
        }
        tokio::task::yield_now().await;
        self.at_once.lock().unwrap().0 -= 1;
        let why = self.why.lock().unwrap().clone().filter(|_| *sale == self.sale);
        match why {
            Some(why) => Err(why),
            None => self.inner.open(sale).await,
        }
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        self.inner.restore(sale, epoch, orders).await
    }
}

fn named(n: usize) -> SaleId {
    format!("sale-{n:03}").parse().unwrap()
}

/// A store of 100 sales of which the eighth cannot be opened.
async fn stuck(why: StoreError) -> (Store, Arc<Stuck>) {
    let store: Store = MemoryStore::default().into();
    for n in 0..100 {
        store.opening.create(&Terms { id: named(n), ..terms(3) }).await.unwrap();
    }
    let stuck = Arc::new(Stuck {
        inner: Arc::clone(&store.opening),
        sale: named(7),
        why: Mutex::new(Some(why)),
        at_once: Mutex::default(),
    });
    (Store { opening: Arc::clone(&stuck) as Arc<dyn Opening>, ..store }, stuck)
}

#[tokio::test]
async fn a_sale_that_cannot_be_opened_keeps_no_other_from_being_sold_and_is_tried_again() {
    for why in [
        StoreError::Unknown("cut off".into()),
        StoreError::Refused("loading".into()),
        StoreError::Damaged("junk".into()),
        StoreError::Unusable("no room for another member".into()),
        StoreError::UnknownSale,
    ] {
        let (store, stuck) = stuck(why.clone()).await;
        let engine = Engine::start(store, Clock::by_hand(OPEN), CALM).await.unwrap();
        assert_eq!(engine.sales().len(), 99, "{why}");
        assert_eq!(engine.not_opened().into_iter().collect::<Vec<_>>(), [(named(7), why.clone())]);
        engine.open_again().await;
        assert_eq!(engine.sale("sale-007").err(), Some(NoSale::NotOpened));
        *stuck.why.lock().unwrap() = None;
        engine.open_again().await;
        assert!(engine.not_opened().is_empty());
        let open = engine.sale("sale-007").unwrap();
        let number = open.sale.buy(OPEN, click(0, Gold, 1)).unwrap().number;
        assert_eq!(number, 1);
        engine.roster().seat("ann").unwrap();
        engine.drain(CALM.confirm_within).await;
        assert!(open.sale.board().read(number).unwrap().status.holds_units());
    }
}

#[tokio::test]
async fn sales_are_opened_side_by_side_but_not_all_at_once() {
    let (store, stuck) = stuck(StoreError::UnknownSale).await;
    Engine::start(store, Clock::by_hand(OPEN), CALM).await.unwrap();
    let (_, most) = *stuck.at_once.lock().unwrap();
    assert!((2..=16).contains(&most), "{most} at once");
}
