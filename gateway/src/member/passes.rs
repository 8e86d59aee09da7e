//! Passes: one-time words that open a stream in the place of a token, for clients that cannot send
//! headers with it, such as a browser's `EventSource`. A token in an address would stand in the logs of
//! each machine on the way; a pass that stands there is used already.

use crate::answer::error::ApiError;
use crate::answer::problems::{TooMany, Unauthenticated};
use crate::answer::view::Time;
use crate::ask::rates::Rates;
use crate::ask::session::Session;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use engine::Engine;
use engine::rules::time::Millis;
use quick_cache::sync::Cache;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a pass may be used: a page asks for one when it opens its stream.
const VALID_FOR: Duration = Duration::from_secs(30);
/// Most passes that wait to be used; with one more the one that has waited longest is forgotten, and
/// its page asks again.
const WAITING_MAX: usize = 65_536;

/// The passes that wait to be used.
#[derive(Debug)]
pub(crate) struct Passes(Cache<String, (Session, Millis)>);

impl Default for Passes {
    fn default() -> Self {
        Self(Cache::new(WAITING_MAX))
    }
}

impl Passes {
    fn issue(&self, session: Session, now: Millis) -> Result<PassView, ApiError> {
        let mut random = [0; 16];
        if let Err(error) = getrandom::fill(&mut random) {
            tracing::error!(%error, "the system gives no random bytes");
            return Err(ApiError::Internal);
        }
        let pass = format!("{:032x}", u128::from_be_bytes(random));
        let expires_at = now + VALID_FOR;
        self.0.insert(pass.clone(), (session, expires_at));
        Ok(PassView { pass, expires_at: Time(expires_at) })
    }

    /// The session of the member for whom the pass was made. A pass is good once.
    pub(crate) fn take(&self, pass: &str, now: Millis) -> Result<Session, ApiError> {
        let taken = self.0.remove(pass).map(|(_, waiting)| waiting);
        let in_time = taken.filter(|(session, until)| now < *until && now < session.expires_at);
        let gone = "the pass is unknown, used or over; ask for another one";
        in_time.map(|(session, _)| session).ok_or(ApiError::Unauthenticated(gone))
    }
}

/// A pass.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "pass": "9b1fd1ea9c3a4bf1a1cbb0a2a0b6c7d8", "expires_at": "2026-01-01T12:00:30.000Z",
})))]
pub(crate) struct PassView {
    /// To be sent once, as `pass`.
    pass: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

/// Makes a pass that opens one stream.
///
/// It is good once, for 30 s, as `GET /v1/sales/{sale}/events?pass=`. A stream that was opened by it
/// ends when the token does, by which the pass was asked for.
#[utoipa::path(
    post, path = "/v1/stream-passes", operation_id = "makeStreamPass", tag = "members",
    security(("member" = [])),
    responses(
        (status = 201, description = "good once, for 30 s", body = PassView),
        Unauthenticated, TooMany,
    ),
)]
pub(crate) async fn make(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    State(passes): State<Arc<Passes>>,
    session: Session,
) -> Result<(StatusCode, Json<PassView>), ApiError> {
    rates.call(session.seat)?;
    let pass = passes.issue(session, engine.now())?;
    std::future::ready(Ok((StatusCode::CREATED, Json(pass)))).await
}
