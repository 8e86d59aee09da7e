//! Group: the transactions that go to disk together, in one block.

use super::block;
use super::live::{Kept, Live, Sale};
use super::outbox::Spot;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::time::Millis;
use crate::store::StoreError;
use crate::store::planted::is_planted;
use crate::store::rows::{SaleRows, Stored};
use crate::store::section::{BlockedEntry, Kind, Section};
use membership::MemberId;
use parking_lot::{ArcRwLockWriteGuard, RawRwLock, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a caller asks the writer for, and where the answer goes.
pub(super) enum Ask {
    Sale(SaleId, Box<dyn Transaction>),
    Create(Box<Terms>, Tell),
    Blocked(MemberId, bool, Tell),
}

pub(super) type Tell = oneshot::Sender<Stored<()>>;

/// A transaction on one sale.
pub(super) trait Transaction: Send {
    /// Changes the rows, and writes to the block what was decided.
    fn run(&mut self, rows: &mut SaleRows, block: &mut Vec<u8>) -> Stored<()>;

    /// Tells the caller what came of it; `failed` says why it did not get that far.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

/// A transaction as the store asks for it.
pub(super) struct Asked<T, F> {
    pub(super) change: Option<F>,
    pub(super) made: Option<Stored<T>>,
    pub(super) tell: oneshot::Sender<Stored<T>>,
}

impl<T, F> Transaction for Asked<T, F>
where
    T: Send,
    F: FnOnce(&mut SaleRows, &mut Vec<u8>) -> Stored<T> + Send,
{
    fn run(&mut self, rows: &mut SaleRows, block: &mut Vec<u8>) -> Stored<()> {
        let change = self.change.take().expect("a transaction runs once");
        let made = change(rows, block);
        let outcome = made.as_ref().map(drop).map_err(Clone::clone);
        self.made = Some(made);
        outcome
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let made = failed.map_or(self.made, |failed| Some(Err(failed)));
        // Err: the caller has given up; asking again finds it done.
        self.tell.send(made.expect("a transaction that did not fail has run")).ok();
    }
}

struct Locked {
    sale: Arc<Sale>,
    kept: ArcRwLockWriteGuard<RawRwLock, Kept>,
}

/// What waits for the block to be on disk.
enum Waiting {
    Transaction(Box<dyn Transaction>),
    Told(Tell, Stored<()>),
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
    blocked: Vec<(MemberId, bool)>,
    waiting: Vec<Waiting>,
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
        let (locked, made, blocked, waiting) = (HashMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { live, bytes, number, offset, next_sale, locked, made, blocked, waiting }
    }

    pub(super) fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Sale(sale, transaction) => self.transact(&sale, transaction),
            Ask::Create(terms, tell) => {
                let outcome = self.create(*terms);
                self.waiting.push(Waiting::Told(tell, outcome));
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
        if !self.locked.contains_key(id) {
            let Some(sale) = self.live.sale(id) else {
                return transaction.answer(Some(StoreError::UnknownSale));
            };
            let kept = RwLock::write_arc(&sale.kept);
            self.locked.insert(id.clone(), Locked { sale, kept });
        }
        let locked = self.locked.get_mut(id).expect("it was locked above");
        let kept = &mut *locked.kept;
        if let Err(trouble) = kept.check() {
            return transaction.answer(Some(trouble));
        }
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

    /// Ends the block. Returns `false` if there is nothing in it.
    pub(super) fn seal(&mut self, now: Millis) -> bool {
        let has_sections = self.bytes.len() > block::HEAD;
        if has_sections {
            block::seal(&mut self.bytes, 0, self.number, now);
        }
        has_sections
    }

    /// The block is on disk: lets others see what it did, and tells those who wait. Returns the number
    /// of the next sale, and the bytes for the next group.
    pub(super) fn done(mut self) -> (u32, Vec<u8>) {
        for (_, Locked { sale, kept }) in std::mem::take(&mut self.locked) {
            *sale.epoch.lock() = kept.rows.counters.epoch;
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
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Transaction(transaction) => transaction.answer(None),
                Waiting::Told(tell, outcome) => drop(tell.send(outcome)),
            }
        }
        (self.next_sale, std::mem::take(&mut self.bytes))
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

/// Why nothing is written any more.
pub(super) fn ended() -> StoreError {
    StoreError::Damaged("the journal's writer has ended; restart this process".into())
}

/// Tells a caller why the writer did not get to what was asked.
pub(super) fn refuse(ask: Ask, why: &StoreError) {
    match ask {
        Ask::Sale(_, transaction) => transaction.answer(Some(why.clone())),
        Ask::Create(_, tell) | Ask::Blocked(_, _, tell) => drop(tell.send(Err(why.clone()))),
    }
}
