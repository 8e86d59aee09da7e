//! Every route of both listeners.

use crate::answer::error::ApiError;
use crate::app::App;
use crate::assets::{self, page};
use crate::member::{buy, events, health, orders, sales, waitlist};
use crate::operator::guard::{Guard, guard};
use crate::provider::payments;
use crate::{openapi, operator};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};

/// The routes of the public listener, for members.
pub(crate) fn public(app: App) -> Router {
    Router::new()
        .route("/v1/sales", get(sales::list))
        .route("/v1/sales/{sale}", get(sales::read))
        .route("/v1/sales/{sale}/orders", post(buy::buy))
        .route("/v1/sales/{sale}/events", get(events::serve))
        .route("/v1/sales/{sale}/waitlist", post(waitlist::join).delete(waitlist::leave))
        .route("/v1/orders", get(orders::list))
        .route("/v1/orders/{order}", get(orders::read))
        .route("/v1/orders/{order}/cancel", post(orders::cancel))
        .route("/v1/payments", post(payments::receive))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
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

/// The routes of the operator listener. They are never served on the public one.
pub(crate) fn operator(app: App, key: Guard) -> Router {
    use operator::{blocked, metrics, orders, sales};
    Router::new()
        .route("/v1/sales", get(sales::list).post(sales::create))
        .route("/v1/sales/{sale}", get(sales::read))
        .route("/v1/sales/{sale}/pause", post(sales::pause))
        .route("/v1/sales/{sale}/resume", post(sales::resume))
        .route("/v1/sales/{sale}/close", post(sales::close))
        .route("/v1/sales/{sale}/stock", post(sales::top_up))
        .route("/v1/sales/{sale}/orders", get(orders::orders))
        .route("/v1/blocked", get(blocked::list))
        .route("/v1/blocked/{member}", put(blocked::block).delete(blocked::unblock))
        .route("/metrics", get(metrics::serve))
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method)
        .layer(from_fn_with_state(key, guard))
        .with_state(app)
}
