//! Every answer that is not a success: RFC 9457 problem details with a stable `code`.

use super::problem::{Brief, FieldError, Kind, Problem};
use super::view::Time;
use super::{fresh, words};
use crate::ask::callers::Role;
use crate::ask::rates::TooOften;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::members::{NotEnrolled, NotPlan, NotTaken};
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use engine::store::StoreError;
use engine::{NoSale, NotChanged, NotDeleted};
use membership::Tier;
use membership::birthday::NoGift;
use membership::event::Refused;
use std::any::Any;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    Unauthenticated(&'static str),
    #[error("{refusal}")]
    Refused { refusal: Refusal, tier: Tier, now: Millis, may_return: bool },
    #[error("{0}")]
    NoSale(NoSale),
    #[error("{}", NotDeleted::NotArchived)]
    NotArchived,
    #[error(
        "no order with this id is yours; one that was reserved before a restart and never \
         confirmed is gone, and its units are on sale again"
    )]
    UnknownOrder,
    #[error("there is nothing at this path")]
    NoRoute,
    #[error("this path does not take this method")]
    NoMethod,
    #[error("the body is over {} KiB", .0 >> 10)]
    BodyTooLarge(usize),
    #[error("{why}")]
    BadBatch { index: Option<usize>, why: String },
    #[error("a key with the role {} may not do this; it needs {}", .has.as_str(), .needs.as_str())]
    NotPermitted { has: Role, needs: Role },
    #[error("the body did not arrive in time")]
    BodyTooSlow,
    #[error("the headers are over 16 KiB or more than 96")]
    HeadersTooLarge,
    #[error("an order that is {} cannot be cancelled", .0.as_str())]
    NotCancellable(Status),
    #[error("this order is not paid; tell of its refund again once it is")]
    NotPaid,
    #[error("{0}")]
    BadSignature(String),
    #[error("{0}")]
    PaymentMismatch(String),
    #[error("too many requests; wait {0} s")]
    TooManyRequests(u64),
    #[error("too many streams without a token; try again soon, or bring one")]
    TooManyStreams,
    #[error("this member may not buy here")]
    Blocked,
    #[error("the sale cannot be made like this")]
    BadTerms(Vec<FieldError>),
    #[error("a window has opened; these stay as they are: {}", .0.join(", "))]
    HasOpened(Vec<&'static str>),
    #[error("the sale is closed")]
    SaleOver,
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Book(#[from] NotTaken),
    #[error("the member was enrolled before, with another referral code or with none")]
    AlreadyEnrolled,
    #[error("nobody has this referral code")]
    UnknownReferralCode,
    #[error("the plan cannot be like this")]
    BadPlan(Vec<FieldError>),
    #[error("the audit log cannot be written ({0}); nothing was changed")]
    NotAudited(std::io::Error),
    #[error("{0}; try again soon")]
    NoNode(String),
    #[error("something went wrong here; it was not your request")]
    Internal,
}

impl From<NoSale> for ApiError {
    fn from(none: NoSale) -> Self {
        match none {
            NoSale::Archived => Self::SaleOver,
            NoSale::Store(error) => Self::Store(error),
            NoSale::Unknown | NoSale::NotOpened | NoSale::Elsewhere => Self::NoSale(none),
        }
    }
}

impl From<NotChanged> for ApiError {
    fn from(why: NotChanged) -> Self {
        match why {
            NotChanged::HasOpened(fields) => Self::HasOpened(fields),
            NotChanged::Closed => Self::SaleOver,
            NotChanged::Store(error) => Self::Store(error),
        }
    }
}

impl From<NotEnrolled> for ApiError {
    fn from(why: NotEnrolled) -> Self {
        match why {
            NotEnrolled::OtherCode => Self::AlreadyEnrolled,
            NotEnrolled::UnknownCode => Self::UnknownReferralCode,
            NotEnrolled::Store(error) => Self::Store(error),
        }
    }
}

impl From<NotPlan> for ApiError {
    fn from(why: NotPlan) -> Self {
        match why {
            NotPlan::Wrong(faults) => Self::BadPlan(
                faults
                    .into_iter()
                    .map(|fault| FieldError { field: fault.field, reason: fault.reason })
                    .collect(),
            ),
            NotPlan::Store(error) => Self::Store(error),
        }
    }
}

impl From<TooOften> for ApiError {
    fn from(TooOften { wait_s }: TooOften) -> Self {
        Self::TooManyRequests(wait_s)
    }
}

impl ApiError {
    pub(crate) async fn no_route() -> Self {
        std::future::ready(Self::NoRoute).await
    }

    pub(crate) async fn no_method() -> Self {
        std::future::ready(Self::NoMethod).await
    }

    /// Returns the status, the code, and how many seconds the client should wait before it tries
    /// again.
    pub(super) fn answer(&self) -> (StatusCode, &'static str, Option<u64>) {
        use StatusCode as S;
        match self {
            Self::BadRequest(_) => (S::BAD_REQUEST, "bad_request", None),
            Self::Unauthenticated(_) => (S::UNAUTHORIZED, "unauthenticated", None),
            Self::NoSale(NoSale::Unknown) | Self::Store(StoreError::UnknownSale) => {
                (S::NOT_FOUND, "unknown_sale", None)
            }
            Self::UnknownOrder => (S::NOT_FOUND, "unknown_order", None),
            Self::NoRoute => (S::NOT_FOUND, "not_found", None),
            Self::NoMethod => (S::METHOD_NOT_ALLOWED, "method_not_allowed", None),
            Self::BadBatch { .. } => (S::UNPROCESSABLE_ENTITY, "invalid_batch", None),
            Self::NotPermitted { .. } => (S::FORBIDDEN, "not_permitted", None),
            Self::BodyTooLarge(_) => (S::PAYLOAD_TOO_LARGE, "body_too_large", None),
            Self::BodyTooSlow => (S::REQUEST_TIMEOUT, "body_too_slow", None),
            Self::HeadersTooLarge => {
                (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", None)
            }
            Self::NotCancellable(_) => (S::CONFLICT, "not_cancellable", None),
            Self::NotArchived => (S::CONFLICT, "not_archived", None),
            Self::NotPaid => (S::CONFLICT, "not_paid", None),
            Self::BadSignature(_) => (S::UNAUTHORIZED, "bad_signature", None),
            Self::PaymentMismatch(_) => (S::UNPROCESSABLE_ENTITY, "payment_mismatch", None),
            Self::TooManyRequests(wait_s) => {
                (S::TOO_MANY_REQUESTS, "too_many_requests", Some(*wait_s))
            }
            Self::TooManyStreams => (S::SERVICE_UNAVAILABLE, "busy", Some(5)),
            Self::Blocked => (S::FORBIDDEN, "blocked", None),
            Self::BadTerms(_) | Self::HasOpened(_) => {
                (S::UNPROCESSABLE_ENTITY, "invalid_sale", None)
            }
            Self::SaleOver | Self::NoSale(NoSale::Archived) => (S::GONE, "closed", None),
            Self::Book(why) => {
                let (status, code) = not_taken(why);
                (status, code, None)
            }
            Self::AlreadyEnrolled => (S::CONFLICT, "already_enrolled", None),
            Self::UnknownReferralCode => (S::UNPROCESSABLE_ENTITY, "unknown_referral_code", None),
            Self::BadPlan(_) => (S::UNPROCESSABLE_ENTITY, "invalid_plan", None),
            Self::Refused { refusal, .. } => {
                let (status, retry_after) = refused(refusal);
                (status, refusal.code(), retry_after)
            }
            Self::Store(StoreError::NotEmbedded) => (S::CONFLICT, "not_embedded", None),
            Self::Store(StoreError::SaleExists) => (S::CONFLICT, "sale_exists", None),
            Self::Store(StoreError::TooMuchStock(_)) => {
                (S::UNPROCESSABLE_ENTITY, "too_much_stock", None)
            }
            Self::Store(StoreError::TopUpConflict(_)) => {
                (S::UNPROCESSABLE_ENTITY, "idempotency_conflict", None)
            }
            Self::Store(StoreError::HistoryLost(_) | StoreError::TooLittleStock(_)) => {
                (S::CONFLICT, "history_lost", None)
            }
            Self::NotAudited(_)
            | Self::NoNode(_)
            | Self::NoSale(NoSale::NotOpened | NoSale::Elsewhere | NoSale::Store(_))
            | Self::Store(
                StoreError::Fenced
                | StoreError::OtherOwner
                | StoreError::NodeIdTaken(_)
                | StoreError::Refused(_)
                | StoreError::Unknown(_)
                | StoreError::Unusable(_),
            ) => (S::SERVICE_UNAVAILABLE, "busy", Some(1)),
            Self::Store(StoreError::Damaged(_)) | Self::Internal => {
                (S::INTERNAL_SERVER_ERROR, "internal", None)
            }
        }
    }

    pub(super) fn problem(self, status: StatusCode, code: &'static str) -> Problem {
        let detail = match &self {
            // Only the log and the operator are told what is damaged; a member is not.
            Self::Store(StoreError::Damaged(_)) => Self::Internal.to_string(),
            _ => self.to_string(),
        };
        let problem = Problem {
            kind: Kind(code),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail,
            code,
            ..Problem::default()
        };
        self.detailed(problem)
    }

    /// Adds the fields that clients act on.
    fn detailed(self, problem: Problem) -> Problem {
        match self {
            Self::BadTerms(errors) | Self::BadPlan(errors) => Problem { errors, ..problem },
            Self::Book(NotTaken::Refused(why)) => match why {
                Refused::NotEnoughPoints { has } => Problem { points: Some(has), ..problem },
                Refused::TierNotAdmitted(tier) => Problem { tier: Some(tier), ..problem },
                Refused::LimitReached(limit) => Problem { limit: Some(limit), ..problem },
                _ => problem,
            },
            Self::HasOpened(fields) => {
                let error = |field: &str| FieldError {
                    field: field.to_owned(),
                    reason: "it stays as it is once a window has opened".into(),
                };
                Problem { errors: fields.into_iter().map(error).collect(), ..problem }
            }
            Self::BadBatch { index, .. } => Problem { index, ..problem },
            Self::Refused { refusal, tier, now, may_return } => match refusal {
                Refusal::BadUnits { limit } => Problem { limit: Some(limit.0), ..problem },
                Refusal::TierNotAdmitted => Problem { tier: Some(tier), ..problem },
                Refusal::NotOpen { opens_at } => {
                    let (opens_at, server_time) = (Some(Time(opens_at)), Some(Time(now)));
                    Problem { opens_at, server_time, ..problem }
                }
                Refusal::SoldOut { left } => {
                    Problem { left: Some(left.0), may_return: Some(may_return), ..problem }
                }
                Refusal::NotSoldOut { left } => Problem { left: Some(left.0), ..problem },
                Refusal::LimitReached { limit, held } => {
                    Problem { limit: Some(limit.0), held: Some(held.0), ..problem }
                }
                Refusal::TooManyOrders { most } => Problem { most: Some(most), ..problem },
                Refusal::NotEnoughPoints { points } => Problem { points: Some(points), ..problem },
                Refusal::IdempotencyConflict
                | Refusal::IdempotencyInFlight
                | Refusal::NotForMinors
                | Refusal::Paused
                | Refusal::Closed
                | Refusal::CouponNotValid
                | Refusal::WaitlistFull
                | Refusal::Busy => problem,
            },
            Self::BadRequest(_)
            | Self::Unauthenticated(_)
            | Self::NoSale(_)
            | Self::UnknownOrder
            | Self::NoRoute
            | Self::NoMethod
            | Self::BodyTooLarge(_)
            | Self::NotPermitted { .. }
            | Self::BodyTooSlow
            | Self::HeadersTooLarge
            | Self::NotCancellable(_)
            | Self::NotPaid
            | Self::NotArchived
            | Self::BadSignature(_)
            | Self::PaymentMismatch(_)
            | Self::TooManyRequests(_)
            | Self::TooManyStreams
            | Self::Blocked
            | Self::Store(_)
            | Self::NotAudited(_)
            | Self::SaleOver
            | Self::Book(NotTaken::NotEnrolled)
            | Self::AlreadyEnrolled
            | Self::UnknownReferralCode
            | Self::NoNode(_)
            | Self::Internal => problem,
        }
    }
}

impl ApiError {
    /// The problem in short, for one of many clicks.
    pub(crate) fn brief(self) -> Brief {
        let (status, code, retry_after) = self.answer();
        Brief::of(&self.problem(status, code), retry_after)
    }
}

/// The status and the code of what the members' book does not take.
fn not_taken(why: &NotTaken) -> (StatusCode, &'static str) {
    use StatusCode as S;
    let NotTaken::Refused(why) = why else { return (S::NOT_FOUND, "unknown_member") };
    match why {
        Refused::NotEnoughPoints { .. } => (S::CONFLICT, "not_enough_points"),
        Refused::Unknown("coupon") => (S::NOT_FOUND, "unknown_coupon"),
        // No call of a benefit has a problem of its own: they come in batches of acts.
        Refused::Unknown(_) | Refused::NotEntitled => (S::NOT_FOUND, "unknown_reward"),
        Refused::TierNotAdmitted(_) => (S::FORBIDDEN, "tier_not_admitted"),
        Refused::RewardGone => (S::CONFLICT, "reward_gone"),
        Refused::LimitReached(_) => (S::CONFLICT, "limit_reached"),
        Refused::NoGift(NoGift::NotYourMonth) => (S::FORBIDDEN, "not_your_month"),
        Refused::NoGift(NoGift::AlreadyClaimed) => (S::CONFLICT, "already_claimed"),
        Refused::NoBirthday => (S::CONFLICT, "no_birthday"),
        Refused::OtherReward => (S::UNPROCESSABLE_ENTITY, "idempotency_conflict"),
        Refused::BadAmount => (S::UNPROCESSABLE_ENTITY, "bad_amount"),
        Refused::CouponNotValid => (S::CONFLICT, "coupon_not_valid"),
        // Holds are asked for by confirmers alone.
        Refused::HoldIsOver | Refused::TooMany(_) => (S::CONFLICT, "too_many"),
    }
}

/// The status of a refusal, and how many seconds the client should wait.
fn refused(refusal: &Refusal) -> (StatusCode, Option<u64>) {
    use StatusCode as S;
    match refusal {
        Refusal::BadUnits { .. } | Refusal::IdempotencyConflict => (S::UNPROCESSABLE_ENTITY, None),
        Refusal::TierNotAdmitted | Refusal::NotForMinors | Refusal::NotOpen { .. } => {
            (S::FORBIDDEN, None)
        }
        Refusal::IdempotencyInFlight
        | Refusal::Paused
        | Refusal::SoldOut { .. }
        | Refusal::NotSoldOut { .. }
        | Refusal::LimitReached { .. }
        | Refusal::TooManyOrders { .. }
        | Refusal::NotEnoughPoints { .. }
        | Refusal::CouponNotValid
        | Refusal::WaitlistFull => (S::CONFLICT, None),
        Refusal::Closed => (S::GONE, None),
        Refusal::Busy => (S::SERVICE_UNAVAILABLE, Some(1)),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Store(StoreError::Damaged(what)) = &self {
            tracing::error!(what, "the store is damaged");
        }
        let (status, code, retry_after) = self.answer();
        debug_assert!(words::CODES.contains(&code) || Refusal::CODES.contains(&code), "{code}");
        let is_unauthenticated = matches!(self, Self::Unauthenticated(_));
        let body = match self {
            Self::Refused { refusal: Refusal::SoldOut { left }, may_return, .. } => {
                fresh::sold_out(left, may_return)
            }
            other => serde_json::to_string(&other.problem(status, code)).expect("plain data"),
        };
        let json = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, json)], body).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if is_unauthenticated {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Answers for a handler that panicked: the client hears that the fault is the server's, and no
/// other request is affected.
pub(crate) fn panicked(panic: &(dyn Any + Send), id: Option<&HeaderValue>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("?"), request_id = ?id, "a handler panicked");
    ApiError::Internal.into_response()
}
