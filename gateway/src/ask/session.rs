//! Session: a verified token, and the seat and the tier that it brings.
//!
//! A verified token is remembered by its bytes until it expires, so that the member's next click
//! costs no signature check. A token that was not verified is never remembered.

use super::verifier::{Claims, LEEWAY_S, Verifier};
use crate::answer::error::ApiError;
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use engine::Engine;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use membership::{MemberId, Tier};
use quick_cache::sync::Cache;
use std::sync::Arc;
use std::time::Duration;

/// A verified token and what it brought.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) member: Arc<str>,
    pub(crate) seat: Seat,
    pub(crate) tier: Tier,
    pub(crate) expires_at: Millis,
}

/// Makes sessions from tokens that are good, and remembers them.
#[derive(Debug)]
pub(crate) struct Sessions {
    verifier: Arc<Verifier>,
    engine: Arc<Engine>,
    /// With the generation of the keys by which each was verified.
    verified: Cache<Box<str>, (Session, u64)>,
}

/// Most tokens that are remembered; the least used ones make room for others. About 20 MB when
/// full.
const VERIFIED_MAX: usize = 65_536;
impl Sessions {
    pub(crate) fn new(verifier: Arc<Verifier>, engine: Arc<Engine>) -> Self {
        Self { verifier, engine, verified: Cache::new(VERIFIED_MAX) }
    }

    /// As [`Verifier::generation`].
    pub(crate) fn generation(&self) -> u64 {
        self.verifier.generation()
    }

    /// Returns the session of the member who sent this request.
    pub(crate) fn of(&self, parts: &Parts) -> Result<Session, ApiError> {
        let missing = ApiError::Unauthenticated("a bearer token is needed");
        let mut given = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (given.next(), given.next()) else { return Err(missing) };
        let Some((scheme, token)) = header.to_str().ok().and_then(|h| h.split_once(' ')) else {
            return Err(missing);
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing);
        }
        self.session(token.trim())
    }

    fn session(&self, token: &str) -> Result<Session, ApiError> {
        let generation = self.verifier.generation();
        if let Some((known, checked_by)) = self.verified.get(token) {
            if self.engine.now() < known.expires_at && checked_by == generation {
                return Ok(known);
            }
            self.verified.remove(token);
        }
        let refused = |error: &ApiError| tracing::debug!(%error, "a token is refused");
        let session = self.begin(token).inspect_err(refused)?;
        self.verified.insert(token.into(), (session.clone(), generation));
        Ok(session)
    }

    fn begin(&self, token: &str) -> Result<Session, ApiError> {
        let Claims { member, tier, exp } = self.verifier.verify(token)?;
        let bad_member = |_| ApiError::Unauthenticated("the token names no member id");
        MemberId::check(&member).map_err(bad_member)?;
        let bad_tier = |_| ApiError::Unauthenticated("the token's tier is unknown");
        let tier: Tier = tier.parse().map_err(bad_tier)?;
        let Some(seat) = self.engine.roster().seat(&member) else {
            let (refusal, now, may_return) = (Refusal::Busy, self.engine.now(), false);
            return Err(ApiError::Refused { refusal, tier, now, may_return });
        };
        // A time past every date becomes the last date there is: such a token never expires.
        let valid_for = Duration::try_from_secs_f64(exp + LEEWAY_S as f64);
        let expires_at = Millis(0) + valid_for.unwrap_or(Duration::MAX);
        Ok(Session { member, seat, tier, expires_at })
    }
}

impl<S> FromRequestParts<S> for Session
where
    S: Send + Sync,
    Arc<Sessions>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        std::future::ready(Arc::<Sessions>::from_ref(state).of(parts)).await
    }
}

/// A request without an `Authorization` header is anonymous; one with a bad token is refused.
impl<S> OptionalFromRequestParts<S> for Session
where
    S: Send + Sync,
    Arc<Sessions>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, ApiError> {
        let is_given = parts.headers.contains_key(AUTHORIZATION);
        let session = is_given.then(|| Arc::<Sessions>::from_ref(state).of(parts));
        std::future::ready(session.transpose()).await
    }
}
