//! Hub: tells all streams of a sale what has changed in it.
//!
//! One task for each sale looks at the sale and makes an event when it has changed; all streams of
//! the sale share that event. How often it looks is the sale's share of a budget (`shares.rs`), so that
//! telling never takes much of the processor time that clicks need.

use super::shares::Shares;
use crate::answer::view::Time;
use crate::answer::{sse, words};
use engine::rules::terms::SaleId;
use engine::sale::phase::Phase;
use engine::sync::{AtomicU64, Ordering};
use engine::{Engine, OpenSale};
use hyper::body::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use utoipa::ToSchema;

/// The state of a sale at one instant, as a `sale` event tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaleEvent {
    #[schema(value_type = words::SaleState)]
    state: &'static str,
    left: u32,
    /// Members on the waitlist.
    waiting: usize,
    #[schema(value_type = String, format = DateTime)]
    server_time: Time,
}

/// The streams of this process, by the sale that they follow.
#[derive(Debug)]
pub(crate) struct Hub {
    engine: Arc<Engine>,
    /// Becomes true once this process is to end. Streams that would never end by themselves end
    /// then.
    stop: watch::Receiver<bool>,
    watched: Mutex<Watched>,
    streams: AtomicU64,
    anonymous: AtomicU64,
    /// Most streams without a token.
    anonymous_max: u64,
}

/// The sales that have streams, and how these share the budget.
#[derive(Debug)]
struct Watched {
    sales: HashMap<Of, Followed>,
    shares: Shares,
    /// Looks since the budget was shared: it is shared anew about once for each look at every sale.
    looks: usize,
}

/// A sale that has streams.
#[derive(Debug)]
struct Followed {
    tell: watch::Sender<Bytes>,
    /// For so many more times, the sale counts as one that has something to tell when the budget is
    /// shared.
    busy_for: u8,
}

/// How often the budget is shared before a sale that has told nothing more counts as idle. The streams
/// of a large sale are told once a second, and the budget may be shared ten times a second.
const BUSY_FOR: u8 = 20;

impl Followed {
    fn streams(&self) -> u64 {
        self.tell.receiver_count() as u64
    }
}

impl Watched {
    fn shares(&mut self) -> Shares {
        self.looks += 1;
        if self.looks >= self.sales.len() {
            let streams = self.sales.values().map(Followed::streams).sum();
            let busy = self.sales.values().filter(|followed| followed.busy_for > 0);
            self.shares = Shares::of(busy.map(Followed::streams), streams);
            self.looks = 0;
            for followed in self.sales.values_mut() {
                followed.busy_for = followed.busy_for.saturating_sub(1);
            }
        }
        self.shares
    }
}

/// What a stream is opened by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Viewer {
    Member,
    Anonymous,
    /// Another node, for its own streams.
    Node,
}

/// What another node has told of a sale that it sells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Counts up.
    pub(crate) nth: u64,
    pub(crate) event: Bytes,
}

/// Where what the streams of a sale are told comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The sale, which is sold here.
    Here(Arc<OpenSale>),
    /// A feed of the node that sells it, by a number that no other feed has.
    There(u64, watch::Receiver<Told>),
}

/// What the streams of a sale share: one opening of it here, or one feed of another node. While a sale goes from one
/// node to another there may be both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Epoch(SaleId, u64),
    Feed(u64),
}

impl Source {
    fn of(&self) -> Of {
        match self {
            Self::Here(open) => Of::Epoch(open.sale.terms().id.clone(), open.sale.epoch()),
            Self::There(feed, _) => Of::Feed(*feed),
        }
    }

    /// Waits for at most this long; returns whether there is nothing more to be told of the sale.
    async fn is_over_after(&mut self, pause: Duration) -> bool {
        match self {
            Self::Here(open) => {
                tokio::time::sleep(pause).await;
                open.is_retired()
            }
            Self::There(_, told) => {
                let closed = async { while told.changed().await.is_ok() {} };
                tokio::time::timeout(pause, closed).await.is_ok()
            }
        }
    }
}

/// What is compared of a sale. The task makes an event when it has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Phase, units left and members waiting.
    Here(Phase, u32, usize),
    /// How often it was told of.
    There(u64),
}

/// A stream, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    hub: Arc<Hub>,
    viewer: Viewer,
}

impl Counted {
    /// Returns `None` when there are as many streams without a token as there may be.
    fn new(hub: &Arc<Hub>, viewer: Viewer) -> Option<Self> {
        if viewer == Viewer::Anonymous {
            let room = |count: u64| (count < hub.anonymous_max).then_some(count + 1);
            // Ordering: Relaxed, counts that publish nothing but themselves.
            hub.anonymous.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        }
        // Ordering: Relaxed, as above.
        hub.streams.fetch_add(1, Ordering::Relaxed);
        Some(Self { hub: Arc::clone(hub), viewer })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Self { hub, viewer } = self;
        // Ordering: Relaxed, as in `Counted::new`.
        hub.streams.fetch_sub(1, Ordering::Relaxed);
        if *viewer == Viewer::Anonymous {
            // Ordering: Relaxed, as above.
            hub.anonymous.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Hub {
    /// Makes a hub that has no streams yet, and never has more than `anonymous_max` without a token.
    /// Its streams end when `stop` becomes true.
    pub(crate) fn new(
        engine: Arc<Engine>,
        stop: watch::Receiver<bool>,
        anonymous_max: u64,
    ) -> Self {
        let shares = Shares::of(std::iter::empty(), 0);
        let watched = Mutex::new(Watched { sales: HashMap::new(), shares, looks: 0 });
        let (streams, anonymous) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { engine, stop, watched, streams, anonymous, anonymous_max }
    }

    /// Returns how many of the open streams have no token.
    pub(crate) fn anonymous_streams(&self) -> u64 {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.anonymous.load(Ordering::Relaxed)
    }

    /// Returns how many streams are open.
    pub(crate) fn streams(&self) -> u64 {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.streams.load(Ordering::Relaxed)
    }

    fn look(&self, source: &Source) -> (Seen, Bytes) {
        match source {
            Source::Here(open) => self.look_here(open),
            Source::There(_, told) => {
                let Told { nth, event } = told.borrow().clone();
                (Seen::There(nth), event)
            }
        }
    }

    /// Returns the sale as it is now: what is compared of it, and the event that tells it.
    pub(super) fn look_here(&self, open: &OpenSale) -> (Seen, Bytes) {
        let now = self.engine.now();
        let (phase, left) = (open.sale.phase(now), open.sale.stock().level().left().0);
        let waiting = open.waiting();
        let event = SaleEvent { state: phase.as_str(), left, waiting, server_time: Time(now) };
        (Seen::Here(phase, left, waiting), sse::event("sale", &event))
    }

    /// Returns the receiver that becomes true when this process is to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Subscribes one more stream to what changes in the sale from now on. Returns `None` when there
    /// are as many streams without a token as there may be.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        source: Source,
        viewer: Viewer,
    ) -> Option<(Counted, watch::Receiver<Bytes>)> {
        let counted = Counted::new(self, viewer)?;
        let of = source.of();
        let mut watched = self.watched.lock();
        if let Some(followed) = watched.sales.get(&of) {
            return Some((counted, followed.tell.subscribe()));
        }
        let (seen, event) = self.look(&source);
        let (tell, receiver) = watch::channel(event);
        watched.sales.insert(of, Followed { tell, busy_for: BUSY_FOR });
        tokio::spawn(follow(Arc::clone(self), source, seen));
        Some((counted, receiver))
    }

    /// Tells the streams of a sale this event, if there is one. Returns how long its task waits until it
    /// looks again; `None` when no stream is left.
    fn tell(&self, of: &Of, event: Option<Bytes>) -> Option<Duration> {
        let mut watched = self.watched.lock();
        let shares = watched.shares();
        let followed = watched.sales.get_mut(of).filter(|followed| followed.streams() > 0);
        let Some(followed) = followed else {
            watched.sales.remove(of);
            return None;
        };
        if let Some(event) = event {
            followed.busy_for = BUSY_FOR;
            drop(followed.tell.send_replace(event));
        }
        Some(shares.pause(followed.streams()))
    }
}

/// Looks at a sale for as long as it has streams.
async fn follow(hub: Arc<Hub>, mut source: Source, mut last: Seen) {
    let (mut news, of) = (None, source.of());
    while let Some(pause) = hub.tell(&of, news) {
        if source.is_over_after(pause).await {
            // Its streams end, and their clients come back to the one that is sold now.
            hub.watched.lock().sales.remove(&of);
            return;
        }
        let (seen, event) = hub.look(&source);
        news = (seen != last).then_some(event);
        last = seen;
    }
}
