//! Words with a fixed set, as the OpenAPI documents list them. What is listed is what the engine has.

use crate::ask::callers::Role as Roles;
use crate::audit::ACTIONS;
use engine::rules::money::PriceKind;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::why::Why as Whys;
use engine::sale::phase::Phase;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The stable words that clients switch on, beside those of [`Refusal::CODES`].
pub(crate) const CODES: [&str; 36] = [
    "bad_request",
    "unauthenticated",
    "unknown_sale",
    "unknown_order",
    "not_found",
    "method_not_allowed",
    "body_too_large",
    "invalid_batch",
    "not_permitted",
    "body_too_slow",
    "headers_too_large",
    "not_cancellable",
    "not_paid",
    "not_archived",
    "not_embedded",
    "bad_signature",
    "payment_mismatch",
    "too_many_requests",
    "blocked",
    "invalid_sale",
    "sale_exists",
    "too_much_stock",
    "history_lost",
    "unknown_member",
    "already_enrolled",
    "unknown_referral_code",
    "invalid_plan",
    "unknown_reward",
    "unknown_coupon",
    "reward_gone",
    "not_your_month",
    "already_claimed",
    "no_birthday",
    "bad_amount",
    "too_many",
    "internal",
];

fn one_of(words: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
}

/// Defines a schema that is named like its type and takes these words.
macro_rules! words {
    ($($(#[$doc:meta])+ $name:ident: $words:expr,)+) => {$(
        $(#[$doc])+
        #[derive(Debug)]
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                one_of($words)
            }
        }

        impl ToSchema for $name {}
    )+};
}

words! {
    /// A member's tier, lowest first.
    Tier: membership::Tier::ALL.map(membership::Tier::as_str),
    /// What an operator may do.
    Role: Roles::ALL.map(Roles::as_str),
    /// What an operator did.
    AuditAction: ACTIONS,
    /// How far it has come.
    AuditState: ["asked", "done", "failed"],
    /// Where an order is in its life.
    OrderStatus: std::iter::once(Status::Reserved).chain(Status::STORED).map(Status::as_str),
    /// Where a sale stands.
    SaleState: Phase::ALL.map(Phase::as_str),
    /// What happened to a sale.
    Mark: [
        "window_opened", "taken_over", "paused", "resumed", "closed", "topped_up", "changed",
    ],
    /// Which price of a sale a member pays.
    Price: PriceKind::ALL.map(PriceKind::as_str),
    /// Why an order was released.
    Why: Whys::ALL.map(Whys::as_str),
    /// What the payment provider tells of an order.
    PaymentEvent: ["paid", "failed", "refunded"],
    /// What a posting changes.
    Account: ["growth", "points"],
    /// Why something was posted.
    PostingKind: membership::posting::Kind::ALL.map(membership::posting::Kind::as_str),
    /// What a member did in a live room.
    Act: ["watch", "share", "interact", "invite", "benefit"],
    /// A stage of a referral.
    ReferralStage: ["registration", "first_order", "silver"],
    /// How far a stage is.
    StageState: ["waiting", "paid", "taken_back", "not_counted"],
    /// What a member should hear of.
    NoticeKind: ["tier_reached", "tier_at_risk", "points_expiring", "gift_waiting", "referral_paid"],
    /// The gift of the birthday.
    GiftState: ["waiting", "claimed"],
    /// Which calendar a birthday is kept by.
    Calendar: ["solar", "lunar"],
    /// What a reward is.
    RewardKind: ["coupon", "goods", "gift", "interaction"],
    /// Where a coupon is.
    CouponState: ["free", "held", "used", "expired"],
    /// Why a request was not done.
    Code: Refusal::CODES.into_iter().chain(CODES),
}
