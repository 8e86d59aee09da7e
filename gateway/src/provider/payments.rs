//! The payment provider's webhook: a payment becomes a step in its order's life.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadBody, NotPaid, PaymentMismatch, PerhapsDone, Unsigned};
use crate::answer::words;
use crate::ask::request;
use crate::ask::signature::PaymentKeys;
use crate::meters::Meters;
use axum::Json;
use axum::extract::{Request, State};
use engine::rules::cents::Cents;
use engine::rules::money::Refund;
use engine::rules::order::{OrderId, Status, Step};
use engine::sync::Ordering;
use engine::{Engine, NoSale, NotRefunded, OpenSale};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What the provider tells of one order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(
    json!({"order_id": "lamp.1767225600000.17", "event": "paid", "amount_cents": 19900}),
    json!({
        "order_id": "lamp.1767225600000.17", "event": "refunded", "amount_cents": 500,
        "refund_id": "re_1",
    }),
))]
pub(crate) struct Payment {
    /// This or `payment_ref` names the order.
    order_id: Option<String>,
    payment_ref: Option<String>,
    #[schema(value_type = words::PaymentEvent)]
    event: Event,
    /// Of `paid`: the amount of the whole order, its price times its units. Of `refunded`: what went
    /// back.
    amount_cents: u64,
    /// The provider's own id of a refund; needed for `refunded`, and for nothing else.
    refund_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Paid,
    /// A payment that did not succeed; the member may try again until `pay_by`.
    Failed,
    /// Money went back: all of it, or a part.
    Refunded,
}

/// The order's status once the webhook is taken in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"order_id": "lamp.1767225600000.17", "status": "paid"})))]
pub(crate) struct PaymentView {
    order_id: String,
    #[schema(value_type = words::OrderStatus)]
    status: Status,
}

/// Takes in what the provider tells of a payment.
///
/// `paid` makes a confirmed order `paid`. An order that has expired or was cancelled becomes
/// `refund_due` instead, and its units stay where they are by then: with another member, or on
/// sale. When all of the money has gone back, `refunded` makes a paid order `returned`, which goes on
/// holding its units, and one that is `refund_due` `refunded`; before that the order stays as it is.
/// Repetitions change nothing.
#[utoipa::path(
    post, path = "/v1/payments", operation_id = "tellPayment", tag = "payments",
    params(
        ("webhook-id" = String, Header), ("webhook-timestamp" = String, Header),
        ("webhook-signature" = String, Header, description = "`v1,` and base64 of the HMAC-SHA256 of `id.timestamp.body`; several, separated by spaces"),
    ),
    request_body = Payment,
    responses(
        (status = 200, description = "known, now or before", body = PaymentView),
        BadBody, Unsigned, NotPaid, PaymentMismatch, PerhapsDone,
    ),
)]
pub(crate) async fn receive(
    State(engine): State<Arc<Engine>>,
    State(payment_keys): State<Arc<PaymentKeys>>,
    State(meters): State<Arc<Meters>>,
    request: Request,
) -> Result<Json<PaymentView>, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = request::bytes(body).await?;
    payment_keys.check(&parts.headers, &bytes)?;
    let payment: Payment = request::parse(&bytes)?;
    match take_in(&engine, &payment).await {
        Err(ApiError::PaymentMismatch(why)) => {
            // Ordering: Relaxed, a count that publishes nothing but itself.
            meters.payments_mismatched.fetch_add(1, Ordering::Relaxed);
            let order = payment.name().unwrap_or_default();
            tracing::error!(order, why, "a payment that does not match");
            Err(ApiError::PaymentMismatch(why))
        }
        taken_in => taken_in,
    }
}

impl Payment {
    /// The order's id or its payment ref.
    fn name(&self) -> Result<&str, ApiError> {
        match (&self.order_id, &self.payment_ref) {
            (Some(name), None) | (None, Some(name)) => Ok(name),
            (None, None) | (Some(_), Some(_)) => {
                let why = "`order_id` or `payment_ref` names the order, and not both";
                Err(ApiError::BadRequest(why.into()))
            }
        }
    }
}

/// What the provider tells of an order.
enum Told {
    Paid,
    Nothing,
    Refunded(Refund),
}

fn told(payment: &Payment) -> Result<Told, ApiError> {
    match (payment.event, payment.refund_id.as_deref()) {
        (Event::Paid, None) => Ok(Told::Paid),
        (Event::Failed, None) => Ok(Told::Nothing),
        (Event::Refunded, Some(id)) => {
            let bad = |why| ApiError::BadRequest(format!("`refund_id` is {why}"));
            let (id, amount) = (id.parse().map_err(bad)?, Cents(payment.amount_cents));
            Ok(Told::Refunded(Refund { id, amount }))
        }
        (Event::Refunded, None) | (Event::Paid | Event::Failed, Some(_)) => {
            let why = "`refund_id` goes with `refunded`, and with nothing else";
            Err(ApiError::BadRequest(why.into()))
        }
    }
}

fn mismatch(why: impl std::fmt::Display) -> ApiError {
    ApiError::PaymentMismatch(why.to_string())
}

async fn take_in(engine: &Engine, payment: &Payment) -> Result<Json<PaymentView>, ApiError> {
    let told = told(payment)?;
    let unknown = || mismatch("no such order was ever confirmed here");
    let (open, id) = engine.order_named(payment.name()?).await.map_err(|none| match none {
        NoSale::Unknown => unknown(),
        // It may well have this order, so the provider must try again later.
        none => none.into(),
    })?;
    let found = engine.order(&open, &id).await?.ok_or_else(unknown)?;
    let status = match told {
        Told::Refunded(refund) => refunded(engine, &open, &id, refund).await?,
        told => {
            let due = found.money(&open.sale).due;
            if Cents(payment.amount_cents) != due {
                let paid = payment.amount_cents;
                return Err(mismatch(format!("{paid} cents were paid, the whole order is {due}")));
            }
            match told {
                Told::Paid => paid(engine, &open, &id).await?,
                _ => found.status(),
            }
        }
    };
    Ok(Json(PaymentView { order_id: id.to_string(), status }))
}

async fn paid(engine: &Engine, open: &OpenSale, id: &OrderId) -> Result<Status, ApiError> {
    let found = engine.step(open, id, Step::Pay).await?;
    match found.map(|found| found.status()) {
        Some(Status::RefundDue) => {
            tracing::info!(order = %id, "paid too late: this payment is to be refunded");
            Ok(Status::RefundDue)
        }
        Some(status @ (Status::Paid | Status::Refunded | Status::Returned)) => Ok(status),
        _ => Err(mismatch("this order never came to be confirmed")),
    }
}

async fn refunded(
    engine: &Engine,
    open: &OpenSale,
    id: &OrderId,
    refund: Refund,
) -> Result<Status, ApiError> {
    let name = refund.id.clone();
    let found = match engine.refund(open, id, refund).await {
        Err(NotRefunded::Bad(bad)) => return Err(mismatch(bad)),
        Err(NotRefunded::Store(error)) => return Err(error.into()),
        Ok(found) => found,
    };
    match found.map(|found| found.status()) {
        Some(status @ (Status::Refunded | Status::Returned)) => {
            tracing::info!(order = %id, refund = %name, "all of an order's money went back");
            Ok(status)
        }
        Some(status @ (Status::Paid | Status::RefundDue)) => Ok(status),
        // Webhooks may overtake each other: the provider tells this one again.
        Some(Status::Confirmed | Status::Cancelled | Status::Expired) => Err(ApiError::NotPaid),
        _ => Err(mismatch("this order never came to be confirmed")),
    }
}
