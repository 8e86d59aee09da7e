//! `POST /v1/sales/{sale}/orders`: a click as a request. It is judged by `click.rs`.

use super::click::{Clicks, NotAccepted, Wish};
use crate::answer::error::ApiError;
use crate::answer::fresh;
use crate::answer::problems::{
    BadBody, BadHeaders, Busy, ClickRefused, TooMany, Unauthenticated, UnknownSale,
};
use crate::answer::view::OrderView;
use crate::ask::request::{self, AnyUnits, Named, REQUEST_ID};
use crate::ask::session::{Session, Sessions};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::fault::crash_point;
use engine::rules::money::ForeignId;
use engine::rules::order::{Order, Status};
use engine::rules::units::Units;
use engine::sale::Accepted;
use engine::{Engine, OpenSale};
use membership::MemberId;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// The body of a click.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"units": 1}), json!({"units": 1, "points": 500, "coupon": "welcome-1"})))]
pub(crate) struct ClickBody {
    /// Units to buy, from 1 to the tier's limit.
    #[schema(value_type = u32, minimum = 1, maximum = 65_535)]
    units: AnyUnits,
    /// Points to pay a part with, at most as many as the sale takes for such an order.
    #[serde(default)]
    points: u64,
    /// A coupon of the member's, by its id.
    #[schema(value_type = Option<String>)]
    coupon: Option<ForeignId>,
}

/// Buys units.
///
/// Returns 202 with the order as soon as the click is judged. With `Prefer: wait=N` it returns 201
/// if the order is confirmed within the wait, and 202 otherwise.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/orders", operation_id = "buy", tag = "members",
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
        BadBody, Unauthenticated, ClickRefused, UnknownSale, TooMany, BadHeaders, Busy,
    ),
)]
pub(crate) async fn buy(
    State(sessions): State<Arc<Sessions>>,
    State(clicks): State<Arc<Clicks>>,
    Named(id): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let wish = wish(&parts.headers, &request::bytes(body).await?)?;
    let wait_s = request::wait(&parts.headers)?;
    let session = sessions.of(&parts).await?;

    let judged = clicks.judge(&session, &id, &wish).await;
    told(&session, &id, &wish, judged.as_ref().err(), &parts.headers);
    let (open, Accepted { number, .. }) = judged?;
    let order = match wait_s {
        Some(seconds) => open.settled(number, Duration::from_secs(seconds)).await,
        None => open.sale.board().read(number),
    };
    let said = match order {
        Some(order) => Said::here(&open, &order, session.member),
        None => Said::view(&repeated(clicks.engine(), &open, number).await?),
    };
    crash_point("answering");
    Ok(answer(said, wait_s))
}

/// What is said of an order.
struct Said {
    status: Status,
    /// Where it is found.
    location: String,
    json: Vec<u8>,
}

impl Said {
    fn here(open: &OpenSale, order: &Order, member: MemberId) -> Self {
        let Some(json) = fresh::order(open, order, &member) else {
            return Self::view(&OrderView::here(open, order, member));
        };
        let (sale, epoch, number) = (&open.sale.terms().id, open.sale.epoch(), order.number);
        let location = format!("/v1/orders/{sale}.{epoch}.{number}");
        Self { status: order.status, location, json: json.into() }
    }

    fn view(view: &OrderView) -> Self {
        let json = serde_json::to_vec(view).expect("an order is plain data");
        let location = format!("/v1/orders/{}", view.order_id);
        Self { status: view.status, location, json }
    }
}

/// What a request asks for, from its headers and its body.
pub(crate) fn wish(headers: &HeaderMap, body: &[u8]) -> Result<Wish, ApiError> {
    let body: ClickBody = request::parse(body)?;
    let key = request::idempotency_key(headers)?.map(request::digest);
    Ok(Wish { units: Units(body.units.0), key, points: body.points, coupon: body.coupon })
}

/// Shows a click and its answer to who looks for them: costs one comparison to who does not.
fn told(
    session: &Session,
    sale: &str,
    wish: &Wish,
    why: Option<&NotAccepted>,
    headers: &HeaderMap,
) {
    let (member, said, units) = (&session.member, session.said.tier, wish.units.0);
    tracing::debug!(
        sale, %member, ?said, units, refused = ?why,
        request_id = ?headers.get(REQUEST_ID), traceparent = ?headers.get("traceparent"), "click",
    );
}

/// Returns the order that the idempotency key stands for. A former process confirmed that order, so
/// it is not on this process's board.
async fn repeated(engine: &Engine, open: &OpenSale, number: u64) -> Result<OrderView, ApiError> {
    let found = engine.order_numbered(open, number).await?.ok_or(ApiError::UnknownOrder)?;
    Ok(OrderView::found(engine, open, &found))
}

fn answer(said: Said, wait_s: Option<u64>) -> Response {
    let status = match wait_s {
        Some(_) if matches!(said.status, Status::Confirmed | Status::Paid) => StatusCode::CREATED,
        Some(_) | None => StatusCode::ACCEPTED,
    };
    let location = HeaderValue::try_from(said.location);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::LOCATION, location.expect("order ids are plain ASCII")),
    ];
    let mut response = (status, headers, said.json).into_response();
    if let Some(seconds) = wait_s {
        let applied = HeaderValue::try_from(format!("wait={seconds}"));
        let applied = applied.expect("a number is plain ASCII");
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}

/// What a request is answered that brought a click, or a wish to wait.
impl From<NotAccepted> for ApiError {
    fn from(why: NotAccepted) -> Self {
        match why {
            NotAccepted::TooOften(too_often) => too_often.into(),
            NotAccepted::Blocked => Self::Blocked,
            NotAccepted::NoSale(none) => none.into(),
            NotAccepted::Bad(why) => Self::BadRequest(why.into()),
            NotAccepted::BadPoints(bad) => Self::BadRequest(bad.to_string()),
            NotAccepted::Refused { refusal, tier, now, may_return } => {
                Self::Refused { refusal, tier, now, may_return }
            }
        }
    }
}
