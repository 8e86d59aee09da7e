//! The members' book when things break off: calls that fail before or after they were done, the power, and
//! files that are gone.

use crate::disk::MemoryDisk;
use crate::support::{CALM, OPEN, click, member, refund, terms, windows_until};
use async_trait::async_trait;
use engine::Engine;
use engine::clock::Clock;
use engine::members::{Ask, audit};
use engine::rules::order::{OrderId, Step};
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::sale::Click;
use engine::store::{
    BookStore, Bucket, BucketChange, Found, JournalOptions, JournalStore, Made, MemoryStore,
    NoticeEntry, PlanVersion, Store, StoreError, Wanted, Who,
};
use membership::MemberId;
use membership::Tier::Diamond;
use membership::account::Membership;
use membership::event::{Act, Event, MemberNumber};
use membership::posting::{Posting, Source};
use membership::referral_code::ReferralCode;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A book of which each call may fail, before it was done or after.
#[derive(Debug)]
pub(crate) struct Shaky {
    inner: Arc<dyn BookStore>,
    rng: Mutex<fastrand::Rng>,
    fails: Mutex<Fails>,
}

/// Which calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fails {
    /// One in four: half of those that fail were done.
    Some,
    All,
    None,
}

impl Shaky {
    pub(crate) fn over(inner: Arc<dyn BookStore>, rng: fastrand::Rng) -> Self {
        Self { inner, rng: Mutex::new(rng), fails: Mutex::new(Fails::Some) }
    }

    pub(crate) fn fail(&self, fails: Fails) {
        *self.fails.lock() = fails;
    }

    async fn through<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let lost = |_| StoreError::Unknown("a test".into());
        let fails = *self.fails.lock();
        let drawn = match fails {
            Fails::Some => self.rng.lock().u8(..8),
            Fails::All => 0,
            Fails::None => 7,
        };
        match drawn {
            0 => Err(lost(())),
            1 => Err(call.await.map_or_else(|error| error, |_| lost(()))),
            _ => call.await,
        }
    }
}

#[async_trait]
impl BookStore for Shaky {
    async fn read_members(&self, bucket: Bucket, wanted: &[Wanted]) -> Result<Found, StoreError> {
        // Reads of whole heads come by the thousand.
        if wanted.is_empty() {
            return self.inner.read_members(bucket, wanted).await;
        }
        self.through(self.inner.read_members(bucket, wanted)).await
    }

    async fn post(&self, change: &BucketChange) -> Result<Made, StoreError> {
        self.through(self.inner.post(change)).await
    }

    async fn postings(
        &self,
        who: MemberNumber,
        before: u64,
        most: usize,
    ) -> Result<Vec<Posting>, StoreError> {
        self.inner.postings(who, before, most).await
    }

    async fn accounts(
        &self,
        bucket: Bucket,
        from: u32,
        most: usize,
    ) -> Result<Vec<(u32, Membership)>, StoreError> {
        self.through(self.inner.accounts(bucket, from, most)).await
    }

    async fn notices(
        &self,
        bucket: Bucket,
        after: u64,
        most: usize,
    ) -> Result<Vec<NoticeEntry>, StoreError> {
        self.inner.notices(bucket, after, most).await
    }

    async fn name(&self, who: MemberNumber) -> Result<Option<MemberId>, StoreError> {
        self.inner.name(who).await
    }

    async fn plans(&self) -> Result<Vec<PlanVersion>, StoreError> {
        self.inner.plans().await
    }

    async fn add_plan(&self, plan: &PlanVersion) -> Result<(), StoreError> {
        self.inner.add_plan(plan).await
    }

    async fn taken_in(&self) -> Result<BTreeMap<u32, u64>, StoreError> {
        self.through(self.inner.taken_in()).await
    }

    async fn take_in(&self, sale: u32, seq: u64) -> Result<(), StoreError> {
        self.through(self.inner.take_in(sale, seq)).await
    }
}

/// Asks again until it is done, as callers do.
pub(crate) async fn insist<T, F: Future<Output = Result<T, StoreError>>>(
    call: impl Fn() -> F,
) -> T {
    for _ in 0..500 {
        match call().await {
            Ok(done) => return done,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    panic!("it never came through");
}

async fn bought(engine: &Engine, name: &str, step: Step) {
    let open = engine.sale("drop").unwrap();
    let seat = engine.roster().seat(name).unwrap();
    let accepted = open.sale.buy(engine.now(), Click { seat, ..click(0, Diamond, 1) }).unwrap();
    open.wake();
    open.settled(accepted.number, Duration::from_secs(60)).await.unwrap();
    let order = OrderId {
        sale: "drop".parse().unwrap(),
        epoch: open.sale.epoch(),
        number: accepted.number,
    };
    engine.step(&open, &order, step).await.unwrap().unwrap();
    if step == Step::Pay && accepted.number.is_multiple_of(3) {
        let part = refund(&format!("r{}", accepted.number), 9_900);
        engine.refund(&open, &order, part).await.unwrap();
    }
}

/// Buys, refers, watches; everything is asked for until it is done. Returns what the book comes to.
async fn story(store: Store) -> Vec<(String, i64, i64, u64)> {
    let engine = Engine::start(store.clone(), Clock::by_hand(OPEN), CALM).await.unwrap();
    let windows = windows_until(1_000_000_000);
    let limits = membership::PerTier([50; 5].map(engine::rules::units::Units));
    engine.create(&Terms { windows, limits, ..terms(100) }).await.unwrap();
    let book = engine.book();
    let names: Vec<_> = (0..6).map(|n| format!("viewer-{n}")).collect();
    let mut code = None;
    for name in &names {
        let name = member(name);
        let enrolled = loop {
            match book.enrol(&name, code).await {
                Ok(enrolled) => break enrolled,
                Err(error) => {
                    assert!(matches!(error, engine::members::NotEnrolled::Store(_)), "{error}")
                }
            }
        };
        code = Some(ReferralCode::of(enrolled.number));
    }
    for round in 0..4 {
        for name in &names {
            let step = if round == 3 { Step::Cancel } else { Step::Pay };
            bought(&engine, name, step).await;
            let act = Event::Act { id: Source(format!("{name}-{round}")), act: Act::Watch(900) };
            let ask = Ask { who: Who::Named(member(name)), event: act, at: engine.now() };
            insist(|| book.take_all(vec![ask.clone()])).await;
        }
        // It breaks off, and what was taken in is not noted.
        engine.feed_book().await.ok();
    }
    while insist(|| engine.feed_book()).await {}
    insist(|| book.sweep(Bucket::of(&names[0]))).await;
    let mut balances = Vec::new();
    for name in names {
        let who = Who::Named(member(&name));
        let (_, account) = insist(|| book.account(who.clone())).await.unwrap();
        let now = engine.now();
        balances.push((
            name,
            account.growth.balance(now),
            account.points.balance(now),
            account.pending,
        ));
    }
    engine.drain(Duration::from_secs(60)).await;
    balances
}

#[tokio::test]
async fn whatever_breaks_off_between_the_sale_and_the_book_each_source_counts_once() {
    let well = story(MemoryStore::default().into()).await;
    assert!(
        well.iter().all(|(_, growth, points, pending)| *growth > 0 && *points > 0 && *pending == 0),
        "{well:?}"
    );
    for seed in 0..20 {
        let inner = Store::from(MemoryStore::default());
        let rng = fastrand::Rng::with_seed(seed);
        let book = Arc::new(Shaky::over(Arc::clone(&inner.book), rng));
        let store = Store { book, ..inner.clone() };
        assert_eq!(story(store).await, well, "seed {seed}");
        let audit = audit(&*inner.book).await.unwrap();
        assert!(audit.differences.is_empty(), "seed {seed}: {audit:?}");
    }
}

fn options() -> JournalOptions {
    JournalOptions { outbox_keep: Duration::ZERO, segment_bytes: 16_384, snapshot_bytes: 16_384 }
}

fn logs(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap();
    names
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".log"))
        .count()
}

#[tokio::test]
async fn what_is_folded_is_read_from_the_file_and_its_segments_go() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::from(JournalStore::open(folder.path(), options()).unwrap());
    let well = story(open()).await;
    for _ in 0..2 {
        let store = open();
        // More is written, so that snapshots are made.
        for version in 0..300 {
            store.book.take_in(1_000, version).await.unwrap();
            store
                .members
                .set_blocked(&member(&format!("m{}", version % 7)), version % 2 == 0)
                .await
                .unwrap();
        }
        let audited = audit(&*store.book).await.unwrap();
        assert!(audited.members == 6 && audited.differences.is_empty(), "{audited:?}");
        for (name, growth, points, _) in &well {
            let wanted = [Wanted { who: Who::Named(member(name)), keys: vec![] }];
            let found = store.book.read_members(Bucket::of(name), &wanted).await.unwrap();
            let account = &found.members[0].as_ref().unwrap().account;
            assert_eq!(
                (account.growth.balance(OPEN), account.points.balance(OPEN)),
                (*growth, *points)
            );
        }
        drop(store);
    }
    assert!(logs(folder.path()) < 8, "{} segments are left", logs(folder.path()));
    // Without its file the book is not what it was, and nothing is sold on top of that.
    std::fs::remove_file(folder.path().join("book.redb")).unwrap();
    let lost = JournalStore::open(folder.path(), options()).unwrap_err();
    assert!(matches!(&lost, StoreError::Damaged(why) if why.contains("book.redb")), "{lost}");
}

/// Posts until a call fails; returns the newest version that was told.
async fn post(store: &Store, told: &mut u64) -> Result<(), StoreError> {
    let bucket = Bucket::of("ann");
    for _ in 0..60 {
        let head = store.book.read_members(bucket, &[]).await?.head;
        let version = head.version + 1;
        let names = if version == 1 {
            vec![engine::store::NameChange { member: member("ann"), index: 0, is_had: true }]
        } else {
            Vec::new()
        };
        let mut account = Membership::new(Millis(version));
        account.postings = 0;
        let head = engine::store::BucketHead { version, members: 1, change: version, ..head };
        let accounts = vec![(0, account)];
        let change = BucketChange { names, accounts, ..BucketChange::of(bucket, head) };
        if store.book.post(&change).await? == Made::Posted {
            *told = version;
        }
        store.book.take_in(7, version).await?;
    }
    Ok(())
}

#[tokio::test]
async fn whenever_the_power_goes_what_was_posted_is_there() {
    let small =
        JournalOptions { segment_bytes: 3_000, snapshot_bytes: 4_000, ..JournalOptions::default() };
    for cut in 0..150 {
        let mut rng = fastrand::Rng::with_seed(cut);
        let (mut disk, mut told) = (MemoryDisk::default(), 0);
        for _ in 0..2 {
            disk.cut_power_after(rng.u64(..300));
            if let Ok(store) = JournalStore::on(Arc::new(disk.clone()), small) {
                let stopped = post(&store.into(), &mut told).await;
                let is_known = matches!(
                    stopped,
                    Ok(()) | Err(StoreError::Unknown(_) | StoreError::Refused(_))
                );
                assert!(is_known, "cut {cut}: {stopped:?}");
            }
            disk = disk.after_power_loss(&mut rng);
            let store: Store =
                JournalStore::on(Arc::new(MemoryDisk::with(&disk.files())), small).unwrap().into();
            let version =
                store.book.read_members(Bucket::of("ann"), &[]).await.unwrap().head.version;
            assert!(version >= told, "cut {cut}: {version}, and {told} was told");
            assert_eq!(audit(&*store.book).await.unwrap().differences, [""; 0]);
        }
    }
}

#[tokio::test]
async fn a_reward_of_which_there_is_one_is_had_once_whatever_answers_are_lost() {
    for seed in 0..40 {
        let inner = Store::from(MemoryStore::default());
        let well =
            engine::members::Book::open(Arc::clone(&inner.book), Clock::by_hand(OPEN), roster())
                .await
                .unwrap();
        let mut plan = well.plans.current().plan.clone();
        plan.rewards.get_mut("coupon-10").unwrap().stock = Some(1);
        well.plans.change(plan).await.unwrap();
        for name in ["ann", "bob", "cyd"] {
            well.enrol(&member(name), None).await.unwrap();
            let event = Event::Adjust {
                id: Source("gift".into()),
                account: membership::posting::Account::Points,
                amount: 1_000,
            };
            let ask = Ask { who: Who::Named(member(name)), event, at: OPEN };
            well.take(ask).await.unwrap().unwrap();
        }
        let rng = fastrand::Rng::with_seed(seed);
        let shaky = Arc::new(Shaky::over(Arc::clone(&inner.book), rng));
        let book =
            engine::members::Book::open(shaky, Clock::by_hand(OPEN), roster()).await.unwrap();
        // Nobody asks again: an answer that was lost stays lost.
        for name in ["ann", "bob", "cyd"] {
            book.redeem(&member(name), name, "coupon-10").await.ok();
        }
        let mut had = 0;
        for name in ["ann", "bob", "cyd"] {
            let (_, account) = well.account(Who::Named(member(name))).await.unwrap().unwrap();
            had += account.redemptions.len();
        }
        assert!(had <= 1, "seed {seed}: {had}");
    }
}

fn roster() -> Arc<engine::roster::Roster> {
    Arc::new(engine::roster::Roster::new())
}
