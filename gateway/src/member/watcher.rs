//! Watcher: one stream of events about a sale and about one member's own orders in it.
//!
//! For a client that does not read, only the newest state of the sale waits, and a few steps of the
//! member's orders; after that the stream ends. Such a client misses only what is outdated by then.

use super::hub::{Counted, Hub, Source, Viewer};
use super::orders::ORDERS_MAX;
use crate::answer::error::ApiError;
use crate::answer::sse::{self, BEAT, BEAT_EVERY};
use crate::answer::view::{OrderView, WaitView};
use crate::ask::session::Session;
use engine::rules::order::Status;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::store::StoreError;
use engine::{Engine, Found, OpenSale};
use futures_util::stream::{self, Stream};
use hyper::body::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How far a clock may be set back. A client that comes back is told the changes of this much time
/// once more.
const CLOCK_STEPS: Duration = Duration::from_secs(5);

/// What has happened while a watcher waited.
enum News {
    Order(Found),
    Sale,
    None,
}

/// The orders that a stream told of at its start, with the steps that each had taken. The same step,
/// or one before it, may still come from the feed.
#[derive(Default)]
struct Told(HashMap<u64, u64>);

impl Told {
    fn at_start(&mut self, orders: &[Found]) {
        self.0.extend(orders.iter().map(|order| (order.number(), order.status().steps())));
    }

    fn is_news(&self, order: &Found) -> bool {
        self.0.get(&order.number()).is_none_or(|told| order.status().steps() > *told)
    }
}

/// What a stream still has to tell of the orders that were there at its start, page by page.
struct Replay {
    seat: Seat,
    /// The page to come has orders before this one.
    before: u64,
    /// Only orders that changed after this instant are told.
    after: Millis,
    /// The last change that was told. It becomes the id of the last order that is told, so that a client
    /// that breaks off in between is told everything again.
    last_change: Millis,
    /// When the stream began: a later change may come from the feed after the replay, so no id is later.
    began_at: Millis,
    /// The order that is told next.
    held: Option<Found>,
}

/// One stream.
pub(crate) struct Watcher {
    engine: Arc<Engine>,
    open: Arc<OpenSale>,
    sale: watch::Receiver<Bytes>,
    stop: watch::Receiver<bool>,
    member: Option<Own>,
    replay: Option<Replay>,
    ready: VecDeque<Bytes>,
    /// `None`: another node tells its stream of the sale, and counts it.
    counted: Option<Counted>,
}

/// The part of a stream that is for its own member.
struct Own {
    seat: Seat,
    orders: mpsc::Receiver<Found>,
    told: Told,
    waits: Option<WaitView>,
    /// When the token expires; the stream ends then.
    until: Millis,
}

impl Watcher {
    /// Makes a stream that first tells how the sale is now, and then the member's own orders that
    /// changed after `after`.
    ///
    /// # Errors
    /// [`ApiError::TooManyStreams`] when there are as many streams without a token as there may be, or why
    /// the store cannot be read.
    pub(super) async fn new(
        engine: Arc<Engine>,
        hub: &Arc<Hub>,
        open: Arc<OpenSale>,
        session: Option<&Session>,
        after: Millis,
    ) -> Result<Self, ApiError> {
        let viewer = if session.is_some() { Viewer::Member } else { Viewer::Anonymous };
        let here = Source::Here(Arc::clone(&open));
        let (counted, sale) = hub.subscribe(here, viewer).ok_or(ApiError::TooManyStreams)?;
        Self::with(engine, hub, open, sale, Some(counted), session, after).await
    }

    /// As [`Watcher::new`], for a stream of another node, which tells it by itself when the sale changes.
    ///
    /// # Errors
    /// Why the store cannot be read.
    pub(crate) async fn of_node(
        engine: Arc<Engine>,
        hub: &Arc<Hub>,
        open: Arc<OpenSale>,
        sale: watch::Receiver<Bytes>,
        session: Option<&Session>,
        after: Millis,
    ) -> Result<Self, ApiError> {
        Self::with(engine, hub, open, sale, None, session, after).await
    }

    async fn with(
        engine: Arc<Engine>,
        hub: &Arc<Hub>,
        open: Arc<OpenSale>,
        sale: watch::Receiver<Bytes>,
        counted: Option<Counted>,
        session: Option<&Session>,
        after: Millis,
    ) -> Result<Self, ApiError> {
        let (mut member, mut replay) = (None, None);
        if let Some(&Session { seat, expires_at, .. }) = session {
            // Watching begins before the orders are read, so that no step is missed between the
            // two.
            let (orders, told) = (open.watch(seat), Told::default());
            member = Some(Own { seat, orders, told, waits: None, until: expires_at });
            let (before, last_change, began_at) = (u64::MAX, Millis(0), engine.now());
            replay = Some(Replay { seat, before, after, last_change, began_at, held: None });
        }
        let (stop, ready) = (hub.stopping(), VecDeque::new());
        let mut watcher = Self { engine, open, sale, stop, member, replay: None, ready, counted };
        // The sale as it is now: the hub's last event may be older.
        let (_, now) = hub.look_here(&watcher.open);
        watcher.ready.push_back(now);
        if let Some(replay) = replay {
            // With the first page, a store that cannot be read is told before the stream begins.
            watcher.tell_a_page(replay).await?;
        }
        watcher.look_at_waitlist();
        Ok(watcher)
    }

    /// Tells one more page of the orders that were there at the start.
    async fn tell_a_page(&mut self, mut replay: Replay) -> Result<(), StoreError> {
        let Replay { seat, before, after, .. } = replay;
        let page = self.engine.orders_of(&self.open, seat, before, ORDERS_MAX).await?;
        let is_last = page.len() < ORDERS_MAX;
        replay.before = page.last().map_or(0, Found::number);
        let mut orders: Vec<_> =
            page.into_iter().filter(|order| order.changed_at() + CLOCK_STEPS >= after).collect();
        orders.sort_by_key(Found::changed_at);
        if let Some(own) = &mut self.member {
            own.told.at_start(&orders);
        }
        for order in orders {
            if order.status() != Status::Reserved {
                replay.last_change = replay.last_change.max(order.changed_at());
            }
            if let Some(held) = replay.held.replace(order) {
                self.ready.push_back(self.order(&held));
            }
        }
        match replay.held.take() {
            Some(last) if is_last => {
                let event = self.order(&last);
                let has_id = replay.last_change > Millis(0);
                let id = replay.last_change.min(replay.began_at).0;
                self.ready.push_back(if has_id { sse::with_id(&event, id) } else { event });
            }
            held => replay.held = held,
        }
        self.replay = (!is_last).then_some(replay);
        Ok(())
    }

    fn order(&self, found: &Found) -> Bytes {
        sse::event("order", &OrderView::found(&self.engine, &self.open, found))
    }

    /// As `order`, with the change's time as the event's id.
    fn step(&self, found: &Found) -> Bytes {
        let event = self.order(found);
        match found.status() {
            // The time of a reserved order is its click's. Older orders may still be confirmed with
            // an earlier time, and a client that came back with this time as its id would miss
            // them.
            Status::Reserved => event,
            _ => sse::with_id(&event, found.changed_at().0),
        }
    }

    /// Tells the member's place on the waitlist if it has moved. It moves when other members join,
    /// leave or are served.
    fn look_at_waitlist(&mut self) {
        let Some(own) = &mut self.member else { return };
        let waits = self.open.position(own.seat).map(WaitView::of);
        if waits != own.waits {
            own.waits = waits;
            self.ready.push_back(sse::event("waiting", &waits));
        }
    }

    fn is_news(&self, order: &Found) -> bool {
        self.member.as_ref().is_some_and(|own| own.told.is_news(order))
    }

    fn tell_sale(&mut self) {
        let event = self.sale.borrow_and_update().clone();
        if self.counted.is_some() {
            self.ready.push_back(event);
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let now = self.engine.now();
            let is_over = |own: &Own| now >= own.until || self.engine.roster().has_alias(own.seat);
            let is_erased_or_expired = self.member.as_ref().is_some_and(is_over);
            if is_erased_or_expired || *self.stop.borrow() {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if let Some(replay) = self.replay.take() {
                self.go_on_with(replay).await?;
                continue;
            }
            let news = self.wait().await?;
            self.look_at_waitlist();
            match news {
                News::Order(order) if self.is_news(&order) => {
                    self.ready.push_front(self.step(&order));
                }
                News::Sale => self.tell_sale(),
                // Nothing else is told of a stream that another node counts.
                News::None if self.counted.is_some() => self.ready.push_back(BEAT),
                News::Order(_) | News::None => {}
            }
        }
    }

    /// Tells the next page, and before it the sale, if that has changed meanwhile. Returns `None` when the
    /// process stops, or when the store cannot be read: the client comes back.
    async fn go_on_with(&mut self, replay: Replay) -> Option<()> {
        if self.sale.has_changed().is_ok_and(|changed| changed) {
            self.tell_sale();
        }
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            told = self.tell_a_page(replay) => {
                told.inspect_err(|error| tracing::debug!(%error, "a stream ends early")).ok()
            }
        }
    }

    /// Waits for something to tell. Returns `None` when the stream is over.
    async fn wait(&mut self) -> Option<News> {
        let Self { stop, sale, member, .. } = self;
        let own_order = async {
            match member {
                Some(own) => own.orders.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            // `None`: the feed has dropped this stream. It was not read for too long, or the member
            // has opened too many.
            order = own_order => order.map(News::Order),
            changed = sale.changed() => changed.ok().map(|()| News::Sale),
            // Nothing has happened, but the token may have expired.
            () = tokio::time::sleep(BEAT_EVERY) => Some(News::None),
        }
    }

    pub(crate) fn events(self) -> impl Stream<Item = Bytes> {
        stream::unfold(self, |mut watcher| async move {
            watcher.next().await.map(|event| (event, watcher))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::rules::order::Order;
    use engine::rules::units::Units;
    use membership::Tier;

    fn order(number: u64, status: Status) -> Found {
        Found::Here(Order {
            number,
            seat: Seat::new(0),
            tier: Tier::Gold,
            units: Units(1),
            status,
            reserved_at: Millis(1),
            settled_at: Some(Millis(2)),
            changed_at: Some(Millis(2)),
        })
    }

    #[test]
    fn a_step_that_was_told_at_the_start_is_no_news_and_neither_is_one_before_it() {
        let mut told = Told::default();
        told.at_start(&[order(1, Status::Paid), order(2, Status::Reserved)]);
        assert!(
            !told.is_news(&order(1, Status::Confirmed)) && !told.is_news(&order(1, Status::Paid))
        );
        assert!(told.is_news(&order(2, Status::Confirmed)));
        assert!(told.is_news(&order(3, Status::Confirmed)), "an order of after the start");
    }
}
