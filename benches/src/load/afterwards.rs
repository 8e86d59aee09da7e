//! What members and the payment provider do after the clicks: pay, pay twice, pay too late, forge,
//! cancel, wait. Each connection remembers what it was told, for the audit.

use crate::load::members::Clicker;
use crate::load::plan::Moment;
use crate::run::client::Client;
use crate::run::operator::{ListedOrder, Operator};
use anyhow::{Context, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use standardwebhooks::Webhook;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};

/// Connections that pay, cancel and wait.
const HANDS: usize = 16;
/// How long one call is tried again while the server is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// What follows the clicks, as shares of a hundred.
#[derive(Debug, Clone, Copy, Default, Serialize, clap::Args)]
pub struct Mix {
    /// Of a hundred orders, how many are paid; a third of those twice, a tenth after a forged payment
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    pub paid: u64,
    /// Of a hundred orders, how many are cancelled
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    pub cancelled: u64,
    /// Of a hundred orders, how many are cancelled and paid all the same
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    pub late: u64,
    /// Of a hundred orders that are paid, how many are given back: all of their money goes back
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    pub returned: u64,
    /// Of a hundred clicks that find the sale sold out, how many join the waitlist; a quarter of those
    /// leave it again
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    pub waiting: u64,
}

impl Mix {
    /// Whether anything is to happen after the clicks.
    #[must_use]
    pub fn is_some(self) -> bool {
        self.paid + self.cancelled + self.late + self.waiting > 0
    }
}

/// What was done, and what the members and the payment provider were told.
#[derive(Debug, Default)]
pub struct Lives {
    /// By order: the last status that an answer named.
    pub told: HashMap<String, String>,
    /// Members who joined the waitlist, and how often each of them did.
    pub joined: HashMap<String, u64>,
    /// How often each thing was done.
    pub counts: BTreeMap<&'static str, u64>,
    /// Answers that should not have come.
    pub wrong: Vec<String>,
}

impl Lives {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        self.told.extend(other.told);
        for (member, times) in other.joined {
            *self.joined.entry(member).or_default() += times;
        }
        self.wrong.extend(other.wrong);
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

/// The members and the payment provider, who act after the clicks.
#[derive(Debug)]
pub struct Actors {
    target: SocketAddr,
    sale: String,
    clickers: Arc<[Clicker]>,
    mix: Mix,
    payment_key: String,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

impl Actors {
    /// Returns the members of a sale on this server, and the provider who signs with the key in the
    /// server's data folder.
    ///
    /// # Errors
    /// When the key cannot be read or the mix is over a hundred.
    pub fn new(
        target: SocketAddr,
        data: &Path,
        sale: &str,
        clickers: Arc<[Clicker]>,
        mix: Mix,
    ) -> anyhow::Result<Self> {
        let most = mix.paid + mix.cancelled + mix.late;
        ensure!(most <= 100 && mix.waiting <= 100, "percentages add up to a hundred at most");
        let path = data.join("payment.key");
        let payment_key = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let (sale, payment_key) = (sale.to_owned(), payment_key.trim().to_owned());
        Ok(Self { target, sale, clickers, mix, payment_key })
    }

    /// Acts on each moment as it comes, until no more come.
    pub async fn act(self: Arc<Self>, moments: mpsc::UnboundedReceiver<Moment>) -> Lives {
        let moments = Arc::new(Mutex::new(moments));
        let hands: Vec<_> = (0..HANDS as u64)
            .map(|hand| {
                let (actors, moments) = (Arc::clone(&self), Arc::clone(&moments));
                tokio::spawn(async move {
                    let mut hand = Hand::new(&actors, hand);
                    loop {
                        let moment = moments.lock().await.recv().await;
                        let Some(moment) = moment else { return hand.lives };
                        hand.live(&moment).await;
                    }
                })
            })
            .collect();
        let mut lives = Lives::default();
        for hand in hands {
            lives.merge(hand.await.expect("a hand does not panic"));
        }
        lives
    }

    /// Follows the sale to its end: offers are paid or left, and what is not paid expires.
    ///
    /// # Errors
    /// When orders have not come to their end after `patience`.
    pub async fn end(
        &self,
        operator: &mut Operator,
        lives: &mut Lives,
        patience: Duration,
    ) -> anyhow::Result<Vec<ListedOrder>> {
        let start = Instant::now();
        let mut hand = Hand::new(self, 99);
        let mut seen: HashSet<String> = lives.told.keys().cloned().collect();
        let mut looks = 0;
        loop {
            let listed = operator.orders(&self.sale).await?;
            let unpaid = listed.iter().filter(|order| order.status == "confirmed");
            for order in unpaid {
                let is_offer = lives.joined.contains_key(&order.member);
                // Four of five offers are paid; the fifth goes to the next member who waits.
                if seen.insert(order.order_id.clone()) && is_offer && order.number % 5 != 0 {
                    hand.lives.count("offers paid");
                    hand.pay(&order.order_id, order.due_cents).await;
                }
            }
            let is_over =
                |order: &ListedOrder| !["reserved", "confirmed"].contains(&&*order.status);
            // An order that has just expired may have been offered on, and the offer not be listed yet.
            looks = if listed.iter().all(is_over) { looks + 1 } else { 0 };
            if looks == 2 {
                lives.merge(hand.lives);
                return Ok(listed);
            }
            let open = listed.iter().filter(|order| !is_over(order)).count();
            ensure!(start.elapsed() < patience, "{open} orders are unpaid after {patience:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Returns the payment provider's message about a paid order, signed with its key.
///
/// # Panics
/// When `key` is not a signing key.
#[must_use]
pub fn payment(key: &str, id: &str, order_id: &str, amount_cents: u64) -> Request<Full<Bytes>> {
    let body = json!({"order_id": order_id, "event": "paid", "amount_cents": amount_cents});
    signed(key, id, &body)
}

/// Returns the payment provider's message that all of an order's money went back, signed with its key.
///
/// # Panics
/// When `key` is not a signing key.
#[must_use]
pub fn refund(key: &str, order_id: &str, amount_cents: u64) -> Request<Full<Bytes>> {
    let refund = format!("back-{order_id}");
    let body = json!({
        "order_id": order_id, "event": "refunded", "refund_id": refund, "amount_cents": amount_cents,
    });
    signed(key, &refund, &body)
}

fn signed(key: &str, id: &str, body: &serde_json::Value) -> Request<Full<Bytes>> {
    let (body, at) = (body.to_string(), Timestamp::now().as_second());
    let webhook = Webhook::new(key).expect("a key");
    let signature = webhook.sign(id, at, body.as_bytes()).expect("text is signed");
    Request::post("/v1/payments")
        .header(header::HOST, "flashlane")
        .header("webhook-id", id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::from(body)))
        .expect("a plain request")
}

/// One connection that pays, cancels and waits.
struct Hand<'a> {
    actors: &'a Actors,
    client: Client,
    rng: fastrand::Rng,
    lives: Lives,
}

impl<'a> Hand<'a> {
    fn new(actors: &'a Actors, seed: u64) -> Self {
        let (client, rng) = (Client::new(actors.target), fastrand::Rng::with_seed(seed));
        Self { actors, client, rng, lives: Lives::default() }
    }

    async fn live(&mut self, moment: &Moment) {
        let (mix, chance) = (self.actors.mix, self.rng.u64(..100));
        match moment {
            // Nothing is due of it: there is nothing to pay, and it cannot be cancelled.
            Moment::Accepted { is_paid: true, .. } => {}
            Moment::Accepted { order_id, due_cents, clicker, .. } => {
                if chance < mix.paid {
                    if self.rng.u8(..10) == 0 {
                        self.forge(order_id, *due_cents).await;
                    }
                    self.pay(order_id, *due_cents).await;
                    if self.rng.u64(..100) < mix.returned {
                        self.give_back(order_id, *due_cents).await;
                    }
                } else if chance < mix.paid + mix.cancelled {
                    self.cancel(order_id, *clicker).await;
                } else if chance < mix.paid + mix.cancelled + mix.late {
                    self.cancel(order_id, *clicker).await;
                    self.pay(order_id, *due_cents).await;
                }
            }
            Moment::SoldOut { clicker } if chance < mix.waiting => self.wait(*clicker).await,
            Moment::SoldOut { .. } => {}
        }
    }

    async fn forge(&mut self, order_id: &str, due_cents: u64) {
        let key = "whsec_Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2Vk";
        let request = payment(key, "forged", order_id, due_cents);
        let answer = self.send(request).await;
        self.lives.count("payments forged");
        if answer.map(|(status, _)| status) != Some(StatusCode::UNAUTHORIZED) {
            self.lives.wrong.push(format!("a forged payment for {order_id} was not refused"));
        }
    }

    async fn pay(&mut self, order_id: &str, due_cents: u64) {
        let id = format!("msg-{order_id}");
        let key = self.actors.payment_key.clone();
        let first = self.send(payment(&key, &id, order_id, due_cents)).await;
        let Some(status) = self.status_of(order_id, "a payment", first.as_ref()) else { return };
        self.lives.count(if status == "paid" { "payments in time" } else { "payments too late" });
        if self.rng.u8(..3) == 0 {
            self.lives.count("payments told twice");
            let again = self.send(payment(&key, &id, order_id, due_cents)).await;
            let again = self.status_of(order_id, "a repeated payment", again.as_ref());
            if again.as_ref().is_some_and(|again| *again != status) {
                let both = format!("{order_id}: {status}, told again {again:?}");
                self.lives.wrong.push(both);
            }
        }
    }

    /// All of the money goes back.
    async fn give_back(&mut self, order_id: &str, due_cents: u64) {
        let request = refund(&self.actors.payment_key, order_id, due_cents);
        let answer = self.send(request).await;
        if self.status_of(order_id, "a refund", answer.as_ref()).is_some() {
            self.lives.count("goods given back");
        }
    }

    async fn cancel(&mut self, order_id: &str, clicker: usize) {
        let path = format!("/v1/orders/{order_id}/cancel");
        let answer = self.member(clicker, Method::POST, &path, "").await;
        if self.status_of(order_id, "a cancellation", answer.as_ref()).is_some() {
            self.lives.count("cancellations");
        }
    }

    async fn wait(&mut self, clicker: usize) {
        let path = format!("/v1/sales/{}/waitlist", self.actors.sale);
        let joined = self.member(clicker, Method::POST, &path, r#"{"units":1}"#).await;
        // A unit may have come back meanwhile, or the member may have reached the limit.
        if joined.as_ref().map(|(status, _)| *status) != Some(StatusCode::ACCEPTED) {
            return;
        }
        self.lives.count("joined the waitlist");
        let member = self.actors.clickers[clicker].member.clone();
        *self.lives.joined.entry(member).or_default() += 1;
        if self.rng.u8(..4) == 0 {
            self.lives.count("left the waitlist");
            let left = self.member(clicker, Method::DELETE, &path, "").await;
            if left.map(|(status, _)| status) != Some(StatusCode::NO_CONTENT) {
                self.lives.wrong.push(format!("clicker {clicker} could not leave the waitlist"));
            }
        }
    }

    /// Returns the order's status from an answer. An answer without a status is noted as wrong.
    fn status_of(
        &mut self,
        order_id: &str,
        what: &str,
        answer: Option<&(StatusCode, Bytes)>,
    ) -> Option<String> {
        let said = match answer {
            Some((StatusCode::OK, body)) => serde_json::from_slice::<Status>(body).ok(),
            // The order had expired before.
            Some((StatusCode::CONFLICT, _)) => return None,
            _ => None,
        };
        let Some(Status { status }) = said else {
            let text = answer.map(|(status, body)| format!("{status} {}", body.escape_ascii()));
            self.lives.wrong.push(format!("{what} for {order_id} was answered with {text:?}"));
            return None;
        };
        self.lives.told.insert(order_id.to_owned(), status.clone());
        Some(status)
    }

    async fn member(
        &mut self,
        clicker: usize,
        method: Method,
        path: &str,
        body: &'static str,
    ) -> Option<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "flashlane")
            .header(header::AUTHORIZATION, &self.actors.clickers[clicker].authorization);
        self.send(request.body(Full::new(Bytes::from(body))).expect("a plain request")).await
    }

    /// Repeats a request until it gets a final answer. Every request here may be repeated.
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
        let start = Instant::now();
        loop {
            let answer = self.client.send(request.clone()).await.ok();
            let again = match &answer {
                None => true,
                Some((status, _)) => {
                    status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
                }
            };
            if !again || start.elapsed() > PATIENCE {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
