//! Feed: what a node tells another one of a sale, for that one's streams of events: each change of the sale once, and
//! for each member who watches there what is their own.

use super::frames::{Frames, written};
use super::gather::Answered;
use super::judged::problem;
use super::refusing::{Refusing, SAID_EVERY, Why};
use crate::answer::error::ApiError;
use crate::ask::audience::sees;
use crate::ask::rates::Rates;
use crate::ask::session::Session;
use crate::ask::tiers::Said;
use crate::member::click::Clicks;
use crate::member::hub::{Counted, Hub, Source, Viewer};
use crate::member::watcher::Watcher;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use engine::OpenSale;
use engine::rules::refusal::Refusal;
use engine::rules::time::Millis;
use futures_util::future::BoxFuture;
use futures_util::stream::{
    self, AbortHandle, Abortable, BoxStream, FuturesUnordered, SelectAll, StreamExt,
};
use hyper::body::Bytes;
use membership::{MemberId, Tier};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// A member who watches at another node, as that one has verified the token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Watching {
    pub(super) member: MemberId,
    pub(super) tier: Option<Tier>,
    pub(super) is_minor: bool,
    /// When the token expires.
    pub(super) expires_at_ms: u64,
}

/// What a node asks of a feed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// A stream begins; who watches, if it has a token, and after which of their events.
    Begin { stream: u64, who: Option<Watching>, after_ms: u64 },
    /// A stream has ended.
    End(u64),
    /// Whether it is to be said from now on that plain clicks are refused.
    Plain(bool),
    /// Plain clicks that the other node has refused by what was said, by tier and reason.
    Refused(Vec<(Tier, Why, u64)>),
}

/// What a feed tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Tell {
    /// The sale has changed; the event.
    Sale(String),
    /// An event of one stream alone. Each stream that begins has one, of the sale as it is.
    Own(u64, String),
    /// There is no such stream, and why.
    Refused(u64, Answered),
    /// A stream has ended here: it may be asked for again.
    Ended(u64),
    /// Plain clicks are refused, or no more.
    Plain(Refusing),
}

/// What telling needs of this process.
#[derive(Debug, Clone)]
pub(crate) struct Telling {
    pub(crate) hub: Arc<Hub>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) clicks: Arc<Clicks>,
}

/// `None`: it has ended before.
type Begun = (u64, bool, Option<Result<Watcher, ApiError>>);

/// One feed.
struct Feed {
    telling: Telling,
    open: Arc<OpenSale>,
    asks: Frames<Ask>,
    sale: watch::Receiver<Bytes>,
    stop: watch::Receiver<bool>,
    beginning: FuturesUnordered<BoxFuture<'static, Begun>>,
    own: SelectAll<BoxStream<'static, (u64, Option<Bytes>)>>,
    ends: HashMap<u64, AbortHandle>,
    /// When it is to be said whether plain clicks are refused, and whether they were the last time.
    plain: Option<(Interval, bool)>,
    _counted: Counted,
}

/// Tells what becomes of a sale for as long as the other node asks; ends when the sale goes.
pub(super) fn tell(
    telling: Telling,
    open: Arc<OpenSale>,
    asks: Body,
) -> Result<Response, ApiError> {
    let here = Source::Here(Arc::clone(&open));
    let subscribed = telling.hub.subscribe(here, Viewer::Node);
    let (counted, sale) = subscribed.ok_or(ApiError::TooManyStreams)?;
    let feed = Feed {
        stop: telling.hub.stopping(),
        telling,
        open,
        asks: Frames::of(asks),
        sale,
        beginning: FuturesUnordered::new(),
        own: SelectAll::new(),
        ends: HashMap::new(),
        plain: None,
        _counted: counted,
    };
    let told = stream::unfold(feed, |mut feed| async move {
        let tell = feed.next().await?;
        Some((Ok::<_, Infallible>(written(&tell)), feed))
    });
    Ok(Response::new(Body::from_stream(told)))
}

impl Feed {
    async fn next(&mut self) -> Option<Tell> {
        let mut stop = self.stop.clone();
        tokio::select! {
            // Err: nobody can stop it any more.
            _ = stop.wait_for(|stop| *stop) => None,
            told = self.told() => told,
        }
    }

    async fn told(&mut self) -> Option<Tell> {
        loop {
            tokio::select! {
                ask = self.asks.next() => self.asked(ask?),
                () = due(&mut self.plain) => if let Some(refusing) = self.refusing() {
                    return Some(Tell::Plain(refusing));
                },
                // Err: the sale has gone.
                changed = self.sale.changed() => {
                    changed.ok()?;
                    return Some(Tell::Sale(text(&self.sale.borrow_and_update())));
                }
                Some(begun) = self.beginning.next(), if !self.beginning.is_empty() => {
                    if let Some(refused) = self.begun(begun).await {
                        return Some(refused);
                    }
                }
                Some((stream, event)) = self.own.next(), if !self.own.is_empty() => {
                    return Some(match event {
                        Some(event) => Tell::Own(stream, text(&event)),
                        None => {
                            self.ends.remove(&stream);
                            Tell::Ended(stream)
                        }
                    });
                }
            }
        }
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Begin { stream, who, after_ms } => self.begin(stream, who, after_ms),
            Ask::End(stream) => {
                self.ends.remove(&stream).into_iter().for_each(|end| end.abort());
            }
            Ask::Plain(is_asked) => {
                self.plain = is_asked.then(|| {
                    let mut every = interval(SAID_EVERY);
                    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    (every, false)
                });
            }
            Ask::Refused(counts) => {
                for (tier, why, clicks) in counts {
                    self.open.sale.meter().refuse_many(tier, &why.refusal(), clicks);
                }
            }
        }
    }

    /// What is to be said of plain clicks: that they are refused each time, that they are no more once.
    fn refusing(&mut self) -> Option<Refusing> {
        let refusing = Refusing::of(self.telling.clicks.engine(), &self.open);
        let (_, before) = self.plain.as_mut()?;
        let was = std::mem::replace(before, refusing.is_any());
        (was || *before).then_some(refusing)
    }

    fn begin(&mut self, stream: u64, who: Option<Watching>, after_ms: u64) {
        let (telling, open, sale) =
            (self.telling.clone(), Arc::clone(&self.open), self.sale.clone());
        let has_token = who.is_some();
        let (end, ended) = AbortHandle::new_pair();
        let watcher = watcher(telling, open, sale, who, Millis(after_ms));
        let watcher = Abortable::new(watcher, ended);
        self.ends.insert(stream, end);
        self.beginning.push(Box::pin(async move { (stream, has_token, watcher.await.ok()) }));
    }

    /// Lets a stream begin, or tells why there is none.
    async fn begun(&mut self, (stream, has_token, watcher): Begun) -> Option<Tell> {
        let events = match watcher? {
            Ok(watcher) => watcher.events(),
            Err(why) => {
                self.ends.remove(&stream);
                return Some(Tell::Refused(stream, problem(why.into_response()).await));
            }
        };
        let (end, ended) = AbortHandle::new_pair();
        let own = events.map(Some).chain(stream::iter([None]));
        // Without a token nothing is its own but the sale as it is at the beginning.
        let own = own.take(if has_token { usize::MAX } else { 1 });
        self.own.push(Abortable::new(own.map(move |event| (stream, event)), ended).boxed());
        match has_token {
            true => drop(self.ends.insert(stream, end)),
            false => drop(self.ends.remove(&stream)),
        }
        None
    }
}

/// Waits until it is to be said whether plain clicks are refused.
async fn due(plain: &mut Option<(Interval, bool)>) {
    match plain {
        Some((every, _)) => drop(every.tick().await),
        None => pending().await,
    }
}

fn text(event: &Bytes) -> String {
    String::from_utf8_lossy(event).into_owned()
}

async fn watcher(
    telling: Telling,
    open: Arc<OpenSale>,
    sale: watch::Receiver<Bytes>,
    who: Option<Watching>,
    after: Millis,
) -> Result<Watcher, ApiError> {
    let session = match who {
        Some(who) => Some(session(&telling.clicks, who).await?),
        None => None,
    };
    let engine = telling.clicks.engine();
    if !sees(engine, &open, session.as_ref()) {
        return Err(engine::NoSale::Unknown.into());
    }
    if let Some(session) = &session {
        telling.rates.call(session.seat)?;
    }
    Watcher::of_node(Arc::clone(engine), &telling.hub, open, sale, session.as_ref(), after).await
}

/// The session of a member whose token another node has verified; the book was asked about them.
async fn session(clicks: &Clicks, who: Watching) -> Result<Session, ApiError> {
    let (engine, Watching { member, tier, is_minor, expires_at_ms }) = (clicks.engine(), who);
    let Some(seat) = engine.roster().seat(member.as_str()) else {
        let (refusal, tier) = (Refusal::Busy, tier.unwrap_or(Tier::Regular));
        return Err(ApiError::Refused { refusal, tier, now: engine.now(), may_return: false });
    };
    if !engine.book().is_seated(seat, engine.now()) {
        let who = vec![(seat, member.clone())];
        engine.book().look_up_or_trust(who, clicks.needs_book()).await?;
    }
    let said = Said { tier, ..clicks.said(Tier::Regular) };
    Ok(Session { member, seat, said, is_minor, expires_at: Millis(expires_at_ms) })
}
