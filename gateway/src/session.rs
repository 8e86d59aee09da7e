//! Who is asking: the token is verified once a request, and yields a seat and a tier.

use crate::app::App;
use crate::error::ApiError;
use crate::keys::{Algorithm, BadKey};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use engine::refusal::Refusal;
use engine::roster::Seat;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Validation};
use membership::{MemberId, Tier};
use serde::Deserialize;
use std::fmt;

/// A member whose token was good.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) member: String,
    pub(crate) seat: Seat,
    pub(crate) tier: Tier,
}

/// Checks tokens: one key, one algorithm.
pub(crate) struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    tier: String,
}

impl Verifier {
    /// `key` is what the key file holds; an issuer, if given, must be the token's.
    pub(crate) fn new(
        algorithm: Algorithm,
        key: &[u8],
        issuer: Option<&str>,
    ) -> Result<Self, BadKey> {
        let mut validation = Validation::new(algorithm.jwt());
        validation.leeway = 5;
        validation.validate_nbf = true;
        validation.set_audience(&["flashlane"]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        Ok(Self { key: algorithm.decoding_key(key)?, validation })
    }

    fn verify(&self, token: &str) -> Result<(String, Tier), ApiError> {
        let token = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation);
        let claims = match token {
            Ok(token) => token.claims,
            Err(error) => return Err(ApiError::Unauthenticated(reason(error.kind()))),
        };
        let bad_member = |_| ApiError::Unauthenticated("the token's sub is no member id");
        MemberId::check(&claims.sub).map_err(bad_member)?;
        let bad_tier = |_| ApiError::Unauthenticated("the token's tier is unknown");
        Ok((claims.sub, claims.tier.parse().map_err(bad_tier)?))
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

impl Session {
    pub(crate) fn of(app: &App, parts: &Parts) -> Result<Self, ApiError> {
        let missing = ApiError::Unauthenticated("a bearer token is needed");
        let mut given = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (given.next(), given.next()) else { return Err(missing) };
        let Some((scheme, token)) = header.to_str().ok().and_then(|h| h.split_once(' ')) else {
            return Err(missing);
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing);
        }
        let (member, tier) = app.verifier.verify(token.trim())?;
        let Some(seat) = app.engine.roster().seat(&member) else {
            let (refusal, now, may_return) = (Refusal::Busy, app.engine.now(), false);
            return Err(ApiError::Refused { refusal, tier, now, may_return });
        };
        Ok(Self { member, seat, tier })
    }
}

impl FromRequestParts<App> for Session {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        std::future::ready(Self::of(app, parts)).await
    }
}

/// A request without an `Authorization` header is anonymous; one with a bad token is refused.
impl OptionalFromRequestParts<App> for Session {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, ApiError> {
        let session = parts.headers.contains_key(AUTHORIZATION).then(|| Self::of(app, parts));
        std::future::ready(session.transpose()).await
    }
}
