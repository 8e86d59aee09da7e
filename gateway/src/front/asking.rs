//! Asking: what a process needs to have a request answered by another node.

use super::between::NODE;
use super::feeds::Feeds;
use super::gather::{self, Gathering, PassedClick};
use super::plain::Plain;
use super::relay::{NoAnswer, Relay};
use super::untold::Untold;
use crate::answer::error::ApiError;
use crate::ask::request::{self, BODY_BYTES_MAX, bytes_up_to};
use crate::ask::session::{Session, Sessions};
use crate::member::buy::wish;
use crate::member::click::{Clicks, Wish};
use crate::member::hub::Hub;
use crate::member::passes::Passes;
use crate::meters::Face;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use engine::members::Hears;
use engine::nodes::sharing::Sharing;
use engine::rules::key::IdempotencyKey;
use engine::rules::node::Node;
use engine::rules::units::Units;
use engine::{Engine, NoSale};
use hyper::body::Bytes;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Most bytes of a batch of clicks.
const BATCH_BYTES_MAX: usize = 4 << 20;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a process needs to pass requests on; a process without other nodes has none of it.
#[derive(Debug)]
pub(crate) struct Front {
    engine: Arc<Engine>,
    pub(super) passes: Arc<Passes>,
    pub(super) sessions: Arc<Sessions>,
    gathering: Arc<Gathering>,
    pub(super) feeds: Arc<Feeds>,
    plain: Arc<Plain>,
    pub(super) hub: Arc<Hub>,
    /// Of which members each other node is still to be told.
    pub(super) untold: Untold,
    /// `None`: this node speaks to no other.
    relay: Option<Arc<Relay>>,
}

impl Front {
    pub(crate) fn new(
        engine: Arc<Engine>,
        passes: Arc<Passes>,
        sessions: Arc<Sessions>,
        clicks: &Arc<Clicks>,
        hub: Arc<Hub>,
        relay: Option<Relay>,
    ) -> Self {
        let (gathering, relay) = (Arc::default(), relay.map(Arc::new));
        let (feeds, untold) = (Arc::<Feeds>::default(), Untold::default());
        let plain = Arc::new(Plain::new(Arc::clone(clicks), Arc::clone(&feeds)));
        Self { engine, passes, sessions, gathering, feeds, plain, hub, untold, relay }
    }

    /// Whether there may be other nodes.
    pub(crate) fn is_one_of_many(&self) -> bool {
        self.engine.sharing().is_some()
    }

    /// How this process hears of what others post; `None` if there are no others.
    pub(crate) fn hears(&self) -> Option<Hears> {
        let me = self.engine.sharing()?.node();
        Some(match me.is_some_and(|me| me.reached_at().is_some()) {
            _ if self.relay.is_none() => Hears::Nothing,
            true => Hears::Told,
            false => Hears::ByItself,
        })
    }

    pub(super) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub(crate) fn relay(&self) -> Option<&Relay> {
        self.relay.as_deref()
    }

    /// The nodes that live, without this one.
    pub(crate) fn others(&self) -> Vec<Node> {
        let Some(sharing) = self.engine.sharing() else { return Vec::new() };
        let living = sharing.living();
        let others = living.iter().filter(|node| Some(&node.id) != sharing.me());
        others.filter(|node| node.reached_at().is_some()).cloned().collect()
    }
}

/// A request that may have to be sent more than once.
pub(super) struct Kept {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    /// The click that this request is, if it goes with others.
    click: Option<PassedClick>,
    /// Who clicked, if it is a plain click that was not sent yet.
    plain: Option<Session>,
}

impl Kept {
    pub(super) async fn read(request: Request, face: Face) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let most = if face == Face::Platform { BATCH_BYTES_MAX } else { BODY_BYTES_MAX };
        Ok(Self { body: bytes_up_to(body, most).await?, parts, click: None, plain: None })
    }

    pub(super) fn request(&self) -> Request {
        Request::from_parts(self.parts.clone(), Body::from(self.body.clone()))
    }

    /// Makes a click ready to be sent to another node: one whose answer does not wait for its confirmation goes with
    /// others. One without a key gets one, so that it buys once however often it is sent.
    ///
    /// # Errors
    /// What is wrong with the click, as any node would say it.
    pub(super) async fn make_ready(&mut self, front: &Front, face: Face) -> Result<(), ApiError> {
        let segments: Vec<&str> = self.parts.uri.path().split('/').collect();
        let is_click = face == Face::Public
            && self.parts.method == Method::POST
            && matches!(segments[..], ["", "v1", "sales", _, "orders"]);
        if !is_click || self.click.is_some() {
            return Ok(());
        }
        let Wish { units, key, points, coupon } = wish(&self.parts.headers, &self.body)?;
        let session = front.sessions.of_token(&self.parts).await?;
        let is_plain = units == Units(1) && key.is_none() && points == 0 && coupon.is_none();
        self.plain = (is_plain && !session.is_minor).then(|| session.clone());
        if request::wait(&self.parts.headers)?.is_some() {
            if key.is_none() {
                let key = HeaderValue::try_from(format!("front-{:032x}", fastrand::u128(..)));
                let key = key.expect("hexadecimal digits are plain ASCII");
                self.parts.headers.insert(IDEMPOTENCY_KEY, key);
            }
            return Ok(());
        }
        let Session { member, said, is_minor, .. } = session;
        let random = || IdempotencyKey(NonZeroU64::MIN | fastrand::u64(..));
        let (tier, key) = (said.tier, key.unwrap_or_else(random));
        self.click = Some(PassedClick { member, tier, is_minor, units, key, points, coupon });
        Ok(())
    }
}

pub(super) fn unreachable(node: &Node) -> ApiError {
    ApiError::NoNode(format!("node {} sells this sale and cannot be reached", node.id))
}

/// Asks a node that was seen to have the sale.
pub(super) async fn asked(
    front: &Front,
    sharing: &Sharing,
    face: Face,
    node: &Node,
    sale: &str,
    kept: &mut Kept,
) -> Result<Response, ApiError> {
    let relay = relay_to(front, sharing, node, sale)?;
    // One that was sent may be an order by now, whatever the node says of others.
    let plain = kept.plain.take();
    if let Some(session) = &plain
        && let Some(refused) = front.plain.refused(relay, node, sale, session)
    {
        return Ok(refused.into_response());
    }
    let answered = match kept.click.clone() {
        // It goes with others.
        Some(click) => gather::send(&front.gathering, relay, node, sale, click).await,
        None => relay.ask(node, face, &kept.parts, kept.body.clone()).await,
    };
    match answered {
        Ok(response) => {
            if plain.is_some() && response.status().is_client_error() {
                front.plain.note_refused(relay, node, sale);
            }
            Ok(named(response, node))
        }
        Err(error) => Err(no_answer(sharing, node, sale, &error)),
    }
}

/// The way to a node that was seen to have the sale.
pub(super) fn relay_to<'a>(
    front: &'a Front,
    sharing: &Sharing,
    node: &Node,
    sale: &str,
) -> Result<&'a Arc<Relay>, ApiError> {
    front.relay.as_ref().filter(|_| node.reached_at().is_some()).ok_or_else(|| {
        sharing.note_moved(sale, &node.id);
        unreachable(node)
    })
}

/// An answer with the name of the node that has given it.
pub(super) fn named(mut response: Response, node: &Node) -> Response {
    let name = HeaderValue::try_from(node.id.as_str());
    response.headers_mut().insert(NODE, name.expect("a node's name is plain ASCII"));
    response
}

/// What a client is told when a node that was seen to have the sale gave no answer. The sale is looked for again.
pub(super) fn no_answer(sharing: &Sharing, node: &Node, sale: &str, error: &NoAnswer) -> ApiError {
    sharing.note_moved(sale, &node.id);
    error.say(node);
    match error {
        NoAnswer::Moved => NoSale::Elsewhere.into(),
        NoAnswer::Broken(_) | NoAnswer::TooLate | NoAnswer::Refused | NoAnswer::OtherTls => {
            tracing::debug!(sale, node = %node.id, %error, "a node gave no answer");
            unreachable(node)
        }
    }
}
