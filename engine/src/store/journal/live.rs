//! Live: all sales of a journal in memory. What decides is here; it moves when a block is made, and
//! nobody reads it before the block is on disk: the writer keeps a sale's rows locked until then.

use super::outbox::Outbox;
use crate::rules::terms::SaleId;
use crate::store::StoreError;
use crate::store::book::LiveBook;
use crate::store::rows::{SaleRows, Stored};
use membership::MemberId;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is kept of one sale.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) rows: SaleRows,
    pub(super) outbox: Outbox,
    /// The newest block with a section about this sale that is in these rows.
    pub(super) block: u64,
    /// Why these rows must not be used: they did not fit, or the disk does not have what they say.
    pub(super) trouble: Option<StoreError>,
}

impl Kept {
    pub(super) fn new(rows: SaleRows) -> Self {
        Self { rows, outbox: Outbox::default(), block: 0, trouble: None }
    }

    /// Forgets the outbox entries in blocks before this one.
    pub(super) fn forget_before(&mut self, block: u64) {
        if let Some(trimmed_to) = self.outbox.trim(block, self.rows.counters.seq) {
            self.rows.trimmed_to = trimmed_to;
        }
    }

    /// Refuses rows that must not be used.
    pub(super) fn check(&self) -> Stored<()> {
        self.trouble.clone().map_or(Ok(()), Err)
    }
}

/// A sale, and what is known of it without waiting for the writer.
#[derive(Debug)]
pub(super) struct Sale {
    pub(super) kept: Arc<RwLock<Kept>>,
    /// The epoch that sells it.
    pub(super) epoch: Mutex<u64>,
}

impl Sale {
    pub(super) fn new(kept: Kept) -> Self {
        let epoch = Mutex::new(kept.rows.counters.epoch);
        Self { kept: Arc::new(RwLock::new(kept)), epoch }
    }
}

/// All that is stored.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) sales: RwLock<BTreeMap<SaleId, Arc<Sale>>>,
    pub(super) blocked: RwLock<BTreeSet<MemberId>>,
    /// Members who are being erased, and their pseudonyms.
    pub(super) erasing: RwLock<BTreeMap<MemberId, MemberId>>,
    /// The segments that there are, by the number of their first block.
    pub(super) segments: RwLock<BTreeSet<u64>>,
    /// The members' book.
    pub(super) book: LiveBook,
}

impl Live {
    /// Whether there is a segment that begins with this block.
    pub(super) fn has(&self, segment: u64) -> bool {
        self.segments.read().contains(&segment)
    }

    /// Forgets the outbox entries of an archived sale whose segments are gone.
    pub(super) fn forget_what_is_gone(&self, kept: &mut Kept) {
        kept.forget_before(self.segments.read().first().copied().unwrap_or(0));
    }

    pub(super) fn sale(&self, id: &SaleId) -> Option<Arc<Sale>> {
        self.sales.read().get(id).cloned()
    }
}
