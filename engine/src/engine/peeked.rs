//! Peeked: what was read lately of sales that other nodes sell.

use crate::open::sale::OpenSale;
use crate::rules::terms::SaleId;
use crate::rules::time::Millis;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Copies of sales of other nodes, and when each was read.
#[derive(Debug, Default)]
pub(super) struct Peeked {
    pub(super) copies: Mutex<BTreeMap<SaleId, (Arc<OpenSale>, Millis)>>,
    pub(super) listed: tokio::sync::Mutex<(BTreeSet<SaleId>, Millis)>,
    /// When sales were last looked through for their numbers.
    pub(super) numbered_at: tokio::sync::Mutex<Millis>,
}
