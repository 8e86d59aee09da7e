//! The operator's side of a run: makes the sale, watches it, and lists its orders.

use crate::run::client::Client;
use anyhow::{Context, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode, header};
use jiff::Timestamp;
use membership::Tier;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A connection to the operator listener.
#[derive(Debug)]
pub struct Operator {
    client: Client,
    authorization: HeaderValue,
}

/// What the run looks at in a sale's report. Counts are units.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SaleReport {
    /// Price of one unit.
    pub price_cents: u64,
    /// Units in all.
    pub stock: u64,
    /// Units nobody holds.
    pub left: u64,
    /// Units of orders that wait for the store.
    pub reserved: u64,
    /// Units of orders on disk.
    pub confirmed: u64,
    /// Units of orders that were paid.
    pub paid: u64,
    /// Units of orders that the store refused.
    pub released: u64,
    /// How long an order may stay unpaid, in seconds.
    pub pay_within_s: i64,
    /// Members on the waitlist.
    pub waiting: u64,
    /// Most units a member of each tier may hold.
    pub limits: BTreeMap<Tier, u64>,
    /// When each tier may start to buy.
    pub windows: BTreeMap<Tier, Timestamp>,
    /// When the sale closes.
    pub closes_at: Timestamp,
    /// Why the store does not confirm, if it does not.
    #[serde(default)]
    pub trouble: Option<String>,
    /// Each tier's orders.
    pub by_tier: BTreeMap<Tier, TierReport>,
}

/// One tier's part of a sale's report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TierReport {
    /// Orders taken.
    pub orders: u64,
    /// Units of the tier's orders on disk.
    pub confirmed: u64,
}

/// An order, as the operator's list has it.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedOrder {
    /// The order's id.
    pub order_id: String,
    /// The member whose order it is.
    pub member: String,
    /// The member's tier at the click.
    pub tier: Tier,
    /// The order's units.
    pub units: u32,
    /// The order's status.
    pub status: String,
    /// The order's number, which is its place in the order of arrival.
    pub number: u64,
    /// When the click was accepted.
    pub reserved_at: Timestamp,
    /// When the store confirmed the order, if it has.
    pub confirmed_at: Option<Timestamp>,
    /// When the order came to its status.
    pub changed_at: Option<Timestamp>,
}

impl ListedOrder {
    /// Whether the order holds its units, so that no other order can have them.
    #[must_use]
    pub fn holds_units(&self) -> bool {
        ["reserved", "confirmed", "paid"].contains(&&*self.status)
    }

    /// Whether the order was ever confirmed.
    #[must_use]
    pub fn was_confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }
}

impl Operator {
    /// Returns a connection to `address` that sends the operator key `key`.
    ///
    /// # Errors
    /// When the key cannot be the value of a header.
    pub fn new(address: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let authorization = HeaderValue::try_from(format!("Bearer {}", key.trim()));
        let authorization = authorization.context("the operator key is no header value")?;
        Ok(Self { client: Client::new(address), authorization })
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let body = self.ask(method, path, body, "").await?;
        serde_json::from_slice(&body)
            .with_context(|| format!("{path} answered {}", String::from_utf8_lossy(&body)))
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: &str,
    ) -> anyhow::Result<Bytes> {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::HOST, "flashlane")
            .header(header::AUTHORIZATION, &self.authorization);
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(Bytes::from(bytes)))?;
        let (status, body) = self.client.send(request).await?;
        let text = String::from_utf8_lossy(&body);
        ensure!(
            matches!(status, StatusCode::OK | StatusCode::CREATED),
            "{method} {path} was answered with {status}: {text}"
        );
        Ok(body)
    }

    /// Turns a switch: `pause`, `resume` or `close`.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn switch(&mut self, sale: &str, switch: &str) -> anyhow::Result<SaleReport> {
        self.call(Method::POST, &format!("/v1/sales/{sale}/{switch}"), None).await
    }

    /// Adds stock, once for each key.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn top_up(&mut self, sale: &str, key: &str, add: u32) -> anyhow::Result<()> {
        let (path, body) = (format!("/v1/sales/{sale}/stock"), serde_json::json!({"add": add}));
        self.ask(Method::POST, &path, Some(&body), key).await.map(drop)
    }

    /// Returns every metric, in the text form that Prometheus reads.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn metrics(&mut self) -> anyhow::Result<String> {
        let body = self.ask(Method::GET, "/metrics", None, "").await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Makes a sale.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn make_sale(&mut self, sale: &Value) -> anyhow::Result<SaleReport> {
        self.call(Method::POST, "/v1/sales", Some(sale)).await
    }

    /// Returns the report of a sale.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn report(&mut self, sale: &str) -> anyhow::Result<SaleReport> {
        self.call(Method::GET, &format!("/v1/sales/{sale}"), None).await
    }

    /// Waits until no order waits for the store any more, and returns the sale's report.
    ///
    /// # Errors
    /// When orders still wait after `patience`.
    pub async fn settled(&mut self, sale: &str, patience: Duration) -> anyhow::Result<SaleReport> {
        let start = Instant::now();
        loop {
            let report = self.report(sale).await?;
            if report.reserved == 0 {
                return Ok(report);
            }
            ensure!(
                start.elapsed() < patience,
                "{} units still wait for the store after {patience:?}",
                report.reserved
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Returns every order of a sale, by number.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn orders(&mut self, sale: &str) -> anyhow::Result<Vec<ListedOrder>> {
        #[derive(Deserialize)]
        struct Page {
            orders: Vec<ListedOrder>,
            next: Option<u64>,
        }
        let (mut orders, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/v1/sales/{sale}/orders?after={after}&limit=10000");
            let page: Page = self.call(Method::GET, &path, None).await?;
            orders.extend(page.orders);
            match page.next {
                Some(next) => after = next,
                None => return Ok(orders),
            }
        }
    }
}
