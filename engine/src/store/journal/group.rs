//! Group: the transactions that go to disk together, in one block.

use super::ask::{Archive, Ask, Tell, Transaction, ended, refuse};
use super::block;
use super::live::{Kept, Live, Sale};
use super::outbox::Spot;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::store::counters::Counters;
use crate::store::planted::is_planted;
use crate::store::rows::{SaleRows, Stored};
use crate::store::section::{BlockedEntry, ErasingEntry, Kind, Section};
use crate::store::{Bucket, BucketChange, Made, PlanVersion, StoreError};
use membership::MemberId;
use parking_lot::{ArcRwLockWriteGuard, RawRwLock, RwLock};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

struct Locked {
    sale: Arc<Sale>,
    kept: ArcRwLockWriteGuard<RawRwLock, Kept>,
}

/// What waits for the block to be on disk.
enum Waiting {
    Transaction(Box<dyn Transaction>),
    Told(Tell, Stored<()>),
    Posted(oneshot::Sender<Stored<Made>>, Stored<Made>),
}

/// What a group does to the book.
enum Noted {
    Change(Box<BucketChange>),
    Plan(PlanVersion),
    TakenIn(u32, u64),
}

/// A group on its way to disk. The sales in it are locked until it is there.
pub(super) struct Group<'l> {
    live: &'l Live,
    pub(super) bytes: Vec<u8>,
    number: u64,
    offset: u64,
    next_sale: u32,
    locked: HashMap<SaleId, Locked>,
    made: Vec<SaleRows>,
    archived: Vec<SaleId>,
    unarchived: Vec<Kept>,
    blocked: Vec<(MemberId, bool)>,
    erasing: Vec<(MemberId, Option<MemberId>)>,
    book: Vec<Noted>,
    /// The versions of the buckets that this group changes.
    versions: HashMap<Bucket, u64>,
    waiting: Vec<Waiting>,
}

/// What a group leaves behind.
pub(super) struct Done {
    /// The number of the next sale.
    pub(super) next_sale: u32,
    /// For the next group.
    pub(super) bytes: Vec<u8>,
    /// The sales that were in it and go on.
    pub(super) sales: Vec<Arc<Sale>>,
}

impl<'l> Group<'l> {
    /// A group whose block will have this number and begin there in its segment; `bytes` is reused.
    pub(super) fn new(
        live: &'l Live,
        (number, offset): (u64, u64),
        next_sale: u32,
        mut bytes: Vec<u8>,
    ) -> Self {
        bytes.clear();
        block::begin(&mut bytes);
        Self {
            live,
            bytes,
            number,
            offset,
            next_sale,
            locked: HashMap::new(),
            made: Vec::new(),
            archived: Vec::new(),
            unarchived: Vec::new(),
            blocked: Vec::new(),
            erasing: Vec::new(),
            book: Vec::new(),
            versions: HashMap::new(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Sale(sale, transaction) => self.transact(&sale, transaction),
            Ask::Create(terms, tell) => {
                let outcome = self.create(*terms);
                self.waiting.push(Waiting::Told(tell, outcome));
            }
            Ask::Erasing(member, pseudonym, tell) => {
                let entry = ErasingEntry {
                    member: member.as_str(),
                    pseudonym: pseudonym.as_ref().map(MemberId::as_str),
                };
                self.section(Kind::Erasing, 0, &entry);
                self.erasing.push((member, pseudonym));
                self.waiting.push(Waiting::Told(tell, Ok(())));
            }
            Ask::Post(change, tell) => {
                let made = self.post(*change);
                self.waiting.push(Waiting::Posted(tell, made));
            }
            Ask::Plan(plan, tell) => {
                self.section(Kind::Plan, 0, &plan);
                self.book.push(Noted::Plan(plan));
                self.waiting.push(Waiting::Told(tell, Ok(())));
            }
            Ask::TakeIn(sale, seq, tell) => {
                self.section(Kind::TakenIn, sale, &seq);
                self.book.push(Noted::TakenIn(sale, seq));
                self.waiting.push(Waiting::Told(tell, Ok(())));
            }
            Ask::Archive(archive, tell) => {
                let outcome = self.archive(&archive);
                self.waiting.push(Waiting::Told(tell, outcome));
            }
            Ask::Unarchive(kept, tell) => {
                self.unarchive(*kept);
                self.waiting.push(Waiting::Told(tell, Ok(())));
            }
            // The snapshotter takes these out before; a group makes none.
            Ask::Backup(..) => refuse(ask, &ended()),
            Ask::Forget(tell) => {
                Section::begin(&mut self.bytes, Kind::Forgotten, 0).finish(None);
                self.waiting.push(Waiting::Told(tell, Ok(())));
            }
            Ask::Blocked(member, is_blocked, tell) => {
                let mut of_group = self.blocked.iter().rev();
                let newest = of_group.find(|(other, _)| *other == member).map(|(_, is)| *is);
                let was = newest.unwrap_or_else(|| self.live.blocked.read().contains(&member));
                if was != is_blocked {
                    let mut section = Section::begin(&mut self.bytes, Kind::Blocked, 0);
                    section.push(&BlockedEntry { member: member.as_str(), is_blocked });
                    section.finish(None);
                }
                self.blocked.push((member, is_blocked));
                self.waiting.push(Waiting::Told(tell, Ok(())));
            }
        }
    }

    fn transact(&mut self, id: &SaleId, mut transaction: Box<dyn Transaction>) {
        let kept = match lock(self.live, &mut self.locked, &self.archived, id) {
            Ok(kept) => kept,
            Err(why) => return transaction.answer(Some(why)),
        };
        let (start, after) = (self.bytes.len(), kept.rows.counters.seq);
        if let Err(error) = transaction.run(&mut kept.rows, &mut self.bytes) {
            // Nothing of it goes to disk, and nothing more is sold on top of rows that do not fit.
            self.bytes.truncate(start);
            kept.trouble = kept.rows.is_half_changed.then_some(error);
        }
        if self.bytes.len() > start {
            kept.block = self.number;
            if kept.rows.counters.seq > after {
                let offset = u32::try_from(self.offset).expect("a segment is far below 4 GiB");
                kept.outbox.push(Spot { after, block: self.number, offset });
            }
        }
        self.waiting.push(Waiting::Transaction(transaction));
    }

    fn create(&mut self, terms: Terms) -> Stored<()> {
        // A sale of this group is locked by this thread already.
        let locked = self.locked.get(&terms.id).map(|locked| &locked.kept.rows);
        let made = self.made.iter().find(|rows| rows.terms.id == terms.id);
        let is_made_by = |rows: &SaleRows| rows.is_made_by(&terms);
        let kept = || self.live.sale(&terms.id).map(|sale| is_made_by(&sale.kept.read().rows));
        match locked.or(made).map(is_made_by).or_else(kept) {
            Some(true) => return Ok(()),
            Some(false) => return Err(StoreError::SaleExists),
            None => {}
        }
        let mut section = Section::begin(&mut self.bytes, Kind::Create, self.next_sale);
        section.push(&serde_json::to_string(&terms).expect("terms are plain data"));
        section.finish(None);
        self.made.push(SaleRows::new(self.next_sale, terms));
        self.next_sale += 1;
        Ok(())
    }

    fn archive(&mut self, archive: &Archive) -> Stored<()> {
        let Archive { sale, epoch, block, version } = archive;
        let kept = lock(self.live, &mut self.locked, &self.archived, sale)?;
        kept.rows.counters.sold_by(*epoch)?;
        if kept.block != *block {
            let why = "the sale has changed while it was archived; ask again";
            return Err(StoreError::Refused(why.into()));
        }
        let number = kept.rows.number;
        self.section(Kind::Archived, number, version);
        self.archived.push(sale.clone());
        Ok(())
    }

    fn unarchive(&mut self, kept: Kept) {
        let id = &kept.rows.terms.id;
        let is_out = |other: &Kept| other.rows.number == kept.rows.number;
        if self.live.sale(id).is_none() && !self.unarchived.iter().any(is_out) {
            Section::begin(&mut self.bytes, Kind::Unarchived, kept.rows.number).finish(None);
            self.unarchived.push(kept);
        }
    }

    fn section(&mut self, kind: Kind, about: u32, value: &impl Serialize) {
        let mut section = Section::begin(&mut self.bytes, kind, about);
        section.push(value);
        section.finish(None);
    }

    fn post(&mut self, change: BucketChange) -> Stored<Made> {
        let book = &self.live.book;
        if let Some(version) = self.versions.get(&change.bucket) {
            // What this group does is not on disk yet, so a repeated call is told to look again.
            if change.head.version != version + 1 {
                return Ok(Made::Stale);
            }
        } else if let Some(made) = book.stands(&change, book.version(change.bucket))? {
            return Ok(made);
        }
        self.versions.insert(change.bucket, change.head.version);
        self.section(Kind::Booked, change.bucket.place().into(), &change);
        self.book.push(Noted::Change(Box::new(change)));
        Ok(Made::Posted)
    }

    /// Ends the block. Returns `false` if there is nothing in it.
    pub(super) fn seal(&mut self, now: Millis) -> bool {
        let has_sections = self.bytes.len() > block::HEAD;
        if has_sections {
            block::seal(&mut self.bytes, 0, self.number, now);
        }
        has_sections
    }

    /// The block is on disk: lets others see what it did, and tells those who wait.
    pub(super) fn done(mut self) -> Done {
        let mut sales = Vec::new();
        for (id, Locked { sale, kept }) in std::mem::take(&mut self.locked) {
            *sale.epoch.lock() = kept.rows.counters.epoch;
            if kept.trouble.is_none() && !self.archived.contains(&id) {
                sales.push(sale);
            }
        }
        if !self.archived.is_empty() {
            let mut sales = self.live.sales.write();
            for sale in std::mem::take(&mut self.archived).iter().filter_map(|id| sales.remove(id))
            {
                self.live.book.forget_taken_in(sale.kept.read().rows.number);
            }
        }
        for kept in std::mem::take(&mut self.unarchived) {
            let Counters { seq, .. } = kept.rows.counters;
            self.live.book.take_in(kept.rows.number, seq);
            let id = kept.rows.terms.id.clone();
            self.live.sales.write().insert(id, Arc::new(Sale::new(kept)));
        }
        if !self.made.is_empty() {
            let mut sales = self.live.sales.write();
            for rows in std::mem::take(&mut self.made) {
                let kept = Kept { block: self.number, ..Kept::new(rows) };
                sales.insert(kept.rows.terms.id.clone(), Arc::new(Sale::new(kept)));
            }
        }
        if !self.blocked.is_empty() {
            let mut blocked = self.live.blocked.write();
            for (member, is_blocked) in std::mem::take(&mut self.blocked) {
                if is_blocked {
                    blocked.insert(member)
                } else {
                    blocked.remove(&member)
                };
            }
        }
        for (member, pseudonym) in std::mem::take(&mut self.erasing) {
            let mut erasing = self.live.erasing.write();
            match pseudonym {
                Some(pseudonym) => erasing.insert(member, pseudonym),
                None => erasing.remove(&member),
            };
        }
        let mut changes = Vec::new();
        for noted in std::mem::take(&mut self.book) {
            match noted {
                Noted::Change(change) => changes.push(*change),
                Noted::Plan(plan) => self.live.book.add_plan(plan),
                Noted::TakenIn(sale, seq) => self.live.book.take_in(sale, seq),
            }
        }
        self.live.book.apply(changes, self.number);
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Transaction(transaction) => transaction.answer(None),
                Waiting::Told(tell, outcome) => drop(tell.send(outcome)),
                Waiting::Posted(tell, made) => drop(tell.send(made)),
            }
        }
        Done { next_sale: self.next_sale, bytes: std::mem::take(&mut self.bytes), sales }
    }

    /// It is not known what of the block is on disk: nobody reads these rows any more.
    pub(super) fn failed(mut self, why: &StoreError) {
        for (_, mut locked) in std::mem::take(&mut self.locked) {
            if !is_planted("memory-not-rebuilt") {
                locked.kept.trouble = Some(why.clone());
            }
        }
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Transaction(transaction) if is_planted("group-told-in-part") => {
                    transaction.answer(None);
                }
                Waiting::Transaction(transaction) => transaction.answer(Some(why.clone())),
                Waiting::Told(tell, _) => drop(tell.send(Err(why.clone()))),
                Waiting::Posted(tell, _) => drop(tell.send(Err(why.clone()))),
            }
        }
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        // The writer panics: nobody may read rows whose block is not on disk.
        for locked in self.locked.values_mut() {
            locked.kept.trouble = Some(ended());
        }
    }
}

/// The rows of a sale, which are locked until the group is on disk.
fn lock<'g>(
    live: &Live,
    locked: &'g mut HashMap<SaleId, Locked>,
    archived: &[SaleId],
    id: &SaleId,
) -> Stored<&'g mut Kept> {
    if archived.contains(id) {
        return Err(StoreError::UnknownSale);
    }
    if !locked.contains_key(id) {
        let sale = live.sale(id).ok_or(StoreError::UnknownSale)?;
        let kept = RwLock::write_arc(&sale.kept);
        locked.insert(id.clone(), Locked { sale, kept });
    }
    let kept = &mut *locked.get_mut(id).expect("it was locked above").kept;
    kept.check()?;
    Ok(kept)
}
