//! What earlier versions stored is taken over: files and keys that `scripts/old_stores.py` made with them.

use crate::disk::MemoryDisk;
use crate::redis::{self, connect, started};
use crate::support::{batch, id, member, reserved};
use engine::clock::Clock;
use engine::members::{Ask, Book, audit};
use engine::roster::Roster;
use engine::rules::cents::Cents;
use engine::rules::money::Money;
use engine::rules::order::Status::{
    self, Cancelled, Confirmed, Paid, RefundDue, Refunded, Returned,
};
use engine::rules::units::Units;
use engine::store::{
    JournalOptions, JournalStore, RedisOptions, RedisStore, ReservedOrder, Store, StoreError, Who,
};
use membership::Tier;
use membership::event::{Act, Event};
use membership::posting::Source;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The versions, and what became of the orders 3 and 5 with them: the first knew of no refunds.
const VERSIONS: [(&str, [Status; 2]); 2] =
    [("cc2c0d6", [RefundDue, Confirmed]), ("9e94162", [Refunded, Returned])];

fn old(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/old").join(name)
}

/// Everything is there, as it was sold.
async fn check(store: &Store, [third, fifth]: [Status; 2]) {
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean() && audit.sales.len() == 2, "{audit:?}");
    assert_eq!(store.members.blocked().await, Ok(vec![member("mallory")]));
    let orders = store.reading.orders_after(&id(), 0, 99).await.unwrap();
    let found: Vec<_> = orders.iter().map(|r| (r.number, r.member.as_str(), r.status)).collect();
    let sold = [
        (1, "ann", Paid),
        (2, "bob", Cancelled),
        (3, "cyd", third),
        (4, "dan", Confirmed),
        (5, "eve", fifth),
        (6, "ann", Confirmed),
        (7, "fay", Confirmed),
    ];
    assert_eq!(found, sold);
    for order in &orders {
        assert_eq!(order.money, Money::list(Cents(19_900), order.units));
        assert_eq!(order.pay_by.0, order.settled_at.0 + 2_592_000_000, "{order:?}");
        assert!(order.key.is_some() && order.refunds.is_empty());
    }
    let outbox = store.reading.outbox_after(&id(), 0, 99).await.unwrap();
    let told = orders.iter().map(|order| order.status.steps()).sum::<u64>();
    assert_eq!((outbox[0].seq, outbox.last().unwrap().seq), (1, told));
    let mine = store.reading.orders_of(&id(), &member("ann"), None, 9).await.unwrap();
    assert_eq!(mine.iter().map(|order| order.number).collect::<Vec<_>>(), [6, 1]);

    let opened = store.opening.open(&id()).await.unwrap();
    assert!(opened.epoch > orders[0].epoch);
    assert_eq!((opened.stock, opened.left, opened.next_number), (Units(7), Units(0), 8));
    assert_eq!(opened.keyed.len(), 7);
    let mut waiting: Vec<_> = opened.waiting.iter().map(|wish| wish.member.as_str()).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, ["gus", "hal"]);
    let ann = opened.holdings.iter().find(|holding| holding.member == member("ann")).unwrap();
    assert_eq!((ann.units, ann.orders), (Units(3), 2));
    let again = store.operating.top_up(&id(), opened.epoch, "monday", Units(1)).await;
    assert_eq!(again, Ok(Units(7)), "a top-up counts once, whenever it was made");
    let empty = store.opening.open(&"empty".parse().unwrap()).await.unwrap();
    assert!(empty.is_paused && empty.sale_number != opened.sale_number);
}

#[tokio::test]
async fn a_redb_file_is_taken_over_and_kept_under_another_name() {
    for (version, states) in VERSIONS {
        let folder = tempfile::tempdir().unwrap();
        let file = old(&format!("{version}.redb"));
        fs::copy(&file, folder.path().join("store.redb")).unwrap();
        let open = || JournalStore::open(folder.path(), JournalOptions::default());
        let unread = JournalStore::read(folder.path()).unwrap_err().to_string();
        assert!(unread.contains("`serve` takes it over"), "{unread}");
        for _ in 0..2 {
            check(&open().unwrap().into(), states).await;
        }
        let kept = fs::read(folder.path().join("store.redb.taken-over")).unwrap();
        assert!(kept == fs::read(&file).unwrap(), "the old file is as it was");
        fs::copy(&file, folder.path().join("store.redb")).unwrap();
        let both = open().unwrap_err().to_string();
        assert!(both.contains("only one of them can be the store"), "{both}");
    }
}

#[tokio::test]
async fn a_takeover_that_was_cut_off_begins_again_or_is_finished() {
    let (version, states) = VERSIONS[1];
    let whole = tempfile::tempdir().unwrap();
    fs::copy(old(&format!("{version}.redb")), whole.path().join("store.redb")).unwrap();
    drop(JournalStore::open(whole.path(), JournalOptions::default()).unwrap());
    let mut names: Vec<String> = fs::read_dir(whole.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("journal-"))
        .collect();
    names.sort();
    // How far it had come: what was written, and whether the old file had its new name.
    for (written, is_renamed) in [(0, false), (1, false), (2, false), (2, true)] {
        let folder = tempfile::tempdir().unwrap();
        let old_name = if is_renamed { "store.redb.taken-over" } else { "store.redb" };
        fs::copy(old(&format!("{version}.redb")), folder.path().join(old_name)).unwrap();
        for name in &names[..written] {
            let taking = folder.path().join(format!("{name}.taking"));
            fs::copy(whole.path().join(name), taking).unwrap();
        }
        let store = JournalStore::open(folder.path(), JournalOptions::default()).unwrap();
        check(&store.into(), states).await;
    }
}

#[tokio::test]
async fn what_is_no_store_or_a_damaged_one_is_not_taken_over() {
    let whole = fs::read(old("9e94162.redb")).unwrap();
    let mut newer = whole.clone();
    // Where redb keeps the version of the file's format.
    newer[64] = 9;
    let cases: [(&str, Vec<u8>, &str); 3] = [
        ("a text file", b"id = \"drop\"\n".to_vec(), "is not a store of Flashlane"),
        ("a newer version's", newer, "was written by a newer version"),
        ("a file cut short", whole[..5_000].to_vec(), "restore the file from a backup"),
    ];
    for (what, bytes, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("store.redb"), &bytes).unwrap();
        let refused = JournalStore::open(folder.path(), JournalOptions::default()).unwrap_err();
        assert!(refused.to_string().contains(expected), "{what}: {refused}");
        assert!(fs::read(folder.path().join("store.redb")).unwrap() == bytes, "{what}");
    }
}

#[tokio::test]
async fn redis_keys_are_taken_over_by_an_upgrade_and_by_nothing_else() {
    for (version, states) in VERSIONS {
        let (_folder, server) = started(&[]);
        for command in fs::read_to_string(old(&format!("{version}.redis"))).unwrap().lines() {
            server.must(command);
        }
        let (redis, _) = RedisStore::connect(&RedisOptions::new(server.url())).await.unwrap();
        let store = connect(&server).await;
        let unopened = store.opening.open(&id()).await.unwrap_err();
        assert!(unopened.to_string().contains("flashlane upgrade --redis URL"), "{unopened}");
        let before = server.must("HGETALL flashlane:{drop}:orders");
        // An id that no sale was ever made for.
        server.must("SADD flashlane:sales gone");
        let upgraded = redis.upgrade().await.unwrap();
        let found: Vec<_> = upgraded.iter().map(|one| (one.sale.as_str(), one.orders)).collect();
        assert_eq!(found, [("drop", 7), ("empty", 0)]);
        assert_ne!(server.must("HGETALL flashlane:{drop}:orders"), before);
        assert_eq!(redis.upgrade().await, Ok(Vec::new()), "nothing is left to do");
        let keys = server.must("KEYS *");
        assert!(!keys.contains("upgrading") && !keys.contains("before"), "{keys}");
        check(&store, states).await;
        server.must("HSET flashlane:{drop}:sale format 4");
        let newer = store.opening.open(&id()).await.unwrap_err();
        assert!(newer.to_string().contains("newer version"), "{newer}");
        assert!(matches!(redis.upgrade().await, Err(StoreError::Unusable(_))));
    }
}

/// The book of Ann and Dan, whom she referred, is there, adds up, and goes on.
async fn check_book(store: &Store) {
    let clock = Clock::Wall;
    let roster = Arc::new(Roster::new());
    let book = Book::open(Arc::clone(&store.book), clock.clone(), roster).await.unwrap();
    let account = async |name: &str| {
        book.account(Who::Named(member(name))).await.unwrap().expect("an account").1
    };
    let whole = book.audit().await.unwrap();
    assert_eq!((whole.members, whole.differences), (3, vec![]));
    let now = clock.now();
    let (ann, dan) = (account("ann").await, account("dan").await);
    // An order of 199 and a share; 200 points for Dan, who has reached silver by a gift of growth.
    assert_eq!((ann.growth.posted(), ann.points.posted(), ann.pending), (204, 400, 398));
    assert_eq!((dan.growth.posted(), dan.standing.tier), (1_005, Tier::Silver));
    assert_eq!((ann.opening.number, ann.entitled.len(), ann.notices.len()), (0, 0, 1));
    let act = Act::Share;
    for (id, is_known) in [("s2", true), ("s3", false)] {
        let event = Event::Act { id: Source(id.into()), act };
        let ask = Ask { who: Who::Named(member("dan")), event, at: now };
        assert_eq!(book.take(ask).await.unwrap().unwrap().is_known, is_known, "{id}");
    }
    let dan = account("dan").await;
    assert!(dan.entitled.contains_key("discount") && dan.growth.posted() == 1_010, "{dan:?}");
    assert_eq!(book.audit().await.unwrap().differences, [""; 0]);
}

const WITHOUT_BENEFITS: &str = "c219088";

#[tokio::test]
async fn a_book_in_blocks_and_in_its_file_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(old(&format!("{WITHOUT_BENEFITS}.journal"))).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let open = || JournalStore::open(folder.path(), JournalOptions::default());
    let store = Store::from(open().unwrap());
    check_book(&store).await;
    drop(store);
    let again = audit(&*Store::from(open().unwrap()).book).await.unwrap();
    assert_eq!((again.members, again.differences), (3, vec![]));
}

#[tokio::test]
async fn a_book_in_redis_is_read_and_goes_on() {
    let (_folder, server) = started(&[]);
    for command in fs::read_to_string(old(&format!("{WITHOUT_BENEFITS}.redis"))).unwrap().lines() {
        server.must(command);
    }
    let store = connect(&server).await;
    check_book(&store).await;
    // Its outbox has an entry for each step. It is read, and goes on with entries of many.
    let told = store.reading.outbox_after(&id(), 0, usize::MAX).await.unwrap();
    assert_eq!(told.iter().map(|change| change.seq).collect::<Vec<_>>(), Vec::from_iter(1..=14));
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    assert!(server.must("HGET flashlane:{drop}:sale format").contains('3'));
    let order = |number, member| {
        let reserved_at = Clock::Wall.now();
        ReservedOrder { reserved_at, ..reserved(number, member, Tier::Gold, 1) }
    };
    let orders = vec![order(8, "eve"), order(9, "fay")];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(server.must("XLEN flashlane:{drop}:outbox").trim(), ":15");
    for (after, most, expected) in
        [(13, 9, vec![14, 15, 16]), (15, 9, vec![16]), (13, 2, vec![14, 15])]
    {
        let told = store.reading.outbox_after(&id(), after, most).await.unwrap();
        assert_eq!(told.iter().map(|change| change.seq).collect::<Vec<_>>(), expected);
    }
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    // The documented consumer reads both.
    let said = redis::run(&redis::documented("# One pass of a consumer"), &server);
    assert_eq!(said.lines().count(), 16, "{said}");
    assert!(said.contains("confirmed eve gold 1\n"), "{said}");
    assert!(said.lines().all(|line| line.split(' ').count() == 5), "{said}");
}

/// What this version writes today, every later one must read: these bytes stand for that.
#[tokio::test]
async fn what_is_written_today_is_written_like_this() {
    let disk = MemoryDisk::default();
    let store = crate::failing_disk::on(&disk);
    store.members.set_blocked(&member("ann"), true).await.unwrap();
    drop(store);
    let files = disk.files();
    let (_, bytes) = files.first_key_value().unwrap();
    assert_eq!(&bytes[..18], b"flashlane file\r\n\x01\0");
    let block = &bytes[32..];
    assert_eq!(block[0..4], 26_u32.to_le_bytes(), "the length of the payload");
    assert_eq!((block[8], &block[24..28]), (1, &b"\x05\0FL"[..]), "number, format, mark");
    // Kind 7, no sale, 5 bytes; then the name with its length, and `true`.
    assert_eq!(block[32..58], *b"\x07\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03ann\x01");
}

/// As this file was before there were changes of terms.
fn of_the_first_format(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // The head of the file, and that of its only block.
    for head in bytes[..64].as_chunks_mut::<32>().0 {
        head[24] = 1;
        let checksum = crc32fast::hash(&head[..28]);
        head[28..].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes
}

#[tokio::test]
async fn a_journal_of_the_format_before_is_read_and_goes_on() {
    let disk = MemoryDisk::default();
    let store = crate::failing_disk::on(&disk);
    store.members.set_blocked(&member("ann"), true).await.unwrap();
    drop(store);
    let files = disk.files();
    let older: BTreeMap<_, _> =
        files.iter().map(|(name, bytes)| (name.clone(), of_the_first_format(bytes))).collect();
    assert_ne!(older, files);
    let disk = MemoryDisk::with(&older);
    let store = crate::failing_disk::on(&disk);
    assert_eq!(store.members.blocked().await.unwrap(), [member("ann")]);
    store.members.set_blocked(&member("bob"), true).await.unwrap();
    drop(store);
    let store = crate::failing_disk::on(&disk);
    assert_eq!(store.members.blocked().await.unwrap(), [member("ann"), member("bob")]);
}
