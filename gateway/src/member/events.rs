//! `GET /v1/sales/{sale}/events`: what changes, as server-sent events.

use super::hub::{Hub, SaleEvent};
use super::watcher::{HEARTBEAT, Watcher};
use crate::answer::error::ApiError;
use crate::answer::problems::{Busy, TooMany, Unauthenticated, UnknownSale};
use crate::ask::rates::Rates;
use crate::ask::request::Named;
use crate::ask::session::Session;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use engine::rules::time::Millis;
use std::sync::Arc;

/// Streams live events of a sale.
///
/// A `sale` event comes when state, stock or waitlist change: changes that come close together
/// share one event, and there are at most ten events a second, fewer when many streams are open.
/// With a token the stream also has an `order` event for each step of the member's own orders, and
/// a `waiting` event when the member's place on the waitlist moves. A comment comes every 15 s
/// while nothing happens.
///
/// The id of an `order` event is its time. With `Last-Event-ID` the stream first tells the member's
/// orders that have changed since that time, some of them perhaps once more; without it, all of
/// them. The stream ends when the client does not read it or when its token expires.
#[utoipa::path(
    get, path = "/v1/sales/{sale}/events", tag = "members",
    security((), ("member" = [])),
    params(
        ("sale" = String, Path),
        ("Last-Event-ID" = Option<String>, Header, description = "the last id that was seen; anything else counts as none"),
    ),
    responses(
        (status = 200, description = "a stream that does not end by itself", body = SaleEvent, content_type = "text/event-stream"),
        Unauthenticated, UnknownSale, TooMany, Busy,
    ),
)]
pub(crate) async fn serve(
    State(engine): State<Arc<Engine>>,
    State(hub): State<Arc<Hub>>,
    State(rates): State<Arc<Rates>>,
    session: Option<Session>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let open = engine.sale(&id)?;
    if let Some(session) = &session {
        rates.call(session.seat)?;
    }
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = Millis(after.unwrap_or(0));
    let watcher = Watcher::new(engine, &hub, open, session.as_ref(), after).await?;
    let mut answer =
        Sse::new(watcher.events()).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // A proxy that buffers answers would delay the events.
    let buffering = header::HeaderName::from_static("x-accel-buffering");
    answer.headers_mut().insert(buffering, HeaderValue::from_static("no"));
    Ok(answer)
}
