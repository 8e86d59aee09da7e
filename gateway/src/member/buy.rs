//! The click: `POST /v1/sales/{sale}/orders`. It is judged in `engine::sale::Sale::buy`.

use crate::answer::error::{ApiError, Problem};
use crate::answer::view::OrderView;
use crate::app::App;
use crate::ask::request::{self, AnyUnits, Named};
use crate::ask::session::Session;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::fault::crash_point;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::units::Units;
use engine::sale::{Accepted, Click};
use engine::{Found, OpenSale};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// The body of a click.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClickBody {
    /// From 1 to the tier's limit.
    #[schema(value_type = u32, minimum = 1, maximum = 65_535)]
    units: AnyUnits,
}

/// Buys: 202 with the order as soon as it is judged, 201 if it was waited for and is confirmed.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/orders", tag = "members",
    security(("member" = [])),
    params(
        ("sale" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "makes a retry safe; 1 to 255 characters"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`, 1 to 10 s: answer when confirmed"),
    ),
    request_body = ClickBody,
    responses(
        (status = 202, description = "reserved; poll `Location`", body = OrderView),
        (status = 201, description = "confirmed on disk within the wait", body = OrderView),
        (status = 400, description = "bad_request", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "unauthenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "blocked, tier_not_admitted, not_open", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown_sale", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "body_too_slow", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "idempotency_in_flight, paused, sold_out, limit_reached", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "closed", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "body_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "bad_units, idempotency_conflict", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too_many_requests", body = Problem, content_type = "application/problem+json"),
        (status = 431, description = "headers_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn buy(
    State(app): State<Arc<App>>,
    Named(id): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body: ClickBody = request::json(body).await?;
    let key = request::idempotency_key(&parts.headers)?.map(request::digest);
    let wait_s = request::wait(&parts.headers)?;
    let session = Session::of(&app, &parts)?;
    app.limits.call(session.seat)?;
    if app.engine.is_blocked(session.seat) {
        return Err(ApiError::Blocked);
    }
    let open = app.engine.sale(&id).ok_or(ApiError::UnknownSale)?;

    let Session { seat, tier, .. } = session;
    let now = app.engine.now();
    let click = Click { seat, tier, units: Units(body.units.0), key };
    let accepted = open.sale.buy(now, click).map_err(|refusal| {
        open.sale.meter().refuse(&refusal);
        // Orders that are not paid may still give their units back.
        let may_return = matches!(refusal, Refusal::SoldOut { .. }) && open.may_return();
        ApiError::Refused { refusal, tier, now, may_return }
    })?;
    crash_point("judged");
    let Accepted { number, is_new } = accepted;
    if is_new {
        open.wake();
    }
    let order = match wait_s {
        Some(seconds) => open.settled(number, Duration::from_secs(seconds)).await,
        None => open.sale.board().read(number),
    };
    let view = match order {
        Some(order) => {
            OrderView::here(&order, open.sale.terms(), open.sale.epoch(), session.member)
        }
        None => repeated(&app, &open, number).await?,
    };
    crash_point("answering");
    Ok(answer(&view, wait_s))
}

/// The key stands for an order that a former process confirmed.
async fn repeated(app: &App, open: &OpenSale, number: u64) -> Result<OrderView, ApiError> {
    let found = app.engine.order_numbered(open, number).await?;
    let found: Found = found.ok_or(ApiError::UnknownOrder)?;
    Ok(OrderView::found(&app.engine, open, &found))
}

fn answer(view: &OrderView, wait_s: Option<u64>) -> Response {
    let status = match wait_s {
        Some(_) if view.status == Status::Confirmed => StatusCode::CREATED,
        Some(_) | None => StatusCode::ACCEPTED,
    };
    let location = HeaderValue::try_from(format!("/v1/orders/{}", view.order_id));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::LOCATION, location.expect("order ids are plain ASCII")),
    ];
    let body = serde_json::to_vec(view).expect("an order is plain data");
    let mut response = (status, headers, body).into_response();
    if let Some(seconds) = wait_s {
        let applied = HeaderValue::try_from(format!("wait={seconds}"));
        let applied = applied.expect("a number is plain ASCII");
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}
