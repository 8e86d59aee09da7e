//! Signature: checks that a webhook comes from the payment provider. It follows Standard Webhooks,
//! and its keys may be rotated.

use crate::answer::error::ApiError;
use anyhow::{Context, ensure};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parking_lot::RwLock;
use standardwebhooks::{HEADER_WEBHOOK_TIMESTAMP, Webhook, WebhookError};
use std::fmt;

/// Fewer could be guessed.
const KEY_BYTES_MIN: usize = 24;

/// The keys by which payments are signed; a signature by any one of them is enough.
pub(crate) struct PaymentKeys(RwLock<Vec<Webhook>>);

impl fmt::Debug for PaymentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PaymentKeys").field(&self.0.read().len()).finish()
    }
}

impl PaymentKeys {
    /// Reads a key file: one key a line, `whsec_` and base64, or any text of 24 bytes or more.
    pub(crate) fn new(file: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(RwLock::new(Self::keys(file)?)))
    }

    /// Takes the keys of the file as it is now in the place of those that there are.
    pub(crate) fn replace(&self, file: &[u8]) -> anyhow::Result<usize> {
        let keys = Self::keys(file)?;
        let many = keys.len();
        *self.0.write() = keys;
        Ok(many)
    }

    fn keys(file: &[u8]) -> anyhow::Result<Vec<Webhook>> {
        let text = std::str::from_utf8(file).context("the keys are not text")?;
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let key = match line.strip_prefix("whsec_") {
                Some(encoded) => BASE64_STANDARD.decode(encoded).context("a key is no base64")?,
                // The public libraries read a key without the prefix as base64, too.
                None => match BASE64_STANDARD.decode(line) {
                    Ok(key) if key.len() >= KEY_BYTES_MIN => key,
                    _ => line.as_bytes().to_vec(),
                },
            };
            ensure!(
                key.len() >= KEY_BYTES_MIN,
                "a key has {} bytes; {KEY_BYTES_MIN} or more are needed",
                key.len()
            );
            keys.push(Webhook::from_bytes(key)?);
        }
        ensure!(!keys.is_empty(), "there is no key in it");
        Ok(keys)
    }

    /// Checks that one of the keys signed this body, within five minutes of now.
    pub(crate) fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
        let wrong = |why: &str| Err(ApiError::BadSignature(why.to_owned()));
        let timestamp = headers.get(HEADER_WEBHOOK_TIMESTAMP).map_or(&b""[..], |at| at.as_bytes());
        // Up to twelve digits are an instant of the next thousands of years: the arithmetic on it
        // cannot overflow.
        if !(1..=12).contains(&timestamp.len()) || !timestamp.iter().all(u8::is_ascii_digit) {
            return wrong("webhook-timestamp: seconds since 1970 are needed");
        }
        let mut why = WebhookError::InvalidSignature;
        for key in self.0.read().iter() {
            match key.verify(body, headers) {
                Ok(()) => return Ok(()),
                Err(error) => why = error,
            }
        }
        wrong(&why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::clock::Clock;

    /// Whether keys read from a file take what the public library signs with `key`.
    fn takes(file: &str, key: &Webhook) -> bool {
        let now = i64::try_from(Clock::Wall.now().0 / 1_000).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "m".parse().unwrap());
        headers.insert(HEADER_WEBHOOK_TIMESTAMP, now.into());
        let signature = key.sign("m", now, b"{}").unwrap();
        headers.insert("webhook-signature", signature.parse().unwrap());
        PaymentKeys::new(file.as_bytes()).unwrap().check(&headers, b"{}").is_ok()
    }

    #[test]
    fn a_key_is_read_as_the_public_libraries_read_it_with_its_prefix_or_without() {
        let encoded = BASE64_STANDARD.encode([7; 24]);
        for file in [format!("whsec_{encoded}"), encoded.clone()] {
            assert!(takes(&file, &Webhook::new(&encoded).unwrap()), "{file}");
        }
        // Text that is no base64, or decodes to too little, is a key as it stands.
        for text in ["a key, 24 characters long", "YWFhYWFhYWFhYWFhYWFhYWFh"] {
            assert!(takes(text, &Webhook::from_bytes(text.into()).unwrap()), "{text}");
        }
    }
}
