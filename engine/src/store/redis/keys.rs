//! The keys of Redis that Flashlane writes.

use crate::rules::terms::SaleId;

/// The ids of all sales. An id is added before its sale is created, so the set may also name sales
/// that were never created.
pub(super) const SALES: &str = "flashlane:sales";

/// Members who may not buy, in any sale.
pub(super) const BLOCKED: &str = "flashlane:blocked";

/// The number that was given to the newest sale.
pub(super) const SALE_NUMBER: &str = "flashlane:sale_number";

/// The keys of a sale, all in one slot.
#[derive(Debug)]
pub(super) struct SaleKeys {
    pub(super) sale: String,
    pub(super) orders: String,
    pub(super) holders: String,
    pub(super) members: String,
    pub(super) outbox: String,
    pub(super) top_ups: String,
    pub(super) waiting: String,
}

impl SaleKeys {
    /// The names of a sale's keys, in the order in which the functions are given the keys.
    pub(super) const NAMES: [&str; 7] =
        ["sale", "orders", "holders", "members", "outbox", "top_ups", "waiting"];

    /// The keys of this sale.
    pub(super) fn of(sale: &SaleId) -> Self {
        Self::tagged(sale.as_str())
    }

    /// The keys with this hash tag, which may be any text and need not be a sale id.
    pub(super) fn tagged(tag: &str) -> Self {
        let [sale, orders, holders, members, outbox, top_ups, waiting] =
            Self::NAMES.map(|name| format!("flashlane:{{{tag}}}:{name}"));
        Self { sale, orders, holders, members, outbox, top_ups, waiting }
    }

    /// Where a sale of an older layout is written in this one: its orders, holders and members.
    pub(super) fn upgrading(&self) -> [String; 3] {
        [&self.orders, &self.holders, &self.members].map(|key| format!("{key}:upgrading"))
    }

    /// All keys, in the order in which the functions are given them.
    pub(super) fn all(&self) -> [&str; 7] {
        let Self { sale, orders, holders, members, outbox, top_ups, waiting } = self;
        [sale, orders, holders, members, outbox, top_ups, waiting]
    }
}
