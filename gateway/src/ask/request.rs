//! Reading what clients send: bodies, conditions in headers, instants.

use crate::answer::error::ApiError;
use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use engine::roster::PSEUDONYM;
use engine::rules::key::IdempotencyKey;
use engine::rules::time::Millis;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Bytes;
use membership::MemberId;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

/// A request's id: the client's, or one that is made here. It stands in the answer and in log lines.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The address that a request came from; those of the public listener do not carry it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Most bytes that a body may have.
pub(crate) const BODY_BYTES_MAX: usize = 4 << 10;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// The one name in a request's path: of a sale, an order or a member.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let name = Path::from_request_parts(parts, state).await;
        // A name that is not valid text cannot exist, so the answer is the same as for an unknown
        // path.
        name.map(|Path(name)| Self(name)).map_err(|_| ApiError::NoRoute)
    }
}

/// The member whom an address names.
pub(crate) fn member_id(name: &str) -> Result<MemberId, ApiError> {
    name.parse().map_err(|bad| ApiError::BadRequest(format!("member: {bad}")))
}

/// As [`member_id`], but no pseudonym of an erased member: there is nobody to do anything with.
pub(crate) fn nobodys_pseudonym(name: &str) -> Result<MemberId, ApiError> {
    match name.starts_with(PSEUDONYM) {
        true => Err(ApiError::BadRequest("member: who has this name was erased".into())),
        false => member_id(name),
    }
}

/// What the address asks for behind its `?`. The problem says what does not fit.
#[derive(Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        let wrong = |error: QueryRejection| ApiError::BadRequest(error.body_text());
        query.map(|Query(query)| Self(query)).map_err(wrong)
    }
}

/// Reads a JSON body. The problem names the field that does not fit.
pub(crate) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    parse(&bytes(body).await?)
}

/// Reads a body of usual size in bounded time.
pub(crate) async fn bytes(body: Body) -> Result<Bytes, ApiError> {
    bytes_up_to(body, BODY_BYTES_MAX).await
}

/// Reads a body of at most so many bytes in bounded time.
pub(crate) async fn bytes_up_to(body: Body, most: usize) -> Result<Bytes, ApiError> {
    let whole = whole(Limited::new(body, most));
    let Ok(body) = tokio::time::timeout(BODY_DEADLINE, whole).await else {
        return Err(ApiError::BodyTooSlow);
    };
    match body {
        Ok(body) => Ok(body),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge(most)),
        Err(error) => Err(ApiError::BadRequest(format!("the body broke off: {error}"))),
    }
}

/// A small body comes in one piece, which is taken as it is.
async fn whole(mut body: Limited<Body>) -> Result<Bytes, BoxError> {
    let mut pieces = Vec::new();
    let mut last = Bytes::new();
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        if let Ok(piece) = frame?.into_data() {
            pieces.extend_from_slice(&std::mem::replace(&mut last, piece));
        }
    }
    if pieces.is_empty() {
        return Ok(last);
    }
    pieces.extend_from_slice(&last);
    Ok(pieces.into())
}

/// Reads a JSON body as [`json`] does, once its bytes have arrived.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Err(ApiError::BadRequest("the body is empty".into()));
    }
    // serde would take an array for a struct, field by field.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::BadRequest("the body is an array; an object is needed".into()));
    }
    serde_json::from_slice(bytes).map_err(|_| misfit::<T>(bytes))
}

/// Reads the body again, slowly, to say where it does not fit.
#[cold]
fn misfit<T: DeserializeOwned>(bytes: &[u8]) -> ApiError {
    let json = &mut serde_json::Deserializer::from_slice(bytes);
    let read: Result<T, _> = serde_path_to_error::deserialize(json);
    ApiError::BadRequest(match read {
        Ok(_) => "the body has something after its JSON value".into(),
        Err(error) if error.path().iter().next().is_none() => error.into_inner().to_string(),
        Err(error) => format!("{}: {}", error.path(), error.inner()),
    })
}

/// A value that is written as an object: serde alone would also take an array, field by field.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// A whole number of units. A whole number that is out of range becomes 0 or the largest one, so
/// that it is refused as a bad number of units and not as bad JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnyUnits(pub(crate) u32);

impl<'de> Deserialize<'de> for AnyUnits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = AnyUnits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: Error>(self, units: u64) -> Result<AnyUnits, E> {
                Ok(AnyUnits(u32::try_from(units).unwrap_or(u32::MAX)))
            }

            fn visit_i64<E: Error>(self, units: i64) -> Result<AnyUnits, E> {
                Ok(AnyUnits(u32::try_from(units.max(0)).unwrap_or(u32::MAX)))
            }

            fn visit_f64<E: Error>(self, units: f64) -> Result<AnyUnits, E> {
                // serde_json hands over whole numbers past 64 bits as floats.
                let whole_from = 2_f64.powi(63);
                if units >= whole_from {
                    Ok(AnyUnits(u32::MAX))
                } else if units <= -whole_from {
                    Ok(AnyUnits(0))
                } else {
                    Err(E::invalid_type(Unexpected::Float(units), &self))
                }
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

/// An instant in RFC 3339, not before 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instant(pub(crate) Millis);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(Written)?;
        let at: jiff::Timestamp = text
            .parse()
            .map_err(|_| D::Error::custom(format!("`{text}` is no instant in RFC 3339")))?;
        let at_ms = u64::try_from(at.as_millisecond());
        let at_ms = at_ms.map_err(|_| D::Error::custom("an instant before 1970"))?;
        Ok(Self(Millis(at_ms)))
    }
}

/// An instant as it is written: as text, or in a file as one of TOML's own dates.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instant in RFC 3339")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<String, A::Error> {
        let date = toml::value::Datetime::deserialize(MapAccessDeserializer::new(map));
        let date = date.map_err(|_| A::Error::invalid_type(Unexpected::Map, &self))?;
        Ok(date.to_string())
    }
}

/// Returns the `Idempotency-Key`, sent quoted or bare, without quotes: 1 to 255 visible characters.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = only(headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    let key = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').unwrap_or_default(),
        None => value,
    };
    let wrong = "Idempotency-Key: 1 to 255 visible ASCII characters, bare or in double quotes";
    plain_key(key).map(Some).ok_or_else(|| ApiError::BadRequest(wrong.into()))
}

/// The key, if it has 1 to 255 visible characters and no quotes.
pub(crate) fn plain_key(key: &str) -> Option<&str> {
    let is_plain = |b: u8| b.is_ascii_graphic() && b != b'"';
    ((1..=255).contains(&key.len()) && key.bytes().all(is_plain)).then_some(key)
}

/// Returns the digest that the engine keeps of a key. It is stored, so it must stay the same over
/// restarts.
pub(crate) fn digest(key: &str) -> IdempotencyKey {
    let digest = Sha256::digest(key);
    let (first, _) = digest.split_first_chunk().expect("SHA-256 gives 32 bytes");
    IdempotencyKey(NonZeroU64::new(u64::from_be_bytes(*first)).unwrap_or(NonZeroU64::MIN))
}

/// Returns the seconds, 1 to 10, that `Prefer: wait=N` (RFC 7240) lets the answer take. Other
/// preferences are ignored. Any other wait is refused, so that the client learns of its mistake.
pub(crate) fn wait(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    for value in headers.get_all(PREFER) {
        for preference in value.to_str().unwrap_or_default().split([',', ';']) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            if name.trim().eq_ignore_ascii_case("wait") {
                let seconds = value.trim().trim_matches('"').parse().ok();
                let seconds = seconds.filter(|seconds| (1..=10).contains(seconds));
                let wrong = || ApiError::BadRequest("Prefer: wait=N takes 1 to 10 seconds".into());
                return seconds.ok_or_else(wrong).map(Some);
            }
        }
    }
    Ok(None)
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |what: &str| ApiError::BadRequest(format!("{name}: {what}"));
    if values.next().is_some() {
        return Err(wrong("given more than once"));
    }
    value.to_str().map(Some).map_err(|_| wrong("visible ASCII characters only"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream::iter;

    #[tokio::test]
    async fn a_body_is_the_same_in_however_many_pieces_it_comes() {
        let bodies: [&[&'static str]; 5] =
            [&["abc"], &["ab", "c"], &["a", "", "b", "c"], &["", "abc"], &["abc", ""]];
        for pieces in bodies {
            let body =
                Body::from_stream(iter(pieces.iter().map(|piece| Ok::<_, BoxError>(*piece))));
            assert_eq!(bytes_up_to(body, 3).await.unwrap(), "abc", "{pieces:?}");
        }
        assert_eq!(bytes_up_to(Body::from("abc"), 3).await.unwrap(), "abc");
        assert_eq!(bytes_up_to(Body::empty(), 3).await.unwrap(), "");
        let long = Body::from_stream(iter(["ab", "cd"].map(Ok::<_, BoxError>)));
        assert!(matches!(bytes_up_to(long, 3).await, Err(ApiError::BodyTooLarge(3))));
    }
}
