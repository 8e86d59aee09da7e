//! `GET /v1/sales/{sale}/events`: what changes, as server-sent events.

use super::hub::{Hub, SaleEvent};
use super::passes::Passes;
use super::watcher::Watcher;
use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, Over, TooMany, Unauthenticated, UnknownSale};
use crate::answer::sse;
use crate::ask::audience::any_sale_for;
use crate::ask::rates::Rates;
use crate::ask::request::{InQuery, Named};
use crate::ask::session::{Session, Sessions};
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use engine::Engine;
use engine::rules::time::Millis;
use serde::Deserialize;
use std::sync::Arc;

/// What a client that cannot send headers says in the address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InAddress {
    pass: Option<String>,
    last_event_id: Option<String>,
}

/// The viewer that asks for a stream, and from when on.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) session: Option<Session>,
    pub(crate) after: Millis,
}

impl<S> FromRequestParts<S> for Asked
where
    S: Send + Sync,
    Arc<Engine>: FromRef<S>,
    Arc<Sessions>: FromRef<S>,
    Arc<Passes>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (engine, sessions, passes): (Arc<Engine>, Arc<Sessions>, Arc<Passes>) =
            (FromRef::from_ref(state), FromRef::from_ref(state), FromRef::from_ref(state));
        asked(parts, &engine, &sessions, &passes).await
    }
}

/// The viewer that asks for a stream by this request. A pass is used up.
pub(crate) async fn asked(
    parts: &mut Parts,
    engine: &Engine,
    sessions: &Sessions,
    passes: &Passes,
) -> Result<Asked, ApiError> {
    let InQuery(InAddress { pass, last_event_id }) =
        InQuery::from_request_parts(parts, &()).await?;
    let session = match pass {
        Some(pass) => Some(passes.take(&pass, sessions.generation(), engine.now())?),
        None => sessions.of_any(parts).await?,
    };
    let header = parts.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let after = header.or(last_event_id.as_deref()).and_then(|id| id.parse().ok());
    Ok(Asked { session, after: Millis(after.unwrap_or(0)) })
}

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
    get, path = "/v1/sales/{sale}/events", operation_id = "streamSale", tag = "members",
    security((), ("member" = [])),
    params(
        ("pass" = Option<String>, Query, description = "in the place of a token: from `makeStreamPass`, good once"),
        ("last_event_id" = Option<String>, Query, description = "in the place of the header"),
        ("sale" = String, Path),
        ("Last-Event-ID" = Option<String>, Header, description = "the last id that was seen; anything else counts as none"),
    ),
    responses(
        (status = 200, description = "a stream that does not end by itself", body = SaleEvent, content_type = "text/event-stream"),
        BadRequest, Unauthenticated, UnknownSale, Over, TooMany, Busy,
    ),
)]
pub(crate) async fn serve(
    State(engine): State<Arc<Engine>>,
    State(hub): State<Arc<Hub>>,
    State(rates): State<Arc<Rates>>,
    Asked { session, after }: Asked,
    Named(id): Named,
) -> Result<Response, ApiError> {
    let open = any_sale_for(&engine, &id, session.as_ref()).await?;
    if open.is_archived() {
        return Err(ApiError::SaleOver);
    }
    if let Some(session) = &session {
        rates.call(session.seat)?;
    }
    let watcher = Watcher::new(engine, &hub, open, session.as_ref(), after).await?;
    Ok(sse::response(watcher.events()))
}
