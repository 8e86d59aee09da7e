//! A caller that is known by a key: an operator, or a server of the platform.

use crate::run::client::Client;
use anyhow::{Context, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::SocketAddr;

/// A connection to a listener, with a key.
#[derive(Debug)]
pub struct Caller {
    client: Client,
    authorization: HeaderValue,
}

impl Caller {
    /// Returns a connection to `address` that sends `key`.
    ///
    /// # Errors
    /// When the key cannot be the value of a header.
    pub fn new(address: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let authorization = HeaderValue::try_from(format!("Bearer {}", key.trim()));
        let authorization = authorization.context("the key is no header value")?;
        Ok(Self { client: Client::new(address), authorization })
    }

    /// Makes a call and reads its answer.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let body = self.ask(method, path, body, "").await?;
        serde_json::from_slice(&body)
            .with_context(|| format!("{path} answered {}", String::from_utf8_lossy(&body)))
    }

    /// Makes a call, perhaps under an idempotency key (or "").
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: &str,
    ) -> anyhow::Result<Bytes> {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::HOST, "flashlane")
            .header(header::AUTHORIZATION, &self.authorization);
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(Bytes::from(bytes)))?;
        let (status, body) = self.client.send(request).await?;
        let text = String::from_utf8_lossy(&body);
        ensure!(
            matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT),
            "{method} {path} was answered with {status}: {text}"
        );
        Ok(body)
    }
}
