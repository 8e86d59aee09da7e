//! The keys of Redis that Flashlane writes.

use crate::rules::terms::SaleId;

/// Every sale that was ever meant to be made. Written before the sale is, so it may name more.
pub(super) const SALES: &str = "flashlane:sales";

/// Members who may not buy, in any sale.
pub(super) const BLOCKED: &str = "flashlane:blocked";

/// The keys of a sale, all in one slot.
#[derive(Debug)]
pub(super) struct SaleKeys {
    pub(super) sale: String,
    pub(super) orders: String,
    pub(super) holders: String,
    pub(super) outbox: String,
    pub(super) top_ups: String,
    pub(super) waiting: String,
}

impl SaleKeys {
    /// Their names, in the order in which the functions are given the keys.
    pub(super) const NAMES: [&str; 6] =
        ["sale", "orders", "holders", "outbox", "top_ups", "waiting"];

    /// Those of this sale.
    pub(super) fn of(sale: &SaleId) -> Self {
        Self::tagged(sale.as_str())
    }

    /// Those of a sale that no id names: `tag` may be anything.
    pub(super) fn tagged(tag: &str) -> Self {
        let [sale, orders, holders, outbox, top_ups, waiting] =
            Self::NAMES.map(|name| format!("flashlane:{{{tag}}}:{name}"));
        Self { sale, orders, holders, outbox, top_ups, waiting }
    }

    /// All of them, as the functions are given them.
    pub(super) fn all(&self) -> [&str; 6] {
        let Self { sale, orders, holders, outbox, top_ups, waiting } = self;
        [sale, orders, holders, outbox, top_ups, waiting]
    }
}
