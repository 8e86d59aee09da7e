//! What an operator sees of a sale: everything that is counted.

use crate::answer::view::SaleView;
use engine::OpenSale;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::tally::Tallies;
use engine::rules::time::Millis;
use engine::sale::stock::Level;
use membership::Tier;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A sale, as its operator sees it. All counts but `orders`, `waiting` and `queued` are units, by where
/// their order is now: left + reserved + confirmed + paid + returned = stock.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaleReport {
    #[serde(flatten)]
    sale: SaleView,
    epoch: u64,
    pay_within_s: u32,
    /// Units whose orders wait for the store, or that are laid aside for the waitlist.
    reserved: u64,
    /// Units whose orders are on disk and wait for the payment.
    confirmed: u64,
    paid: u64,
    released: u64,
    cancelled: u64,
    expired: u64,
    /// Units whose orders were paid after they had expired or were cancelled: the money is to be
    /// paid back.
    refund_due: u64,
    /// Units whose orders were to be paid back, and were.
    refunded: u64,
    /// Units whose orders were paid, and all of the money went back. They are not on sale again.
    returned: u64,
    /// Members on the waitlist.
    waiting: usize,
    /// Orders on the queue, waiting for the store.
    queued: usize,
    #[schema(value_type = BTreeMap<String, TierReport>)]
    by_tier: BTreeMap<&'static str, TierReport>,
    /// Refused clicks and wishes to wait by code, since this process opened the sale.
    #[schema(value_type = BTreeMap<String, u64>)]
    refused: BTreeMap<&'static str, u64>,
    /// Why orders wait for the store, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// One tier's part of a sale.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TierReport {
    orders: u64,
    reserved: u64,
    confirmed: u64,
    paid: u64,
    released: u64,
    cancelled: u64,
    expired: u64,
    refund_due: u64,
    refunded: u64,
    returned: u64,
}

/// Returns the counts and the stock of one instant, as nearly as is possible without a lock.
fn reading(open: &OpenSale) -> (Tallies, Level) {
    let level = || open.sale.stock().level();
    let mut before = level();
    for _ in 0..8 {
        let tallies = open.sale.meter().stored();
        let after = level();
        if before == after {
            return (tallies, after);
        }
        before = after;
    }
    (open.sale.meter().stored(), level())
}

impl SaleReport {
    pub(crate) fn of(open: &OpenSale, now: Millis) -> Self {
        let (tallies, level) = reading(open);
        let reserved = open.reserved();
        let units = |status: Status| tallies.sum(status).units;
        let by_tier = Tier::ALL.into_iter().map(|tier| {
            let of = |status: Status| tallies.of(status)[tier].units;
            let report = TierReport {
                orders: reserved[tier].orders + tallies.all()[tier].orders,
                reserved: reserved[tier].units,
                confirmed: of(Status::Confirmed),
                paid: of(Status::Paid),
                released: of(Status::Released),
                cancelled: of(Status::Cancelled),
                expired: of(Status::Expired),
                refund_due: of(Status::RefundDue),
                refunded: of(Status::Refunded),
                returned: of(Status::Returned),
            };
            (tier.as_str(), report)
        });
        Self {
            sale: SaleView::at(open, level, now),
            epoch: open.sale.epoch(),
            pay_within_s: open.sale.terms().pay_within_s,
            reserved: u64::from(level.taken().0).saturating_sub(tallies.held_units()),
            confirmed: units(Status::Confirmed),
            paid: units(Status::Paid),
            released: units(Status::Released),
            cancelled: units(Status::Cancelled),
            expired: units(Status::Expired),
            refund_due: units(Status::RefundDue),
            refunded: units(Status::Refunded),
            returned: units(Status::Returned),
            waiting: open.waiting(),
            queued: open.sale.queue().len(),
            by_tier: by_tier.collect(),
            refused: Refusal::CODES.into_iter().zip(open.sale.meter().refused()).collect(),
            trouble: open.trouble().map(|trouble| trouble.to_string()),
        }
    }
}
