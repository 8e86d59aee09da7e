//! Tells load balancers and monitors whether this process is well.

use axum::extract::State;
use axum::http::StatusCode;
use engine::Engine;
use engine::store::StoreError;
use std::sync::Arc;

/// Answers as long as the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200)))]
pub(crate) async fn healthz() -> &'static str {
    std::future::ready("alive\n").await
}

/// Tells whether the process takes orders and, if it does not, why.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses((status = 200), (status = 503, description = "the reason, a line for each sale", body = String, content_type = "text/plain")),
)]
pub(crate) async fn readyz(State(engine): State<Arc<Engine>>) -> (StatusCode, String) {
    let mut reasons = String::new();
    for open in engine.sales() {
        if let Some(trouble) = open.trouble() {
            reasons.push_str(&format!("{}: {}\n", open.sale.terms().id, for_everyone(&trouble)));
        }
    }
    for (sale, error) in engine.damaged() {
        reasons.push_str(&format!("{sale}: {}\n", for_everyone(&error)));
    }
    let answer = match reasons.as_str() {
        "" => (StatusCode::OK, "ready\n".to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, reasons),
    };
    std::future::ready(answer).await
}

/// Returns the part of the trouble that any client may read. The full text may name members and
/// machines; it stands in the operator's report only.
fn for_everyone(trouble: &StoreError) -> &'static str {
    match trouble {
        StoreError::Fenced => "another process sells this sale",
        StoreError::HistoryLost(_) => "the store has lost part of its history; see the report",
        StoreError::Damaged(_) => "the store is damaged; see the report",
        StoreError::Unusable(_) => "the sale's confirmer failed; restart this process",
        StoreError::Refused(_)
        | StoreError::Unknown(_)
        | StoreError::SaleExists
        | StoreError::UnknownSale
        | StoreError::TooMuchStock(_)
        | StoreError::TooLittleStock(_)
        | StoreError::TopUpConflict(_) => "orders wait for the store; see the report",
    }
}
