//! Recover: what the files of a journal come to. A tail that was torn is left out; anything else that
//! does not fit is damage and is named.

use super::archive::ArchiveFile;
use super::beside::Beside;
use super::block::{self, Bad, Block};
use super::disk::Disk;
use super::failure::failed;
use super::files::{self, Files};
use super::live::{Kept, Live, Sale};
use super::outbox::Spot;
use super::snapshot::{self, BookIn, Snapshot};
use crate::rules::terms::{SaleId, Terms};
use crate::store::StoreError;
use crate::store::book::{LiveBook, OldChange};
use crate::store::rows::{SaleRows, Stored, damaged};
use crate::store::section::{self, BlockedEntry, ErasingEntry, Kind, ReadSection};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What the files come to.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) live: Live,
    /// The number of the next sale that is made.
    pub(super) next_sale: u32,
    /// The number of the next block.
    pub(super) next_block: u64,
    /// The newest block.
    pub(super) tail: Option<Tail>,
    /// Bytes of the newest snapshot, and of the blocks that were replayed on top of it.
    pub(super) snapshot_bytes: u64,
    pub(super) replayed_bytes: u64,
    /// Names were taken away since the newest snapshot.
    pub(super) is_to_forget: bool,
}

/// The newest block: the process that wrote it may have ended before it was on disk.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

/// Reads everything; changes no file.
///
/// # Errors
/// [`StoreError`]
pub(super) fn recover(disk: &dyn Disk, beside: &Beside) -> Stored<Recovered> {
    let files = Files::list(disk).map_err(failed)?;
    let snapshot = match files.snapshots.last() {
        Some(covers) => snapshot::read(disk, *covers)?,
        None => Snapshot::default(),
    };
    let book = match &beside.book {
        Some(file) => LiveBook::on(Arc::clone(file))?,
        None => LiveBook::default(),
    };
    let BookIn { folded_to, whole_to } = snapshot.book;
    if book.folded_to() < folded_to {
        return Err(damaged(format!(
            "book.redb has the members' book up to block {}, and had it up to block {folded_to}",
            book.folded_to()
        )));
    }
    let whole_to = whole_to.max(book.folded_to());
    let archived = snapshot.archive;
    let mut replay = Replay::new(snapshot, book, whole_to, beside.archive.clone());
    replay.archive_has(archived)?;
    if !files.segments.contains(&replay.oldest) && !files.is_empty() {
        let name = files::segment(replay.oldest);
        return Err(damaged(format!("{name} is missing in the data folder")));
    }
    let needed = replay.covers.min(whole_to) + 1;
    let known = files.segments.partition_point(|first| *first <= needed);
    for (nth, first) in files.segments.iter().enumerate().skip(known.saturating_sub(1)) {
        replay.segment(disk, *first, files.segments.get(nth + 1).copied())?;
    }
    replay.finish(&files)
}

struct Replay {
    covers: u64,
    /// The oldest segment that is still needed.
    oldest: u64,
    next_sale: u32,
    sales: HashMap<u32, Kept>,
    names: HashMap<SaleId, u32>,
    /// The newest block that the snapshot's rows of a sale have in them.
    covered: HashMap<u32, u64>,
    blocked: BTreeSet<membership::MemberId>,
    erasing: BTreeMap<membership::MemberId, membership::MemberId>,
    /// The number of the next block; `None` before the first.
    expected: Option<u64>,
    tail: Tail,
    snapshot_bytes: u64,
    replayed_bytes: u64,
    is_to_forget: bool,
    book: LiveBook,
    /// The book's file has everything up to this block.
    whole_to: u64,
    archive: Option<Arc<ArchiveFile>>,
    /// Sales that were archived once more after what is read here, and then deleted.
    deleted: HashSet<u32>,
}

impl Replay {
    fn new(
        snapshot: Snapshot,
        book: LiveBook,
        whole_to: u64,
        archive: Option<Arc<ArchiveFile>>,
    ) -> Self {
        let Snapshot {
            covers,
            oldest,
            next_sale,
            blocked,
            sales,
            bytes,
            erasing,
            plans,
            taken_in,
            ..
        } = snapshot;
        plans.into_iter().for_each(|plan| book.add_plan(plan));
        taken_in.into_iter().for_each(|(sale, seq)| book.take_in(sale, seq));
        let covered = sales.iter().map(|kept| (kept.rows.number, kept.block)).collect();
        let names =
            sales.iter().map(|kept| (kept.rows.terms.id.clone(), kept.rows.number)).collect();
        Self {
            covers,
            oldest,
            next_sale,
            sales: sales.into_iter().map(|kept| (kept.rows.number, kept)).collect(),
            names,
            covered,
            blocked,
            erasing,
            expected: None,
            tail: Tail::default(),
            snapshot_bytes: bytes,
            is_to_forget: false,
            replayed_bytes: 0,
            whole_to,
            book,
            archive,
            deleted: HashSet::new(),
        }
    }

    /// Follows the blocks of a segment; `next` is the first block of the one behind it.
    fn segment(&mut self, disk: &dyn Disk, first: u64, next: Option<u64>) -> Stored<()> {
        let name = files::segment(first);
        let bytes = disk.read(&name).map_err(failed)?;
        let mut at = files::check(&name, first, &bytes)?;
        loop {
            let expected = self.expected.unwrap_or(first);
            match block::read(&bytes, at) {
                Ok(None) => return Ok(()),
                Ok(Some(block)) => {
                    self.block(&block, expected, at)
                        .map_err(|error| named(error, &name, &block, at))?;
                    self.tail = Tail {
                        segment: first,
                        offset: at as u64,
                        number: block.number,
                        bytes: block.bytes.to_vec(),
                    };
                    at += block.bytes.len();
                }
                Err(Bad::Newer(format)) => return Err(files::newer(&name, format)),
                // The next segment begins with this block, or with the one before it.
                Err(_) if next.is_some_and(|next| next <= expected) => return Ok(()),
                Err(Bad::Torn) if next.is_none() => {
                    return match block::any_later(&bytes, at, expected) {
                        None => Ok(()),
                        Some(later) => Err(damaged(format!(
                            "{name}: block {expected} at byte {at} is gone, and block {later} is there"
                        ))),
                    };
                }
                Err(Bad::Torn) => {
                    return Err(damaged(format!("{name}: block {expected} at byte {at} is torn")));
                }
                Err(Bad::Changed(what)) => {
                    return Err(damaged(format!(
                        "{name}: block {expected} at byte {at} is not what was written ({what})"
                    )));
                }
            }
        }
    }

    fn block(&mut self, block: &Block<'_>, expected: u64, at: usize) -> Stored<()> {
        if block.number + 1 == expected && block.bytes == self.tail.bytes {
            // The newest block of a process that ended is written again by the next one.
            return Ok(());
        }
        if block.number != expected {
            return Err(damaged(format!("it stands where block {expected} should be")));
        }
        self.expected = Some(block.number + 1);
        let offset = u32::try_from(at).map_err(damaged)?;
        for section in section::sections(block.payload) {
            self.section(&section?, block.number, offset)?;
        }
        self.replayed_bytes += block.bytes.len() as u64;
        Ok(())
    }

    fn section(&mut self, section: &ReadSection<'_>, block: u64, offset: u32) -> Stored<()> {
        match section.kind {
            Kind::Blocked
            | Kind::Erasing
            | Kind::Create
            | Kind::Plan
            | Kind::TakenIn
            | Kind::Archived
            | Kind::Unarchived
                if block <= self.covers => {}
            Kind::Archived => {
                self.archive_has(section.body().next()?)?;
                self.book.forget_taken_in(section.sale);
                if let Some(kept) = self.sales.remove(&section.sale) {
                    self.names.remove(&kept.rows.terms.id);
                }
            }
            Kind::Unarchived => self.unarchive(section.sale)?,
            Kind::Forgotten => self.is_to_forget |= block > self.covers,
            Kind::Blocked => {
                let BlockedEntry { member, is_blocked } = section.body().next()?;
                let member = member.parse().map_err(damaged)?;
                match is_blocked {
                    true => self.blocked.insert(member),
                    false => self.blocked.remove(&member),
                };
            }
            Kind::Erasing => {
                let ErasingEntry { member, pseudonym } = section.body().next()?;
                let member = member.parse().map_err(damaged)?;
                match pseudonym {
                    Some(name) => self.erasing.insert(member, name.parse().map_err(damaged)?),
                    None => self.erasing.remove(&member),
                };
            }
            Kind::Create => {
                let terms: Terms = section.terms()?;
                self.next_sale = self.next_sale.max(section.sale + 1);
                let id = terms.id.clone();
                let kept = Kept { block, ..Kept::new(SaleRows::new(section.sale, terms)) };
                let is_known = self.names.insert(id, section.sale).is_some();
                if self.sales.insert(section.sale, kept).is_some() || is_known {
                    return Err(damaged(format!("sale {} is made twice", section.sale)));
                }
            }
            Kind::Posted | Kind::Booked if block <= self.whole_to => {}
            Kind::Posted => {
                let old: OldChange = section.body().next()?;
                self.book.apply(vec![old.into()], block);
            }
            Kind::Booked => self.book.apply(vec![section.body().next()?], block),
            Kind::Plan => self.book.add_plan(section.body().next()?),
            Kind::TakenIn => self.book.take_in(section.sale, section.body().next()?),
            Kind::Open
            | Kind::Orders
            | Kind::Changes
            | Kind::Switch
            | Kind::TopUp
            | Kind::Terms
            | Kind::Renamed
            | Kind::Told => self.of_sale(section, block, offset)?,
        }
        Ok(())
    }

    /// Follows what a section says of one sale.
    fn of_sale(&mut self, section: &ReadSection<'_>, block: u64, offset: u32) -> Stored<()> {
        let is_covered = |covered: &u64| block <= *covered;
        if self.covered.get(&section.sale).is_some_and(is_covered)
            || self.deleted.contains(&section.sale)
        {
            return Ok(());
        }
        // What the snapshot covers and does not have was archived before.
        if block <= self.covers && !self.sales.contains_key(&section.sale) {
            return Ok(());
        }
        let unknown = || damaged(format!("no sale has the number {}", section.sale));
        let kept = self.sales.get_mut(&section.sale).ok_or_else(unknown)?;
        let after = kept.rows.counters.seq;
        kept.rows.replay(section)?;
        if kept.rows.counters.seq > after {
            kept.outbox.push(Spot { after, block, offset });
        }
        kept.block = block;
        Ok(())
    }

    /// Checks that the archive is of this version or a later one.
    fn archive_has(&self, version: u64) -> Stored<()> {
        let is = self.archive.as_ref().map_or(Ok(0), |archive| archive.version())?;
        match is < version {
            true => Err(damaged(format!("archive.redb is of version {is}, and was of {version}"))),
            false => Ok(()),
        }
    }

    /// Takes a sale out of the archive. It may stand there as it was archived later.
    fn unarchive(&mut self, number: u32) -> Stored<()> {
        let archive = self.archive.as_ref();
        let Some(kept) = archive.map_or(Ok(None), |archive| archive.load(number))? else {
            self.deleted.insert(number);
            return Ok(());
        };
        self.book.take_in(number, kept.rows.counters.seq);
        self.covered.insert(number, kept.block);
        self.names.insert(kept.rows.terms.id.clone(), number);
        self.sales.insert(number, kept);
        Ok(())
    }

    fn finish(self, files: &Files) -> Stored<Recovered> {
        // What a snapshot has in it was on disk before it: a journal that ends earlier has lost something.
        let next_block = self.expected.unwrap_or(self.covers + 1);
        let reached = self.covered.values().copied().fold(self.covers, u64::max);
        if next_block <= reached {
            return Err(damaged(format!(
                "the journal ends before block {next_block}, and its snapshot has block {reached}"
            )));
        }
        let oldest = files.segments.first().copied().unwrap_or(0);
        let mut sales: Vec<_> = self.sales.into_values().collect();
        // The archive has sales as they were, and segments may have gone since.
        sales.iter_mut().for_each(|kept| kept.forget_before(oldest));
        let sales =
            sales.into_iter().map(|kept| (kept.rows.terms.id.clone(), Arc::new(Sale::new(kept))));
        let live = Live {
            sales: sales.collect::<BTreeMap<_, _>>().into(),
            blocked: self.blocked.into(),
            erasing: self.erasing.into(),
            segments: files.segments.iter().copied().collect::<BTreeSet<_>>().into(),
            book: self.book,
        };
        Ok(Recovered {
            live,
            next_sale: self.next_sale,
            next_block,
            tail: (!self.tail.bytes.is_empty()).then_some(self.tail),
            snapshot_bytes: self.snapshot_bytes,
            replayed_bytes: self.replayed_bytes,
            is_to_forget: self.is_to_forget,
        })
    }
}

fn named(error: StoreError, name: &str, block: &Block<'_>, at: usize) -> StoreError {
    match error {
        StoreError::Damaged(why) => {
            damaged(format!("{name}: block {} at byte {at}: {why}", block.number))
        }
        error => error,
    }
}
