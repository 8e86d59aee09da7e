//! Shoppers: members who click all the time, and repeat a click with the same key until they have
//! an answer. They keep a receipt for each order that they are told of.

use super::patience::patience;
use crate::load::afterwards;
use crate::run::client::Client;
use gateway::{Algorithm, issue_token};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use membership::Tier;
use serde::Deserialize;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How many shoppers are at work at the same time.
pub const SHOPPERS: u64 = 24;
/// The time between two clicks of a shopper: so short that a fault always meets work in progress,
/// and so long that the orders can be added up afterwards.
const PAUSE: Duration = Duration::from_millis(1);

/// The sale that never sells out.
pub const LARGE: &str = "large";
/// The sale of a few units, each wanted by many.
pub const SMALL: &str = "small";
/// Price of one unit in both sales.
pub const PRICE_CENTS: u64 = 10_000;
/// The id of each shopper's coupon.
pub const COUPON: &str = "once";
/// How many members click in the small sale.
pub const SMALL_MEMBERS: u64 = 100;

/// What a shopper was told of one idempotency key.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The sale.
    pub sale: &'static str,
    /// The click's idempotency key.
    pub key: String,
    /// The member who clicked.
    pub member: String,
    /// Units that the member asked for.
    pub units: u32,
    /// What is to be paid in money.
    pub due_cents: u64,
    /// The order's id.
    pub order_id: String,
    /// Whether the answer said `confirmed`.
    pub was_confirmed: bool,
    /// The last answer to a payment or a cancellation, if there was one.
    pub told: Option<String>,
}

/// Everything that shoppers were told.
#[derive(Debug, Default)]
pub struct Receipts {
    /// One receipt for each key that became an order.
    pub orders: Vec<Receipt>,
    /// Clicks that were refused for good.
    pub refused: u64,
    /// Keys whose last answer was `busy` or none at all, though one of their clicks may have been
    /// accepted.
    pub open_ended: u64,
}

impl Receipts {
    /// Adds what other shoppers were told.
    pub fn merge(&mut self, other: Self) {
        self.orders.extend(other.orders);
        self.refused += other.refused;
        self.open_ended += other.open_ended;
    }
}

/// Shoppers at work.
#[derive(Debug)]
pub struct Shop {
    /// How long a shopper still insists on an answer; `None` while the shop is open.
    closing: watch::Sender<Option<Duration>>,
    orders: Arc<AtomicU64>,
    shoppers: Vec<JoinHandle<Receipts>>,
}

/// Where clicks go, and the keys that sign the members' tokens and the payments.
#[derive(Debug, Clone)]
pub struct Counter {
    /// The public listener.
    pub public: SocketAddr,
    /// The token key's bytes.
    pub key: Arc<[u8]>,
    /// The key by which payments are signed.
    pub payment_key: Arc<str>,
    /// A prefix that keeps the idempotency keys of this shop apart from those of other shops.
    pub name: String,
    /// Whether the small sale exists, too.
    pub sells_few: bool,
}

#[derive(Debug, Clone)]
struct Wish {
    sale: &'static str,
    member: String,
    units: u32,
    /// Points to pay a part with, and a coupon.
    spends: (u64, Option<String>),
    key: String,
    wait: bool,
}

#[derive(Deserialize)]
struct Order {
    order_id: String,
    status: String,
    due_cents: u64,
}

impl Shop {
    /// Opens a shop whose shoppers click at this counter.
    #[must_use]
    pub fn open(counter: &Counter) -> Self {
        let closing = watch::Sender::new(None);
        let orders = Arc::new(AtomicU64::new(0));
        let shopper =
            |i| tokio::spawn(shop(counter.clone(), i, closing.subscribe(), Arc::clone(&orders)));
        let shoppers = (0..SHOPPERS).map(shopper).collect();
        Self { closing, orders, shoppers }
    }

    /// Orders that shoppers were told of so far.
    #[must_use]
    pub fn orders(&self) -> u64 {
        // Ordering: Relaxed, a count publishes nothing but itself.
        self.orders.load(Ordering::Relaxed)
    }

    /// Closes the shop: no new click is begun, and every click that was begun gets its answer.
    pub async fn close(self) -> Receipts {
        self.close_within(patience()).await
    }

    /// Closes the shop: no new click is begun, and a shopper gives up after this long.
    pub async fn close_within(self, patience: Duration) -> Receipts {
        self.closing.send_replace(Some(patience));
        let mut receipts = Receipts::default();
        for shopper in self.shoppers {
            receipts.merge(shopper.await.expect("a shopper does not panic"));
        }
        receipts
    }
}

async fn shop(
    counter: Counter,
    i: u64,
    closing: watch::Receiver<Option<Duration>>,
    orders: Arc<AtomicU64>,
) -> Receipts {
    let mut rng = fastrand::Rng::with_seed(i);
    let mut client = Client::new(counter.public);
    let mut receipts = Receipts::default();
    for n in 0_u64.. {
        if closing.borrow().is_some() {
            break;
        }
        let is_small = counter.sells_few && rng.u8(..4) == 0;
        let wish = Wish {
            sale: if is_small { SMALL } else { LARGE },
            member: match is_small {
                true => format!("few-{}", rng.u64(..SMALL_MEMBERS)),
                false => format!("many-{}", rng.u64(..40)),
            },
            units: rng.u32(1..=3),
            // Most have points for some time, and each a coupon for one order.
            spends: match rng.u8(..8) {
                0 => (rng.u64(1..=4_000), None),
                1 => (rng.u64(..=1_000), Some(COUPON.to_owned())),
                _ => (0, None),
            },
            key: format!("{}-{i}-{n}", counter.name),
            wait: rng.bool(),
        };
        let before = receipts.orders.len();
        insist(&counter, &mut client, &wish, &closing, &mut receipts).await;
        if let Some(order) = receipts.orders.get_mut(before).filter(|order| order.was_confirmed) {
            match rng.u8(..8) {
                0 => go_on(&counter, &mut client, order, Then::Pay, &closing).await,
                1 => go_on(&counter, &mut client, order, Then::Cancel, &closing).await,
                // The order is cancelled and paid all the same.
                2 => {
                    go_on(&counter, &mut client, order, Then::Cancel, &closing).await;
                    go_on(&counter, &mut client, order, Then::Pay, &closing).await;
                }
                _ => {}
            }
        }
        // Ordering: Relaxed, a count publishes nothing but itself.
        orders.fetch_add((receipts.orders.len() - before) as u64, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    receipts
}

/// Repeats a click until it gets a final answer.
async fn insist(
    counter: &Counter,
    client: &mut Client,
    wish: &Wish,
    closing: &watch::Receiver<Option<Duration>>,
    receipts: &mut Receipts,
) {
    let mut may_be_accepted = false;
    let mut closing_since = None;
    loop {
        match click(counter, client, wish).await {
            Some((StatusCode::ACCEPTED | StatusCode::CREATED, body)) => {
                let order: Order = serde_json::from_slice(&body).expect("an order");
                receipts.orders.push(Receipt {
                    sale: wish.sale,
                    key: wish.key.clone(),
                    member: wish.member.clone(),
                    units: wish.units,
                    due_cents: order.due_cents,
                    order_id: order.order_id,
                    was_confirmed: order.status == "confirmed",
                    told: None,
                });
                return;
            }
            // The server is `busy` or only just coming up, so the shopper asks again.
            Some((status, _)) if status.is_server_error() || status == StatusCode::NOT_FOUND => {}
            Some(_) => {
                receipts.refused += 1;
                return;
            }
            None => may_be_accepted = true,
        }
        let still = *closing.borrow();
        if let Some(still) = still
            && closing_since.get_or_insert_with(Instant::now).elapsed() >= still
        {
            receipts.open_ended += u64::from(may_be_accepted);
            receipts.refused += u64::from(!may_be_accepted);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a shopper does with an order.
#[derive(Debug, Clone, Copy)]
enum Then {
    Pay,
    Cancel,
}

/// Repeats a payment or a cancellation until it gets a final answer.
async fn go_on(
    counter: &Counter,
    client: &mut Client,
    receipt: &mut Receipt,
    then: Then,
    closing: &watch::Receiver<Option<Duration>>,
) {
    let start = Instant::now();
    loop {
        let request = match then {
            Then::Pay => payment(counter, receipt),
            Then::Cancel => cancellation(counter, receipt),
        };
        let answer = tokio::time::timeout(Duration::from_secs(12), client.send(request)).await;
        match answer {
            Ok(Ok((StatusCode::OK, body))) => {
                let order: Told = serde_json::from_slice(&body).expect("an order");
                receipt.told = Some(order.status);
                return;
            }
            // No other client pays or cancels this order: there is no good reason to refuse it.
            Ok(Ok((status, _))) if status.is_client_error() && status != StatusCode::CONFLICT => {
                receipt.told = Some(format!("no order ({status})"));
                return;
            }
            Ok(_) => {}
            Err(_) => *client = Client::new(counter.public),
        }
        let still = *closing.borrow();
        if still.is_some_and(|still| start.elapsed() >= still) {
            // The last try may have been done: what an earlier call was told need not hold any more.
            receipt.told = None;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[derive(Deserialize)]
struct Told {
    status: String,
}

fn payment(counter: &Counter, receipt: &Receipt) -> Request<Full<Bytes>> {
    let (order, due) = (&receipt.order_id, receipt.due_cents);
    afterwards::payment(&counter.payment_key, &format!("msg-{order}"), order, due)
}

fn cancellation(counter: &Counter, receipt: &Receipt) -> Request<Full<Bytes>> {
    Request::post(format!("/v1/orders/{}/cancel", receipt.order_id))
        .header(header::HOST, "flashlane")
        .header(header::AUTHORIZATION, bearer(counter, &receipt.member))
        .body(Full::default())
        .expect("a plain request")
}

fn bearer(counter: &Counter, member: &str) -> String {
    let member = member.parse().expect("a member id");
    let ttl = Duration::from_secs(600);
    let token = issue_token(Algorithm::Hs256, &counter.key, None, None, &member, Tier::Gold, ttl);
    format!("Bearer {}", token.expect("the key signs"))
}

async fn click(counter: &Counter, client: &mut Client, wish: &Wish) -> Option<(StatusCode, Bytes)> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v1/sales/{}/orders", wish.sale))
        .header(header::HOST, "flashlane")
        .header(header::AUTHORIZATION, bearer(counter, &wish.member))
        .header("idempotency-key", &wish.key);
    if wish.wait {
        request = request.header("prefer", "wait=2");
    }
    let (points, coupon) = &wish.spends;
    let body = json!({"units": wish.units, "points": points, "coupon": coupon});
    let body = Full::new(Bytes::from(body.to_string()));
    let sent = client.send(request.body(body).expect("a request"));
    let answer = tokio::time::timeout(Duration::from_secs(8), sent).await;
    if answer.is_err() {
        // A new connection, so that a late answer is not taken for the answer to another request.
        *client = Client::new(counter.public);
    }
    answer.ok()?.ok()
}

/// Makes one click that does not wait for its confirmation. Returns whether it was accepted, and
/// adds its receipt to `receipts`.
pub async fn click_once(counter: &Counter, nth: u64, receipts: &mut Receipts) -> bool {
    let wish = Wish {
        sale: LARGE,
        member: "many-0".into(),
        units: 1,
        spends: (0, None),
        key: format!("{}-once-{nth}", counter.name),
        wait: false,
    };
    let (_, closing) = watch::channel(Some(Duration::ZERO));
    let before = receipts.orders.len();
    insist(counter, &mut Client::new(counter.public), &wish, &closing, receipts).await;
    receipts.orders.len() > before
}

/// Makes clicks that wait for their confirmation, until one is confirmed. Returns how long that
/// took, or `None` if it took too long, and adds the receipts to `receipts`.
pub async fn probe(counter: &Counter, nth: u64, receipts: &mut Receipts) -> Option<Duration> {
    let start = Instant::now();
    let mut client = Client::new(counter.public);
    for n in 0_u64.. {
        let wish = Wish {
            sale: LARGE,
            member: format!("many-{}", n % 40),
            units: 1,
            spends: (0, None),
            key: format!("{}-probe-{nth}-{n}", counter.name),
            wait: true,
        };
        let before = receipts.orders.len();
        // The click insists as in a shop that closes, because a probe must not wait for ever.
        let (_, closing) = watch::channel(Some(patience()));
        insist(counter, &mut client, &wish, &closing, receipts).await;
        if receipts.orders.get(before).is_some_and(|order| order.was_confirmed) {
            return Some(start.elapsed());
        }
        if start.elapsed() > patience() {
            return None;
        }
    }
    None
}
