//! Guard: lets a request through only with the operator key.

use crate::answer::error::ApiError;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// The operator key's digest. Digests are compared and not keys, so that the time of a comparison
/// tells nothing of the key.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    key_digest: [u8; 32],
}

impl Guard {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self { key_digest: Sha256::digest(key.trim_ascii()).into() }
    }

    fn knows(&self, header: &HeaderValue) -> bool {
        let key = header.as_bytes().split_at_checked(7);
        let key = key.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        key.is_some_and(|(_, key)| self.key_digest == *Sha256::digest(key.trim_ascii()))
    }
}

pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match request.headers().get(AUTHORIZATION) {
        Some(header) if guard.knows(header) => next.run(request).await,
        _ => ApiError::Unauthenticated("the operator key is needed as a bearer token")
            .into_response(),
    }
}
