//! The payment provider's webhook: signed as Standard Webhooks, with keys that may be rotated.

use crate::answer::error::{ApiError, Problem};
use crate::app::App;
use crate::ask::request;
use anyhow::{Context, ensure};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::Found;
use engine::rules::order::{OrderId, Status, Step};
use engine::store::StoreError;
use engine::sync::Ordering;
use serde::{Deserialize, Serialize};
use standardwebhooks::{HEADER_WEBHOOK_TIMESTAMP, Webhook, WebhookError};
use std::fmt;
use std::sync::Arc;
use utoipa::ToSchema;

/// The keys by which payments are signed; any of them will do.
pub(crate) struct PaymentKeys(Vec<Webhook>);

impl fmt::Debug for PaymentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PaymentKeys").field(&self.0.len()).finish()
    }
}

impl PaymentKeys {
    /// Reads a key file: one key a line, `whsec_` and base64, or any text of 24 bytes or more.
    pub(crate) fn new(file: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(file).context("the keys are not text")?;
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let key = match line.strip_prefix("whsec_") {
                Some(encoded) => BASE64_STANDARD.decode(encoded).context("a key is no base64")?,
                None => line.as_bytes().to_vec(),
            };
            ensure!(key.len() >= 24, "a key has {} bytes; 24 or more are needed", key.len());
            keys.push(Webhook::from_bytes(key)?);
        }
        ensure!(!keys.is_empty(), "there is no key in it");
        Ok(Self(keys))
    }

    /// Whether one of the keys signed this, within the last five minutes.
    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
        let wrong = |why: &str| Err(ApiError::BadSignature(why.to_owned()));
        let timestamp = headers.get(HEADER_WEBHOOK_TIMESTAMP).map_or(&b""[..], |at| at.as_bytes());
        // Any instant of the next thousands of years: the arithmetic on it cannot overflow.
        if !(1..=12).contains(&timestamp.len()) || !timestamp.iter().all(u8::is_ascii_digit) {
            return wrong("webhook-timestamp: seconds since 1970 are needed");
        }
        let mut why = WebhookError::InvalidSignature;
        for key in &self.0 {
            match key.verify(body, headers) {
                Ok(()) => return Ok(()),
                Err(error) => why = error,
            }
        }
        wrong(&why.to_string())
    }
}

/// What the provider tells of one order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    order_id: String,
    #[schema(value_type = String, example = "paid")]
    event: Event,
    /// The whole order: price times units.
    amount_cents: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Paid,
    /// A try that came to nothing; the member may try again until `pay_by`.
    Failed,
}

/// Where the order is now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentView {
    order_id: String,
    #[schema(value_type = String)]
    status: Status,
}

/// Takes a payment in. `paid` on a confirmed order: `paid`. After it expired or was cancelled:
/// `refund_due`, and its units stay whose they are by then. Repetitions change nothing.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments",
    params(
        ("webhook-id" = String, Header), ("webhook-timestamp" = String, Header),
        ("webhook-signature" = String, Header, description = "`v1,` and base64 of the HMAC-SHA256 of `id.timestamp.body`; several, separated by spaces"),
    ),
    request_body = Payment,
    responses(
        (status = 200, description = "known, now or before", body = PaymentView),
        (status = 400, description = "bad_request", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "bad_signature", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "body_too_slow", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "history_lost: send it again later", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "body_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "payment_mismatch: no such order, or another amount", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy: send it again", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn receive(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<PaymentView>, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = request::bytes(body).await?;
    app.payment_keys.check(&parts.headers, &bytes)?;
    let payment: Payment = request::parse(&bytes)?;
    match settle(&app, &payment).await {
        Err(ApiError::PaymentMismatch(why)) => {
            // Ordering: Relaxed, a count that publishes nothing but itself.
            app.gates.payments_mismatched.fetch_add(1, Ordering::Relaxed);
            tracing::error!(order = payment.order_id, why, "a payment that does not match");
            Err(ApiError::PaymentMismatch(why))
        }
        settled => settled,
    }
}

async fn settle(app: &App, payment: &Payment) -> Result<Json<PaymentView>, ApiError> {
    let mismatch = |why: &str| ApiError::PaymentMismatch(why.to_owned());
    let unknown = || mismatch("no such order was ever confirmed here");
    let id: OrderId = payment.order_id.parse().map_err(|_| unknown())?;
    let Some(open) = app.engine.sale(id.sale.as_str()) else {
        // A sale that could not be opened may well have it: the provider is to come back.
        return Err(match app.engine.damaged().contains_key(&id.sale) {
            true => StoreError::Refused("this sale cannot be opened yet".into()).into(),
            false => unknown(),
        });
    };
    let mut found: Found = app.engine.order(&open, &id).await?.ok_or_else(unknown)?;
    let due = open.sale.terms().price.0 * u64::from(found.units().0);
    if payment.amount_cents != due {
        let paid = payment.amount_cents;
        return Err(mismatch(&format!("{paid} cents were paid, {due} are due")));
    }
    if payment.event == Event::Paid {
        found = app.engine.step(&open, &id, Step::Pay).await?.ok_or_else(unknown)?;
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
