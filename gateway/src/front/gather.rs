//! Gather: clicks on their way to another node. What comes while a batch is on its way is the next one; a lone click
//! goes at once.

use super::between::CLICKS;
use super::relay::{NoAnswer, Relay};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use engine::rules::key::IdempotencyKey;
use engine::rules::money::ForeignId;
use engine::rules::node::{Node, NodeId};
use engine::rules::units::Units;
use hyper::body::Bytes;
use membership::{MemberId, Tier};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Most clicks of a batch.
pub(super) const CLICKS_MAX: usize = 4_096;
/// Batches of one sale that are on their way at once: while one is judged, the next one travels.
const BATCHES_MAX: usize = 2;

/// A click whose member is known, as it goes to another node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PassedClick {
    /// Who clicked.
    pub member: MemberId,
    /// What the token says of the tier.
    pub tier: Option<Tier>,
    /// Whether the token says that the member is a minor.
    pub is_minor: bool,
    /// How many units, from 1.
    pub units: Units,
    /// The client's or the front's: the click buys once, however often it is sent.
    pub key: IdempotencyKey,
    /// Points to pay a part with.
    pub points: u64,
    /// A coupon to pay a part with.
    pub coupon: Option<ForeignId>,
}

/// What became of a click, as its client is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answered {
    /// An order; its id and the body.
    Order(String, Vec<u8>),
    /// A problem: the status, after how many seconds to try again, the body.
    Problem(u16, Option<u64>, Vec<u8>),
    /// As the click before it.
    Same,
}

impl Answered {
    pub(super) fn response(self) -> Response {
        let (status, json, body) = match &self {
            Self::Order(_, body) => (StatusCode::ACCEPTED, "application/json", body.clone()),
            Self::Problem(status, _, body) => {
                let status = StatusCode::from_u16(*status);
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, "application/problem+json", body.clone())
            }
            Self::Same => unreachable!("the click before it has been put in its place"),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(json));
        match self {
            Self::Order(id, _) => {
                if let Ok(location) = HeaderValue::try_from(format!("/v1/orders/{id}")) {
                    headers.insert(header::LOCATION, location);
                }
            }
            Self::Problem(_, Some(seconds), _) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Self::Problem(..) | Self::Same => {}
        }
        response
    }
}

type Told = Result<Answered, NoAnswer>;

/// Clicks that wait for a batch.
#[derive(Debug, Default)]
struct Waiting {
    clicks: Vec<(PassedClick, oneshot::Sender<Told>)>,
    /// Batches that are on their way.
    batches: usize,
}

/// The clicks that gather, by the node and the sale that they go to.
#[derive(Debug, Default)]
pub(crate) struct Gathering(Mutex<BTreeMap<(NodeId, String), Waiting>>);

/// Sends a click with those that gather; returns what its client is to be told.
pub(super) async fn send(
    gathering: &Arc<Gathering>,
    relay: &Arc<Relay>,
    node: &Node,
    sale: &str,
    click: PassedClick,
) -> Result<Response, NoAnswer> {
    let (tell, told) = oneshot::channel();
    let place = (node.id.clone(), sale.to_owned());
    let is_to_begin = {
        let mut gathering = gathering.0.lock();
        let waiting = gathering.entry(place).or_default();
        waiting.clicks.push((click, tell));
        let is_to_begin = waiting.batches < BATCHES_MAX;
        waiting.batches += usize::from(is_to_begin);
        is_to_begin
    };
    if is_to_begin {
        let (gathering, relay) = (Arc::clone(gathering), Arc::clone(relay));
        tokio::spawn(send_all(gathering, relay, node.clone(), sale.to_owned()));
    }
    let answered = told.await.unwrap_or(Err(NoAnswer::TooLate))?;
    Ok(answered.response())
}

/// Sends what has gathered until nothing waits any more.
async fn send_all(gathering: Arc<Gathering>, relay: Arc<Relay>, node: Node, sale: String) {
    let place = (node.id.clone(), sale);
    loop {
        // Clicks that were read in the same turn of this thread go with the first of them.
        tokio::task::yield_now().await;
        let batch: Vec<_> = {
            let mut gathering = gathering.0.lock();
            let Some(waiting) = gathering.get_mut(&place) else { return };
            let many = waiting.clicks.len().min(CLICKS_MAX);
            if many == 0 {
                waiting.batches -= 1;
                if waiting.batches == 0 {
                    gathering.remove(&place);
                }
                return;
            }
            waiting.clicks.drain(..many).collect()
        };
        let (clicks, tell): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        match ask(&relay, &node, &place.1, &clicks).await {
            Ok(answers) => {
                for (tell, answered) in tell.into_iter().zip(answers) {
                    // Err: the client has gone.
                    tell.send(Ok(answered)).ok();
                }
            }
            Err(error) => {
                error.say(&node);
                let is_moved = matches!(error, NoAnswer::Moved);
                for tell in tell {
                    let why = if is_moved { NoAnswer::Moved } else { NoAnswer::TooLate };
                    tell.send(Err(why)).ok();
                }
            }
        }
    }
}

async fn ask(
    relay: &Relay,
    node: &Node,
    sale: &str,
    clicks: &[PassedClick],
) -> Result<Vec<Answered>, NoAnswer> {
    relay.note_batch(clicks.len());
    let body = postcard::to_stdvec(clicks).expect("clicks are plain data");
    let (status, body) = relay.tell(node, &format!("{CLICKS}/{sale}"), Bytes::from(body)).await?;
    let answers: Option<Vec<Answered>> =
        status.is_success().then(|| postcard::from_bytes(&body).ok()).flatten();
    let answers = answers.filter(|answers| answers.len() == clicks.len());
    answers.map(each).ok_or(NoAnswer::TooLate)
}

/// Puts the answer before it in the place of each that is the same.
fn each(answers: Vec<Answered>) -> Vec<Answered> {
    let mut last = Answered::Same;
    let each = answers.into_iter().map(|answered| {
        if !matches!(answered, Answered::Same) {
            last = answered;
        }
        last.clone()
    });
    each.collect()
}
