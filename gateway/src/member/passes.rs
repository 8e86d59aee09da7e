//! Passes: one-time words that open a stream in the place of a token, for clients that cannot send
//! headers with it, such as a browser's `EventSource`. A token in an address would stand in the logs of
//! each machine on the way; a pass that stands there is used already.

use crate::answer::error::ApiError;
use crate::answer::problems::{Busy, TooMany, Unauthenticated};
use crate::answer::view::Time;
use crate::ask::rates::Rates;
use crate::ask::session::{Session, Sessions};
use axum::Json;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use engine::Engine;
use engine::rules::time::Millis;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a pass may be used: a page asks for one when it opens its stream.
const VALID_FOR: Duration = Duration::from_secs(30);
/// Most passes that wait to be used; with one more, the one that was made first is forgotten, and its
/// page asks again.
const WAITING_MAX: usize = 65_536;

/// The passes that wait to be used.
#[derive(Debug, Default)]
pub(crate) struct Passes(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    sessions: HashMap<u128, Pass>,
    /// In the order in which they were made, with those that are used by now.
    made: VecDeque<(u128, Millis)>,
}

#[derive(Debug)]
struct Pass {
    session: Session,
    /// The generation of the keys by which the session's token was verified.
    checked_by: u64,
    expires_at: Millis,
    /// The token, where another node may have to be asked with it.
    token: Option<HeaderValue>,
}

impl Waiting {
    /// Forgets what is over, and the oldest of what is too much.
    fn tidy(&mut self, now: Millis) {
        let is_over = |at: &Millis| *at <= now;
        while let Some((pass, at)) = self.made.front()
            && (is_over(at) || self.made.len() >= WAITING_MAX)
        {
            self.sessions.remove(pass);
            self.made.pop_front();
        }
    }
}

impl Passes {
    fn issue(
        &self,
        session: Session,
        token: Option<HeaderValue>,
        checked_by: u64,
        now: Millis,
    ) -> Result<PassView, ApiError> {
        let mut random = [0; 16];
        if let Err(error) = getrandom::fill(&mut random) {
            tracing::error!(%error, "the system gives no random bytes");
            return Err(ApiError::Internal);
        }
        let (pass, expires_at) = (u128::from_be_bytes(random), now + VALID_FOR);
        let mut waiting = self.0.lock();
        waiting.tidy(now);
        waiting.made.push_back((pass, expires_at));
        waiting.sessions.insert(pass, Pass { session, checked_by, expires_at, token });
        Ok(PassView { pass: format!("{pass:032x}"), expires_at: Time(expires_at) })
    }

    /// What the pass was asked for with, as `Authorization` had it; the pass is used by this.
    pub(crate) fn take_token(&self, pass: &str, now: Millis) -> Option<HeaderValue> {
        let name = name_of(pass)?;
        let mut waiting = self.0.lock();
        let known = waiting.sessions.get(&name)?;
        let token = known.token.clone().filter(|_| now < known.expires_at)?;
        waiting.sessions.remove(&name);
        Some(token)
    }

    /// The session of the member for whom the pass was made. A pass is good once, and only while the
    /// keys are those by which its token was verified: `checked_by`.
    pub(crate) fn take(
        &self,
        pass: &str,
        checked_by: u64,
        now: Millis,
    ) -> Result<Session, ApiError> {
        let taken = name_of(pass).and_then(|name| self.0.lock().sessions.remove(&name));
        let is_good = |pass: &Pass| {
            now < pass.expires_at && now < pass.session.expires_at && pass.checked_by == checked_by
        };
        let gone = "the pass is unknown, used or over; ask for another one";
        let session = taken.filter(is_good).map(|pass| pass.session);
        session.ok_or(ApiError::Unauthenticated(gone))
    }
}

/// Reads a pass, if it is one: 32 hexadecimal digits.
pub(crate) fn name_of(pass: &str) -> Option<u128> {
    u128::from_str_radix(pass, 16).ok().filter(|_| pass.len() == 32)
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
        Unauthenticated, TooMany, Busy,
    ),
)]
pub(crate) async fn make(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    State(passes): State<Arc<Passes>>,
    State(sessions): State<Arc<Sessions>>,
    session: Session,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<PassView>), ApiError> {
    rates.call(session.seat)?;
    let token = engine.sharing().and_then(|_| headers.get(AUTHORIZATION).cloned());
    let pass = passes.issue(session, token, sessions.generation(), engine.now())?;
    std::future::ready(Ok((StatusCode::CREATED, Json(pass)))).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::tiers::{Said, TiersFrom};
    use engine::rules::seat::Seat;
    use membership::Tier;

    fn session() -> Session {
        let said = Said { from: TiersFrom::Token, tier: Some(Tier::Gold) };
        let (seat, expires_at) = (Seat::new(1), Millis::MAX);
        Session { member: "ann".parse().unwrap(), seat, said, is_minor: false, expires_at }
    }

    fn issue(passes: &Passes, now: u64) -> String {
        passes.issue(session(), None, 7, Millis(now)).unwrap().pass
    }

    #[test]
    fn a_pass_is_good_once_in_time_and_while_the_keys_are_the_same() {
        let passes = Passes::default();
        let take = |pass: &str, checked_by, now| passes.take(pass, checked_by, Millis(now)).is_ok();
        let pass = issue(&passes, 0);
        assert!(take(&pass, 7, 29_999) && !take(&pass, 7, 29_999));
        assert!(!take(&issue(&passes, 0), 7, 30_000));
        assert!(!take(&issue(&passes, 0), 8, 1));
        for bad in ["", "0", "x", &"0".repeat(33), "+0000000000000000000000000000001"] {
            assert!(!take(bad, 7, 1), "{bad}");
        }
    }

    #[test]
    fn passes_that_nobody_uses_take_no_room_for_good() {
        let passes = Passes::default();
        let first = issue(&passes, 0);
        for _ in 0..WAITING_MAX {
            issue(&passes, 1);
        }
        assert!(passes.take(&first, 7, Millis(2)).is_err(), "the oldest made room");
        assert_eq!(passes.0.lock().sessions.len(), WAITING_MAX);
        let last = issue(&passes, 60_000);
        let waiting = passes.0.lock();
        assert_eq!((waiting.sessions.len(), waiting.made.len()), (1, 1));
        drop(waiting);
        assert!(passes.take(&last, 7, Millis(60_001)).is_ok());
    }
}
