//! `/openapi.json`: the contract, generated from the handlers.

use crate::answer::{error, view};
use crate::member::{buy, events, health, orders, sales, waitlist};
use crate::operator;
use crate::provider::payments;
use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "Flashlane", description = "Member drops for live rooms: the public listener."),
    paths(
        sales::list, sales::read, buy::buy, orders::list, orders::read, orders::cancel,
        waitlist::join, waitlist::leave, payments::receive, events::serve,
        health::healthz, health::readyz, serve,
    ),
    components(schemas(error::Problem, view::OrderView)),
    modifiers(&MemberToken),
)]
struct Public;

#[derive(OpenApi)]
#[openapi(
    info(title = "Flashlane, operator", description = "The operator listener."),
    paths(
        operator::sales::list,
        operator::sales::create,
        operator::sales::read,
        operator::sales::pause,
        operator::sales::resume,
        operator::sales::close,
        operator::sales::top_up,
        operator::orders::orders,
        operator::blocked::list,
        operator::blocked::block,
        operator::blocked::unblock,
        operator::metrics::serve,
    ),
    components(schemas(error::Problem))
)]
struct Operator;

struct MemberToken;

impl Modify for MemberToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("member", SecurityScheme::Http(scheme.build()));
    }
}

/// The documents of the public and of the operator listener.
#[must_use]
pub fn document() -> (utoipa::openapi::OpenApi, utoipa::openapi::OpenApi) {
    (Public::openapi(), Operator::openapi())
}

/// Returns this document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, content_type = "application/json")))]
pub(crate) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    std::future::ready(Json(document().0)).await
}
