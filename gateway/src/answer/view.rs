//! What sales and orders look like in JSON.

use crate::answer::words;
use engine::rules::money::{ForeignId, Money, PriceKind, Refund};
use engine::rules::order::{Order, OrderId, Status};
use engine::rules::payment_ref::payment_ref;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::why::Why;
use engine::sale::stock::Level;
use engine::{Engine, Found, OpenSale};
use jiff::Timestamp;
use membership::{MemberId, Tier};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// An instant as RFC 3339 in UTC, with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Millis);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_ms = i64::try_from(self.0.0).unwrap_or(i64::MAX);
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::MAX);
        write!(f, "{at:.3}")
    }
}

/// An order, as its member and the operator see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "order_id": "lamp.1767225600000.17", "payment_ref": "1x1jdrdla00xh", "sale": "lamp",
    "member": "ann", "tier": "gold", "units": 1, "status": "confirmed", "number": 17,
    "reserved_at": "2026-01-01T12:00:00.004Z", "confirmed_at": "2026-01-01T12:00:00.009Z",
    "pay_by": "2026-01-01T12:15:00.009Z", "changed_at": "2026-01-01T12:00:00.009Z",
    "currency": "CNY", "price_cents": 19900, "price_kind": "list", "points": 0, "due_cents": 19900,
})))]
pub struct OrderView {
    /// `{sale}.{epoch}.{number}`
    pub order_id: String,
    /// The order's name for payment channels: at most 32 of `0-9 a-z`, unique for ever.
    payment_ref: String,
    sale: String,
    #[schema(value_type = String)]
    member: MemberId,
    #[schema(value_type = words::Tier)]
    tier: Tier,
    units: u32,
    #[schema(value_type = words::OrderStatus)]
    pub(crate) status: Status,
    number: u64,
    #[schema(value_type = String, format = DateTime)]
    reserved_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    confirmed_at: Option<Time>,
    /// Until when the order is to be paid; absent unless it waits for its payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pay_by: Option<Time>,
    /// When the order came to its status; absent while it is reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) changed_at: Option<Time>,
    /// ISO 4217.
    currency: String,
    /// Of one unit, as the member pays it, in the currency's minor unit.
    price_cents: u64,
    #[schema(value_type = words::Price)]
    price_kind: PriceKind,
    /// Points that the order is paid with in part.
    points: u64,
    /// The coupon that the order uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    coupon: Option<ForeignId>,
    /// What is to be paid for the whole order.
    due_cents: u64,
    /// What of that has gone back; absent while nothing has.
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded_cents: Option<u64>,
    /// Why it was released; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Why>)]
    why: Option<Why>,
}

/// What has gone back; `None` for nothing.
fn refunded(refunds: &[Refund]) -> Option<u64> {
    (!refunds.is_empty()).then(|| refunds.iter().map(|refund| refund.amount.0).sum())
}

impl OrderView {
    /// Returns the view of an order that the engine found. The member of an order on the board is
    /// read from the roster.
    pub(crate) fn found(engine: &Engine, open: &OpenSale, found: &Found) -> Self {
        let terms = open.sale.terms();
        match found {
            Found::Here(order) => {
                let member = engine.roster().member(order.seat);
                Self::here(open, order, member)
            }
            Found::Before(record) => Self {
                order_id: record.id(&terms.id).to_string(),
                payment_ref: payment_ref(open.sale_number, record.epoch, record.number),
                tier: record.tier,
                units: record.units.0,
                number: record.number,
                reserved_at: Time(record.reserved_at),
                pay_by: (record.status == Status::Confirmed).then_some(Time(record.pay_by)),
                refunded_cents: refunded(&record.refunds),
                why: record.why,
                ..Self::of(
                    open,
                    record.member.clone(),
                    record.money.clone(),
                    record.status,
                    Some(record.settled_at),
                    Some(record.changed_at),
                )
            },
        }
    }

    /// Returns the view of an order on the board. The caller knows its member.
    pub(crate) fn here(open: &OpenSale, order: &Order, member: MemberId) -> Self {
        let (terms, epoch) = (open.sale.terms(), open.sale.epoch());
        let id = OrderId { sale: terms.id.clone(), epoch, number: order.number };
        Self {
            order_id: id.to_string(),
            payment_ref: payment_ref(open.sale_number, epoch, order.number),
            tier: order.tier,
            units: order.units.0,
            number: order.number,
            reserved_at: Time(order.reserved_at),
            refunded_cents: match order.status {
                // Only what was paid goes back.
                Status::Reserved | Status::Confirmed | Status::Released => None,
                _ => refunded(&open.refunds(order.number)),
            },
            why: match order.status {
                Status::Released => open.why(order.number),
                _ => None,
            },
            ..Self::of(
                open,
                member,
                open.sale.money(order),
                order.status,
                order.settled_at,
                order.changed_at,
            )
        }
    }

    fn of(
        open: &OpenSale,
        member: MemberId,
        money: Money,
        status: Status,
        settled_at: Option<Millis>,
        changed_at: Option<Millis>,
    ) -> Self {
        let terms = open.sale.terms();
        let confirmed_at = settled_at.filter(|_| status != Status::Released);
        let is_unpaid = status == Status::Confirmed;
        Self {
            order_id: String::new(),
            payment_ref: String::new(),
            sale: terms.id.to_string(),
            member,
            tier: Tier::Regular,
            units: 0,
            status,
            number: 0,
            reserved_at: Time(Millis(0)),
            confirmed_at: confirmed_at.map(Time),
            pay_by: confirmed_at.filter(|_| is_unpaid).map(|at| Time(open.pay_by(at))),
            changed_at: changed_at.map(Time),
            currency: terms.currency.clone(),
            price_cents: money.price.0,
            price_kind: money.kind,
            points: money.points,
            coupon: money.coupon,
            due_cents: money.due.0,
            refunded_cents: None,
            why: None,
        }
    }
}

/// Several orders, and where the next page begins.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrdersView {
    pub(crate) orders: Vec<OrderView>,
    /// Send it as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u64>,
}

/// A sale, as any client sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaleView {
    id: String,
    title: String,
    price_cents: u64,
    currency: String,
    stock: u32,
    left: u32,
    #[schema(value_type = words::SaleState)]
    state: &'static str,
    #[schema(value_type = BTreeMap<String, String>)]
    windows: BTreeMap<&'static str, Time>,
    #[schema(value_type = BTreeMap<String, u32>)]
    limits: BTreeMap<&'static str, u32>,
    /// What one unit costs each admitted tier now.
    #[schema(value_type = BTreeMap<String, u64>)]
    prices: BTreeMap<&'static str, u64>,
    #[schema(value_type = String, format = DateTime)]
    closes_at: Time,
    /// Where a picture of the thing is; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<String>,
    /// Minors may not buy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    adults_only: bool,
    #[schema(value_type = String, format = DateTime)]
    server_time: Time,
    /// The sale for the member whose token the request has; absent without a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) you: Option<You>,
}

/// The sale as one member may use it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct You {
    #[schema(value_type = words::Tier)]
    pub(crate) tier: Tier,
    /// When the tier's window opens; absent if the tier may not buy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) opens_at: Option<Time>,
    pub(crate) limit: u32,
    pub(crate) held: u32,
    /// What one unit costs this member now.
    pub(crate) price_cents: u64,
    #[schema(value_type = words::Price)]
    pub(crate) price_kind: PriceKind,
    /// The most points that may pay a part of one unit, of those that the member has.
    pub(crate) points_most: u64,
    /// How the member waits for units that come back; absent while the member does not wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<WaitView>,
}

/// How a member waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct WaitView {
    /// Units waited for.
    units: u32,
    /// The member's place in the order of service, from 1; 0 when an order is on its way to the
    /// member already.
    position: usize,
}

impl WaitView {
    pub(crate) fn of((units, position): (Units, usize)) -> Self {
        Self { units: units.0, position }
    }
}

impl SaleView {
    pub(crate) fn of(open: &OpenSale, now: Millis) -> Self {
        Self::at(open, open.sale.stock().level(), now)
    }

    pub(crate) fn at(open: &OpenSale, level: Level, now: Millis) -> Self {
        let (sale, terms) = (&open.sale, open.sale.terms());
        let admitted =
            || Tier::ALL.into_iter().filter_map(|t| Some((t, terms.windows.opens_at(t)?)));
        Self {
            id: terms.id.to_string(),
            title: open.title(),
            price_cents: terms.price.0,
            currency: terms.currency.clone(),
            stock: level.total().0,
            left: level.left().0,
            state: sale.phase(now).as_str(),
            windows: admitted().map(|(tier, at)| (tier.as_str(), Time(at))).collect(),
            limits: admitted().map(|(tier, _)| (tier.as_str(), terms.limits[tier].0)).collect(),
            prices: admitted()
                .map(|(tier, _)| (tier.as_str(), terms.price_of(tier, now).0.0))
                .collect(),
            closes_at: Time(sale.closes_at()),
            image_url: open.image_url(),
            adults_only: terms.adults_only,
            server_time: Time(now),
            you: None,
        }
    }
}
