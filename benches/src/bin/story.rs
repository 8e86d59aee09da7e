//! `story`: one member's way to silver, told step by step: she buys, the book raises her tier, and in the
//! next sale she gets in earlier and pays less.

use anyhow::{Context, ensure};
use benches::load::afterwards::payment;
use benches::run::client::Client;
use benches::run::operator::Operator;
use benches::run::platform::Platform;
use clap::Parser;
use gateway::{Algorithm, issue_token};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use jiff::{Timestamp, ToSpan};
use membership::Tier;
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Tells how a member reaches silver by buying, and what that is worth in the next sale
#[derive(Debug, Parser)]
struct Options {
    /// The server's public address, on loopback
    #[arg(long, default_value = "127.0.0.1:8080")]
    target: SocketAddr,
    /// The server's operator address
    #[arg(long, default_value = "127.0.0.1:8081")]
    operator: SocketAddr,
    /// The server's platform address
    #[arg(long, default_value = "127.0.0.1:8082")]
    platform: SocketAddr,
    /// Folder of the server's keys
    #[arg(long, default_value = "./flashlane-data")]
    data: PathBuf,
}

/// How long the book may take to follow a payment.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a coat costs: so much that one of them reaches silver.
const COAT_CENTS: u64 = 110_000;

struct World {
    options: Options,
    operator: Operator,
    platform: Platform,
    client: Client,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let all = [options.target, options.operator, options.platform];
    ensure!(all.iter().all(|to| to.ip().is_loopback()), "loopback addresses only");
    let key = |name: &str| {
        let path = options.data.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let operator = Operator::new(options.operator, &key("operator.key")?)?;
    let platform = Platform::new(options.platform, &key("platform.key")?)?;
    let client = Client::new(options.target);
    World { options, operator, platform, client }.tell().await
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "  {line}")?)
}

fn yuan(cents: &Value) -> String {
    let cents = cents.as_u64().unwrap_or_default();
    format!("{}.{:02} CNY", cents / 100, cents % 100)
}

impl World {
    async fn tell(mut self) -> anyhow::Result<()> {
        for member in ["ann", "bob"] {
            self.platform.enrol(member, None).await?;
        }
        let now = Timestamp::now();
        let later = now.checked_add(60.seconds())?;
        self.make("spring", now, now).await?;
        let (status, order) = self.click("ann", "spring").await?;
        ensure!(status == StatusCode::CREATED, "ann's click was answered {status}: {order}");
        let price = yuan(&order["price_cents"]);
        say(&format!("ann is {}, and buys a coat for {price}", text(&order["tier"])))?;
        self.pay(&order).await?;
        let tier = self.until_tier("ann", "silver").await?;
        say(&format!("she pays; that is 1,100 of growth, and she is {tier} from now on"))?;

        self.make("summer", now, later).await?;
        say("the next sale opens for silver members now, and for regular ones in a minute")?;
        let (status, order) = self.click("ann", "summer").await?;
        ensure!(status == StatusCode::CREATED, "ann's click was answered {status}: {order}");
        let price = yuan(&order["price_cents"]);
        say(&format!("ann clicks with the token that she had: confirmed, at {price}"))?;
        let (status, refused) = self.click("bob", "summer").await?;
        ensure!(refused["code"] == "not_open", "bob's click was answered {status}: {refused}");
        say(&format!(
            "bob, who is regular, hears {}, and from when on he may buy",
            refused["code"]
        ))?;
        Ok(())
    }

    /// A sale that opens for silver and up, and for regular members.
    async fn make(
        &mut self,
        id: &str,
        silver: Timestamp,
        regular: Timestamp,
    ) -> anyhow::Result<()> {
        let silver = silver.to_string();
        self.operator
            .make_sale(&json!({
                "id": id, "title": "A coat", "price_cents": COAT_CENTS, "currency": "CNY", "stock": 10,
                "windows": {
                    "regular": regular.to_string(), "silver": silver, "gold": silver,
                    "platinum": silver, "diamond": silver,
                },
                "limits": {"regular": 1, "silver": 1, "gold": 1, "platinum": 1, "diamond": 1},
                "closes_at": "2999-01-01T00:00:00Z", "pay_within_s": 900,
            }))
            .await
            .map(drop)
    }

    async fn click(&mut self, member: &str, sale: &str) -> anyhow::Result<(StatusCode, Value)> {
        let key = std::fs::read(self.options.data.join("token.key"))?;
        // The token says regular, whatever the book says.
        let (member, ttl) = (member.parse()?, Duration::from_secs(600));
        let token = issue_token(Algorithm::Hs256, &key, None, None, &member, Tier::Regular, ttl)?;
        let request = Request::post(format!("/v1/sales/{sale}/orders"))
            .header(header::HOST, "flashlane")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header("prefer", "wait=10")
            .body(Full::new(Bytes::from_static(br#"{"units":1}"#)))?;
        let (status, body) = self.client.send(request).await?;
        Ok((status, serde_json::from_slice(&body)?))
    }

    async fn pay(&mut self, order: &Value) -> anyhow::Result<()> {
        let key = std::fs::read_to_string(self.options.data.join("payment.key"))?;
        let due = order["due_cents"].as_u64().context("an order has its due")?;
        let request = payment(key.trim(), "story", text(&order["order_id"]), due);
        let (status, body) = self.client.send(request).await?;
        ensure!(status == StatusCode::OK, "the payment was answered {status}: {body:?}");
        Ok(())
    }

    async fn until_tier(&mut self, member: &str, tier: &str) -> anyhow::Result<String> {
        let start = Instant::now();
        loop {
            let account = self.platform.account(member).await?;
            if account.tier == tier {
                return Ok(account.tier);
            }
            ensure!(start.elapsed() < PATIENCE, "{member} is {} and not {tier}", account.tier);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
