//! Erasing a person while other things go on: no sale halts, no name comes back, nobody waits for ever.

use crate::support::{OPEN, click, id, member, patient, terms, windows_until};
use async_trait::async_trait;
use engine::clock::Clock;
use engine::rules::order::{OrderId, Status, Step};
use engine::rules::terms::{SaleId, Terms};
use engine::sale::Click;
use engine::store::{
    Batch, BrokenOff, Changed, Changes, Members, MemoryStore, Selling, Store, StoreError, Switch,
    Verdict,
};
use engine::{Engine, OpenSale};
use membership::{MemberId, Tier::Diamond};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a store does with one kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// The call waits.
    Shut,
    /// The call is refused.
    Refuses,
}

/// A store whose changes, and whose renames in one sale, may be held up or refused.
#[derive(Debug, Clone)]
struct Gated {
    inner: Store,
    changes: watch::Sender<Door>,
    renames: watch::Sender<Door>,
    has_lost: watch::Sender<bool>,
    gated: SaleId,
}

impl Gated {
    fn new() -> Self {
        Self {
            inner: MemoryStore::default().into(),
            changes: watch::Sender::new(Door::Open),
            renames: watch::Sender::new(Door::Open),
            has_lost: watch::Sender::new(false),
            gated: id(),
        }
    }

    fn store(&self) -> Store {
        let (selling, members) = (Arc::new(self.clone()), Arc::new(self.clone()));
        Store { selling, members, ..self.inner.clone() }
    }

    async fn engine(&self) -> Arc<Engine> {
        let settings = patient(Duration::from_millis(300));
        Arc::new(Engine::start(self.store(), Clock::by_hand(OPEN), settings).await.unwrap())
    }
}

/// Waits while the door is shut.
async fn pass(door: &watch::Sender<Door>) -> Result<(), StoreError> {
    let mut door = door.subscribe();
    let door = *door.wait_for(|door| *door != Door::Shut).await.unwrap();
    match door {
        Door::Refuses => Err(StoreError::Refused("the disk is full".into())),
        Door::Open | Door::Shut => Ok(()),
    }
}

#[async_trait]
impl Selling for Gated {
    fn batch_orders_max(&self) -> usize {
        self.inner.selling.batch_orders_max()
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, BrokenOff> {
        self.inner.selling.commit(batch).await
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        pass(&self.changes).await?;
        self.inner.selling.change(changes).await
    }

    async fn still_sells(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        if *self.has_lost.borrow() && *sale == self.gated {
            return Err(StoreError::HistoryLost("a test took it".into()));
        }
        self.inner.selling.still_sells(sale, epoch).await
    }
}

#[async_trait]
impl Members for Gated {
    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError> {
        self.inner.members.blocked().await
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError> {
        self.inner.members.set_blocked(member, is_blocked).await
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
        if *sale == self.gated {
            pass(&self.renames).await?;
        }
        self.inner.members.rename(sale, epoch, member, to).await
    }

    async fn forget(&self) -> Result<(), StoreError> {
        self.inner.members.forget().await
    }
}

async fn sale(engine: &Engine, id: &str, stock: u32) -> Arc<OpenSale> {
    let windows = windows_until(1_000_000_000);
    let terms = Terms { id: id.parse().unwrap(), windows, ..terms(stock) };
    engine.create(&terms).await.unwrap()
}

async fn buy(engine: &Engine, open: &OpenSale, name: &str) -> u64 {
    let seat = engine.roster().seat(name).unwrap();
    let accepted = open.sale.buy(engine.now(), Click { seat, ..click(0, Diamond, 1) }).unwrap();
    open.wake();
    open.settled(accepted.number, Duration::from_secs(60)).await.unwrap();
    accepted.number
}

async fn until(what: &str, is_true: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_true() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_wait_that_is_on_its_way_brings_no_erased_name_back() {
    let gated = Gated::new();
    let engine = gated.engine().await;
    let open = sale(&engine, "drop", 1).await;
    buy(&engine, &open, "bob").await;
    let ann = engine.roster().seat("ann").unwrap();
    gated.changes.send_replace(Door::Shut);
    let (joining, of) = (Arc::clone(&engine), Arc::clone(&open));
    let wish = Click { seat: ann, ..click(0, Diamond, 1) };
    let joined = tokio::spawn(async move { joining.join(&of, wish).await });
    until("the wish is on its way", || gated.changes.receiver_count() > 0).await;
    let erasing = Arc::clone(&engine);
    let erased =
        tokio::spawn(async move { erasing.erase(&member("ann"), &member("erased:1")).await });
    until("the member may not buy", || engine.is_blocked(&member("ann"))).await;
    gated.changes.send_replace(Door::Open);
    assert_eq!(erased.await.unwrap(), Ok(()));
    assert_eq!(engine.erased(&member("ann")).await, Ok(()));
    // What the member was told no longer matters.
    drop(joined.await.unwrap());
    assert_eq!(gated.inner.reading.waiting(&id()).await.unwrap(), []);
    assert_eq!(engine.roster().find("ann"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_before_a_restart_go_on_while_and_after_their_member_is_erased() {
    let gated = Gated::new();
    let engine = gated.engine().await;
    let first = sale(&engine, "a", 5).await;
    sale(&engine, "drop", 5).await;
    let epoch = first.sale.epoch();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let number = buy(&engine, &first, "ann").await;
        ids.push(OrderId { sale: "a".parse().unwrap(), epoch, number });
    }
    engine.drain(Duration::from_secs(60)).await;

    let engine = gated.engine().await;
    let first = engine.sale("a").unwrap();
    let erase = async |name: &str| engine.erase(&member("ann"), &member(name)).await;
    gated.renames.send_replace(Door::Refuses);
    assert!(matches!(erase("erased:1").await, Err(StoreError::Refused(_))));
    let status = async |n: usize, step| {
        let found = engine.step(&first, &ids[n], step).await.unwrap().unwrap();
        found.status()
    };
    assert_eq!(status(0, Step::Cancel).await, Status::Cancelled);
    gated.renames.send_replace(Door::Open);
    assert_eq!(erase("erased:2").await, Ok(()));
    assert_eq!(engine.erased(&member("ann")).await, Ok(()));
    assert_eq!(status(1, Step::Pay).await, Status::Paid);
    assert_eq!(first.trouble(), None);
    // The repetition went on with the name of the first call.
    for id in &ids {
        let record = gated.inner.reading.order(&id.sale, id.number).await.unwrap().unwrap();
        assert_eq!(record.member, member("erased:1"));
    }
    // Nobody is on the list, and nobody buys in the erased member's place.
    assert_eq!(engine.blocked(), []);
    assert!(engine.is_blocked(&member("erased:1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_that_broke_off_goes_on_in_the_next_process_and_nobody_buys_meanwhile() {
    let gated = Gated::new();
    let engine = gated.engine().await;
    let other = sale(&engine, "a", 5).await;
    let open = sale(&engine, "drop", 5).await;
    buy(&engine, &other, "ann").await;
    buy(&engine, &open, "ann").await;
    gated.renames.send_replace(Door::Refuses);
    let ann = member("ann");
    assert!(engine.erase(&ann, &member("erased:1")).await.is_err());
    assert!(matches!(engine.unblock(&ann).await, Err(StoreError::Refused(_))));
    engine.drain(Duration::from_secs(60)).await;

    let engine = gated.engine().await;
    assert!(engine.is_blocked(&ann));
    assert!(matches!(engine.unblock(&ann).await, Err(StoreError::Refused(_))));
    assert_eq!(engine.erasing().await.unwrap(), [(ann.clone(), member("erased:1"))]);
    // Both names are one seat, so what was renamed before counts for the same member.
    assert_eq!(engine.roster().find("erased:1"), engine.roster().find("ann"));
    gated.renames.send_replace(Door::Open);
    assert_eq!(engine.erase(&ann, &member("erased:2")).await, Ok(()));
    assert_eq!(engine.erased(&ann).await, Ok(()));
    assert_eq!((engine.erasing().await.unwrap(), engine.blocked()), (vec![], vec![]));
    for sale in ["a", "drop"] {
        let record = gated.inner.reading.order(&sale.parse().unwrap(), 1).await.unwrap().unwrap();
        assert_eq!(record.member, member("erased:1"), "{sale}");
    }
    assert!(gated.inner.reading.audit().await.unwrap().is_clean());
    // Another person who comes by the name may buy.
    let open = engine.sale("drop").unwrap();
    buy(&engine, &open, "ann").await;
    assert!(!engine.is_blocked(&ann));
}

#[tokio::test]
async fn a_pseudonym_is_not_erased_again() {
    let gated = Gated::new();
    let engine = gated.engine().await;
    let open = sale(&engine, "drop", 5).await;
    buy(&engine, &open, "ann").await;
    assert_eq!(engine.erase(&member("ann"), &member("erased:1")).await, Ok(()));
    assert_eq!(engine.erased(&member("ann")).await, Ok(()));
    let again = engine.erase(&member("erased:1"), &member("erased:2")).await;
    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_and_resuming_after_a_lost_history_do_not_wait_for_each_other() {
    let gated = Gated::new();
    let engine = gated.engine().await;
    let open = sale(&engine, "drop", 5).await;
    engine.roster().seat("ann").unwrap();
    gated.has_lost.send_replace(true);
    until("the loss is noticed", || open.has_lost_history()).await;
    gated.renames.send_replace(Door::Shut);
    let (erasing, resuming) = (Arc::clone(&engine), Arc::clone(&engine));
    let erased = tokio::spawn(async move {
        // A halted sale takes no change: whether this succeeds is not the point.
        drop(erasing.erase(&member("ann"), &member("erased:1")).await);
    });
    let of = Arc::clone(&open);
    let resumed = tokio::spawn(async move { drop(resuming.switch(&of, Switch::Resume).await) });
    gated.has_lost.send_replace(false);
    gated.renames.send_replace(Door::Open);
    let both = async {
        erased.await.unwrap();
        resumed.await.unwrap();
        engine.block(&member("eve")).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("nobody waits for ever");
}
