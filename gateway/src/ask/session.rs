//! Session: a verified token, and the seat and the tier that it brings.
//!
//! A verified token is remembered by its bytes until it expires, so that the member's next click
//! costs no signature check. A token that was not verified is never remembered.

use super::token::{Algorithm, BadKey};
use crate::answer::error::ApiError;
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use engine::Engine;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Validation};
use membership::{MemberId, Tier};
use quick_cache::sync::Cache;
use serde::Deserialize;
use std::fmt;
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

/// Checks tokens by one key and one algorithm.
pub(crate) struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

/// Makes sessions from tokens that are good, and remembers them.
#[derive(Debug)]
pub(crate) struct Sessions {
    verifier: Verifier,
    engine: Arc<Engine>,
    verified: Cache<Box<str>, Session>,
}

/// Most tokens that are remembered; the least used ones make room for others. About 20 MB when
/// full.
const VERIFIED_MAX: usize = 65_536;
/// How far the platform's clock may be from this one, in seconds.
const LEEWAY_S: u64 = 5;

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

/// What the token says.
#[derive(Deserialize)]
struct Claims {
    sub: Arc<str>,
    tier: String,
    exp: f64,
}

impl Verifier {
    /// Makes a verifier. `key` is the content of the key file. If an issuer is given, tokens must
    /// name it.
    pub(crate) fn new(
        algorithm: Algorithm,
        key: &[u8],
        issuer: Option<&str>,
    ) -> Result<Self, BadKey> {
        let mut validation = Validation::new(algorithm.jwt());
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_audience(&["flashlane"]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        Ok(Self { key: algorithm.decoding_key(key)?, validation })
    }

    fn verify(&self, token: &str) -> Result<Claims, ApiError> {
        match jsonwebtoken::decode(token, &self.key, &self.validation) {
            Ok(token) => Ok(token.claims),
            Err(error) => Err(ApiError::Unauthenticated(reason(error.kind()))),
        }
    }
}

impl Sessions {
    pub(crate) fn new(verifier: Verifier, engine: Arc<Engine>) -> Self {
        Self { verifier, engine, verified: Cache::new(VERIFIED_MAX) }
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
        if let Some(known) = self.verified.get(token) {
            if self.engine.now() < known.expires_at {
                return Ok(known);
            }
            self.verified.remove(token);
        }
        let refused = |error: &ApiError| tracing::debug!(%error, "a token is refused");
        let session = self.begin(token).inspect_err(refused)?;
        self.verified.insert(token.into(), session.clone());
        Ok(session)
    }

    fn begin(&self, token: &str) -> Result<Session, ApiError> {
        let Claims { sub: member, tier, exp } = self.verifier.verify(token)?;
        let bad_member = |_| ApiError::Unauthenticated("the token's sub is no member id");
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

fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            "the token is not signed by the algorithm used here"
        }
        ErrorKind::InvalidAudience => "the token is not for flashlane",
        ErrorKind::InvalidIssuer => "the token's issuer is not the one trusted here",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a required claim",
        _ => "the token is not a valid JWT with the claims sub, tier, aud and exp",
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
