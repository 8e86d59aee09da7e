//! The payment provider's webhook: a payment becomes a step in its order's life.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadBody, NotPaid, PaymentMismatch, PerhapsDone, Unsigned};
use crate::ask::request;
use crate::ask::signature::PaymentKeys;
use crate::operator::metrics::Gates;
use axum::Json;
use axum::extract::{Request, State};
use engine::Engine;
use engine::rules::order::{OrderId, Status, Step};
use engine::store::StoreError;
use engine::sync::Ordering;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// What the provider tells of one order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    order_id: String,
    #[schema(value_type = String, example = "paid")]
    event: Event,
    /// The amount of the whole order: its price times its units.
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
    /// All of the money went back.
    Refunded,
}

/// The order's status once the webhook is taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentView {
    order_id: String,
    #[schema(value_type = String)]
    status: Status,
}

/// Takes in what the provider tells of a payment.
///
/// `paid` makes a confirmed order `paid`. An order that has expired or was cancelled becomes
/// `refund_due` instead, and its units stay where they are by then: with another member, or on
/// sale. `refunded` with the whole amount makes a paid order `returned`, which goes on holding its
/// units, and one that is `refund_due` `refunded`. Repetitions change nothing.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments",
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
    State(gates): State<Arc<Gates>>,
    request: Request,
) -> Result<Json<PaymentView>, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = request::bytes(body).await?;
    payment_keys.check(&parts.headers, &bytes)?;
    let payment: Payment = request::parse(&bytes)?;
    match take_in(&engine, &payment).await {
        Err(ApiError::PaymentMismatch(why)) => {
            // Ordering: Relaxed, a count that publishes nothing but itself.
            gates.payments_mismatched.fetch_add(1, Ordering::Relaxed);
            tracing::error!(order = payment.order_id, why, "a payment that does not match");
            Err(ApiError::PaymentMismatch(why))
        }
        taken_in => taken_in,
    }
}

/// The step of the order's life that the provider tells of; `None` for one that changes nothing.
fn step_of(payment: &Payment) -> Result<Option<Step>, ApiError> {
    match (payment.event, payment.refund_id.as_deref()) {
        (Event::Paid, None) => Ok(Some(Step::Pay)),
        (Event::Refunded, Some(id)) if !id.is_empty() => Ok(Some(Step::Refund)),
        (Event::Failed, None) => Ok(None),
        (Event::Refunded, _) | (Event::Paid | Event::Failed, Some(_)) => {
            let why = "`refund_id` goes with `refunded`, and with nothing else";
            Err(ApiError::BadRequest(why.into()))
        }
    }
}

async fn take_in(engine: &Engine, payment: &Payment) -> Result<Json<PaymentView>, ApiError> {
    let step = step_of(payment)?;
    let mismatch = |why: &str| ApiError::PaymentMismatch(why.to_owned());
    let unknown = || mismatch("no such order was ever confirmed here");
    let id: OrderId = payment.order_id.parse().map_err(|_| unknown())?;
    let Some(open) = engine.sale(id.sale.as_str()) else {
        // A sale that could not be opened may well have this order, so the provider must try again
        // later.
        return Err(match engine.not_opened().contains_key(&id.sale) {
            true => StoreError::Refused("this sale cannot be opened yet".into()).into(),
            false => unknown(),
        });
    };
    let mut found = engine.order(&open, &id).await?.ok_or_else(unknown)?;
    let (told, due) =
        (payment.amount_cents, open.sale.terms().price.0 * u64::from(found.units().0));
    if told != due {
        let what = if payment.event == Event::Refunded { "went back" } else { "were paid" };
        return Err(mismatch(&format!("{told} cents {what}, the whole order is {due}")));
    }
    if let Some(step) = step {
        found = engine.step(&open, &id, step).await?.ok_or_else(unknown)?;
        match (step, found.status()) {
            (Step::Pay, Status::RefundDue) => {
                tracing::info!(order = %id, "paid too late: this payment is to be refunded");
            }
            (Step::Refund, Status::Refunded | Status::Returned) => {
                let refund = payment.refund_id.as_deref().unwrap_or_default();
                tracing::info!(order = %id, refund, "all of an order's money went back");
            }
            (_, Status::Refunded | Status::Returned) | (Step::Pay, Status::Paid) => {}
            // Webhooks may overtake each other: the provider tells this one again.
            (Step::Refund, Status::Confirmed | Status::Cancelled | Status::Expired) => {
                return Err(ApiError::NotPaid);
            }
            _ => return Err(mismatch("this order never came to be confirmed")),
        }
    }
    Ok(Json(PaymentView { order_id: id.to_string(), status: found.status() }))
}
