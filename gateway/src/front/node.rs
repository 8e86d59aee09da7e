//! Node: what other nodes ask of this one. It comes as it came to them, with the key of nodes in the place of the
//! client's.

use super::between::{
    ASKED_WITH, CHANGED, CLICKS, ERASE, ERASED, FACE, FEED, FOLLOW, HELLO, MOVED, NODE, PASSES,
    PEER, PassedOn,
};
use super::feed::{self, Telling};
use super::gather::PassedClick;
use super::greeting::Hello;
use super::judged;
use crate::answer::error::ApiError;
use crate::ask::guard::{Guard, guard};
use crate::ask::request::Peer;
use crate::ask::session::Sessions;
use crate::audit::AuditLog;
use crate::member::passes::Passes;
use crate::meters::Face;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use engine::members::Changed;
use engine::nodes::sharing::Sharing;
use engine::{Engine, NoSale, Place};
use hyper::body::Bytes;
use membership::MemberId;
use std::sync::Arc;
use tower::Service as _;

/// Says who this node is.
async fn hello(State(own): State<Own>) -> Response {
    let me = own.engine.sharing().and_then(Sharing::node).map(Hello::of);
    // Only a node has this listener.
    let Some(me) = me else { return StatusCode::NOT_FOUND.into_response() };
    std::future::ready(postcard::to_stdvec(&me).expect("it is plain data").into_response()).await
}

/// Looks again at what another node has changed.
async fn follow(State(own): State<Own>) -> StatusCode {
    match own.engine.follow_others().await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Another node has posted something of these members.
async fn changed(State(own): State<Own>, body: Bytes) -> StatusCode {
    let Ok(changed) = postcard::from_bytes::<Vec<Changed>>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    own.engine.book().doubt(&changed).await;
    StatusCode::NO_CONTENT
}

/// The member that another node says something of.
fn said(body: &Bytes) -> Option<MemberId> {
    str::from_utf8(body).ok()?.parse().ok()
}

/// Another node has begun to erase this member.
async fn erase(State(own): State<Own>, body: Bytes) -> StatusCode {
    let Some(member) = said(&body) else { return StatusCode::BAD_REQUEST };
    if let Err(error) = own.engine.erase_here(&member).await {
        tracing::warn!(%error, "a member is not taken out of all sales yet; another node asks again");
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    match own.log.forget_member(&member).await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Another node has erased this member.
async fn erased(State(own): State<Own>, body: Bytes) -> StatusCode {
    let Some(member) = said(&body) else { return StatusCode::BAD_REQUEST };
    own.engine.forget_name(&member);
    // Tokens that were verified before have the old seat.
    own.sessions.forget_all();
    std::future::ready(StatusCode::NO_CONTENT).await
}

/// A sale was handed over to this node.
async fn moved(State(own): State<Own>, Path(sale): Path<String>) -> StatusCode {
    match own.engine.locate(&sale).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What a pass of this node was asked for with.
async fn pass(State(own): State<Own>, Path(pass): Path<String>) -> Response {
    match own.passes.take_token(&pass, own.engine.now()) {
        Some(token) => token.as_bytes().to_vec().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Judges clicks that another node has gathered.
async fn clicks(
    State(own): State<Own>,
    Path(sale): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let bad = |_| ApiError::BadRequest("these are no clicks of this version".into());
    let clicks: Vec<PassedClick> = postcard::from_bytes(&body).map_err(bad)?;
    let judged = match own.engine.locate(&sale).await? {
        Place::Here => judged::judge(&own.telling.clicks, &sale, clicks).await?,
        Place::Elsewhere(_) => None,
    };
    let Some(answers) = judged else { return Ok(StatusCode::MISDIRECTED_REQUEST.into_response()) };
    Ok(postcard::to_stdvec(&answers).expect("answers are plain data").into_response())
}

/// Tells another node what becomes of a sale.
async fn feed(
    State(own): State<Own>,
    Path(sale): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let open = match own.engine.locate(&sale).await? {
        Place::Here => own.engine.any_sale(&sale).await,
        Place::Elsewhere(_) => Err(NoSale::Elsewhere),
    };
    match open {
        Ok(open) if open.is_archived() => Err(ApiError::SaleOver),
        Ok(open) => feed::tell(own.telling, open, request.into_body()),
        Err(NoSale::NotOpened | NoSale::Elsewhere) => {
            Ok(StatusCode::MISDIRECTED_REQUEST.into_response())
        }
        Err(none) => Err(none.into()),
    }
}

/// What this node is asked of its own.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) engine: Arc<Engine>,
    pub(crate) passes: Arc<Passes>,
    pub(crate) telling: Telling,
    pub(crate) log: Arc<AuditLog>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) faces: Arc<Faces>,
}

/// Most bytes of what a node is told, or asked: a batch of clicks is the largest.
const TOLD_BYTES_MAX: usize = 4 << 20;

/// What other nodes ask: whatever came to one of their listeners and concerns a sale of this node, and what nodes tell
/// one another.
pub(crate) fn router(own: Own, keys: Guard) -> Router {
    Router::new()
        .route(HELLO, post(hello))
        .route(CHANGED, post(changed))
        .route(FOLLOW, post(follow))
        .route(ERASE, post(erase))
        .route(ERASED, post(erased))
        .route(&format!("{MOVED}/{{sale}}"), post(moved))
        .route(&format!("{PASSES}/{{pass}}"), post(pass))
        .route(&format!("{CLICKS}/{{sale}}"), post(clicks))
        .route(&format!("{FEED}/{{sale}}"), post(feed))
        .layer(DefaultBodyLimit::max(TOLD_BYTES_MAX))
        .fallback(serve)
        .layer(from_fn_with_state(keys, guard))
        .with_state(own)
}

/// What is served at each listener whose requests other nodes pass on.
#[derive(Debug, Clone)]
pub(crate) struct Faces {
    pub(crate) public: Router,
    pub(crate) operator: Router,
    pub(crate) platform: Router,
}

/// Answers a request of another node as the listener would that it came to.
async fn serve(State(own): State<Own>, request: Request) -> Response {
    let faces = &own.faces;
    let face = request.headers().get(FACE).map(|face| face.as_bytes().to_owned());
    let is = |face: Face| face.as_str().as_bytes();
    let mut router = match face.as_deref() {
        Some(face) if face == is(Face::Public) => faces.public.clone(),
        Some(face) if face == is(Face::Operator) => faces.operator.clone(),
        Some(face) if face == is(Face::Platform) => faces.platform.clone(),
        _ => return StatusCode::BAD_REQUEST.into_response(),
    };
    let request = as_it_came(request);
    match router.call(request).await {
        Ok(mut response) => {
            // A node that was asked as one has a name.
            let name = own.engine.sharing().and_then(|sharing| sharing.me());
            if let Some(name) = name.and_then(|name| HeaderValue::try_from(name.as_str()).ok()) {
                response.headers_mut().insert(NODE, name);
            }
            response
        }
        Err(never) => match never {},
    }
}

fn as_it_came(request: Request) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(FACE);
    parts.headers.remove(header::AUTHORIZATION);
    if let header::Entry::Occupied(asked_with) = parts.headers.entry(ASKED_WITH) {
        let (_, values) = asked_with.remove_entry_mult();
        let values: Vec<_> = values.collect();
        for value in values {
            parts.headers.append(header::AUTHORIZATION, value);
        }
    }
    if let Some(peer) = parts.headers.remove(PEER)
        && let Some(peer) = peer.to_str().ok().and_then(|peer| peer.parse().ok())
    {
        parts.extensions.insert(Peer(peer));
    }
    parts.extensions.insert(PassedOn);
    Request::from_parts(parts, body)
}
