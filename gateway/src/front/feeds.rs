//! Feeds: one feed for each sale of another node whose events are watched here, however many streams watch.

use super::between::FEED;
use super::feed::{Ask, Tell, Watching};
use super::frames::{Frames, written};
use super::gather::Answered;
use super::refusing::{COUNTS_FOR, Refusing};
use super::relay::{NoAnswer, Relay};
use crate::member::hub::{Source, Told};
use axum::body::Body;
use axum::response::Response;
use engine::Engine;
use engine::clock::Stopwatch;
use engine::rules::node::{Node, NodeId};
use futures_util::stream;
use hyper::body::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Events of one stream that may wait for its client: more than a member has orders in a sale by default. A stream that
/// has more begins again.
const UNREAD_MAX: usize = 1_024;
/// How often it is looked whether the node of a feed still lives.
const LOOK_EVERY: Duration = Duration::from_millis(500);

type Slot = Arc<tokio::sync::Mutex<Known>>;
type Streams = Arc<Mutex<HashMap<u64, mpsc::Sender<Own>>>>;

/// The feeds that this process reads, by node and sale.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    slots: Mutex<BTreeMap<(NodeId, String), Slot>>,
    /// Counts up: the number of the next feed.
    next: Mutex<u64>,
}

/// What is known of a feed.
#[derive(Debug, Default)]
struct Known {
    feed: Weak<Feed>,
    /// Since the node was asked for it and gave no answer.
    failed: Option<Stopwatch>,
}

/// One of them. It ends with its last stream.
#[derive(Debug)]
pub(super) struct Feed {
    number: u64,
    asks: mpsc::UnboundedSender<Ask>,
    sale: watch::Receiver<Told>,
    /// What was said of plain clicks, and since when it is known.
    plain: watch::Receiver<(Refusing, Stopwatch)>,
    streams: Streams,
    /// Counts up: the number of the next stream.
    next: Mutex<u64>,
}

/// What a feed has told one stream.
#[derive(Debug)]
enum Own {
    Event(Bytes),
    Refused(Answered),
    Ended,
}

/// One stream of a feed, as long as it is wanted.
#[derive(Debug)]
pub(super) struct OwnStream {
    feed: Arc<Feed>,
    number: u64,
    told: mpsc::Receiver<Own>,
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        self.feed.streams.lock().remove(&self.number);
        // Err: the feed is over.
        self.feed.asks.send(Ask::End(self.number)).ok();
    }
}

impl OwnStream {
    /// The next event that is for this stream alone; `None` if it has to be asked for again.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        match self.told.recv().await? {
            Own::Event(event) => Some(event),
            Own::Refused(_) | Own::Ended => None,
        }
    }
}

/// How a stream of another node's sale begins.
pub(super) enum Begun {
    /// With the sale as it is.
    Stream(OwnStream, Bytes),
    /// Not at all: what its client is to be told.
    Refused(Response),
}

impl Feed {
    /// What all streams of this sale are told.
    pub(super) fn source(&self) -> Source {
        Source::There(self.number, self.sale.clone())
    }

    /// Asks the node for more, or tells it something.
    pub(super) fn ask(&self, ask: Ask) {
        // Err: the feed is over.
        self.asks.send(ask).ok();
    }

    /// Whether the node still tells something.
    pub(super) fn lasts(&self) -> bool {
        self.plain.has_changed().is_ok()
    }

    /// What the node has said of plain clicks a moment ago; `None` when the feed is over.
    pub(super) fn refusing(&self) -> Option<Refusing> {
        let said = self.plain.borrow();
        (self.lasts() && said.1.elapsed() <= COUNTS_FOR).then_some(said.0)
    }

    /// Begins a stream. A caller that wants to miss no change of the sale watches [`Feed::source`] before.
    pub(super) async fn begin(
        self: Arc<Self>,
        who: Option<Watching>,
        after_ms: u64,
    ) -> Result<Begun, NoAnswer> {
        let (tell, told) = mpsc::channel(UNREAD_MAX);
        let number = {
            let mut next = self.next.lock();
            *next += 1;
            *next
        };
        self.streams.lock().insert(number, tell);
        let mut begun = OwnStream { feed: self, number, told };
        if begun.feed.asks.send(Ask::Begin { stream: number, who, after_ms }).is_err() {
            return Err(NoAnswer::Moved);
        }
        match begun.told.recv().await {
            Some(Own::Event(first)) => Ok(Begun::Stream(begun, first)),
            Some(Own::Refused(why)) => Ok(Begun::Refused(why.response())),
            Some(Own::Ended) | None => Err(NoAnswer::Moved),
        }
    }
}

impl Feeds {
    /// The feed of a sale of this node, or what the node answers in its place.
    pub(super) async fn of(
        &self,
        engine: &Arc<Engine>,
        relay: &Relay,
        node: &Node,
        sale: &str,
    ) -> Result<Result<Arc<Feed>, Response>, NoAnswer> {
        let waits = Stopwatch::start();
        let slot = {
            let mut feeds = self.slots.lock();
            // One that nobody reads, and that nobody is about to begin, is forgotten.
            feeds.retain(|_, slot| {
                let is_read =
                    || slot.try_lock().map_or(true, |known| known.feed.strong_count() > 0);
                Arc::strong_count(slot) > 1 || is_read()
            });
            Arc::clone(feeds.entry((node.id.clone(), sale.to_owned())).or_default())
        };
        // Callers that come meanwhile wait for the same one, and fail with it.
        let mut known = slot.lock().await;
        if let Some(feed) = known.feed.upgrade().filter(|feed| feed.lasts()) {
            return Ok(Ok(feed));
        }
        if known.failed.as_ref().is_some_and(|failed| failed.elapsed() < waits.elapsed()) {
            return Err(NoAnswer::TooLate);
        }
        known.failed = Some(Stopwatch::start());
        let (asks, asked) = mpsc::unbounded_channel::<Ask>();
        let asked = stream::unfold(asked, |mut asked| async move {
            let ask = asked.recv().await?;
            Some((Ok::<_, Infallible>(written(&ask)), asked))
        });
        let body = Body::from_stream(asked);
        let answer = relay.feed(node, &format!("{FEED}/{sale}"), body).await;
        // It counts from when the answer did not come.
        known.failed = answer.is_err().then(Stopwatch::start);
        let answer = answer?;
        if !answer.status().is_success() {
            return Ok(Err(answer));
        }
        let (tell, sale) = watch::channel(Told::default());
        let (refuses, plain) = watch::channel((Refusing::default(), Stopwatch::start()));
        let streams = Streams::default();
        let number = {
            let mut next = self.next.lock();
            *next += 1;
            *next
        };
        let reading = read(Frames::of(answer.into_body()), tell, refuses, Arc::clone(&streams));
        let feed = Arc::new(Feed { number, asks, sale, plain, streams, next: Mutex::default() });
        known.feed = Arc::downgrade(&feed);
        let gone = gone(Arc::clone(engine), node.id.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = reading => {}
                // What it tells counts no more, also if it does not know yet.
                () = gone => {}
            }
        });
        Ok(Ok(feed))
    }
}

/// Waits until a node's lease is over, as far as this process hears of leases.
async fn gone(engine: Arc<Engine>, node: NodeId) {
    let lives =
        || engine.sharing().is_some_and(|sharing| sharing.living().iter().any(|of| of.id == node));
    while lives() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The streams of a feed; each of them looks where the sale is when the feed is over.
struct Telling(Streams);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.lock().clear();
    }
}

/// Reads a feed to its end, and tells its streams.
async fn read(
    mut feed: Frames<Tell>,
    sale: watch::Sender<Told>,
    plain: watch::Sender<(Refusing, Stopwatch)>,
    streams: Streams,
) {
    let streams = Telling(streams);
    while let Some(tell) = feed.next().await {
        let (stream, own) = match tell {
            Tell::Sale(event) => {
                sale.send_modify(|told| {
                    *told = Told { nth: told.nth + 1, event: event.into() };
                });
                continue;
            }
            Tell::Plain(refusing) => {
                plain.send_replace((refusing, Stopwatch::start()));
                continue;
            }
            Tell::Own(stream, event) => (stream, Own::Event(event.into())),
            Tell::Refused(stream, why) => (stream, Own::Refused(why)),
            Tell::Ended(stream) => (stream, Own::Ended),
        };
        let mut streams = streams.0.lock();
        // A full channel means that the client does not read, a closed one that it is gone.
        if streams.get(&stream).is_some_and(|tell| tell.try_send(own).is_err()) {
            streams.remove(&stream);
        }
    }
}
