//! The problems that a call may answer with, for the OpenAPI documents. Each group has one cause.

use std::collections::BTreeMap;
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

type Responses = BTreeMap<String, RefOr<Response>>;

fn problems(of: &[(u16, &str)]) -> Responses {
    let response = |(status, codes): &(u16, &str)| {
        let schema = Ref::from_schema_name("Problem");
        let problem = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description(*codes)
            .content("application/problem+json", problem)
            .build();
        (status.to_string(), RefOr::T(response))
    };
    of.iter().map(response).collect()
}

/// Defines groups: a name, and for each status the codes that may stand in its body.
macro_rules! groups {
    ($($(#[$doc:meta])+ $group:ident { $($status:literal: $codes:literal),+ $(,)? })+) => {$(
        $(#[$doc])+
        #[derive(Debug)]
        pub(crate) struct $group;

        impl IntoResponses for $group {
            fn responses() -> Responses {
                problems(&[$(($status, $codes)),+])
            }
        }
    )+};
}

groups! {
    /// The request cannot be read.
    BadRequest { 400: "bad_request" }
    /// A body that does not fit, is too large, or does not arrive in time.
    BadBody { 400: "bad_request", 408: "body_too_slow", 413: "body_too_large" }
    /// A batch that cannot be read: none of it is judged.
    BadBatch {
        400: "bad_request",
        408: "body_too_slow",
        413: "body_too_large",
        422: "invalid_batch, with the index of the click",
    }
    /// The key may only read.
    NotPermitted { 403: "not_permitted" }
    /// More headers, or larger ones, than are accepted.
    BadHeaders { 431: "headers_too_large" }
    /// A token that is missing, wrong or expired.
    Unauthenticated { 401: "unauthenticated" }
    /// A webhook without a good signature.
    Unsigned { 401: "bad_signature" }
    /// No sale has this id, or this process has not opened it yet.
    UnknownSale { 404: "unknown_sale", 503: "busy: the sale is not opened yet" }
    /// No such order, or another member's; or its sale is not opened yet.
    UnknownOrder { 404: "unknown_order", 503: "busy: its sale is not opened yet" }
    /// More calls than a member may make.
    TooMany { 429: "too_many_requests" }
    /// The store does not answer now.
    Busy { 503: "busy" }
    /// The store did not answer in time.
    PerhapsDone { 503: "busy: it may have been done; ask again" }
    /// The store has lost part of the sale's history.
    HistoryLost { 409: "history_lost" }
    /// Why a click is not accepted.
    ClickRefused {
        403: "blocked, tier_not_admitted, not_for_minors, not_open",
        409: "idempotency_in_flight, paused, sold_out, limit_reached, too_many_orders, not_enough_points, coupon_not_valid",
        410: "closed",
        422: "bad_units, idempotency_conflict",
    }
    /// Why a member may not wait.
    WaitRefused {
        403: "blocked, tier_not_admitted, not_for_minors, not_open",
        409: "paused, not_sold_out, limit_reached, too_many_orders, waitlist_full, history_lost",
        410: "closed",
        422: "bad_units",
    }
    /// A refund is told of an order that is not paid.
    NotPaid { 409: "not_paid: the payment is still to be told" }
    /// Why an order is not cancelled.
    NotCancellable { 409: "not_cancellable: it is paid, has expired or was released; history_lost" }
    /// A payment that fits no order.
    PaymentMismatch {
        409: "history_lost: send it again later",
        422: "payment_mismatch: no such order, another amount, or never confirmed",
    }
    /// Why a sale is not made.
    NotMade { 409: "sale_exists", 422: "invalid_sale, with errors" }
    /// Why a sale is not changed.
    NotChanged { 410: "closed", 422: "invalid_sale, with errors" }
    /// Only an archived sale is deleted, or one that never opened.
    NotArchived { 409: "not_archived" }
    /// The store has means of its own for that.
    NotEmbedded { 409: "not_embedded" }
    /// The sale is over and archived.
    Over { 410: "closed" }
    /// Why stock is not added.
    NotAdded { 410: "closed", 422: "too_much_stock, idempotency_conflict" }
    /// Nobody of this name is enrolled.
    UnknownMember { 404: "unknown_member" }
    /// Why a member is not enrolled.
    NotEnrolled { 409: "already_enrolled", 422: "unknown_referral_code" }
    /// Why a reward is not given.
    NotRedeemed {
        403: "tier_not_admitted",
        404: "unknown_member, unknown_reward",
        409: "not_enough_points, reward_gone, limit_reached, too_many",
        422: "idempotency_conflict",
    }
    /// Why a gift is not given.
    NoGift {
        403: "tier_not_admitted, not_your_month",
        404: "unknown_member",
        409: "already_claimed, no_birthday, too_many",
    }
    /// Why a correction is not made.
    NotAdjusted { 404: "unknown_member", 422: "bad_amount" }
    /// Why a coupon is not issued.
    NotIssued { 404: "unknown_member, unknown_coupon", 409: "too_many" }
    /// A plan with faults.
    BadPlan { 422: "invalid_plan, with errors" }
}
