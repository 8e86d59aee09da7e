//! Tells load balancers and monitors whether this process is well.

use axum::extract::State;
use axum::http::StatusCode;
use engine::Engine;
use engine::store::StoreError;
use std::sync::Arc;
use tokio::sync::watch;

/// Whether this process is about to stop, so that balancers look away.
#[derive(Debug, Default)]
pub(crate) struct Leaving(watch::Sender<bool>);

impl Leaving {
    pub(crate) fn note(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_noted(&self) -> bool {
        *self.0.borrow()
    }
}

/// Answers as long as the process is alive.
#[utoipa::path(
    get, path = "/healthz", operation_id = "readHealth", tag = "health",
    responses((status = 200, description = "alive", body = String, content_type = "text/plain")),
)]
pub(crate) async fn healthz() -> &'static str {
    std::future::ready("alive\n").await
}

/// Tells whether the process takes orders and, if it does not, why.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readReadiness", tag = "health",
    responses(
        (status = 200, description = "it takes orders", body = String, content_type = "text/plain"),
        (status = 503, description = "the reason, a line for each sale", body = String, content_type = "text/plain"),
    ),
)]
pub(crate) async fn readyz(
    State(engine): State<Arc<Engine>>,
    State(leaving): State<Arc<Leaving>>,
) -> (StatusCode, String) {
    if leaving.is_noted() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping: connect to another one\n".into());
    }
    if let Some((opened, all)) = engine.starting() {
        let so_far = format!("starting: {opened} of {all} sales are opened\n");
        return (StatusCode::SERVICE_UNAVAILABLE, so_far);
    }
    let mut reasons = String::new();
    if engine.sharing().is_some_and(|sharing| !sharing.is_in_touch()) {
        reasons.push_str("the store that the nodes share does not answer\n");
    }
    for open in engine.sales() {
        if let Some(trouble) = open.trouble() {
            let terms = open.sale.terms();
            // Nobody hears here of a sale that is not there for everyone.
            let is_known = !terms.members.is_unlisted && terms.members.audience.is_everyone();
            let name = if is_known { terms.id.as_str() } else { "an unlisted sale" };
            reasons.push_str(&format!("{name}: {}\n", for_everyone(&trouble)));
        }
    }
    for (sale, error) in engine.not_opened() {
        reasons.push_str(&format!("{sale}: {}\n", for_everyone(&error)));
    }
    let answer = match reasons.as_str() {
        "" => (StatusCode::OK, "ready\n".to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, reasons),
    };
    std::future::ready(answer).await
}

/// Returns the part of the trouble that any client may read, and what an operator does about it. The
/// full text may name members and machines; it stands in the operator's report only.
fn for_everyone(trouble: &StoreError) -> &'static str {
    match trouble {
        StoreError::Fenced | StoreError::OtherOwner | StoreError::NodeIdTaken(_) => {
            "another process sells this sale"
        }
        StoreError::HistoryLost(_) => {
            "the store has lost part of its history; restore it, then resume the sale"
        }
        StoreError::Damaged(_) => {
            "what is stored of this sale is damaged; restore the store from a backup"
        }
        StoreError::Unusable(_) => "the store or this process cannot go on; restart this process",
        StoreError::Refused(_) => "the store takes no orders now; they wait",
        StoreError::Unknown(_) => "the store does not answer; orders wait for it",
        StoreError::UnknownSale => "the store does not have this sale; restore it",
        StoreError::SaleExists
        | StoreError::NotEmbedded
        | StoreError::TooMuchStock(_)
        | StoreError::TooLittleStock(_)
        | StoreError::TopUpConflict(_) => "the store has other units than this process",
    }
}
