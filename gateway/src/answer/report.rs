//! What an operator sees of a sale: everything that is counted.

use crate::answer::view::{SaleView, Time};
use crate::answer::words;
use engine::nodes::sharing::Sharing;
use engine::open::marks::Mark;
use engine::rules::member_terms::Audience;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::tally::Tallies;
use engine::rules::time::Millis;
use engine::sale::stock::Level;
use engine::timing::Timed;
use engine::{Engine, OpenSale};
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
    /// The node that sells it, if several may share the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    node: Option<String>,
    /// The sale is over and archived: this is read from the store.
    archived: bool,
    pay_within_s: u32,
    /// The version of the plan whose discounts, coupons and worth of points it has.
    plan: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_day_price_cents: Option<u64>,
    /// How much of what is left after a coupon points may pay, in per cent.
    points_share_max: u8,
    /// The kinds of coupons that it takes.
    coupons: Vec<String>,
    audience: AudienceView,
    /// Whether it is on lists.
    listed: bool,
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
    flow: FlowView,
    /// How long orders took from the click to the verdict on disk, since this process opened the sale.
    confirm_times: TimesView,
    /// This is a rehearsal: a copy with invented members, of which nothing counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    rehearsal: bool,
    /// Refused clicks and wishes to wait by code, since this process opened the sale.
    #[schema(value_type = BTreeMap<String, u64>)]
    refused: BTreeMap<&'static str, u64>,
    /// What happened, oldest first: the opening of each tier's window, and since this process opened the
    /// sale what operators did, at most the newest 256.
    marks: Vec<MarkView>,
    /// Why orders wait for the store, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// How far clicks came. All but `clicks` count orders, also those that went further.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlowView {
    /// Orders, and refused clicks and wishes to wait since this process opened the sale.
    clicks: u64,
    accepted: u64,
    confirmed: u64,
    paid: u64,
}

/// How long something took: how many were done within each of some times.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimesView {
    count: u64,
    buckets: Vec<WithinView>,
}

/// How many took at most so long.
#[derive(Debug, Serialize, ToSchema)]
struct WithinView {
    within_ms: f64,
    count: u64,
}

impl From<Timed> for TimesView {
    fn from(timed: Timed) -> Self {
        let within = |(us, count)| WithinView { within_ms: us as f64 / 1_000.0, count };
        Self { count: timed.count, buckets: timed.buckets.into_iter().map(within).collect() }
    }
}

/// For whom a sale is there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AudienceView {
    #[schema(value_type = Vec<words::Tier>)]
    tiers: Vec<Tier>,
    /// Only for members who are enrolled.
    enrolled: bool,
}

impl AudienceView {
    fn of(audience: Audience) -> Self {
        let has = |tier: &Tier| audience.tiers[*tier];
        Self { tiers: Tier::ALL.into_iter().filter(has).collect(), enrolled: audience.is_enrolled }
    }
}

/// Something that a chart of the sale shows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MarkView {
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    #[schema(value_type = words::Mark)]
    mark: &'static str,
    /// Of `window_opened`: whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Tier>)]
    tier: Option<Tier>,
    /// Of `topped_up`: how many were added.
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<u32>,
}

/// What there is to mark in a sale until `now`.
fn marks(open: &OpenSale, now: Millis) -> Vec<MarkView> {
    let mut marks: Vec<(Millis, MarkView)> = Vec::new();
    let mark = |at, mark, tier, units| (at, MarkView { at: Time(at), mark, tier, units });
    for tier in Tier::ALL {
        let opened = open.sale.terms().windows.opens_at(tier).filter(|at| *at <= now);
        marks.extend(opened.map(|at| mark(at, "window_opened", Some(tier), None)));
    }
    marks.extend(open.marks_noted().into_iter().map(|(at, noted)| match noted {
        Mark::Opened => mark(at, "taken_over", None, None),
        Mark::Paused => mark(at, "paused", None, None),
        Mark::Resumed => mark(at, "resumed", None, None),
        Mark::Closed => mark(at, "closed", None, None),
        Mark::ToppedUp(units) => mark(at, "topped_up", None, Some(units.0)),
        Mark::Changed => mark(at, "changed", None, None),
    }));
    marks.sort_by_key(|(at, _)| *at);
    marks.into_iter().map(|(_, mark)| mark).collect()
}

/// One tier's part of a sale.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TierReport {
    orders: u64,
    /// Refused clicks and wishes to wait since this process opened the sale.
    refused: u64,
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
    pub(crate) fn of(open: &OpenSale, engine: &Engine) -> Self {
        let now = engine.now();
        let me = engine.sharing().and_then(Sharing::me).filter(|_| !open.is_archived());
        let (tallies, level) = reading(open);
        let (reserved, members) = (open.reserved(), &open.sale.terms().members);
        let units = |status: Status| tallies.sum(status).units;
        let refused_of = open.sale.meter().refused();
        let of_all = |kind: usize| refused_of.0.iter().map(|kinds| kinds[kind]).sum::<u64>();
        let refused: [u64; Refusal::KINDS] = std::array::from_fn(of_all);
        let waits: u64 = reserved.0.iter().map(|tally| tally.orders).sum();
        let stored: u64 = tallies.all().0.iter().map(|tally| tally.orders).sum();
        let orders = |status: Status| tallies.sum(status).orders;
        let flow = FlowView {
            clicks: waits + stored + refused.iter().sum::<u64>(),
            accepted: waits + stored,
            confirmed: stored - orders(Status::Released),
            paid: orders(Status::Paid) + orders(Status::Returned),
        };
        let by_tier = Tier::ALL.into_iter().map(|tier| {
            let of = |status: Status| tallies.of(status)[tier].units;
            let report = TierReport {
                orders: reserved[tier].orders + tallies.all()[tier].orders,
                refused: refused_of[tier].iter().sum(),
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
            node: me.map(ToString::to_string),
            archived: open.is_archived(),
            pay_within_s: open.terms_now().pay_within_s,
            plan: members.plan,
            member_day_price_cents: members.member_day_price.map(|price| price.0),
            points_share_max: members.points_share_max,
            coupons: members.coupons.keys().cloned().collect(),
            audience: AudienceView::of(members.audience),
            listed: !members.is_unlisted,
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
            flow,
            confirm_times: open.sale.meter().confirming().read().into(),
            rehearsal: false,
            refused: Refusal::CODES.into_iter().zip(refused).collect(),
            marks: marks(open, now),
            trouble: open.trouble().map(|trouble| trouble.to_string()),
        }
    }

    /// As the report of a rehearsal.
    pub(crate) fn rehearsed(self) -> Self {
        Self { rehearsal: true, ..self }
    }
}
