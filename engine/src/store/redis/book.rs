//! Book: the members' book in Redis. A bucket is a slot of its own, and one function call posts all that is
//! posted in it at once. What is decided is decided here; the bucket's version keeps it true.

use super::store::RedisStore;
use super::{keys, library};
use crate::store::book;
use crate::store::rows::{Stored, damaged};
use crate::store::{
    BookStore, Bucket, BucketChange, BucketHead, Folded, Found, FoundMember, Made, NoticeEntry,
    PlanVersion, PostingKey, StoreError, Wanted, Who, index_of,
};
use async_trait::async_trait;
use membership::MemberId;
use membership::account::Membership;
use membership::event::MemberNumber;
use membership::posting::{Posted, Posting};
use redis::Cmd;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};

/// The version of all rows of the book; each row begins with it.
const FORMAT: u8 = 2;

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![FORMAT]).expect("plain data has a length")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Stored<T> {
    match bytes.split_first() {
        Some((1..=FORMAT, row)) => book::row(row)
            .map_err(|error| damaged(format!("a row of the book cannot be read ({error})"))),
        Some((format, _)) if *format > FORMAT => Err(StoreError::Unusable(
            "a newer version of Flashlane wrote the members' book; run that version".into(),
        )),
        _ => Err(damaged("a row of the book is not what was written")),
    }
}

/// A row that may not be there.
fn maybe<T: DeserializeOwned>(bytes: Option<&Vec<u8>>) -> Stored<Option<T>> {
    bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| decode(bytes)).transpose()
}

fn read_call(bucket: Bucket, wanted: &[Wanted]) -> Cmd {
    let mut call = library::book_call("book_read", &keys::of_bucket(bucket));
    for Wanted { who, keys } in wanted {
        match who {
            Who::Named(member) => call.arg("name").arg(member.as_str()),
            Who::Numbered(number) => call.arg("index").arg(index_of(*number)),
        };
        call.arg(keys.len());
        for PostingKey(key) in keys {
            call.arg(&key[..]);
        }
    }
    call
}

fn post_call(change: &BucketChange) -> Cmd {
    let BucketChange { bucket, head, names, accounts, postings, notices, folded } = change;
    let mut call = library::book_call("book_post", &keys::of_bucket(*bucket));
    call.arg(head.version - 1).arg(head.version).arg(encode(head)).arg(names.len());
    for name in names {
        call.arg(name.member.as_str()).arg(name.index).arg(u8::from(name.is_had));
    }
    call.arg(accounts.len());
    for (index, account) in accounts {
        call.arg(*index).arg(encode(account));
    }
    call.arg(postings.len());
    for (index, posting) in postings {
        call.arg(format!("{index}:{}", posting.number)).arg(encode(posting));
    }
    for (index, posting) in postings {
        let posted = Posted { amount: posting.amount, expires_at: posting.expires_at };
        call.arg(posted_field(*index, &PostingKey::from(posting))).arg(encode(&posted));
    }
    call.arg(notices.len());
    for entry in notices {
        call.arg(entry.seq).arg(encode(entry));
    }
    call.arg(head.trimmed);
    let lines = folded.iter().map(|folded| folded.numbers.1 + 1 - folded.numbers.0);
    call.arg(lines.sum::<u64>());
    for Folded { index, numbers: (first, last), .. } in folded {
        for number in *first..=*last {
            call.arg(format!("{index}:{number}"));
        }
    }
    call.arg(folded.iter().map(|folded| folded.keys.len()).sum::<usize>());
    for Folded { index, keys, .. } in folded {
        for key in keys {
            call.arg(posted_field(*index, key));
        }
    }
    call
}

/// Where a posting's key stands among those of its bucket.
fn posted_field(index: u32, PostingKey(key): &PostingKey) -> Vec<u8> {
    let mut field = format!("{index}:").into_bytes();
    field.extend_from_slice(key);
    field
}

impl RedisStore {
    /// Rows of a hash, in the order of the fields.
    async fn book_rows<T: DeserializeOwned>(
        &self,
        key: &str,
        fields: &[String],
    ) -> Stored<Vec<Option<T>>> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = redis::cmd("HMGET");
        get.arg(key).arg(fields);
        let rows: Vec<Option<Vec<u8>>> = self.link.ask(&get).await?;
        rows.iter().map(|row| maybe(row.as_ref())).collect()
    }

    async fn head(&self, bucket: Bucket) -> Stored<BucketHead> {
        let [book, ..] = keys::of_bucket(bucket);
        let rows = self.book_rows(&book, &["head".to_owned()]).await?;
        Ok(rows.into_iter().flatten().next().unwrap_or_default())
    }
}

#[async_trait]
impl BookStore for RedisStore {
    async fn read_members(&self, bucket: Bucket, wanted: &[Wanted]) -> Stored<Found> {
        let answer: Vec<Vec<u8>> = self.link.ask(&read_call(bucket, wanted)).await?;
        let mut rows = answer.iter();
        let head = maybe(rows.next())?.unwrap_or_default();
        let mut members = Vec::with_capacity(wanted.len());
        for Wanted { keys, .. } in wanted {
            let index = rows.next().and_then(|index| str::from_utf8(index).ok()?.parse().ok());
            let account: Option<Membership> = maybe(rows.next())?;
            let posted = keys.iter().map(|_| maybe(rows.next())).collect::<Stored<Vec<_>>>()?;
            let found = |(index, account)| FoundMember { index, account, posted };
            members.push(index.zip(account).map(found));
        }
        Ok(Found { head, members })
    }

    async fn post(&self, change: &BucketChange) -> Stored<Made> {
        let answer: Vec<String> = self.link.ask(&post_call(change)).await?;
        crate::fault::crash_point("posted");
        match answer.first().map(String::as_str) {
            Some("OK") => Ok(Made::Posted),
            Some("STALE") => Ok(Made::Stale),
            _ => Err(damaged(format!("the book answers {answer:?}"))),
        }
    }

    async fn postings(&self, who: MemberNumber, before: u64, most: usize) -> Stored<Vec<Posting>> {
        let Some(bucket) = Bucket::of_number(who) else { return Ok(Vec::new()) };
        let index = index_of(who);
        let [_, _, _, accounts, postings, ..] = keys::of_bucket(bucket);
        let account = self.book_rows::<Membership>(&accounts, &[index.to_string()]).await?;
        let Some(account) = account.into_iter().flatten().next() else { return Ok(Vec::new()) };
        // A member's postings are numbered without a gap.
        let last = before.saturating_sub(1).min(account.postings);
        let first = last.saturating_sub(most as u64) + 1;
        let fields: Vec<_> =
            (first..=last).rev().map(|number| format!("{index}:{number}")).collect();
        let rows = self.book_rows(&postings, &fields).await?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn accounts(
        &self,
        bucket: Bucket,
        from: u32,
        most: usize,
    ) -> Stored<Vec<(u32, Membership)>> {
        let members = self.head(bucket).await?.members;
        let [_, _, _, accounts, ..] = keys::of_bucket(bucket);
        let indexes: Vec<u32> = (from..members).take(most).collect();
        let fields: Vec<_> = indexes.iter().map(ToString::to_string).collect();
        let rows = self.book_rows(&accounts, &fields).await?;
        Ok(indexes.into_iter().zip(rows).filter_map(|(index, row)| Some((index, row?))).collect())
    }

    async fn notices(&self, bucket: Bucket, after: u64, most: usize) -> Stored<Vec<NoticeEntry>> {
        let BucketHead { seq: newest, trimmed, .. } = self.head(bucket).await?;
        let [.., notices] = keys::of_bucket(bucket);
        let after = after.max(trimmed);
        let fields: Vec<_> =
            (after.saturating_add(1)..=newest).take(most).map(|seq| seq.to_string()).collect();
        let rows = self.book_rows(&notices, &fields).await?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn name(&self, who: MemberNumber) -> Stored<Option<MemberId>> {
        let Some(bucket) = Bucket::of_number(who) else { return Ok(None) };
        let [_, _, named, ..] = keys::of_bucket(bucket);
        let mut get = redis::cmd("HGET");
        get.arg(named).arg(index_of(who));
        let name: Option<String> = self.link.ask(&get).await?;
        name.map(|name| name.parse().map_err(damaged)).transpose()
    }

    async fn plans(&self) -> Stored<Vec<PlanVersion>> {
        let rows: HashMap<u32, Vec<u8>> =
            self.link.ask(redis::cmd("HGETALL").arg(keys::PLANS)).await?;
        let mut plans =
            rows.values().map(|row| decode(row)).collect::<Stored<Vec<PlanVersion>>>()?;
        plans.sort_unstable_by_key(|plan| plan.version);
        Ok(plans)
    }

    async fn add_plan(&self, plan: &PlanVersion) -> Stored<()> {
        let mut set = redis::cmd("HSET");
        set.arg(keys::PLANS).arg(plan.version).arg(encode(plan));
        self.link.ask::<u64>(&set).await.map(drop)
    }

    async fn taken_in(&self) -> Stored<BTreeMap<u32, u64>> {
        self.link.ask(redis::cmd("HGETALL").arg(keys::TAKEN_IN)).await
    }

    async fn take_in(&self, sale: u32, seq: u64) -> Stored<()> {
        // One process feeds the book from a sale. If two did, the lower entry would only be read again.
        let mut set = redis::cmd("HSET");
        set.arg(keys::TAKEN_IN).arg(sale).arg(seq);
        self.link.ask::<u64>(&set).await.map(drop)
    }
}
