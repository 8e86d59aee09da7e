//! Shoppers: members who click without a pause, and click again with the same key until they have an
//! answer. They keep a receipt for each order they are told of.

use super::patience::patience;
use crate::load::afterwards;
use crate::run::client::Client;
use gateway::{Algorithm, issue_token};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use membership::Tier;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// At work at the same time.
pub const SHOPPERS: u64 = 24;
/// Between two clicks of a shopper: enough load to be in the middle of something at any instant,
/// and few enough orders to add up afterwards.
const PAUSE: Duration = Duration::from_millis(1);

/// The sale that never sells out.
pub const LARGE: &str = "large";
/// The sale of a few units, each wanted by many.
pub const SMALL: &str = "small";
/// Price of one unit in both.
pub const PRICE_CENTS: u64 = 100;
/// Members who want the few.
pub const SMALL_MEMBERS: u64 = 100;

/// What a shopper was told of one key.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// Which sale.
    pub sale: &'static str,
    /// Under which key.
    pub key: String,
    /// Who.
    pub member: String,
    /// How many units.
    pub units: u32,
    /// Which order.
    pub order_id: String,
    /// Whether the answer said `confirmed`.
    pub was_confirmed: bool,
    /// What a payment or a cancellation was answered with, if there was one.
    pub told: Option<String>,
}

/// Everything that shoppers were told.
#[derive(Debug, Default)]
pub struct Receipts {
    /// One for each key that became an order.
    pub orders: Vec<Receipt>,
    /// Clicks that were refused for good.
    pub refused: u64,
    /// Keys whose last word was `busy` or silence, though some try may have been accepted.
    pub open_ended: u64,
}

impl Receipts {
    /// Adds what others were told.
    pub fn merge(&mut self, other: Self) {
        self.orders.extend(other.orders);
        self.refused += other.refused;
        self.open_ended += other.open_ended;
    }
}

/// Shoppers at work.
#[derive(Debug)]
pub struct Shop {
    /// How long a shopper still insists on an answer; `None` while it is open.
    closing: watch::Sender<Option<Duration>>,
    orders: Arc<AtomicU64>,
    shoppers: Vec<JoinHandle<Receipts>>,
}

/// Where clicks go, and who signs the members' tokens.
#[derive(Debug, Clone)]
pub struct Counter {
    /// The public listener.
    pub public: SocketAddr,
    /// The token key's bytes.
    pub key: Arc<[u8]>,
    /// The key by which payments are signed.
    pub payment_key: Arc<str>,
    /// What makes the keys of this shop its own.
    pub name: String,
    /// Whether there is the sale of a few units, too.
    pub sells_few: bool,
}

#[derive(Debug, Clone)]
struct Wish {
    sale: &'static str,
    member: String,
    units: u32,
    key: String,
    wait: bool,
}

#[derive(Deserialize)]
struct Order {
    order_id: String,
    status: String,
}

impl Shop {
    /// Opens at this counter.
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

    /// No new clicks; every click that was begun gets its answer.
    pub async fn close(self) -> Receipts {
        self.close_within(patience()).await
    }

    /// No new clicks; who has no order after this long gives up.
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
            key: format!("{}-{i}-{n}", counter.name),
            wait: rng.bool(),
        };
        let before = receipts.orders.len();
        insist(&counter, &mut client, &wish, &closing, &mut receipts).await;
        if let Some(order) = receipts.orders.get_mut(before).filter(|order| order.was_confirmed) {
            match rng.u8(..8) {
                0 => go_on(&counter, &mut client, order, Then::Pay, &closing).await,
                1 => go_on(&counter, &mut client, order, Then::Cancel, &closing).await,
                // Paid all the same.
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

/// Clicks until there is an answer that stands.
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
                    order_id: order.order_id,
                    was_confirmed: order.status == "confirmed",
                    told: None,
                });
                return;
            }
            // `busy`, or a server that is only just coming up: ask again.
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

/// Pays or cancels until there is an answer that stands.
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
            // Paid or cancelled by nobody else: there is no good reason to refuse it.
            Ok(Ok((status, _))) if status.is_client_error() && status != StatusCode::CONFLICT => {
                receipt.told = Some(format!("no order ({status})"));
                return;
            }
            Ok(_) => {}
            Err(_) => *client = Client::new(counter.public),
        }
        let still = *closing.borrow();
        if still.is_some_and(|still| start.elapsed() >= still) {
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
    let (order, units) = (&receipt.order_id, u64::from(receipt.units));
    afterwards::payment(&counter.payment_key, &format!("msg-{order}"), order, PRICE_CENTS * units)
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
    let token = issue_token(Algorithm::Hs256, &counter.key, None, &member, Tier::Gold, ttl);
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
    let body = Full::new(Bytes::from(format!("{{\"units\":{}}}", wish.units)));
    let sent = client.send(request.body(body).expect("a request"));
    let answer = tokio::time::timeout(Duration::from_secs(8), sent).await;
    if answer.is_err() {
        // An answer that comes after all is nobody's.
        *client = Client::new(counter.public);
    }
    answer.ok()?.ok()
}

/// One click that waits for nothing; true if it was accepted. Its receipt is one of the shop's.
pub async fn click_once(counter: &Counter, nth: u64, receipts: &mut Receipts) -> bool {
    let wish = Wish {
        sale: LARGE,
        member: "many-0".into(),
        units: 1,
        key: format!("{}-once-{nth}", counter.name),
        wait: false,
    };
    let (_, closing) = watch::channel(Some(Duration::ZERO));
    let before = receipts.orders.len();
    insist(counter, &mut Client::new(counter.public), &wish, &closing, receipts).await;
    receipts.orders.len() > before
}

/// One click that waits for its confirmation, again and again until it has it; gives how long that
/// took. Its receipt is one of the shop's.
pub async fn probe(counter: &Counter, nth: u64, receipts: &mut Receipts) -> Option<Duration> {
    let start = Instant::now();
    let mut client = Client::new(counter.public);
    for n in 0_u64.. {
        let wish = Wish {
            sale: LARGE,
            member: format!("many-{}", n % 40),
            units: 1,
            key: format!("{}-probe-{nth}-{n}", counter.name),
            wait: true,
        };
        let before = receipts.orders.len();
        // As if the shop closed: a probe does not wait for ever.
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
