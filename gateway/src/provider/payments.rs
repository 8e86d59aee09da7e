//! The payment provider's webhook: a payment becomes a step in its order's life.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadBody, PaymentMismatch, PerhapsDone, Unsigned};
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Paid,
    /// A payment that did not succeed; the member may try again until `pay_by`.
    Failed,
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
/// sale. Repetitions change nothing.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments",
    params(
        ("webhook-id" = String, Header), ("webhook-timestamp" = String, Header),
        ("webhook-signature" = String, Header, description = "`v1,` and base64 of the HMAC-SHA256 of `id.timestamp.body`; several, separated by spaces"),
    ),
    request_body = Payment,
    responses(
        (status = 200, description = "known, now or before", body = PaymentView),
        BadBody, Unsigned, PaymentMismatch, PerhapsDone,
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

async fn take_in(engine: &Engine, payment: &Payment) -> Result<Json<PaymentView>, ApiError> {
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
    let due = open.sale.terms().price.0 * u64::from(found.units().0);
    if payment.amount_cents != due {
        let paid = payment.amount_cents;
        return Err(mismatch(&format!("{paid} cents were paid, {due} are due")));
    }
    if payment.event == Event::Paid {
        found = engine.step(&open, &id, Step::Pay).await?.ok_or_else(unknown)?;
        match found.status() {
            Status::Paid => {}
            Status::RefundDue => {
                tracing::info!(order = %id, "paid too late: this payment is to be refunded");
            }
            _ => return Err(mismatch("this order never came to be confirmed")),
        }
    }
    Ok(Json(PaymentView { order_id: id.to_string(), status: found.status() }))
}
