//! File: the book's accounts and postings in a redb file, `book.redb`, beside the journal. What is folded
//! into it need not be read at a start, and takes no memory until somebody asks.

use super::older;
use super::port::{Bucket, BucketHead, NoticeEntry, PostingKey};
use super::rows::BookRows;
use crate::store::StoreError;
use crate::store::redb_file::{RedbFile, is_of_disk};
use crate::store::rows::{Stored, damaged};
use membership::MemberId;
use membership::account::Membership;
use membership::posting::{Posted, Posting};
use redb::{
    Durability, ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

const HEADS: TableDefinition<'_, u16, &[u8]> = TableDefinition::new("heads");
const NAMES: TableDefinition<'_, (u16, &str), u32> = TableDefinition::new("names");
const NAMED: TableDefinition<'_, (u16, u32), &str> = TableDefinition::new("named");
const ACCOUNTS: TableDefinition<'_, (u16, u32), &[u8]> = TableDefinition::new("accounts");
const POSTINGS: TableDefinition<'_, (u16, u32, u64), &[u8]> = TableDefinition::new("postings");
const KEYS: TableDefinition<'_, (u16, u32, [u8; 16]), &[u8]> = TableDefinition::new("keys");
const NOTICES: TableDefinition<'_, (u16, u64), &[u8]> = TableDefinition::new("notices");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The version of all rows.
const FORMAT: u32 = 2;

/// What the file says of the whole book.
#[derive(Debug, Default)]
pub(in crate::store) struct Whole {
    /// The newest block that is folded into it.
    pub(in crate::store) folded_to: u64,
    /// The version of each bucket that has one.
    pub(in crate::store) versions: BTreeMap<u16, u64>,
}

/// The file, open.
#[derive(Debug)]
pub(in crate::store) struct BookFile {
    file: RedbFile,
}

/// The file as it is at one instant.
pub(in crate::store) struct FileView {
    seen: ReadTransaction,
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        error if is_of_disk(&error) => StoreError::Unknown(format!(
            "the disk of the data folder fails ({error}); free space or repair it"
        )),
        error => damaged(format!("book.redb: {error}; restore the data folder from a backup")),
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data has a length")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Stored<T> {
    older::row(bytes).map_err(|error| damaged(format!("book.redb: a row cannot be read ({error})")))
}

/// Reads one row; a table that was never written has none.
macro_rules! get {
    ($view:expr, $table:expr, $key:expr) => {
        match $view.seen.open_table($table) {
            Ok(table) => table.get($key).map_err(failed)?,
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(failed(error)),
        }
    };
}

/// Opens a table to read its rows; a table that was never written returns nothing.
macro_rules! open {
    ($view:expr, $table:expr) => {
        match $view.seen.open_table($table) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        }
    };
}

impl BookFile {
    /// Keeps the file from being opened anew, which may repair it and so write, for as long as this is held.
    #[must_use]
    pub(in crate::store) fn kept_open(&self) -> impl Sized + '_ {
        self.file.kept_open()
    }

    /// Opens the file in this folder; makes it if it is not there.
    pub(in crate::store) fn open(folder: &Path) -> Stored<Self> {
        let file = Self { file: RedbFile::open(folder.join("book.redb")).map_err(failed)? };
        if let Some(format) = get!(file.view()?, META, "format")
            && decode::<u32>(format.value())? > FORMAT
        {
            return Err(StoreError::Unusable(
                "book.redb was written by a newer version of Flashlane; run that version".into(),
            ));
        }
        Ok(file)
    }

    pub(in crate::store) fn view(&self) -> Stored<FileView> {
        Ok(FileView { seen: self.file.begin_read().map_err(failed)? })
    }

    /// Writes rows into the file that go up to this block; all of them last when this returns `Ok`.
    pub(in crate::store) fn fold(&self, rows: &BookRows, folded_to: u64) -> Stored<()> {
        let mut transaction = self.file.begin_write().map_err(failed)?;
        // A start after a crash reads what was noted here, and not the whole file.
        transaction.set_quick_repair(true);
        transaction
            .set_durability(Durability::Immediate)
            .map_err(|error| damaged(error.to_string()))?;
        write_rows(&transaction, rows)?;
        {
            let mut meta = transaction.open_table(META).map_err(failed)?;
            for (name, bytes) in [("format", encode(&FORMAT)), ("folded_to", encode(&folded_to))] {
                meta.insert(name, &bytes[..]).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }
}

fn write_rows(transaction: &WriteTransaction, rows: &BookRows) -> Stored<()> {
    let open = |error: TableError| failed(error);
    let mut heads = transaction.open_table(HEADS).map_err(open)?;
    let mut names = transaction.open_table(NAMES).map_err(open)?;
    let mut named = transaction.open_table(NAMED).map_err(open)?;
    let mut accounts = transaction.open_table(ACCOUNTS).map_err(open)?;
    let mut postings = transaction.open_table(POSTINGS).map_err(open)?;
    let mut keys = transaction.open_table(KEYS).map_err(open)?;
    let mut notices = transaction.open_table(NOTICES).map_err(open)?;
    // Bucket by bucket: what lies together in the file is written together.
    for (bucket, rows) in &rows.buckets {
        let bucket = bucket.place();
        if let Some(head) = &rows.head {
            heads.insert(bucket, &encode(head)[..]).map_err(failed)?;
        }
        for (member, index) in &rows.names {
            match index {
                Some(index) => names.insert((bucket, member.as_str()), index).map_err(failed)?,
                None => names.remove((bucket, member.as_str())).map_err(failed)?,
            };
        }
        for (index, member) in &rows.named {
            match member {
                Some(member) => {
                    drop(named.insert((bucket, *index), member.as_str()).map_err(failed)?)
                }
                None => drop(named.remove((bucket, *index)).map_err(failed)?),
            }
        }
        for (index, account) in &rows.accounts {
            accounts.insert((bucket, *index), &encode(account)[..]).map_err(failed)?;
        }
        for (index, to) in &rows.folded {
            postings
                .retain_in((bucket, *index, 0)..=(bucket, *index, *to), |_, _| false)
                .map_err(failed)?;
        }
        for ((index, number), posting) in &rows.postings {
            postings.insert((bucket, *index, *number), &encode(posting)[..]).map_err(failed)?;
        }
        let mut sorted: Vec<_> = rows.keys.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| **key);
        for ((index, key), posted) in sorted {
            let place = (bucket, *index, key.0);
            match posted {
                Some(posted) => drop(keys.insert(place, &encode(posted)[..]).map_err(failed)?),
                None => drop(keys.remove(place).map_err(failed)?),
            }
        }
        if let Some(head) = rows.head.as_ref().filter(|head| head.trimmed > 0) {
            notices
                .retain_in((bucket, 0)..=(bucket, head.trimmed), |_, _| false)
                .map_err(failed)?;
        }
        for (seq, entry) in &rows.notices {
            notices.insert((bucket, *seq), &encode(entry)[..]).map_err(failed)?;
        }
    }
    Ok(())
}

impl FileView {
    /// What the file says of the whole book.
    pub(in crate::store) fn whole(&self) -> Stored<Whole> {
        let mut whole = Whole::default();
        if let Some(bytes) = get!(self, META, "folded_to") {
            whole.folded_to = decode(bytes.value())?;
        }
        whole.versions = self.versions()?.into_iter().collect();
        Ok(whole)
    }

    fn versions(&self) -> Stored<Vec<(u16, u64)>> {
        let heads = open!(self, HEADS);
        let mut versions = Vec::new();
        for row in heads.iter().map_err(failed)? {
            let (bucket, head) = row.map_err(failed)?;
            versions.push((bucket.value(), decode::<BucketHead>(head.value())?.version));
        }
        Ok(versions)
    }

    pub(super) fn head(&self, bucket: Bucket) -> Stored<Option<BucketHead>> {
        get!(self, HEADS, bucket.place()).map(|bytes| decode(bytes.value())).transpose()
    }

    pub(super) fn index(&self, bucket: Bucket, member: &MemberId) -> Stored<Option<u32>> {
        Ok(get!(self, NAMES, (bucket.place(), member.as_str())).map(|index| index.value()))
    }

    pub(super) fn name(&self, bucket: Bucket, index: u32) -> Stored<Option<MemberId>> {
        let name = get!(self, NAMED, (bucket.place(), index));
        name.map(|name| name.value().parse().map_err(damaged)).transpose()
    }

    pub(super) fn account(&self, bucket: Bucket, index: u32) -> Stored<Option<Membership>> {
        get!(self, ACCOUNTS, (bucket.place(), index)).map(|bytes| decode(bytes.value())).transpose()
    }

    pub(super) fn posted(
        &self,
        bucket: Bucket,
        index: u32,
        key: PostingKey,
    ) -> Stored<Option<Posted>> {
        let posted = get!(self, KEYS, (bucket.place(), index, key.0));
        posted.map(|bytes| decode(bytes.value())).transpose()
    }

    pub(super) fn postings(
        &self,
        bucket: Bucket,
        index: u32,
        before: u64,
        most: usize,
    ) -> Stored<Vec<Posting>> {
        let table = open!(self, POSTINGS);
        let bucket = bucket.place();
        let own = table.range((bucket, index, 0)..(bucket, index, before)).map_err(failed)?;
        own.rev().take(most).map(|row| decode(row.map_err(failed)?.1.value())).collect()
    }

    pub(super) fn accounts(
        &self,
        bucket: Bucket,
        from: u32,
        most: usize,
    ) -> Stored<Vec<(u32, Membership)>> {
        let table = open!(self, ACCOUNTS);
        let bucket = bucket.place();
        let rows = table.range((bucket, from)..=(bucket, u32::MAX)).map_err(failed)?;
        let mut accounts = Vec::new();
        for row in rows.take(most) {
            let (key, account) = row.map_err(failed)?;
            accounts.push((key.value().1, decode(account.value())?));
        }
        Ok(accounts)
    }

    pub(super) fn notices(
        &self,
        bucket: Bucket,
        after: u64,
        most: usize,
    ) -> Stored<Vec<NoticeEntry>> {
        let table = open!(self, NOTICES);
        let bucket = bucket.place();
        let rows =
            table.range((bucket, after.saturating_add(1))..=(bucket, u64::MAX)).map_err(failed)?;
        rows.take(most).map(|row| decode(row.map_err(failed)?.1.value())).collect()
    }
}
