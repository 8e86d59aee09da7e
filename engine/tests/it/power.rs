//! The journal when the power goes: at any change of the disk, during commits and snapshots, what was
//! confirmed is there afterwards, the journal opens, and everything adds up. And when a bit flips.

use crate::disk::MemoryDisk;
use crate::support::{Move, batch, changes, id, member, reserved, terms, waiting};
use engine::rules::order::Status;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::store::{
    Change, Changed, JournalOptions, JournalStore, OutboxEntry, Store, StoreError, Switch, Verdict,
};
use membership::Tier::Diamond;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Segments and snapshots so small that there are many of them.
const SMALL: JournalOptions = JournalOptions {
    outbox_keep: Duration::from_secs(3_600),
    segment_bytes: 3_000,
    snapshot_bytes: 4_000,
};

fn on(disk: &MemoryDisk, options: JournalOptions) -> Result<Store, StoreError> {
    Ok(JournalStore::on(Arc::new(disk.clone()), options)?.into())
}

/// What a client was told of each order, and units that were added.
#[derive(Debug, Default)]
struct Told {
    orders: BTreeMap<u64, Status>,
    added: u32,
    is_paused: bool,
    entries: Vec<OutboxEntry>,
}

/// Sells until a call fails, and says what was told until then.
async fn sell(store: &Store, told: &mut Told, rng: &mut fastrand::Rng) -> Result<(), StoreError> {
    if store.reading.sales().await?.is_empty() {
        store.opening.create(&terms(500)).await?;
    }
    let opened = store.opening.open(&id()).await?;
    let (epoch, mut number) = (opened.epoch, opened.next_number);
    for round in 0..40 {
        let member = || format!("member-{}", rng.u32(..60));
        let names: Vec<_> = std::iter::repeat_with(member).take(6).collect();
        let orders = (number..).zip(&names).map(|(n, name)| reserved(n, name, Diamond, 1));
        let verdicts = store.selling.commit(&batch(epoch, orders.collect())).await;
        for (n, verdict) in (number..).zip(verdicts.map_err(|broken| broken.error)?) {
            assert_ne!(verdict, Verdict::Fenced, "fenced by nobody");
            told.orders.insert(n, verdict.status());
        }
        number += 6;
        let any = |rng: &mut fastrand::Rng| rng.u64(1..number);
        let moves = [Move::Pay, Move::Cancel, Move::Refund].map(|what| {
            let of = any(rng);
            what.of(epoch, of, Units(1))
        });
        let wish = Change::Join(waiting(&names[0], Diamond, 1, round + 1));
        let asked = moves.into_iter().chain([wish]).collect();
        for made in store.selling.change(&changes(epoch, 6_000 + round, asked)).await? {
            if let Changed::Order(record) = made {
                told.orders.insert(record.number, record.status);
            }
        }
        if round % 10 == 3 {
            store.operating.top_up(&id(), epoch, &format!("k{number}"), Units(3)).await?;
            told.added += 3;
            store.operating.switch(&id(), epoch, Switch::Pause).await?;
            told.is_paused = true;
        }
    }
    Ok(())
}

async fn check(store: &Store, told: &Told) {
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    for (number, status) in &told.orders {
        let stored = store.reading.order(&id(), *number).await.unwrap();
        let stored = stored.unwrap_or_else(|| panic!("I4: order {number} is lost")).status;
        assert!(stored == *status || status.leads_to(stored), "{number}: {stored:?}, {status:?}");
    }
    if !told.orders.is_empty() {
        assert!(audit.sales[0].stock.0 >= 500 + told.added, "{audit:?}");
        let opened = store.opening.open(&id()).await.unwrap();
        assert!(opened.is_paused || !told.is_paused);
    }
    let entries = store.reading.outbox_after(&id(), 0, usize::MAX).await.unwrap_or_default();
    assert!(entries.starts_with(&told.entries), "what was told before is told again as it was");
}

/// How many changes of the disk one run makes.
async fn changes_of_a_run(seed: u64) -> u64 {
    let disk = MemoryDisk::default();
    let store = on(&disk, SMALL).unwrap();
    sell(&store, &mut Told::default(), &mut fastrand::Rng::with_seed(seed)).await.unwrap();
    drop(store);
    let files = disk.files();
    assert!(files.keys().any(|name| name.ends_with(".snapshot")), "{:?}", files.keys());
    disk.changes()
}

#[tokio::test]
async fn whenever_the_power_goes_what_was_confirmed_is_there() {
    let cuts = std::env::var("FLASHLANE_CUTS").map_or(320, |cuts| cuts.parse().unwrap());
    let all = changes_of_a_run(0).await;
    assert!(all > 100, "{all}");
    for cut in 0..cuts {
        let mut rng = fastrand::Rng::with_seed(cut);
        let (mut disk, mut told) = (MemoryDisk::default(), Told::default());
        // The power goes up to three times, once soon after the start.
        for turn in 0..rng.u64(1..4) {
            let after = if turn == 1 { rng.u64(..12) } else { rng.u64(..all) };
            disk.cut_power_after(after);
            if let Ok(store) = on(&disk, SMALL) {
                let stopped = sell(&store, &mut told, &mut rng).await;
                let is_known = matches!(
                    stopped,
                    Ok(()) | Err(StoreError::Unknown(_) | StoreError::Refused(_))
                );
                assert!(is_known, "cut {cut}: {stopped:?}");
            }
            disk = disk.after_power_loss(&mut rng);
            let left = disk.files();
            let store = on(&MemoryDisk::with(&left), SMALL);
            let store = store.unwrap_or_else(|error| panic!("cut {cut}, turn {turn}: {error}"));
            check(&store, &told).await;
            told.entries =
                store.reading.outbox_after(&id(), 0, usize::MAX).await.unwrap_or_default();
        }
    }
}

/// Files of a journal that was closed, with segments and a snapshot.
async fn closed() -> BTreeMap<String, Vec<u8>> {
    let disk = MemoryDisk::default();
    let store = on(&disk, SMALL).unwrap();
    sell(&store, &mut Told::default(), &mut fastrand::Rng::with_seed(7)).await.unwrap();
    drop(store);
    disk.files()
}

#[tokio::test]
async fn a_flipped_bit_is_found_and_named_and_never_sold_on_top_of() {
    let files = closed().await;
    let bytes: usize = files.values().map(Vec::len).sum();
    let mut rng = fastrand::Rng::with_seed(1);
    for flip in 0..1_000 {
        let (mut flipped, mut at) = (files.clone(), rng.usize(..bytes));
        let name = flipped.keys().find(|name| {
            let is_here = at < files[*name].len();
            at -= if is_here { 0 } else { files[*name].len() };
            is_here
        });
        let name = name.unwrap().clone();
        flipped.get_mut(&name).unwrap()[at] ^= 1 << rng.u8(..8);
        let disk = MemoryDisk::with(&flipped);
        let said = match on(&disk, SMALL) {
            Err(error) => {
                assert!(disk.files() == flipped, "nothing was written on top of it");
                error.to_string()
            }
            // Blocks that a snapshot covers are not read at a start, but by whoever verifies.
            Ok(store) => {
                let audit = store.reading.audit().await;
                audit.expect_err(&format!("flip {flip}: byte {at} of {name}")).to_string()
            }
        };
        assert!(said.contains("damaged") && said.contains(&name), "flip {flip}, {name}: {said}");
    }
}

#[tokio::test]
async fn a_file_that_is_missing_is_named() {
    let files = closed().await;
    let newest = files.keys().filter(|name| name.ends_with(".log")).max().unwrap().clone();
    for missing in files.keys() {
        let mut left = files.clone();
        left.remove(missing);
        let opened = on(&MemoryDisk::with(&left), SMALL);
        match opened {
            Err(error) => assert!(matches!(error, StoreError::Damaged(_)), "{missing}: {error}"),
            // What was written last cannot be missed by anything that was written before.
            Ok(_) if *missing == newest => {}
            // Every block is there, so nothing is missing.
            Ok(store) if missing.ends_with(".snapshot") => {
                let whole = on(&MemoryDisk::with(&files), SMALL).unwrap();
                let found = store.reading.audit().await.unwrap();
                assert_eq!(found, whole.reading.audit().await.unwrap());
            }
            Ok(store) => {
                let audit = store.reading.audit().await;
                let is_found = audit.as_ref().map_or(true, |audit| !audit.is_clean());
                assert!(is_found, "{missing}: {audit:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_name_that_was_taken_away_is_in_no_file_once_its_outbox_entries_are_too_old() {
    let holds = |disk: &MemoryDisk, name: &str| {
        let files = disk.files();
        files.values().any(|bytes| bytes.windows(name.len()).any(|part| part == name.as_bytes()))
    };
    let disk = MemoryDisk::default();
    let outbox_keep = Duration::from_millis(800);
    let store = on(&disk, JournalOptions { outbox_keep, ..JournalOptions::default() }).unwrap();
    store.opening.create(&terms(10)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    let orders = vec![reserved(1, "ann-canary", Diamond, 1), reserved(2, "bob-canary", Diamond, 1)];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    store
        .selling
        .change(&changes(epoch, 9, vec![Change::Join(waiting("ann-canary", Diamond, 1, 1))]))
        .await
        .unwrap();
    store
        .selling
        .change(&changes(epoch, 9, vec![Change::Leave(member("ann-canary"))]))
        .await
        .unwrap();
    store.members.set_blocked(&member("ann-canary"), true).await.unwrap();
    store.members.set_blocked(&member("ann-canary"), false).await.unwrap();
    store.members.rename(&id(), epoch, &member("ann-canary"), &member("erased:1")).await.unwrap();
    store.members.forget().await.unwrap();
    store.book.take_in(1, u64::MAX).await.unwrap();
    assert!(holds(&disk, "ann-canary"), "the outbox entries are still kept");
    let began = std::time::Instant::now();
    while holds(&disk, "ann-canary") {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", disk.files().keys());
        tokio::task::yield_now().await;
    }
    assert!(holds(&disk, "bob-canary") && holds(&disk, "erased:1"));
    drop(store);
    let store = on(&disk, JournalOptions::default()).unwrap();
    assert_eq!(store.reading.order(&id(), 1).await.unwrap().unwrap().member, member("erased:1"));
    assert!(store.reading.audit().await.unwrap().is_clean());
    drop(store);
    assert!(!holds(&disk, "ann-canary"));
}

#[tokio::test]
async fn changed_terms_are_there_after_a_start_from_blocks_or_from_a_snapshot() {
    for snapshot_bytes in [u64::MAX, 1] {
        let disk = MemoryDisk::default();
        let options = JournalOptions { snapshot_bytes, ..SMALL };
        let store = on(&disk, options).unwrap();
        store.opening.create(&terms(10)).await.unwrap();
        let epoch = store.opening.open(&id()).await.unwrap().epoch;
        let changed = Terms { title: "Another".into(), adults_only: true, ..terms(7) };
        store.operating.change_terms(epoch, &changed).await.unwrap();
        drop(store);
        let store = on(&disk, options).unwrap();
        let opened = store.opening.open(&id()).await.unwrap();
        assert_eq!((opened.terms, opened.left), (changed, Units(7)));
        assert!(store.reading.audit().await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn the_outbox_is_trimmed_by_age_and_says_from_where_on_it_is_there() {
    let disk = MemoryDisk::default();
    let store = on(&disk, JournalOptions { outbox_keep: Duration::ZERO, ..SMALL }).unwrap();
    store.book.take_in(1, u64::MAX).await.unwrap();
    sell(&store, &mut Told::default(), &mut fastrand::Rng::with_seed(3)).await.unwrap();
    drop(store);
    let store = on(&disk, SMALL).unwrap();
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean() && audit.sales[0].trimmed_to > 0, "{audit:?}");
    let entries = store.reading.outbox_after(&id(), 0, usize::MAX).await.unwrap();
    assert_eq!(entries[0].seq, audit.sales[0].trimmed_to + 1);
    assert!(entries.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    let logs = disk.files().keys().filter(|name| name.ends_with(".log")).count();
    assert!(logs < 6, "{logs} segments are left");
    assert!(entries.last().unwrap().at >= Millis(6_000));
}

#[tokio::test]
async fn what_the_book_has_not_taken_in_is_never_trimmed() {
    let disk = MemoryDisk::default();
    let store = on(&disk, JournalOptions { outbox_keep: Duration::ZERO, ..SMALL }).unwrap();
    store.book.take_in(1, 200).await.unwrap();
    sell(&store, &mut Told::default(), &mut fastrand::Rng::with_seed(3)).await.unwrap();
    drop(store);
    let store = on(&disk, SMALL).unwrap();
    let audit = store.reading.audit().await.unwrap();
    let trimmed_to = audit.sales[0].trimmed_to;
    assert!(audit.is_clean() && (1..=200).contains(&trimmed_to), "{trimmed_to}");
}

#[tokio::test]
async fn a_journal_that_ends_before_its_snapshot_is_damage_and_not_a_torn_tail() {
    let mut files = closed().await;
    let logs: Vec<String> = files.keys().filter(|name| name.ends_with(".log")).cloned().collect();
    for lost in &logs[1..] {
        files.remove(lost);
    }
    let refused = on(&MemoryDisk::with(&files), SMALL).unwrap_err().to_string();
    assert!(refused.contains("the journal ends before block"), "{refused}");
}
