//! What every store must keep of the members' book, run against each adapter.

use crate::support::member;
use engine::rules::time::Millis;
use engine::store::{
    Bucket, BucketChange, BucketHead, Folded, Made, NameChange, NoticeEntry, PlanVersion,
    PostingKey, Store, Wanted, Who,
};
use membership::account::Membership;
use membership::event::Notice;
use membership::posting::{Account, Basis, Kind, Posted, Posting, Source};
use std::collections::BTreeMap;

contract!(
    a_member_is_found_by_name_and_by_number,
    a_change_counts_on_the_version_that_it_was_decided_on,
    a_change_that_is_told_again_is_known,
    what_was_posted_is_found_by_its_key_and_no_other,
    postings_come_newest_first_in_pages,
    accounts_come_by_index_in_pages,
    a_name_goes_and_another_takes_its_place,
    notices_come_in_their_order,
    the_oldest_notices_go,
    the_oldest_postings_go_with_their_keys,
    versions_of_the_plan_are_kept,
    how_far_each_outbox_was_taken_in_is_kept,
    buckets_do_not_meet,
);

const AT: Millis = Millis(1_767_225_600_000);

fn account(postings: u64) -> Membership {
    let mut account = Membership::new(AT);
    account.postings = postings;
    account
}

fn posting(number: u64, source: &str, amount: i64) -> Posting {
    Posting {
        number,
        account: Account::Points,
        kind: Kind::Order,
        source: Source(source.into()),
        amount,
        at: AT,
        expires_at: Some(Millis(AT.0 + 9)),
        plan: 1,
        basis: Some(Basis::Watched(600)),
    }
}

fn change(version: u64) -> BucketChange {
    let head = BucketHead { version, members: 1, ..BucketHead::default() };
    BucketChange::of(Bucket::of("ann"), head)
}

/// Ann, with the index 0.
fn enrolled() -> BucketChange {
    let names = vec![NameChange { member: member("ann"), index: 0, is_had: true }];
    BucketChange { names, accounts: vec![(0, account(0))], ..change(1) }
}

fn named(name: &str, keys: Vec<PostingKey>) -> Wanted {
    Wanted { who: Who::Named(member(name)), keys }
}

async fn posts(store: &Store, change: BucketChange) {
    assert_eq!(store.book.post(&change).await, Ok(Made::Posted));
}

async fn a_member_is_found_by_name_and_by_number(store: &Store) {
    let bucket = Bucket::of("ann");
    let found = store.book.read_members(bucket, &[named("ann", vec![])]).await.unwrap();
    assert_eq!((found.head, found.members), (BucketHead::default(), vec![None]));
    posts(store, enrolled()).await;
    let number = bucket.number(0);
    let wanted = [
        named("ann", vec![]),
        Wanted { who: Who::Numbered(number), keys: vec![] },
        named("bob", vec![]),
        Wanted { who: Who::Numbered(bucket.number(1)), keys: vec![] },
    ];
    let found = store.book.read_members(bucket, &wanted).await.unwrap();
    assert_eq!(found.head, enrolled().head);
    let [Some(by_name), Some(by_number), None, None] = &found.members[..] else {
        panic!("{:?}", found.members)
    };
    assert_eq!((by_name, &by_name.account, by_name.index), (by_number, &account(0), 0));
    assert_eq!(store.book.name(number).await, Ok(Some(member("ann"))));
}

async fn a_change_counts_on_the_version_that_it_was_decided_on(store: &Store) {
    posts(store, enrolled()).await;
    let head = BucketHead { change: 1, ..enrolled().head };
    let late = BucketChange { head, accounts: vec![(0, account(9))], ..change(1) };
    assert_eq!(store.book.post(&late).await, Ok(Made::Stale));
    let early = BucketChange { accounts: vec![(0, account(9))], ..change(3) };
    assert_eq!(store.book.post(&early).await, Ok(Made::Stale));
    let bucket = Bucket::of("ann");
    let found = store.book.read_members(bucket, &[named("ann", vec![])]).await.unwrap();
    assert_eq!((found.head.version, &found.members[0].as_ref().unwrap().account), (1, &account(0)));
}

async fn a_change_that_is_told_again_is_known(store: &Store) {
    for _ in 0..2 {
        posts(store, enrolled()).await;
    }
    let bucket = Bucket::of("ann");
    let found = store.book.read_members(bucket, &[named("ann", vec![])]).await.unwrap();
    assert_eq!(found.head.version, 1);
}

async fn what_was_posted_is_found_by_its_key_and_no_other(store: &Store) {
    posts(store, enrolled()).await;
    let (one, two) = (posting(1, "a", 5), posting(2, "b", -7));
    let postings = vec![(0, one.clone()), (0, two.clone())];
    posts(store, BucketChange { accounts: vec![(0, account(2))], postings, ..change(2) }).await;
    let keys = [&two, &posting(3, "c", 0), &one].map(PostingKey::from).to_vec();
    let found = store.book.read_members(Bucket::of("ann"), &[named("ann", keys)]).await.unwrap();
    let posted =
        |posting: &Posting| Some(Posted { amount: posting.amount, expires_at: posting.expires_at });
    let ann = found.members[0].as_ref().unwrap();
    assert_eq!(ann.posted, [posted(&two), None, posted(&one)]);
}

async fn postings_come_newest_first_in_pages(store: &Store) {
    posts(store, enrolled()).await;
    for (version, numbers) in [(2, 1..=3), (3, 4..=7)] {
        let last = *numbers.end();
        let postings = numbers.map(|n| (0, posting(n, &n.to_string(), 1))).collect();
        let accounts = vec![(0, account(last))];
        posts(store, BucketChange { accounts, postings, ..change(version) }).await;
    }
    let ann = Bucket::of("ann").number(0);
    let page = async |before, most| {
        let page = store.book.postings(ann, before, most).await.unwrap();
        page.iter().map(|posting| posting.number).collect::<Vec<_>>()
    };
    assert_eq!(page(u64::MAX, 3).await, [7, 6, 5]);
    assert_eq!(page(5, 3).await, [4, 3, 2]);
    assert_eq!(page(2, 3).await, [1]);
    assert!(page(1, 3).await.is_empty());
    let nobody = Bucket::of("ann").number(9);
    assert_eq!(store.book.postings(nobody, u64::MAX, 3).await, Ok(vec![]));
}

async fn accounts_come_by_index_in_pages(store: &Store) {
    for version in [1, 2] {
        let names =
            |index| NameChange { member: member(&format!("m{index}")), index, is_had: true };
        let indexes = if version == 1 { 0..3 } else { 2..5 };
        let last = indexes.end;
        let accounts = indexes.clone().map(|index| (index, account(version))).collect();
        let names = indexes.map(names).collect();
        let head = BucketHead { version, members: last, ..BucketHead::default() };
        posts(store, BucketChange { head, names, accounts, ..change(version) }).await;
    }
    let page = async |from, most| {
        let page = store.book.accounts(Bucket::of("ann"), from, most).await.unwrap();
        page.iter().map(|(index, account)| (*index, account.postings)).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 3).await, [(0, 1), (1, 1), (2, 2)]);
    assert_eq!(page(3, 3).await, [(3, 2), (4, 2)]);
    assert!(page(5, 3).await.is_empty());
}

async fn a_name_goes_and_another_takes_its_place(store: &Store) {
    posts(store, enrolled()).await;
    let names = vec![
        NameChange { member: member("ann"), index: 0, is_had: false },
        NameChange { member: member("erased:1"), index: 0, is_had: true },
    ];
    posts(store, BucketChange { names, ..change(2) }).await;
    let bucket = Bucket::of("ann");
    let found = store.book.read_members(bucket, &[named("ann", vec![])]).await.unwrap();
    assert_eq!(found.members, [None]);
    assert_eq!(store.book.name(bucket.number(0)).await, Ok(Some(member("erased:1"))));
    let gone = vec![NameChange { member: member("erased:1"), index: 0, is_had: false }];
    posts(store, BucketChange { names: gone, ..change(3) }).await;
    assert_eq!(store.book.name(bucket.number(0)).await, Ok(None));
    let by_number = [Wanted { who: Who::Numbered(bucket.number(0)), keys: vec![] }];
    let found = store.book.read_members(bucket, &by_number).await.unwrap();
    assert_eq!(found.members[0].as_ref().map(|found| found.index), Some(0));
}

async fn the_oldest_notices_go(store: &Store) {
    let entry = |seq| NoticeEntry { seq, index: 0, at: AT, notice: Notice::GiftWaiting };
    let head = |version, trimmed| BucketHead { version, seq: 4, trimmed, ..BucketHead::default() };
    let notices = (1..=4).map(entry).collect();
    posts(store, BucketChange { head: head(1, 0), notices, ..change(1) }).await;
    for (version, trimmed) in [(2, 2), (3, 2), (4, 3)] {
        posts(store, BucketChange { head: head(version, trimmed), ..change(version) }).await;
        let kept: Vec<_> = (trimmed + 1..=4).map(entry).collect();
        for after in 0..=trimmed {
            assert_eq!(store.book.notices(Bucket::of("ann"), after, 9).await.unwrap(), kept);
        }
    }
}

async fn the_oldest_postings_go_with_their_keys(store: &Store) {
    posts(store, enrolled()).await;
    let all: Vec<_> = (1..=5).map(|n| posting(n, &n.to_string(), 1)).collect();
    let postings = all.iter().map(|posting| (0, posting.clone())).collect();
    posts(store, BucketChange { accounts: vec![(0, account(5))], postings, ..change(2) }).await;
    let keys: Vec<_> = all.iter().map(PostingKey::from).collect();
    for (version, gone) in [(3, 0..2), (4, 2..3)] {
        let to = gone.end as u64;
        let numbers = (gone.start as u64 + 1, to);
        let folded = vec![Folded { index: 0, numbers, keys: keys[gone.clone()].to_vec() }];
        let accounts = vec![(0, account(5))];
        posts(store, BucketChange { accounts, folded, ..change(version) }).await;
        let ann = Bucket::of("ann").number(0);
        let page = store.book.postings(ann, u64::MAX, 9).await.unwrap();
        let numbers: Vec<_> = page.iter().map(|posting| posting.number).collect();
        assert_eq!(numbers, (to + 1..=5).rev().collect::<Vec<_>>());
        assert_eq!(store.book.postings(ann, to + 2, 9).await.unwrap().len(), 1);
        let wanted = [named("ann", keys.clone())];
        let found = store.book.read_members(Bucket::of("ann"), &wanted).await.unwrap();
        let posted = &found.members[0].as_ref().unwrap().posted;
        let there: Vec<_> = posted.iter().map(Option::is_some).collect();
        assert_eq!(there, (1..=5).map(|n| n > to).collect::<Vec<_>>());
    }
}

async fn notices_come_in_their_order(store: &Store) {
    let entry = |seq| NoticeEntry { seq, index: 0, at: AT, notice: Notice::ReferralPaid(seq) };
    for (version, seqs) in [(1, 1..=2), (2, 3..=3)] {
        let head = BucketHead { version, seq: *seqs.end(), ..BucketHead::default() };
        posts(store, BucketChange { head, notices: seqs.map(entry).collect(), ..change(version) })
            .await;
    }
    let read = async |after| store.book.notices(Bucket::of("ann"), after, 2).await.unwrap();
    assert_eq!(read(0).await, [entry(1), entry(2)]);
    assert_eq!(read(2).await, [entry(3)]);
    assert!(read(3).await.is_empty());
}

async fn versions_of_the_plan_are_kept(store: &Store) {
    assert_eq!(store.book.plans().await, Ok(vec![]));
    let plan = |version| PlanVersion { version, at: AT, json: format!("{{\"n\":{version}}}") };
    for version in [1, 2, 2] {
        store.book.add_plan(&plan(version)).await.unwrap();
    }
    assert_eq!(store.book.plans().await, Ok(vec![plan(1), plan(2)]));
}

async fn how_far_each_outbox_was_taken_in_is_kept(store: &Store) {
    store.book.take_in(1, 5).await.unwrap();
    store.book.take_in(7, 1).await.unwrap();
    store.book.take_in(1, 9).await.unwrap();
    assert_eq!(store.book.taken_in().await, Ok(BTreeMap::from([(1, 9), (7, 1)])));
}

async fn buckets_do_not_meet(store: &Store) {
    posts(store, enrolled()).await;
    let bucket = Bucket::of("bob");
    assert_ne!(bucket, Bucket::of("ann"));
    let names = vec![NameChange { member: member("bob"), index: 0, is_had: true }];
    let bob = BucketChange { bucket, names, accounts: vec![(0, account(4))], ..change(1) };
    posts(store, bob).await;
    let found = store.book.read_members(bucket, &[named("bob", vec![])]).await.unwrap();
    assert_eq!(found.members[0].as_ref().unwrap().account, account(4));
    let found = store.book.read_members(Bucket::of("ann"), &[named("ann", vec![])]).await.unwrap();
    assert_eq!(found.members[0].as_ref().unwrap().account, account(0));
}
