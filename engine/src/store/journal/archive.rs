//! Archive: sales that are over, in a redb file, `archive.redb`, beside the journal. Nothing of them is in
//! memory, and a start does not read them.
//!
//! A sale is written here whole before the journal says that it is archived; until then the journal's rows
//! count, and from then on these. A sale that is taken out again stays here as it was, and the journal goes
//! on from there; when it is archived once more it is written anew.

use super::live::Kept;
use super::sale_frames;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use crate::store::StoreError;
use crate::store::redb_file::{RedbFile, is_of_disk};
use crate::store::rows::{Stored, damaged};
use membership::MemberId;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use std::ops::Bound;
use std::path::Path;

/// By number: the id, and when its newest change was made.
const SALES: TableDefinition<'_, u32, (&str, u64)> = TableDefinition::new("sales");
/// By id: the number. A deleted sale's id stays.
const IDS: TableDefinition<'_, &str, u32> = TableDefinition::new("ids");
const FRAMES: TableDefinition<'_, (u32, u32), &[u8]> = TableDefinition::new("frames");
/// By the instant of the newest change and the number.
const CHANGED: TableDefinition<'_, (u64, u32), ()> = TableDefinition::new("changed");
/// By member and number: whose orders a sale has.
const HOLDERS: TableDefinition<'_, (&str, u32), ()> = TableDefinition::new("holders");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The version of all rows.
const FORMAT: u64 = 1;

/// The file, open.
#[derive(Debug)]
pub(super) struct ArchiveFile {
    file: RedbFile,
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        error if is_of_disk(&error) => super::failure::failed(error),
        error => damaged(format!("archive.redb: {error}; restore the data folder from a backup")),
    }
}

/// Opens a table to read its rows; what a table that was never written has is `$none`.
macro_rules! open {
    ($seen:expr, $table:expr, $none:expr) => {
        match $seen.open_table($table) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok($none),
            Err(error) => return Err(failed(error)),
        }
    };
}

impl ArchiveFile {
    /// Keeps the file from being opened anew, which may repair it and so write, for as long as this is held.
    #[must_use]
    pub(super) fn kept_open(&self) -> impl Sized + '_ {
        self.file.kept_open()
    }

    /// Opens the file in this folder; makes it if it is not there.
    pub(super) fn open(folder: &Path) -> Stored<Self> {
        let file = Self { file: RedbFile::open(folder.join("archive.redb")).map_err(failed)? };
        if file.meta("format")? > FORMAT {
            return Err(StoreError::Unusable(
                "archive.redb was written by a newer version of Flashlane; run that version".into(),
            ));
        }
        Ok(file)
    }

    fn view(&self) -> Stored<ReadTransaction> {
        self.file.begin_read().map_err(failed)
    }

    fn meta(&self, name: &str) -> Stored<u64> {
        let seen = self.view()?;
        let table = open!(seen, META, 0);
        Ok(table.get(name).map_err(failed)?.map_or(0, |value| value.value()))
    }

    /// Counted up with everything that is written here.
    pub(super) fn version(&self) -> Stored<u64> {
        self.meta("version")
    }

    /// Writes; all of it lasts when this returns the new version.
    fn write(&self, write: impl FnOnce(&WriteTransaction) -> Stored<()>) -> Stored<u64> {
        let mut transaction = self.file.begin_write().map_err(failed)?;
        // A start after a crash reads what was noted here, and not the whole file.
        transaction.set_quick_repair(true);
        write(&transaction)?;
        let version = {
            let mut meta = transaction.open_table(META).map_err(failed)?;
            let version = 1 + meta.get("version").map_err(failed)?.map_or(0, |value| value.value());
            for (name, value) in [("format", FORMAT), ("version", version)] {
                meta.insert(name, value).map_err(failed)?;
            }
            version
        };
        transaction.commit().map_err(failed)?;
        Ok(version)
    }

    /// Writes a sale, whose newest change was made at this instant. Returns the file's version.
    pub(super) fn put(&self, kept: &Kept, changed_at: Millis) -> Stored<u64> {
        let (rows, number) = (&kept.rows, kept.rows.number);
        let before = self.load(number)?;
        self.write(|transaction| {
            if let Some(before) = before {
                take_out(transaction, &before)?;
            }
            let id = rows.terms.id.as_str();
            let mut sales = transaction.open_table(SALES).map_err(failed)?;
            sales.insert(number, (id, changed_at.0)).map_err(failed)?;
            let mut ids = transaction.open_table(IDS).map_err(failed)?;
            ids.insert(id, number).map_err(failed)?;
            let mut changed = transaction.open_table(CHANGED).map_err(failed)?;
            changed.insert((changed_at.0, number), ()).map_err(failed)?;
            let mut frames = transaction.open_table(FRAMES).map_err(failed)?;
            let mut nth = 0;
            sale_frames::write(kept, &mut |frame| {
                frames.insert((number, nth), frame).map_err(failed)?;
                nth += 1;
                Ok(())
            })?;
            let mut members: Vec<_> = rows.holders.rows().map(|row| row.member.as_str()).collect();
            // What lies together in the file is written together.
            members.sort_unstable();
            let mut holders = transaction.open_table(HOLDERS).map_err(failed)?;
            for member in members {
                holders.insert((member, number), ()).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// Deletes a sale; its id stays taken.
    pub(super) fn delete(&self, number: u32) -> Stored<()> {
        let Some(kept) = self.load(number)? else { return Ok(()) };
        self.write(|transaction| take_out(transaction, &kept)).map(drop)
    }

    /// The number of the sale with this id, also of one that was deleted.
    pub(super) fn number(&self, id: &str) -> Stored<Option<u32>> {
        let seen = self.view()?;
        let ids = open!(seen, IDS, None);
        Ok(ids.get(id).map_err(failed)?.map(|number| number.value()))
    }

    /// The id of the sale with this number; `None` if it was deleted, or never came here.
    pub(super) fn id(&self, number: u32) -> Stored<Option<SaleId>> {
        let seen = self.view()?;
        let sales = open!(seen, SALES, None);
        let row = sales.get(number).map_err(failed)?;
        row.map(|row| row.value().0.parse().map_err(damaged)).transpose()
    }

    /// When the newest change of the sale with this number was made.
    pub(super) fn changed_at(&self, number: u32) -> Stored<Millis> {
        let seen = self.view()?;
        let sales = open!(seen, SALES, Millis(0));
        let row = sales.get(number).map_err(failed)?;
        Ok(row.map_or(Millis(0), |row| Millis(row.value().1)))
    }

    /// Reads a sale, as it was written.
    pub(super) fn load(&self, number: u32) -> Stored<Option<Kept>> {
        let seen = self.view()?;
        let table = open!(seen, FRAMES, None);
        let frames = table.range((number, 0)..=(number, u32::MAX)).map_err(failed)?;
        let frames = frames.map(|row| Ok(row.map_err(failed)?.1.value().to_vec()));
        let frames = frames.collect::<Stored<Vec<_>>>()?;
        if frames.is_empty() {
            return Ok(None);
        }
        let mut frames = frames.iter();
        let cut_off = || damaged(format!("archive.redb: sale {number} is cut off"));
        sale_frames::read(&mut || frames.next().map(|frame| frame[..].into()).ok_or_else(cut_off))
            .map(Some)
    }

    /// Reads every sale for which `wanted` holds, one after the other.
    pub(super) fn each(
        &self,
        wanted: impl Fn(&SaleId) -> bool,
        mut see: impl FnMut(Kept),
    ) -> Stored<()> {
        for (number, id) in self.changed_since(Millis(0))? {
            if wanted(&id)
                && let Some(kept) = self.load(number)?
            {
                see(kept);
            }
        }
        Ok(())
    }

    /// Reads a sale without its holders and orders.
    pub(super) fn beginning(&self, number: u32) -> Stored<Option<Kept>> {
        let seen = self.view()?;
        let frames = open!(seen, FRAMES, None);
        let first = frames.get((number, 0)).map_err(failed)?;
        first.map(|first| Ok(sale_frames::read_beginning(first.value().into())?.kept)).transpose()
    }

    /// At most `most` sales with ids over `after` for which `wanted` holds, by id, without their holders and
    /// orders.
    pub(super) fn after(
        &self,
        after: &str,
        most: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Stored<Vec<Kept>> {
        let seen = self.view()?;
        let (ids, frames) = (open!(seen, IDS, Vec::new()), open!(seen, FRAMES, Vec::new()));
        let range = (Bound::Excluded(after), Bound::Unbounded);
        let mut found = Vec::new();
        for row in ids.range::<&str>(range).map_err(failed)? {
            if found.len() == most {
                break;
            }
            let (id, number) = row.map_err(failed)?;
            if !wanted(id.value()) {
                continue;
            }
            // A deleted sale has none.
            if let Some(first) = frames.get((number.value(), 0)).map_err(failed)? {
                found.push(sale_frames::read_beginning(first.value().into())?.kept);
            }
        }
        Ok(found)
    }

    /// The sales whose newest change was made at this instant or later, by their numbers.
    pub(super) fn changed_since(&self, since: Millis) -> Stored<Vec<(u32, SaleId)>> {
        let seen = self.view()?;
        let changed = open!(seen, CHANGED, Vec::new());
        let numbers = changed.range((since.0, 0)..).map_err(failed)?;
        let mut numbers = numbers
            .map(|row| Ok(row.map_err(failed)?.0.value().1))
            .collect::<Stored<Vec<u32>>>()?;
        numbers.sort_unstable();
        self.named(numbers)
    }

    /// The sales that have orders of this member.
    pub(super) fn of(&self, member: &MemberId) -> Stored<Vec<(u32, SaleId)>> {
        let seen = self.view()?;
        let holders = open!(seen, HOLDERS, Vec::new());
        let (from, to) = ((member.as_str(), 0), (member.as_str(), u32::MAX));
        let numbers = holders.range(from..=to).map_err(failed)?;
        let numbers = numbers.map(|row| Ok(row.map_err(failed)?.0.value().1));
        self.named(numbers.collect::<Stored<Vec<u32>>>()?)
    }

    fn named(&self, numbers: Vec<u32>) -> Stored<Vec<(u32, SaleId)>> {
        let seen = self.view()?;
        let sales = open!(seen, SALES, Vec::new());
        let named = |number| match sales.get(number).map_err(failed)? {
            Some(row) => Ok(Some((number, row.value().0.parse().map_err(damaged)?))),
            None => Ok(None),
        };
        numbers.into_iter().filter_map(|number| named(number).transpose()).collect()
    }
}

/// Takes everything out that stands here of a sale, but that its id is taken.
fn take_out(transaction: &WriteTransaction, kept: &Kept) -> Stored<()> {
    let number = kept.rows.number;
    let mut sales = transaction.open_table(SALES).map_err(failed)?;
    let row = sales.remove(number).map_err(failed)?;
    if let Some(changed_at) = row.map(|row| row.value().1) {
        let mut changed = transaction.open_table(CHANGED).map_err(failed)?;
        changed.remove((changed_at, number)).map_err(failed)?;
    }
    let mut frames = transaction.open_table(FRAMES).map_err(failed)?;
    frames.retain_in((number, 0)..=(number, u32::MAX), |_, _| false).map_err(failed)?;
    let mut holders = transaction.open_table(HOLDERS).map_err(failed)?;
    for row in kept.rows.holders.rows() {
        holders.remove((row.member.as_str(), number)).map_err(failed)?;
    }
    Ok(())
}
