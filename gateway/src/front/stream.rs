//! Streams of events of another node's sale. A stream goes on when its sale goes to another node, from the last event
//! that was told.

use super::asking::{Front, Kept, named, no_answer, relay_to};
use super::feed::Watching;
use super::feeds::{Begun, OwnStream};
use super::relay::NoAnswer;
use crate::answer::error::ApiError;
use crate::answer::sse::{self, BEAT, BEAT_EVERY};
use crate::ask::session::Session;
use crate::member::events::{Asked, asked};
use crate::member::hub::{Counted, Viewer};
use crate::meters::Face;
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::Response;
use engine::nodes::sharing::{Elsewhere, Sharing};
use engine::rules::node::Node;
use engine::rules::terms::SaleId;
use engine::{NoSale, Place};
use futures_util::stream;
use hyper::body::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked where the sale has gone, and how many times: a lease and its opening.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOKS_MAX: u32 = 100;
/// A node gives a stream in so long, or it is looked for the sale again.
const JOIN_MAX: Duration = Duration::from_secs(2);

/// Whether a request asks for a stream of events.
pub(super) fn is_stream(face: Face, parts: &Parts) -> bool {
    let segments: Vec<&str> = parts.uri.path().split('/').collect();
    face == Face::Public
        && parts.method == Method::GET
        && matches!(segments[..], ["", "v1", "sales", _, "events"])
}

/// Puts the token in the place of the pass that a request has: another node does not know the pass.
pub(super) async fn use_pass(front: &Front, face: Face, kept: &mut Kept) {
    let query = kept.parts.uri.query().filter(|_| is_stream(face, &kept.parts));
    let Some(query) = query else { return };
    let pairs = || form_urlencoded::parse(query.as_bytes());
    let Some((_, pass)) = pairs().find(|(name, _)| name == "pass") else { return };
    // One that no node knows is refused by whichever answers.
    let Some(token) = front.token_of(&pass).await else { return };
    let others = pairs().filter(|(name, _)| name != "pass");
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(others).finish();
    let address = format!("{}?{query}", kept.parts.uri.path());
    if let Ok(address) = address.parse() {
        kept.parts.uri = address;
        kept.parts.headers.insert(AUTHORIZATION, token);
    }
}

/// A stream of another node's sale.
struct Passed {
    front: Arc<Front>,
    sale: SaleId,
    /// The request, by which it is begun again.
    parts: Parts,
    /// The id of the last event that was told.
    after: u64,
    /// The time of the last state of the sale that was told, as the event has it.
    sale_at: Vec<u8>,
    ready: Option<Bytes>,
    /// `None` while it is looked where the sale has gone.
    joined: Option<Joined>,
    stop: watch::Receiver<bool>,
}

/// A stream's part in a feed.
struct Joined {
    own: OwnStream,
    /// What all streams of the sale are told.
    shared: watch::Receiver<Bytes>,
    _counted: Counted,
}

/// Begins a stream of a sale of this node. Inside, what may be tried again.
///
/// # Errors
/// What is wrong with the request, as any node would say it.
pub(super) async fn begin(
    front: &Arc<Front>,
    sharing: &Sharing,
    node: &Node,
    sale: &str,
    kept: &Kept,
) -> Result<Result<Response, ApiError>, ApiError> {
    let sale: SaleId = sale.parse().map_err(|_| NoSale::Unknown)?;
    let mut parts = kept.parts.clone();
    let Asked { session, after } =
        asked(&mut parts, front.engine(), &front.sessions, &front.passes).await?;
    let joined = match join(front, sharing, node, &sale, session.as_ref(), after.0).await {
        Ok(joined) => joined,
        Err(ApiError::TooManyStreams) => return Err(ApiError::TooManyStreams),
        Err(error) => return Ok(Err(error)),
    };
    let (joined, first) = match joined {
        Ok(joined) => joined,
        Err(refused) => return Ok(Ok(named(refused, node))),
    };
    let passed = Passed {
        front: Arc::clone(front),
        sale,
        parts,
        after: after.0,
        sale_at: sse::server_time(&first).unwrap_or_default().to_vec(),
        ready: Some(first),
        joined: Some(joined),
        stop: front.hub.stopping(),
    };
    let events = stream::unfold(passed, |mut passed| async move {
        let event = passed.next().await?;
        Some((event, passed))
    });
    Ok(Ok(named(sse::response(events), node)))
}

/// Joins the feed of a sale; returns the first event, too, or how the node refuses it.
async fn join(
    front: &Front,
    sharing: &Sharing,
    node: &Node,
    sale: &SaleId,
    session: Option<&Session>,
    after_ms: u64,
) -> Result<Result<(Joined, Bytes), Response>, ApiError> {
    let relay = relay_to(front, sharing, node, sale.as_str())?;
    let failed = |error| no_answer(sharing, node, sale.as_str(), &error);
    let joining = async {
        let feed = front.feeds.of(front.engine(), relay, node, sale.as_str()).await;
        let feed = match feed.map_err(failed)? {
            Ok(feed) => feed,
            Err(refused) => return Ok(Err(refused)),
        };
        let viewer = if session.is_some() { Viewer::Member } else { Viewer::Anonymous };
        let subscribed = front.hub.subscribe(feed.source(), viewer);
        let (counted, shared) = subscribed.ok_or(ApiError::TooManyStreams)?;
        let who = session.map(|session| Watching {
            member: session.member.clone(),
            tier: session.said.tier,
            is_minor: session.is_minor,
            expires_at_ms: session.expires_at.0,
        });
        Ok(match feed.begin(who, after_ms).await.map_err(failed)? {
            Begun::Stream(own, first) => Ok((Joined { own, shared, _counted: counted }, first)),
            Begun::Refused(refused) => Err(refused),
        })
    };
    match tokio::time::timeout(JOIN_MAX, joining).await {
        Ok(joined) => joined,
        Err(_) => Err(failed(NoAnswer::TooLate)),
    }
}

impl Passed {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.ready.take() {
            return Some(first);
        }
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            // Err: nobody can stop it any more.
            _ = stop.wait_for(|stop| *stop) => None,
            told = self.told() => told,
        }
    }

    async fn told(&mut self) -> Option<Bytes> {
        loop {
            let event = self.any().await?;
            // What all streams share may be older than what this one began with.
            if let Some(at) = sse::server_time(&event) {
                if at < &*self.sale_at {
                    continue;
                }
                self.sale_at = at.to_vec();
            }
            self.after = sse::id_of(&event).unwrap_or(self.after);
            return Some(event);
        }
    }

    async fn any(&mut self) -> Option<Bytes> {
        let Some(Joined { own, shared, .. }) = &mut self.joined else {
            return self.join_again().await;
        };
        let told = tokio::select! {
            biased;
            event = own.next() => event,
            changed = shared.changed() => {
                changed.ok().map(|()| shared.borrow_and_update().clone())
            }
            () = tokio::time::sleep(BEAT_EVERY) => Some(BEAT),
        };
        let Some(event) = told else {
            // The feed is over, or this stream of it.
            self.joined = None;
            return self.join_again().await;
        };
        Some(event)
    }

    /// Joins the feed of the node that has the sale now; returns its first event. A sale that has come to this node
    /// ends the stream: its client comes back.
    async fn join_again(&mut self) -> Option<Bytes> {
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
            let sharing = self.front.engine().sharing()?;
            let node = match self.front.engine().locate(self.sale.as_str()).await {
                Ok(Place::Here) => return None,
                Ok(Place::Elsewhere(Elsewhere::At(node))) => node,
                Ok(Place::Elsewhere(Elsewhere::Moving)) | Err(_) => continue,
            };
            // The token may have expired.
            let session = self.front.sessions.of_any(&self.parts).await.ok()?;
            let (front, sale) = (&self.front, &self.sale);
            match join(front, sharing, &node, sale, session.as_ref(), self.after).await {
                Ok(Ok((joined, first))) => {
                    self.joined = Some(joined);
                    return Some(first);
                }
                Ok(Err(_refused)) => return None,
                Err(_) => {}
            }
        }
        None
    }
}
