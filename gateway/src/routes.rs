//! Every route of each listener.

use crate::answer::error::ApiError;
use crate::app::App;
use crate::ask::guard::{Guard, guard};
use crate::ask::origin::Origin;
use crate::ask::request::REQUEST_ID;
use crate::assets::{self, page};
use crate::member::{buy, events, health, orders, passes, sales, waitlist};
use crate::provider::payments;
use crate::start::options::Origins;
use crate::{openapi, operator, platform};
use axum::Router;
use axum::http::{HeaderName, Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use std::time::Duration;
use tower_http::cors::CorsLayer;

/// How long a browser remembers what it may call.
const PREFLIGHT_KEPT: Duration = Duration::from_secs(600);

/// The routes of the public listener, for members.
///
/// `origins` are those whose pages may call this listener, and those whose pages may frame its own.
pub(crate) fn public(app: App, origins: &Origins) -> Router {
    let policy = &assets::policy(&origins.frame_ancestors);
    let router = Router::new()
        .route("/v1/sales", get(sales::list))
        .route("/v1/sales/{sale}", get(sales::read))
        .route("/v1/sales/{sale}/orders", post(buy::buy))
        .route("/v1/sales/{sale}/events", get(events::serve))
        .route("/v1/sales/{sale}/waitlist", post(waitlist::join).delete(waitlist::leave))
        .route("/v1/orders", get(orders::list))
        .route("/v1/orders/{order}", get(orders::read))
        .route("/v1/orders/{order}/cancel", post(orders::cancel))
        .route("/v1/stream-passes", post(passes::make))
        .route("/v1/payments", post(payments::receive))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/openapi.json", get(openapi::serve))
        .route("/", page(assets::SALES, policy))
        .route("/room/{sale}", page(assets::ROOM, policy))
        .route("/assets/sales.js", page(assets::SALES_JS, policy))
        .route("/assets/room.js", page(assets::ROOM_JS, policy))
        .route("/assets/style.css", page(assets::STYLE, policy))
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method)
        .with_state(app);
    match origins.allow.as_slice() {
        [] => router,
        allow => router.layer(cors(allow)),
    }
}

/// Lets pages of these origins call, and read what is answered. No call is made by a cookie.
fn cors(allow: &[Origin]) -> CorsLayer {
    let named = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(allow.iter().map(Origin::header).collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            named("idempotency-key"),
            named("prefer"),
            named("last-event-id"),
            REQUEST_ID,
        ])
        .expose_headers([
            header::LOCATION,
            header::RETRY_AFTER,
            named("preference-applied"),
            REQUEST_ID,
        ])
        .max_age(PREFLIGHT_KEPT)
}

/// The routes of the platform listener, for the platform's own servers.
pub(crate) fn platform(app: App, keys: Guard) -> Router {
    use platform::clicks;
    Router::new()
        .route("/v1/sales/{sale}/clicks", post(clicks::judge))
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method)
        .layer(from_fn_with_state(keys, guard))
        // What stands below needs no key.
        .route("/openapi.json", get(openapi::serve_platform).fallback(ApiError::no_method))
        .with_state(app)
}

/// The routes of the operator listener. They are never served on the public one.
pub(crate) fn operator(app: App, keys: Guard) -> Router {
    use operator::{blocked, key, metrics, orders, sales, waitlist};
    Router::new()
        .route("/v1/sales", get(sales::list).post(sales::create))
        .route("/v1/sales/{sale}", get(sales::read))
        .route("/v1/sales/{sale}/pause", post(sales::pause))
        .route("/v1/sales/{sale}/resume", post(sales::resume))
        .route("/v1/sales/{sale}/close", post(sales::close))
        .route("/v1/sales/{sale}/stock", post(sales::top_up))
        .route("/v1/sales/{sale}/orders", get(orders::list))
        .route("/v1/sales/{sale}/waitlist", get(waitlist::list))
        .route("/v1/orders/{order}", get(orders::read))
        .route("/v1/key", get(key::read))
        .route("/v1/blocked", get(blocked::list))
        .route("/v1/blocked/{member}", put(blocked::block).delete(blocked::unblock))
        .route("/metrics", get(metrics::serve))
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method)
        .layer(from_fn_with_state(keys, guard))
        // What stands below needs no key.
        .route("/openapi.json", get(openapi::serve_operator).fallback(ApiError::no_method))
        .with_state(app)
}
