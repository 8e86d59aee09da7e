//! Every route of each listener.

use crate::answer::error::ApiError;
use crate::app::App;
use crate::ask::guard::{Guard, guard};
use crate::ask::origin::Origin;
use crate::ask::request::REQUEST_ID;
use crate::assets::{self, page};
use crate::front::asking::Front;
use crate::front::pass_on::pass_on;
use crate::member::{buy, events, health, me, orders, passes, sales, waitlist};
use crate::meters::Face;
use crate::provider::payments;
use crate::start::options::Origins;
use crate::{openapi, operator, platform};
use axum::Router;
use axum::extract::FromRef;
use axum::http::{HeaderName, Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post, put};
use std::sync::Arc;
use std::time::Duration;
use tower_http::cors::CorsLayer;

/// Paths of the public listener that are pages, and no calls.
const PAGES: [&str; 4] = ["/", "/room/{sale}", "/me", assets::FILES_PATH];
/// Those of the operator listener.
const DESK_PAGES: [&str; 2] = ["/", assets::FILES_PATH];
/// The one call of the listener of metrics.
const METRICS: &str = "/metrics";

/// How long a browser remembers what it may call.
const PREFLIGHT_KEPT: Duration = Duration::from_secs(600);

/// The routes of the public listener, for members.
///
/// `origins` are those whose pages may call this listener, and those whose pages may frame its own.
pub(crate) fn public(app: App, origins: &Origins) -> Router {
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
        .route("/v1/me", get(me::read))
        .route("/v1/me/postings", get(me::postings))
        .route("/v1/me/coupons", get(me::coupons))
        .route("/v1/me/notices", get(me::notices))
        .route("/v1/me/redemptions", post(me::redeem))
        .route("/v1/me/birthday", put(me::set_birthday))
        .route("/v1/me/birthday-gift", post(me::claim_gift))
        .route("/v1/me/preferences", put(me::set_preferences))
        .route("/v1/rewards", get(me::rewards))
        .route("/v1/payments", post(payments::receive))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/openapi.json", get(openapi::serve))
        .route("/", page(assets::SALES, origins))
        .route("/room/{sale}", page(assets::ROOM, origins))
        .route("/me", page(assets::ME, origins))
        .route(assets::FILES_PATH, assets::files(&[assets::OF_ROOMS]))
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method);
    let router = passed_on(router, &app, Face::Public).with_state(app);
    match origins.allow.as_slice() {
        [] => router,
        allow => router.layer(cors(allow)),
    }
}

/// With other nodes, what concerns a sale of theirs is answered by them.
fn passed_on(router: Router<App>, app: &App, face: Face) -> Router<App> {
    let front = Arc::<Front>::from_ref(app);
    match front.is_one_of_many() {
        true => router.layer(from_fn_with_state((front, face), pass_on)),
        false => router,
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
    use platform::{acts, clicks, members, outbox};
    let router = Router::new()
        .route("/v1/sales/{sale}/clicks", post(clicks::judge))
        .route("/v1/members", post(members::enrol))
        .route("/v1/members/{member}", get(members::read))
        .route("/v1/members/{member}/postings", get(members::postings))
        .route("/v1/members/{member}/orders", get(members::orders))
        .route("/v1/events", post(acts::take))
        .route("/v1/outbox", get(outbox::read))
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method);
    passed_on(router, &app, Face::Platform)
        .layer(from_fn_with_state(keys, guard))
        // What stands below needs no key.
        .route("/openapi.json", get(openapi::serve_platform).fallback(ApiError::no_method))
        .with_state(app)
}

/// The routes of the operator listener. They are never served on the public one.
pub(crate) fn operator(app: App, keys: Guard, origins: &Origins) -> Router {
    // Nobody frames the desk.
    let of_desk = Origins { media: origins.media.clone(), ..Origins::default() };
    use operator::{
        audit, backup, blocked, book, check_in, key, members, nodes, orders, plan, rehearse,
        reports,
    };
    use operator::{sales, waitlist, why};
    let router = Router::new()
        .route("/v1/sales", get(sales::list).post(sales::create))
        .route("/v1/sales/{sale}", get(sales::read).patch(sales::change).delete(sales::delete))
        .route("/v1/sales/{sale}/pause", post(sales::pause))
        .route("/v1/sales/{sale}/resume", post(sales::resume))
        .route("/v1/sales/{sale}/close", post(sales::close))
        .route("/v1/sales/{sale}/stock", post(sales::top_up))
        .route("/v1/sales/{sale}/rehearse", post(rehearse::begin))
        .route("/v1/sales/{sale}/rehearsal", get(rehearse::read).delete(rehearse::end))
        .route("/v1/sales/{sale}/orders", get(orders::list))
        .route("/v1/sales/{sale}/waitlist", get(waitlist::list))
        .route("/v1/sales/{sale}/why/{member}", get(why::read))
        .route("/v1/orders/{order}", get(orders::read))
        .route("/v1/orders/{order}/check-in", post(check_in::check_in))
        .route("/v1/key", get(key::read))
        .route("/v1/audit", get(audit::list))
        .route("/v1/nodes", get(nodes::list))
        .route("/v1/backup", post(backup::back_up))
        .route("/v1/members/{member}", get(book::read).delete(members::erase))
        .route("/v1/members/{member}/postings", get(book::postings))
        .route("/v1/members/{member}/orders", get(book::orders))
        .route("/v1/members/{member}/adjustments", post(book::adjust))
        .route("/v1/members/{member}/coupons", post(book::issue))
        .route("/v1/reports/liability", get(reports::liability))
        .route("/v1/reports/consistency", get(reports::consistency))
        .route("/v1/reports/benefits", get(reports::benefits))
        .route("/v1/plan", get(plan::read).put(plan::change))
        .route("/v1/plan/dry-run", post(plan::dry_run))
        .route("/v1/members/{member}/export", get(members::export))
        .route("/v1/blocked", get(blocked::list))
        .route("/v1/blocked/{member}", put(blocked::block).delete(blocked::unblock))
        .route(METRICS, metrics_call())
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method);
    passed_on(router, &app, Face::Operator)
        .layer(from_fn_with_state(keys, guard))
        // What stands below needs no key.
        .route("/openapi.json", get(openapi::serve_operator).fallback(ApiError::no_method))
        .route("/", page(assets::DESK, &of_desk).fallback(ApiError::no_method))
        .route(
            assets::FILES_PATH,
            assets::files(&[assets::OF_ROOMS, assets::OF_DESK]).fallback(ApiError::no_method),
        )
        .with_state(app)
}

fn metrics_call() -> MethodRouter<App> {
    get(operator::metrics::serve)
}

/// The routes of the listener of metrics, which needs no key.
pub(crate) fn metrics(app: App) -> Router {
    Router::new()
        .route(METRICS, metrics_call())
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method)
        .with_state(app)
}

/// The paths of each listener's routes, in the order of [`Face::ALL`].
pub(crate) fn paths() -> [Vec<String>; Face::ALL.len()] {
    let [public, operator, platform] =
        openapi::documents().map(|document| document.paths.paths.into_keys().collect::<Vec<_>>());
    let public: Vec<_> = PAGES.into_iter().map(str::to_owned).chain(public).collect();
    let operator = DESK_PAGES.into_iter().map(str::to_owned).chain(operator).collect();
    // Of what other nodes ask, that is counted which members ask.
    let node = public.clone();
    [public, operator, platform, vec![METRICS.to_owned()], node]
}
