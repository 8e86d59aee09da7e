//! `GET /v1/sales/{sale}/events`: what changes, as server-sent events.
//!
//! One task a sale looks at it and makes an event when it has changed; all its streams share that
//! event. The more streams there are, the seldomer it looks, so that telling never takes much of what
//! clicks need. Whoever does not read misses nothing but what is outdated by then: of the sale only the
//! newest state waits, of a member's orders a few steps, and after that the stream ends.

use crate::answer::error::{ApiError, Problem};
use crate::answer::view::{OrderView, Time, WaitView};
use crate::app::App;
use crate::ask::request::Named;
use crate::ask::session::Session;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use engine::rules::order::Status;
use engine::rules::seat::Seat;
use engine::rules::terms::SaleId;
use engine::rules::time::Millis;
use engine::sale::phase::Phase;
use engine::sync::{AtomicU64, Ordering};
use engine::{Found, OpenSale};
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use utoipa::ToSchema;

/// At most ten events a second of a sale on each stream.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// At most this many events a second on all streams together.
const EVENTS_PER_S: u64 = 2_000;
/// A stream that comes back is told as much again: a clock may be set back by this.
const CLOCK_STEPS: Duration = Duration::from_secs(5);
/// A stream on which nothing happens says so this often: proxies and clients give up silent ones.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How a sale stands.
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

/// Who looks at which sale, and for how many.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    sales: Mutex<HashMap<SaleId, watch::Sender<Event>>>,
    streams: AtomicU64,
}

/// What is compared: an event is made when one of these has changed.
type Seen = (Phase, u32, usize);

fn look(app: &App, open: &OpenSale) -> (Seen, Event) {
    let now = app.engine.now();
    let (phase, left) = (open.sale.phase(now), open.sale.stock().level().left().0);
    let waiting = open.waiting();
    let state = phase.as_str();
    let event = SaleEvent { state, left, waiting, server_time: Time(now) };
    ((phase, left, waiting), json_event("sale", &event))
}

fn json_event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).expect("events are plain data")
}

impl Hub {
    /// Streams that are open.
    pub(crate) fn streams(&self) -> u64 {
        // Ordering: Relaxed, a count that publishes nothing but itself.
        self.streams.load(Ordering::Relaxed)
    }

    /// How long to wait between two looks, with as many streams as there are.
    fn pause(&self) -> Duration {
        LOOK_EVERY.max(Duration::from_millis(self.streams() * 1_000 / EVENTS_PER_S))
    }

    fn subscribe(app: &Arc<App>, open: &Arc<OpenSale>) -> watch::Receiver<Event> {
        let id = &open.sale.terms().id;
        let mut sales = app.hub.sales.lock();
        if let Some(sender) = sales.get(id) {
            return sender.subscribe();
        }
        let (seen, event) = look(app, open);
        let (sender, receiver) = watch::channel(event);
        sales.insert(id.clone(), sender);
        tokio::spawn(follow(Arc::clone(app), Arc::clone(open), seen));
        receiver
    }

    /// Tells the streams of a sale; `false` when there are none any more.
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

/// Looks at a sale for as long as anybody watches it.
async fn follow(app: Arc<App>, open: Arc<OpenSale>, mut last: Seen) {
    loop {
        tokio::time::sleep(app.hub.pause()).await;
        let (seen, event) = look(&app, &open);
        let news = (seen != last).then_some(event);
        last = seen;
        if !app.hub.tell(&open.sale.terms().id, news) {
            return;
        }
    }
}

/// What there is to tell.
enum News {
    Order(Found),
    Sale,
    None,
}

/// One stream.
struct Watcher {
    app: Arc<App>,
    open: Arc<OpenSale>,
    sale: watch::Receiver<Event>,
    stop: watch::Receiver<bool>,
    member: Option<Own>,
    ready: VecDeque<Event>,
}

/// What is a member's own on a stream.
struct Own {
    seat: Seat,
    orders: mpsc::Receiver<Found>,
    waits: Option<WaitView>,
    /// When the token expires, and the stream with it.
    until: Millis,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Ordering: Relaxed, as in `Hub::streams`.
        self.app.hub.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watcher {
    async fn new(
        app: Arc<App>,
        open: Arc<OpenSale>,
        session: Option<Session>,
        after: Millis,
    ) -> Result<Self, ApiError> {
        let (mut member, mut orders) = (None, Vec::new());
        if let Some(Session { seat, expires_at, .. }) = session {
            // First, so that no step falls in between; one that falls on both is told twice.
            let own = open.watch(seat);
            orders = app.engine.orders_of(&open, seat).await?;
            member = Some(Own { seat, orders: own, waits: None, until: expires_at });
        }
        let sale = Hub::subscribe(&app, &open);
        // Ordering: Relaxed, as in `Hub::streams`.
        app.hub.streams.fetch_add(1, Ordering::Relaxed);
        let stop = app.stop.subscribe();
        let mut watcher = Self { app, open, sale, stop, member, ready: VecDeque::new() };
        // As it is now, and not when somebody last looked.
        let (_, now) = look(&watcher.app, &watcher.open);
        watcher.ready.push_back(now);
        orders.retain(|order| order.changed_at() + CLOCK_STEPS >= after);
        orders.sort_by_key(Found::changed_at);
        let told = orders.iter().map(|order| watcher.order(order)).collect::<Vec<_>>();
        watcher.ready.extend(told);
        watcher.look_at_waitlist();
        Ok(watcher)
    }

    fn order(&self, found: &Found) -> Event {
        let view = OrderView::found(&self.app.engine, &self.open, found);
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
            let now = self.app.engine.now();
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

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut watcher| async move {
            watcher.next().await.map(|event| (Ok(event), watcher))
        })
    }
}

/// Live events: `sale` whenever state, stock or waitlist change, coalesced, at most ten a second and
/// fewer when many watch. With a token also `order` for each step of the member's own orders and
/// `waiting` for the member's place. A comment every 15 s while nothing happens. The id of an `order`
/// event is its time: with `Last-Event-ID` own orders that have changed since are told, some of them
/// again; without it all of them. A stream that is not read, or whose token expires, ends.
#[utoipa::path(
    get, path = "/v1/sales/{sale}/events", tag = "members",
    security((), ("member" = [])),
    params(
        ("sale" = String, Path),
        ("Last-Event-ID" = Option<String>, Header, description = "the last id that was seen; anything else counts as none"),
    ),
    responses(
        (status = 200, description = "a stream that does not end by itself", body = SaleEvent, content_type = "text/event-stream"),
        (status = 401, description = "unauthenticated", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown_sale", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too_many_requests", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn serve(
    State(app): State<Arc<App>>,
    session: Option<Session>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let open = app.engine.sale(&id).ok_or(ApiError::UnknownSale)?;
    if let Some(session) = &session {
        app.limits.call(session.seat)?;
    }
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = Millis(after.unwrap_or(0));
    let watcher = Watcher::new(app, open, session, after).await?;
    let mut answer =
        Sse::new(watcher.events()).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // A proxy that gathers answers would hold events back.
    let buffering = header::HeaderName::from_static("x-accel-buffering");
    answer.headers_mut().insert(buffering, HeaderValue::from_static("no"));
    Ok(answer)
}
