//! `/openapi.json`: the contract, generated from the handlers.

use crate::answer::{problem, view};
use crate::member::{buy, events, health, me, orders, passes, sales, waitlist};
use crate::operator;
use crate::provider::payments;
use axum::Json;
use utoipa::openapi::info::ContactBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, openapi};

#[derive(OpenApi)]
#[openapi(
    info(title = "Flashlane", description = "Member drops for live rooms: the public listener."),
    tags(
        (name = "members", description = "What members do: look, buy, wait."),
        (name = "membership", description = "What members have: growth, points, coupons, rewards."),
        (name = "payments", description = "What the payment provider tells."),
        (name = "health", description = "What monitors and generators of clients read."),
    ),
    paths(
        sales::list, sales::read, buy::buy, orders::list, orders::read, orders::cancel, passes::make,
        waitlist::join, waitlist::leave, payments::receive, events::serve, me::read, me::postings,
        me::coupons, me::notices, me::redeem, me::set_birthday, me::claim_gift, me::set_preferences, me::rewards,
        health::healthz, health::readyz, serve,
    ),
    components(schemas(problem::Problem, view::OrderView, view::WaitView)),
    modifiers(&MemberToken, &Common),
)]
struct Public;

#[derive(OpenApi)]
#[openapi(
    info(title = "Flashlane, operator", description = "The operator listener."),
    tags(
        (name = "operator", description = "What operators do with sales, and read of them."),
        (name = "membership", description = "What members have, corrections of it, and the plan."),
        (name = "health", description = "What generators of clients read."),
    ),
    security(("operator" = [])),
    paths(
        operator::sales::list,
        operator::sales::create,
        operator::sales::read,
        operator::sales::change,
        operator::sales::pause,
        operator::sales::resume,
        operator::sales::close,
        operator::sales::top_up,
        operator::rehearse::begin,
        operator::rehearse::read,
        operator::rehearse::end,
        operator::orders::list,
        operator::orders::read,
        operator::check_in::check_in,
        operator::why::read,
        operator::waitlist::list,
        operator::key::read,
        operator::audit::list,
        operator::nodes::list,
        operator::members::export,
        operator::members::erase,
        operator::sales::delete,
        operator::backup::back_up,
        operator::book::read,
        operator::book::postings,
        operator::book::adjust,
        operator::book::issue,
        operator::book::orders,
        operator::plan::read,
        operator::plan::change,
        operator::plan::dry_run,
        operator::reports::liability,
        operator::reports::consistency,
        operator::reports::benefits,
        operator::blocked::list,
        operator::blocked::block,
        operator::blocked::unblock,
        operator::metrics::serve,
        serve_operator,
    ),
    components(schemas(problem::Problem)),
    modifiers(&OperatorKey, &Common),
)]
struct Operator;

#[derive(OpenApi)]
#[openapi(
    info(title = "Flashlane, platform", description = "The listener of the platform's own servers."),
    tags(
        (name = "platform", description = "What the platform's servers do for many members."),
        (name = "membership", description = "Who is a member, and what they did in live rooms."),
        (name = "health", description = "What generators of clients read."),
    ),
    paths(
        crate::platform::clicks::judge,
        crate::platform::members::enrol,
        crate::platform::members::read,
        crate::platform::members::postings,
        crate::platform::members::orders,
        crate::platform::acts::take,
        crate::platform::outbox::read,
        serve_platform,
    ),
    components(schemas(problem::Problem)),
    security(("platform" = [])),
    modifiers(&PlatformKey, &Common),
)]
struct Platform;

struct MemberToken;

impl Modify for MemberToken {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("member", SecurityScheme::Http(scheme.build()));
    }
}

struct OperatorKey;

impl Modify for OperatorKey {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        add_key(openapi, "operator");
    }
}

struct PlatformKey;

impl Modify for PlatformKey {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        add_key(openapi, "platform");
    }
}

/// Says that callers are known by a key.
fn add_key(openapi: &mut openapi::OpenApi, name: &str) {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme(name, SecurityScheme::Http(scheme.build()));
}

/// What all documents have.
struct Common;

impl Modify for Common {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let contact = ContactBuilder::new().name(Some("the operator of this server"));
        openapi.info.contact = Some(contact.build());
        // Addresses in the document are those of the server that it was read from.
        openapi.servers = Some(vec![openapi::Server::new("/")]);
        for item in openapi.paths.paths.values_mut() {
            let calls =
                [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
            for call in calls.into_iter().flatten() {
                // A call that one sentence describes has it as both.
                call.description = call.description.take().or_else(|| call.summary.clone());
            }
        }
    }
}

/// The documents of the public, the operator and the platform listener.
#[must_use]
pub fn documents() -> [openapi::OpenApi; 3] {
    [Public::openapi(), Operator::openapi(), Platform::openapi()]
}

/// Returns this document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "readContract", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)),
)]
pub(crate) async fn serve() -> Json<openapi::OpenApi> {
    std::future::ready(Json(Public::openapi())).await
}

/// Returns this document. It needs no key.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "readContract", tag = "health", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)),
)]
pub(crate) async fn serve_operator() -> Json<openapi::OpenApi> {
    std::future::ready(Json(Operator::openapi())).await
}

/// Returns this document. It needs no key.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "readContract", tag = "health", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)),
)]
pub(crate) async fn serve_platform() -> Json<openapi::OpenApi> {
    std::future::ready(Json(Platform::openapi())).await
}
