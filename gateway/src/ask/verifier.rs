//! Verifier: checks members' tokens, each by the key that it names and by that key's one algorithm. So a
//! platform can sign by a new key before the old one goes.

use super::jwks::JwksPlace;
use super::token::Algorithm;
use super::token_keys::{Key, Keys};
use crate::answer::error::ApiError;
use engine::clock::Stopwatch;
use engine::sync::{AtomicU64, Ordering};
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use parking_lot::RwLock;
use serde_json::{Map, Value};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How far the platform's clock may be from this one, in seconds.
pub(super) const LEEWAY_S: u64 = 5;
/// For a kid that is not known, a published set is fetched again this often at most.
const FETCH_EVERY: Duration = Duration::from_secs(60);

/// Where the keys stand.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// Keys of one algorithm in a file or a folder.
    Files(PathBuf, Algorithm),
    /// A published set.
    Jwks(JwksPlace),
}

/// Checks tokens.
pub(crate) struct Verifier {
    place: Place,
    /// What is checked beside the signature; the algorithm is the key's.
    validation: Validation,
    /// Which claim names the member.
    member_claim: String,
    keys: RwLock<Arc<Keys>>,
    /// Counted up when the keys change.
    generation: AtomicU64,
    /// When a set was last fetched for a kid that was not known.
    fetched: tokio::sync::Mutex<Option<Stopwatch>>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What a token says.
pub(super) struct Claims {
    pub(super) member: String,
    /// As it stands there; not every token has it.
    pub(super) tier: Option<String>,
    pub(super) exp: f64,
    pub(super) is_minor: bool,
}

impl Verifier {
    /// Reads the keys at this place. If an issuer is given, tokens must name it.
    pub(crate) fn read(
        place: Place,
        issuer: Option<&str>,
        member_claim: &str,
    ) -> anyhow::Result<Self> {
        let mut validation =
            Validation { leeway: LEEWAY_S, validate_nbf: true, ..Validation::default() };
        validation.set_audience(&["flashlane"]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        let keys = RwLock::new(Arc::new(place.read()?));
        let member_claim = member_claim.to_owned();
        let (generation, fetched) = (AtomicU64::new(0), tokio::sync::Mutex::default());
        Ok(Self { place, validation, member_claim, keys, generation, fetched })
    }

    /// Reads the keys again; returns a line on what changed. If they cannot be used, they stay as they
    /// are.
    pub(crate) fn read_again(&self) -> Result<String, String> {
        let place = &self.place;
        match place.read() {
            Ok(now) if now.digests() == self.keys.read().digests() => {
                Ok(format!("{place}: no key of tokens has changed"))
            }
            Ok(now) => {
                let kids: Vec<String> = now.digests().into_iter().map(|(kid, _)| kid).collect();
                *self.keys.write() = Arc::new(now);
                // Ordering: Release, paired with the Acquire in `generation`. A reader that sees
                // the new count checks by the new keys.
                self.generation.fetch_add(1, Ordering::Release);
                Ok(format!("{place}: tokens are checked by {}", kids.join(", ")))
            }
            Err(error) => Err(format!("{error:#}; the keys stay as they were")),
        }
    }

    /// Fetches a published set for a token whose key is not known, at most once a minute; callers that
    /// come meanwhile wait for it. Returns whether it is worth another look.
    pub(super) async fn fetch_again(self: &Arc<Self>, looked_at: u64) -> bool {
        if !matches!(self.place, Place::Jwks(JwksPlace::Url(_))) {
            return false;
        }
        let mut fetched = self.fetched.lock().await;
        let is_recent = fetched.as_ref().is_some_and(|last| last.elapsed() < FETCH_EVERY);
        if !is_recent && self.generation() == looked_at {
            // Noted before, so that a caller that goes away meanwhile does not let the next one fetch.
            *fetched = Some(Stopwatch::start());
            let verifier = Arc::clone(self);
            let read = tokio::task::spawn_blocking(move || verifier.read_again()).await;
            match read {
                Ok(Ok(line)) => tracing::info!("a token names an unknown key: {line}"),
                Ok(Err(line)) => tracing::error!("a token names an unknown key: {line}"),
                Err(error) => tracing::error!(%error, "fetching keys failed"),
            }
        }
        self.generation() != looked_at
    }

    /// A number that is another one after the keys have changed. A token that was good before is to be
    /// checked again then.
    pub(super) fn generation(&self) -> u64 {
        // Ordering: Acquire, paired with the Release in `read_again`.
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn verify(&self, token: &str) -> Result<Claims, ApiError> {
        let keys = Arc::clone(&self.keys.read());
        let key = match &*keys {
            Keys::One(key) => key,
            Keys::Named(keys) => {
                let header = jsonwebtoken::decode_header(token).map_err(|error| refused(&error))?;
                let named = header.kid.and_then(|kid| keys.get(&kid));
                named.ok_or(ApiError::Unauthenticated(UNKNOWN_KID))?
            }
        };
        let validation =
            Validation { algorithms: vec![key.algorithm.jwt()], ..self.validation.clone() };
        let Key { key, .. } = key;
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation);
        let claims = claims.map_err(|error| refused(&error))?.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let member = text(&self.member_claim);
        let tier = match claims.get("tier") {
            None => None,
            Some(Value::String(tier)) => Some(tier.clone()),
            Some(_) => return Err(ApiError::Unauthenticated("the token's tier is unknown")),
        };
        let exp = claims.get("exp").and_then(Value::as_f64);
        let is_minor = match claims.get("minor") {
            None => false,
            Some(Value::Bool(is_minor)) => *is_minor,
            Some(_) => return Err(ApiError::Unauthenticated("the claim minor is true or false")),
        };
        let claims = member.zip(exp);
        let claims =
            claims.map(|(member, exp)| Claims { member: member.into(), tier, exp, is_minor });
        claims.ok_or(ApiError::Unauthenticated(INCOMPLETE))
    }
}

impl Place {
    fn read(&self) -> anyhow::Result<Keys> {
        match self {
            Self::Files(place, algorithm) => Keys::read(place, *algorithm),
            Self::Jwks(place) => place.read(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(place, _) => place.display().fmt(f),
            Self::Jwks(place) => place.fmt(f),
        }
    }
}

/// Why a token is refused whose key may have been published meanwhile.
pub(super) const UNKNOWN_KID: &str = "the token's kid names no key of this server";
const INCOMPLETE: &str = "the token is not a valid JWT with the claims sub, aud and exp";

fn refused(error: &jsonwebtoken::errors::Error) -> ApiError {
    ApiError::Unauthenticated(match error.kind() {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            "the token is not signed by the algorithm used here"
        }
        ErrorKind::InvalidAudience => "the token is not for flashlane",
        ErrorKind::InvalidIssuer => "the token's issuer is not the one trusted here",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a required claim",
        _ => INCOMPLETE,
    })
}
