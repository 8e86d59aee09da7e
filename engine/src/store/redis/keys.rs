//! The keys of Redis that Flashlane writes.

use crate::rules::terms::SaleId;
use crate::store::Bucket;

/// The ids of all sales. An id is added before its sale is created, so the set may also name sales
/// that were never created.
pub(super) const SALES: &str = "flashlane:sales";

/// The ids of archived sales, each with the score 0. Their keys stay in their slots; the lists of them are in
/// the slot of [`SALES`].
pub(super) const ARCHIVED: &str = "flashlane:{flashlane:sales}:archived";

/// The ids of archived sales by the instant of their newest change, in ms.
pub(super) const ARCHIVED_CHANGED: &str = "flashlane:{flashlane:sales}:changed";

/// The ids of archived sales by number.
pub(super) const ARCHIVED_NUMBERS: &str = "flashlane:{flashlane:sales}:numbers";

/// As [`ARCHIVED_CHANGED`], those that may have outbox entries.
pub(super) const ARCHIVED_OUTBOX: &str = "flashlane:{flashlane:sales}:outbox";

/// The ids of deleted sales, which stay taken.
pub(super) const DELETED: &str = "flashlane:{flashlane:sales}:deleted";

/// Members who may not buy, in any sale.
pub(super) const BLOCKED: &str = "flashlane:blocked";

/// Members who are being erased, and their pseudonyms.
pub(super) const ERASING: &str = "flashlane:erasing";

/// The number that was given to the newest sale.
pub(super) const SALE_NUMBER: &str = "flashlane:sale_number";

/// The leases of nodes, by name.
pub(super) const LEASES: &str = "flashlane:leases";

/// What only one process may do at a time, as leases are kept.
pub(super) const LATCHES: &str = "flashlane:latches";

/// Counts what was written under a hash tag, while replicas are waited for.
pub(super) fn written(tag: &[u8]) -> Vec<u8> {
    [b"flashlane:{", tag, b"}:written"].concat()
}

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

/// The versions of the membership plan.
pub(super) const PLANS: &str = "flashlane:plans";

/// Up to which entry the book has taken in each sale's outbox.
pub(super) const TAKEN_IN: &str = "flashlane:taken_in";

/// The keys of a bucket of the members' book, all in one slot, in the order in which the functions are
/// given them.
pub(super) fn of_bucket(bucket: Bucket) -> [String; 7] {
    ["book", "names", "named", "accounts", "postings", "posted", "notices"]
        .map(|name| format!("flashlane:{{{bucket}}}:{name}"))
}
