//! The operator's side of a run: makes the sale, watches it, and lists its orders.

use crate::run::caller::Caller;
use anyhow::{anyhow, ensure};
use hyper::Method;
use jiff::Timestamp;
use membership::Tier;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A connection to the operator listener.
#[derive(Debug)]
pub struct Operator(Caller);

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
    /// Units of orders all of whose money went back.
    pub returned: u64,
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
    /// The sale is over and archived.
    #[serde(default)]
    pub archived: bool,
    /// The node that sells it, if it is one of several.
    #[serde(default)]
    pub node: Option<String>,
    /// Why the store does not confirm, if it does not.
    #[serde(default)]
    pub trouble: Option<String>,
    /// Each tier's orders.
    pub by_tier: BTreeMap<Tier, TierReport>,
}

/// Whether the members' book adds up.
#[derive(Debug, Clone, Deserialize)]
pub struct BookReport {
    /// Members who were enrolled.
    pub members: u64,
    /// Changes of orders that the book has not taken in yet.
    pub behind: u64,
    /// What does not fit.
    pub differences: Vec<String>,
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
    /// Points that it is paid with in part.
    pub points: u64,
    /// What is to be paid for it in money.
    pub due_cents: u64,
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
        ["reserved", "confirmed", "paid", "returned"].contains(&&*self.status)
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
        Ok(Self(Caller::new(address, key)?))
    }

    /// Turns a switch: `pause`, `resume` or `close`.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn switch(&mut self, sale: &str, switch: &str) -> anyhow::Result<SaleReport> {
        self.0.call(Method::POST, &format!("/v1/sales/{sale}/{switch}"), None).await
    }

    /// Adds stock, once for each key.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn top_up(&mut self, sale: &str, key: &str, add: u32) -> anyhow::Result<()> {
        let (path, body) = (format!("/v1/sales/{sale}/stock"), json!({"add": add}));
        self.0.ask(Method::POST, &path, Some(&body), key).await.map(drop)
    }

    /// Returns every metric, in the text form that Prometheus reads.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn metrics(&mut self) -> anyhow::Result<String> {
        let body = self.0.ask(Method::GET, "/metrics", None, "").await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Erases a member.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn erase(&mut self, member: &str) -> anyhow::Result<()> {
        self.0.ask(Method::DELETE, &format!("/v1/members/{member}"), None, "").await.map(drop)
    }

    /// Corrects a member's growth or points, once under its id.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn adjust(
        &mut self,
        member: &str,
        id: &str,
        account: &str,
        amount: u64,
    ) -> anyhow::Result<()> {
        let path = format!("/v1/members/{member}/adjustments");
        let body = json!({"id": id, "account": account, "amount": amount, "reason": "a run"});
        self.0.ask(Method::POST, &path, Some(&body), "").await.map(drop)
    }

    /// Issues a coupon, once under its id.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn issue(&mut self, member: &str, id: &str, kind: &str) -> anyhow::Result<()> {
        let path = format!("/v1/members/{member}/coupons");
        let body = json!({"id": id, "kind": kind});
        self.0.ask(Method::POST, &path, Some(&body), "").await.map(drop)
    }

    /// Returns the membership plan.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn plan(&mut self) -> anyhow::Result<membership::plan::Plan> {
        #[derive(Deserialize)]
        struct Current {
            plan: membership::plan::Plan,
        }
        let current: Current = self.0.call(Method::GET, "/v1/plan", None).await?;
        Ok(current.plan)
    }

    /// Waits until the members' book has taken in what became of all orders, and returns what it comes to. A server
    /// that is busy is asked again: its store may stand still behind a disk for longer than a call may take.
    ///
    /// # Errors
    /// When the book is still behind after `patience`, or is not added up.
    pub async fn book(&mut self, patience: Duration) -> anyhow::Result<BookReport> {
        let start = Instant::now();
        loop {
            let report: anyhow::Result<BookReport> =
                self.0.call(Method::GET, "/v1/reports/consistency", None).await;
            let why = match report {
                Ok(report) if report.behind == 0 => return Ok(report),
                Ok(report) => anyhow!("the book is {} changes behind", report.behind),
                Err(error) => error,
            };
            ensure!(start.elapsed() < patience, "after {patience:?}: {why:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes a sale.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn make_sale(&mut self, sale: &Value) -> anyhow::Result<SaleReport> {
        self.0.call(Method::POST, "/v1/sales", Some(sale)).await
    }

    /// Deletes a sale that is archived.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn delete_sale(&mut self, sale: &str) -> anyhow::Result<()> {
        self.0.ask(Method::DELETE, &format!("/v1/sales/{sale}"), None, "").await.map(drop)
    }

    /// Returns the report of a sale.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn report(&mut self, sale: &str) -> anyhow::Result<SaleReport> {
        self.0.call(Method::GET, &format!("/v1/sales/{sale}"), None).await
    }

    /// Waits until no order waits for the store any more, and returns the sale's report.
    ///
    /// # Errors
    /// When orders still wait after `patience`, or no node has the sale.
    pub async fn settled(&mut self, sale: &str, patience: Duration) -> anyhow::Result<SaleReport> {
        let start = Instant::now();
        loop {
            let why = match self.report(sale).await {
                Ok(report) if report.reserved == 0 => return Ok(report),
                Ok(report) => anyhow!("{} units still wait for the store", report.reserved),
                // While a sale goes from one node to another.
                Err(error) => error,
            };
            ensure!(start.elapsed() < patience, "after {patience:?}: {why:#}");
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
            let page: Page = self.0.call(Method::GET, &path, None).await?;
            orders.extend(page.orders);
            match page.next {
                Some(next) => after = next,
                None => return Ok(orders),
            }
        }
    }
}
