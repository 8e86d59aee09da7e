//! Every route of both listeners, and what handlers share.

use crate::answer::error::ApiError;
use crate::ask::limits::Limits;
use crate::ask::session::Verifier;
use crate::assets::{self, page};
use crate::member::buy::buy;
use crate::member::events::{self, Hub};
use crate::member::{orders, sales, waitlist};
use crate::openapi;
use crate::operator::sales as operator;
use crate::operator::{blocked, metrics};
use crate::provider::payments::{self, PaymentKeys};
use axum::Router;
use axum::routing::{get, post, put};
use engine::Engine;
use engine::clock::Clock;
use engine::store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What every handler may use.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) verifier: Verifier,
    pub(crate) payment_keys: PaymentKeys,
    pub(crate) limits: Arc<Limits>,
    pub(crate) gates: metrics::Gates,
    pub(crate) hub: Hub,
    /// True once this process is to end: streams that would never end by themselves do so then.
    pub(crate) stop: watch::Sender<bool>,
}

/// What members reach.
pub(crate) fn public(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/sales", get(sales::list))
        .route("/v1/sales/{sale}", get(sales::show))
        .route("/v1/sales/{sale}/orders", post(buy))
        .route("/v1/sales/{sale}/events", get(events::serve))
        .route("/v1/sales/{sale}/waitlist", post(waitlist::join).delete(waitlist::leave))
        .route("/v1/orders", get(orders::list))
        .route("/v1/orders/{order}", get(orders::show))
        .route("/v1/orders/{order}/cancel", post(orders::cancel))
        .route("/v1/payments", post(payments::receive))
        .route("/healthz", get(sales::healthz))
        .route("/readyz", get(sales::readyz))
        .route("/openapi.json", get(openapi::serve))
        .route("/", page(assets::SALES))
        .route("/room/{sale}", page(assets::ROOM))
        .route("/assets/sales.js", page(assets::SALES_JS))
        .route("/assets/room.js", page(assets::ROOM_JS))
        .route("/assets/style.css", page(assets::STYLE))
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method)
        .with_state(app)
}

/// What the platform's operators reach; never on the public listener.
pub(crate) fn operator(app: Arc<App>, guard: operator::Guard) -> Router {
    Router::new()
        .route("/v1/sales", get(operator::list).post(operator::create))
        .route("/v1/sales/{sale}", get(operator::show))
        .route("/v1/sales/{sale}/pause", post(operator::pause))
        .route("/v1/sales/{sale}/resume", post(operator::resume))
        .route("/v1/sales/{sale}/close", post(operator::close))
        .route("/v1/sales/{sale}/stock", post(operator::top_up))
        .route("/v1/sales/{sale}/orders", get(operator::orders))
        .route("/v1/blocked", get(blocked::list))
        .route("/v1/blocked/{member}", put(blocked::block).delete(blocked::unblock))
        .route("/metrics", get(metrics::serve))
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method)
        .layer(axum::middleware::from_fn_with_state(guard, operator::guard))
        .with_state(app)
}

/// Opens the store's sales.
pub(crate) async fn start(
    store: Arc<dyn Store>,
    verifier: Verifier,
    payment_keys: PaymentKeys,
    limits: Arc<Limits>,
    confirm_within: Duration,
) -> anyhow::Result<Arc<App>> {
    let engine = Engine::start(store, Clock::Wall, confirm_within).await?;
    let gates = metrics::Gates::default();
    let (hub, stop) = (Hub::default(), watch::Sender::new(false));
    Ok(Arc::new(App { engine, verifier, payment_keys, limits, gates, hub, stop }))
}
