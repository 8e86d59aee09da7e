//! Hub: tells all streams of a sale what has changed in it.
//!
//! One task for each sale looks at the sale and makes an event when it has changed; all streams of
//! the sale share that event. The more streams there are, the less often the task looks, so that
//! telling never takes much of the processor time that clicks need.

use crate::answer::view::Time;
use axum::response::sse::Event;
use engine::rules::terms::SaleId;
use engine::sale::phase::Phase;
use engine::sync::{AtomicU64, Ordering};
use engine::{Engine, OpenSale};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use utoipa::ToSchema;

/// How often a task looks at its sale: each stream gets at most ten events a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// At most this many events a second on all streams together.
const EVENTS_PER_S: u64 = 2_000;

/// The state of a sale at one instant, as a `sale` event tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaleEvent {
    /// `scheduled`, `open`, `paused`, `sold_out` or `closed`.
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
    sales: Mutex<HashMap<SaleId, watch::Sender<Event>>>,
    streams: AtomicU64,
}

/// Phase, units left and members waiting. The task makes an event when one of them has changed.
type Seen = (Phase, u32, usize);

/// A stream, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<Hub>);

impl Drop for Counted {
    fn drop(&mut self) {
        // Ordering: Relaxed, as in `Hub::streams`.
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns an event with this name and with `data` as JSON.
pub(super) fn json_event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).expect("events are plain data")
}

impl Hub {
    /// Makes a hub that has no streams yet. Its streams end when `stop` becomes true.
    pub(crate) fn new(engine: Arc<Engine>, stop: watch::Receiver<bool>) -> Self {
        Self { engine, stop, sales: Mutex::default(), streams: AtomicU64::new(0) }
    }

    /// Returns how many streams are open.
    pub(crate) fn streams(&self) -> u64 {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.streams.load(Ordering::Relaxed)
    }

    /// Returns the sale as it is now: what is compared of it, and the event that tells it.
    pub(super) fn look(&self, open: &OpenSale) -> (Seen, Event) {
        let now = self.engine.now();
        let (phase, left) = (open.sale.phase(now), open.sale.stock().level().left().0);
        let waiting = open.waiting();
        let event = SaleEvent { state: phase.as_str(), left, waiting, server_time: Time(now) };
        ((phase, left, waiting), json_event("sale", &event))
    }

    /// Returns the receiver that becomes true when this process is to end.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Subscribes one more stream to what changes in the sale from now on.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        open: &Arc<OpenSale>,
    ) -> (Counted, watch::Receiver<Event>) {
        // Ordering: Relaxed, as in `streams`.
        self.streams.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(self));
        let id = &open.sale.terms().id;
        let mut sales = self.sales.lock();
        if let Some(sender) = sales.get(id) {
            return (counted, sender.subscribe());
        }
        let (seen, event) = self.look(open);
        let (sender, receiver) = watch::channel(event);
        sales.insert(id.clone(), sender);
        tokio::spawn(follow(Arc::clone(self), Arc::clone(open), seen));
        (counted, receiver)
    }

    /// Returns how long a task waits between two looks. The wait grows with the number of streams.
    fn pause(&self) -> Duration {
        LOOK_EVERY.max(Duration::from_millis(self.streams() * 1_000 / EVENTS_PER_S))
    }

    /// Tells the streams of a sale this event, if there is one. Returns `false` when no stream is
    /// left.
    fn tell(&self, sale: &SaleId, event: Option<Event>) -> bool {
        let mut sales = self.sales.lock();
        let is_watched = sales.get(sale).is_some_and(|sender| sender.receiver_count() > 0);
        if !is_watched {
            sales.remove(sale);
        } else if let (Some(event), Some(sender)) = (event, sales.get(sale)) {
            drop(sender.send_replace(event));
        }
        is_watched
    }
}

/// Looks at a sale for as long as it has streams.
async fn follow(hub: Arc<Hub>, open: Arc<OpenSale>, mut last: Seen) {
    loop {
        tokio::time::sleep(hub.pause()).await;
        let (seen, event) = hub.look(&open);
        let news = (seen != last).then_some(event);
        last = seen;
        if !hub.tell(&open.sale.terms().id, news) {
            return;
        }
    }
}
