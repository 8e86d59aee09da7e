//! The route of a click, as in Flashlane: a token, verified once and then remembered, and a small body.

use crate::peer::Peer;
use crate::shop::{Click, Told};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Most tokens that are remembered.
const VERIFIED_MAX: usize = 1_000_000;

struct Site {
    peer: Peer,
    key: DecodingKey,
    verified: Cache<Box<str>, Member>,
}

#[derive(Clone, Deserialize)]
struct Member {
    sub: Arc<str>,
    tier: Arc<str>,
}

#[derive(Deserialize)]
struct Body {
    units: i64,
}

pub(crate) async fn serve(listener: TcpListener, peer: Peer, key: &[u8]) -> anyhow::Result<()> {
    // The file ends with a newline that is no part of the key.
    let key = DecodingKey::from_secret(key.strip_suffix(b"\n").unwrap_or(key));
    let site = Site { peer, key, verified: Cache::new(VERIFIED_MAX) };
    let router = Router::new()
        .route("/v1/sales/{sale}/orders", post(buy))
        .route("/waiting", get(waiting))
        .with_state(Arc::new(site));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Without it answers would wait for acknowledgements; an error shows at the first read.
        stream.set_nodelay(true).ok();
    });
    Ok(axum::serve(listener, router).await?)
}

impl Site {
    fn member(&self, headers: &HeaderMap) -> Option<Member> {
        let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        if let Some(member) = self.verified.get(token) {
            return Some(member);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&["flashlane"]);
        let member = decode::<Member>(token, &self.key, &validation).ok()?.claims;
        self.verified.insert(token.into(), member.clone());
        Some(member)
    }
}

async fn buy(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Json(body): Json<Body>,
) -> Response {
    let Some(Member { sub, tier }) = site.member(&headers) else {
        return refused(StatusCode::UNAUTHORIZED, "unauthenticated");
    };
    let units = body.units;
    let click = Click { member: sub.to_string(), tier: tier.to_string(), units };
    let order = |status: StatusCode, number: i64, word: &str| {
        let told =
            json!({"order_id": number.to_string(), "units": units, "status": word, "due_cents": 0});
        (status, Json(told)).into_response()
    };
    match site.peer.buy(click).await {
        Ok(Told::Reserved(number)) => order(StatusCode::ACCEPTED, number, "reserved"),
        Ok(Told::Confirmed(number)) => order(StatusCode::CREATED, number, "confirmed"),
        Ok(Told::SoldOut) => refused(StatusCode::CONFLICT, "sold_out"),
        Ok(Told::LimitReached) => refused(StatusCode::CONFLICT, "limit_reached"),
        Err(_) => refused(StatusCode::SERVICE_UNAVAILABLE, "unknown"),
    }
}

fn refused(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({"code": code}))).into_response()
}

async fn waiting(State(site): State<Arc<Site>>) -> String {
    site.peer.waiting().to_string()
}
