//! Watcher: one stream of events, of a sale and of one member's own orders in it.
//!
//! A stream that is not read misses nothing but what is outdated by then: of the sale only the newest
//! state waits, of a member's orders a few steps, and after that the stream ends.

use super::hub::{Counted, Hub, json_event};
use crate::answer::error::ApiError;
use crate::answer::view::{OrderView, WaitView};
use crate::ask::session::Session;
use axum::response::sse::Event;
use engine::rules::order::Status;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::{Engine, Found, OpenSale};
use futures_util::stream::{self, Stream};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A stream that comes back is told as much again: a clock may be set back by this.
const CLOCK_STEPS: Duration = Duration::from_secs(5);
/// A stream on which nothing happens says so this often: proxies and clients give up silent ones.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// What there is to tell.
enum News {
    Order(Found),
    Sale,
    None,
}

/// One stream.
pub(super) struct Watcher {
    engine: Arc<Engine>,
    open: Arc<OpenSale>,
    sale: watch::Receiver<Event>,
    stop: watch::Receiver<bool>,
    member: Option<Own>,
    ready: VecDeque<Event>,
    _counted: Counted,
}

/// What is a member's own on a stream.
struct Own {
    seat: Seat,
    orders: mpsc::Receiver<Found>,
    waits: Option<WaitView>,
    /// When the token expires, and the stream with it.
    until: Millis,
}

impl Watcher {
    /// A stream that tells first how the sale is now, then own orders that changed after `after`.
    pub(super) async fn new(
        engine: Arc<Engine>,
        hub: &Arc<Hub>,
        open: Arc<OpenSale>,
        session: Option<Session>,
        after: Millis,
    ) -> Result<Self, ApiError> {
        let (mut member, mut orders) = (None, Vec::new());
        if let Some(Session { seat, expires_at, .. }) = session {
            // First, so that no step falls in between; one that falls on both is told twice.
            let own = open.watch(seat);
            orders = engine.orders_of(&open, seat).await?;
            member = Some(Own { seat, orders: own, waits: None, until: expires_at });
        }
        let (counted, sale) = hub.subscribe(&open);
        let (stop, ready) = (hub.stopping(), VecDeque::new());
        let mut watcher = Self { engine, open, sale, stop, member, ready, _counted: counted };
        // As it is now, and not when the hub last looked.
        let (_, now) = hub.look(&watcher.open);
        watcher.ready.push_back(now);
        orders.retain(|order| order.changed_at() + CLOCK_STEPS >= after);
        orders.sort_by_key(Found::changed_at);
        let told = orders.iter().map(|order| watcher.order(order)).collect::<Vec<_>>();
        watcher.ready.extend(told);
        watcher.look_at_waitlist();
        Ok(watcher)
    }

    fn order(&self, found: &Found) -> Event {
        let view = OrderView::found(&self.engine, &self.open, found);
        let event = json_event("order", &view);
        match found.status() {
            // Its time is the click's, and older orders may still be confirmed before that.
            Status::Reserved => event,
            _ => event.id(found.changed_at().0.to_string()),
        }
    }

    /// A member's place moves while others come and go.
    fn look_at_waitlist(&mut self) {
        let Some(own) = &mut self.member else { return };
        let waits = self.open.position(own.seat).map(WaitView::of);
        if waits != own.waits {
            own.waits = waits;
            self.ready.push_back(json_event("waiting", &waits));
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let now = self.engine.now();
            if self.member.as_ref().is_some_and(|own| now >= own.until) {
                return None;
            }
            let news = self.wait().await?;
            self.look_at_waitlist();
            match news {
                News::Order(order) => self.ready.push_front(self.order(&order)),
                News::Sale => self.ready.push_back(self.sale.borrow_and_update().clone()),
                News::None => {}
            }
        }
    }

    /// `None`: the stream is over.
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
            // `None`: this stream was not read for too long.
            order = own_order => order.map(News::Order),
            changed = sale.changed() => changed.ok().map(|()| News::Sale),
            // Nothing happens: the token may have expired all the same.
            () = tokio::time::sleep(HEARTBEAT) => Some(News::None),
        }
    }

    pub(super) fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut watcher| async move {
            watcher.next().await.map(|event| (Ok(event), watcher))
        })
    }
}
