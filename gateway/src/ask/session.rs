//! Session: a verified token, the seat that it brings, and what it says of the tier.
//!
//! A verified token is remembered by a fingerprint of its bytes until it expires, so that the member's next
//! click costs no signature check. A token that was not verified is never remembered.

use super::tiers::{Said, TiersFrom};
use super::verifier::{Claims, LEEWAY_S, UNKNOWN_KID, Verifier};
use crate::answer::error::ApiError;
use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use engine::Engine;
use engine::roster::PSEUDONYM;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::sync::{AtomicU64, Ordering};
use membership::{MemberId, Tier};
use quick_cache::sync::Cache;
use siphasher::sip128::SipHasher24;
use std::sync::Arc;
use std::time::Duration;

/// A verified token and what it brought.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) member: MemberId,
    pub(crate) seat: Seat,
    /// Of the tier; what it is, is asked when it counts.
    pub(crate) said: Said,
    pub(crate) is_minor: bool,
    pub(crate) expires_at: Millis,
}

/// Makes sessions from tokens that are good, and remembers them.
#[derive(Debug)]
pub(crate) struct Sessions {
    verifier: Arc<Verifier>,
    tiers_from: TiersFrom,
    engine: Arc<Engine>,
    /// With the generation in which each was verified. A token is a few hundred bytes, a fingerprint is 16.
    verified: Cache<u128, (Session, u64)>,
    fingerprint: SipHasher24,
    /// Counted up when a member was erased.
    erasures: AtomicU64,
}

impl Sessions {
    /// At most `most` tokens are remembered; the least used ones make room for others.
    pub(crate) fn new(
        verifier: Arc<Verifier>,
        engine: Arc<Engine>,
        tiers_from: TiersFrom,
        most: u32,
    ) -> Self {
        // Without these keys nobody can make a token that has the fingerprint of another one.
        let key = || getrandom::u64().expect("the system has random bytes");
        let fingerprint = SipHasher24::new_with_keys(key(), key());
        let (verified, erasures) = (Cache::new(most as usize), AtomicU64::new(0));
        Self { verifier, tiers_from, engine, verified, fingerprint, erasures }
    }

    /// Forgets every token that was verified: each is checked again, also one that is being looked at.
    pub(crate) fn forget_all(&self) {
        // Ordering: Release, paired with the Acquire in `generation`. A reader that sees the new count
        // finds the roster without the name that is gone.
        self.erasures.fetch_add(1, Ordering::Release);
        self.verified.clear();
    }

    /// A number that only grows: when keys change, and when a member is erased. What was verified before
    /// is to be checked again then.
    pub(crate) fn generation(&self) -> u64 {
        // Ordering: Acquire, paired with the Release in `forget_all`.
        self.verifier.generation() + self.erasures.load(Ordering::Acquire)
    }

    /// Returns the session of the member who sent this request; the book was asked about them.
    pub(crate) async fn of(&self, parts: &Parts) -> Result<Session, ApiError> {
        let session = self.of_token(parts).await?;
        if !self.engine.book().is_seated(session.seat, self.engine.now()) {
            let member = session.member.clone();
            let (book, needs_tiers) = (self.engine.book(), self.tiers_from.needs_book());
            book.look_up_or_trust(vec![(session.seat, member)], needs_tiers).await?;
        }
        Ok(session)
    }

    /// As [`Sessions::of`]; `None` without an `Authorization` header. One with a bad token is refused.
    pub(crate) async fn of_any(&self, parts: &Parts) -> Result<Option<Session>, ApiError> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        self.of(parts).await.map(Some)
    }

    /// As [`Sessions::of`], for a click that another node judges: that one asks the book.
    pub(crate) async fn of_token(&self, parts: &Parts) -> Result<Session, ApiError> {
        let missing = ApiError::Unauthenticated("a bearer token is needed");
        let mut given = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (given.next(), given.next()) else { return Err(missing) };
        let Some((scheme, token)) = header.to_str().ok().and_then(|h| h.split_once(' ')) else {
            return Err(missing);
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing);
        }
        let (token, looked_at) = (token.trim(), self.verifier.generation());
        match self.session(token) {
            Err(ApiError::Unauthenticated(why))
                if why == UNKNOWN_KID && self.verifier.fetch_again(looked_at).await =>
            {
                self.session(token)
            }
            session => session,
        }
    }

    fn session(&self, token: &str) -> Result<Session, ApiError> {
        let generation = self.generation();
        let fingerprint = self.fingerprint.hash(token.as_bytes()).as_u128();
        if let Some((known, checked_by)) = self.verified.get(&fingerprint) {
            if self.engine.now() < known.expires_at && checked_by == generation {
                return Ok(known);
            }
            self.verified.remove(&fingerprint);
        }
        let refused = |error: &ApiError| tracing::debug!(%error, "a token is refused");
        let session = self.begin(token).inspect_err(refused)?;
        self.verified.insert(fingerprint, (session.clone(), generation));
        Ok(session)
    }

    fn begin(&self, token: &str) -> Result<Session, ApiError> {
        let Claims { member, tier, exp, is_minor } = self.verifier.verify(token)?;
        let member: MemberId = member.parse().map_err(bad_member)?;
        if member.as_str().starts_with(PSEUDONYM) {
            return Err(ApiError::Unauthenticated("the token names a member who was erased"));
        }
        let bad_tier = |_| ApiError::Unauthenticated("the token's tier is unknown");
        let tier = match (self.tiers_from, tier) {
            (TiersFrom::Members, _) => None,
            (TiersFrom::Token, None) => {
                return Err(ApiError::Unauthenticated("the token has no claim tier"));
            }
            (_, tier) => tier.map(|tier| tier.parse::<Tier>()).transpose().map_err(bad_tier)?,
        };
        let said = Said { from: self.tiers_from, tier };
        let Some(seat) = self.engine.roster().seat(member.as_str()) else {
            let (refusal, now, may_return) = (Refusal::Busy, self.engine.now(), false);
            let tier = tier.unwrap_or(Tier::Regular);
            return Err(ApiError::Refused { refusal, tier, now, may_return });
        };
        // A time past every date becomes the last date there is: such a token never expires.
        let valid_for = Duration::try_from_secs_f64(exp + LEEWAY_S as f64);
        let expires_at = Millis(0) + valid_for.unwrap_or(Duration::MAX);
        Ok(Session { member, seat, said, is_minor, expires_at })
    }
}

fn bad_member<T>(_: T) -> ApiError {
    ApiError::Unauthenticated("the token names no member id")
}

impl<S> FromRequestParts<S> for Session
where
    S: Send + Sync,
    Arc<Sessions>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Arc::<Sessions>::from_ref(state).of(parts).await
    }
}

impl<S> OptionalFromRequestParts<S> for Session
where
    S: Send + Sync,
    Arc<Sessions>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, ApiError> {
        Arc::<Sessions>::from_ref(state).of_any(parts).await
    }
}
