//! Live: the book as a store has it: what has changed since its rows were folded into the file, if there
//! is a file, and what concerns the whole book.

use super::file::{BookFile, Whole};
use super::layers::Layers;
use super::port::{Bucket, BucketChange, Made, PlanVersion};
use super::rows::BookRows;
use crate::store::rows::Stored;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The book of a store in memory or in a journal.
#[derive(Debug, Default)]
pub(in crate::store) struct LiveBook {
    inner: RwLock<Inner>,
    file: Option<Arc<BookFile>>,
    /// Rows are folded one at a time.
    folding: Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    fresh: BookRows,
    /// Rows that changed since the last folding.
    changed: usize,
    /// The newest block with something that was posted.
    block: u64,
    /// Rows that are being written into the file, and the newest block that is in them.
    leaving: Option<(Arc<BookRows>, u64)>,
    versions: BTreeMap<u16, u64>,
    plans: Vec<PlanVersion>,
    taken_in: BTreeMap<u32, u64>,
    folded_to: u64,
}

impl LiveBook {
    /// The book as this file has it.
    pub(in crate::store) fn on(file: Arc<BookFile>) -> Stored<Self> {
        let Whole { folded_to, versions } = file.view()?.whole()?;
        let inner = Inner { versions, folded_to, block: folded_to, ..Inner::default() };
        Ok(Self { inner: RwLock::new(inner), file: Some(file), folding: Mutex::new(()) })
    }

    /// Reads the book as it is at this instant.
    pub(in crate::store) fn read<T>(
        &self,
        read: impl FnOnce(&Layers<'_>) -> Stored<T>,
    ) -> Stored<T> {
        let inner = self.inner.read();
        // The rows that leave are forgotten only once the file has them: the view is not older.
        let file = self.file.as_ref().map(|file| file.view()).transpose()?;
        read(&Layers {
            rows: [Some(&inner.fresh), inner.leaving.as_ref().map(|(rows, _)| &**rows)],
            file,
        })
    }

    /// The version that a bucket is at.
    pub(in crate::store) fn version(&self, bucket: Bucket) -> u64 {
        self.inner.read().versions.get(&bucket.place()).copied().unwrap_or(0)
    }

    /// Whether a change fits on a bucket at this version; `None` if it does.
    pub(in crate::store) fn stands(
        &self,
        change: &BucketChange,
        version: u64,
    ) -> Stored<Option<Made>> {
        if change.head.version == version + 1 {
            return Ok(None);
        }
        let is_same = change.head.version == version
            && self.read(|layers| layers.head(change.bucket))? == change.head;
        Ok(Some(if is_same { Made::Posted } else { Made::Stale }))
    }

    /// Puts the changes in place that are on disk with this block: all of them at once, so that rows that
    /// are folded have all of a block or nothing of it. A start reads only the blocks behind what is folded.
    pub(in crate::store) fn apply(&self, changes: Vec<BucketChange>, block: u64) {
        if changes.is_empty() {
            return;
        }
        let mut inner = self.inner.write();
        inner.block = block;
        for change in changes {
            let folded: usize = change.folded.iter().map(|folded| folded.keys.len()).sum();
            inner.changed += change.accounts.len() + change.postings.len() + folded;
            inner.versions.insert(change.bucket.place(), change.head.version);
            let rows = inner.fresh.buckets.entry(change.bucket).or_default();
            rows.apply(change);
            if self.file.is_none() {
                rows.forget_gone();
            }
        }
    }

    pub(in crate::store) fn plans(&self) -> Vec<PlanVersion> {
        self.inner.read().plans.clone()
    }

    pub(in crate::store) fn add_plan(&self, plan: PlanVersion) {
        let mut inner = self.inner.write();
        if inner.plans.iter().all(|known| known.version != plan.version) {
            inner.plans.push(plan);
        }
    }

    pub(in crate::store) fn taken_in(&self) -> BTreeMap<u32, u64> {
        self.inner.read().taken_in.clone()
    }

    pub(in crate::store) fn take_in(&self, sale: u32, seq: u64) {
        let mut inner = self.inner.write();
        let taken_in = inner.taken_in.entry(sale).or_default();
        *taken_in = seq.max(*taken_in);
    }

    /// Forgets how much of a sale's outbox was taken in.
    pub(in crate::store) fn forget_taken_in(&self, sale: u32) {
        self.inner.write().taken_in.remove(&sale);
    }

    /// The newest block that is in these rows.
    pub(in crate::store) fn block(&self) -> u64 {
        self.inner.read().block
    }

    /// The newest block that is in the file.
    pub(in crate::store) fn folded_to(&self) -> u64 {
        self.inner.read().folded_to
    }

    /// Rows that changed since the last folding.
    pub(in crate::store) fn changed(&self) -> usize {
        self.inner.read().changed
    }

    /// Does something while nothing is written into the file.
    pub(in crate::store) fn while_not_folding<T>(&self, then: impl FnOnce() -> T) -> T {
        let _one_at_a_time = self.folding.lock();
        let _kept_open = self.file.as_ref().map(|file| file.kept_open());
        then()
    }

    /// Writes what has changed into the file. Returns whether the file has everything then that was there
    /// when this was called; without a file, what has changed stays here.
    pub(in crate::store) fn fold(&self) -> Stored<bool> {
        let Some(file) = &self.file else { return Ok(self.block() == 0) };
        let _one_at_a_time = self.folding.lock();
        let is_all;
        let (rows, folded_to) = {
            let mut inner = self.inner.write();
            if inner.block == inner.folded_to && inner.leaving.is_none() {
                return Ok(true);
            }
            // After a folding that failed, its rows are older than the fresh ones and go first.
            if inner.leaving.is_none() {
                inner.leaving = Some((Arc::new(std::mem::take(&mut inner.fresh)), inner.block));
                inner.changed = 0;
            }
            let (leaving, folded_to) = inner.leaving.clone().expect("rows leave");
            is_all = folded_to == inner.block;
            (leaving, folded_to)
        };
        file.fold(&rows, folded_to)?;
        crate::fault::crash_point("folded");
        let mut inner = self.inner.write();
        inner.leaving = None;
        inner.folded_to = folded_to;
        Ok(is_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::BucketHead;

    #[test]
    fn a_file_never_has_a_part_of_a_block() {
        const BLOCKS: u64 = 3_000;
        let folder = tempfile::tempdir().unwrap();
        let file = Arc::new(BookFile::open(folder.path()).unwrap());
        let book = LiveBook::on(Arc::clone(&file)).unwrap();
        let block = |number| -> Vec<_> {
            let head = BucketHead { version: number, ..BucketHead::default() };
            Bucket::all().take(16).map(|bucket| BucketChange::of(bucket, head.clone())).collect()
        };
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=BLOCKS).for_each(|number| book.apply(block(number), number)));
            let mut folded = 0;
            while folded < BLOCKS {
                book.fold().unwrap();
                let Whole { folded_to, versions } = file.view().unwrap().whole().unwrap();
                assert!(versions.values().all(|version| *version == folded_to), "{versions:?}");
                folded = folded_to;
            }
        });
    }
}
