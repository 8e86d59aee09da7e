//! A running `flashlane serve`, and requests to it written by hand.

use crate::redis_server::RedisServer;
use gateway::{Algorithm, issue_token};
use membership::Tier;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a condition may take to come true before a test fails. Beside a build, a disk may take tens of
/// seconds for one sync.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn flashlane() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashlane"));
    command.env("FLASHLANE_LOG", "error");
    command
}

/// Whether every server of these tests is a front, whose owner is another process.
fn behind_front() -> bool {
    std::env::var_os("FLASHLANE_BEHIND_FRONT").is_some()
}

/// The node that owns the sales of a front, and the Redis that both share.
struct Owner {
    _server: Server,
    redis: RedisServer,
}

impl Owner {
    fn start(data: &Path, command: &Command) -> Self {
        let redis = RedisServer::start(data);
        let key = data.join("node.key");
        std::fs::write(&key, "the-nodes-of-a-test\n").unwrap();
        let mut owner = like(command);
        owner.args(["--redis", &redis.url(), "--node-id", "owner", "--node-listen", "127.0.0.1:0"]);
        let server = Server::run_here(data, owner.arg("--node-key").arg(key));
        Self { _server: server, redis }
    }

    /// Starts a front with the same keys.
    fn with_front(self, data: &Path, command: &Command) -> Server {
        let folder = data.join("front");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["token.key", "operator.key", "payment.key", "platform.key"] {
            // Err: not every test has every key.
            std::fs::copy(data.join(name), folder.join(name)).ok();
        }
        let mut front = like(command);
        front.args(["--redis", &self.redis.url(), "--owns", "none", "--node-key"]);
        let mut front = Server::run_here(&folder, front.arg(data.join("node.key")));
        front._owner = Some(Box::new(self));
        front
    }
}

/// The same command once more.
fn like(command: &Command) -> Command {
    let mut other = flashlane();
    other.args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            other.env(name, value);
        }
    }
    other
}

/// The server; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) public: SocketAddr,
    pub(crate) operator: SocketAddr,
    /// Further addresses of the public listener.
    pub(crate) also_public: Vec<SocketAddr>,
    /// Where the platform's own servers connect.
    pub(crate) platform: Option<SocketAddr>,
    /// Where metrics are served without a key.
    pub(crate) metrics: Option<SocketAddr>,
    /// Where other nodes connect.
    pub(crate) node: Option<SocketAddr>,
    pub(crate) operator_key: String,
    token_key: Vec<u8>,
    payment_key: Vec<u8>,
    _stdout: Lines<BufReader<ChildStdout>>,
    /// Whose front this server is, if tests run behind one.
    _owner: Option<Box<Owner>>,
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub(crate) fn start_with(data: &Path, args: &[&str]) -> Self {
        Self::run(data, flashlane().args(["serve"]).args(args))
    }

    /// Starts a server that writes what it says on standard error, from debug on, to a file.
    pub(crate) fn start_logged(data: &Path, args: &[&str], log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let mut command = flashlane();
        Self::run(
            data,
            command.args(["serve"]).args(args).env("FLASHLANE_LOG", "debug").stderr(log),
        )
    }

    /// As [`Server::start_logged`], and the server trusts certificates by these roots.
    pub(crate) fn start_trusting(data: &Path, args: &[&str], roots: &Path, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let mut command = flashlane();
        command.args(["serve"]).args(args).env("SSL_CERT_FILE", roots);
        Self::run(data, command.env("FLASHLANE_LOG", "info").stderr(log))
    }

    fn run(data: &Path, command: &mut Command) -> Self {
        if behind_front() && !command.get_args().any(|arg| arg == "--redis") {
            return Owner::start(data, command).with_front(data, command);
        }
        Self::run_here(data, command)
    }

    fn run_here(data: &Path, command: &mut Command) -> Self {
        let free = "127.0.0.1:0";
        let mut child = command
            // Tests look as often as they can.
            .env("FLASHLANE_READ_RATE", "0")
            .args(["--listen", free, "--operator-listen", free, "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut listeners: BTreeMap<String, Vec<SocketAddr>> = BTreeMap::new();
        loop {
            let line = stdout.next().unwrap().unwrap();
            let secured = line.strip_prefix("node https://").map(|address| ("node", address));
            let parts = line.split_once(" http://").or(secured);
            let Some((name, address)) = parts else {
                assert!(line.starts_with("token key"), "{line}");
                break;
            };
            listeners.entry(name.to_owned()).or_default().push(address.parse().unwrap());
        }
        let mut only = |name: &str| listeners.remove(name).map(|addresses| addresses[0]);
        let (operator, platform, metrics, node) =
            (only("operator").unwrap(), only("platform"), only("metrics"), only("node"));
        let mut public = listeners.remove("public").unwrap();
        let also_public = public.split_off(1);
        let public = public[0];
        let read = |name: &str| std::fs::read(data.join(name)).unwrap_or_default();
        let operator_key = String::from_utf8(read("operator.key")).unwrap().trim().to_owned();
        let token_key = read("token.key");
        let payment_key = read("payment.key");
        // It answers before its sales are opened.
        until("the start is over", || {
            !send(public, "GET", "/readyz", "", b"").body.starts_with("starting: ")
        });
        Self {
            child,
            public,
            operator,
            also_public,
            platform,
            metrics,
            node,
            operator_key,
            token_key,
            payment_key,
            _stdout: stdout,
            _owner: None,
        }
    }

    pub(crate) fn token(&self, member: &str, tier: Tier) -> String {
        let (member, ttl) = (member.parse().unwrap(), Duration::from_secs(600));
        issue_token(Algorithm::Hs256, &self.token_key, None, None, &member, tier, ttl).unwrap()
    }

    pub(crate) fn token_key(&self) -> &[u8] {
        self.token_key.trim_ascii()
    }

    /// Sends a request to the operator listener, with the operator key.
    pub(crate) fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.operate_with(method, path, "", body)
    }

    pub(crate) fn operate_with(
        &self,
        method: &str,
        path: &str,
        more: &str,
        body: &Value,
    ) -> Answer {
        let headers = format!("authorization: Bearer {}\r\n{more}", self.operator_key);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.operator, method, path, &headers, body.as_bytes())
    }

    /// Reads from the public listener as a gold member.
    pub(crate) fn get(&self, member: &str, path: &str) -> Answer {
        let headers = format!("authorization: Bearer {}\r\n", self.token(member, Tier::Gold));
        send(self.public, "GET", path, &headers, b"")
    }

    /// Clicks in the sale `drop` as a gold member.
    pub(crate) fn click(&self, member: &str, units: u32, more: &str) -> Answer {
        self.click_as(member, Tier::Gold, "drop", &json!({ "units": units }).to_string(), more)
    }

    pub(crate) fn click_as(
        &self,
        member: &str,
        tier: Tier,
        sale: &str,
        body: &str,
        more: &str,
    ) -> Answer {
        let headers = format!("authorization: Bearer {}\r\n{more}", self.token(member, tier));
        let path = format!("/v1/sales/{sale}/orders");
        send(self.public, "POST", &path, &headers, body.as_bytes())
    }

    pub(crate) fn payment_key(&self) -> &str {
        std::str::from_utf8(&self.payment_key).unwrap().trim()
    }

    /// Tells the server what the payment provider tells of an order, signed with the server's key.
    pub(crate) fn pay(&self, order: &Value, event: &str) -> Answer {
        let units = order["units"].as_u64().unwrap();
        let amount = units * order["price_cents"].as_u64().unwrap();
        let payment =
            json!({"order_id": order["order_id"], "event": event, "amount_cents": amount});
        self.tell_payment(&payment.to_string(), &[self.payment_key()], 0)
    }

    /// Tells, as the provider, that this much of an order's money went back.
    pub(crate) fn refund(&self, order: &Value, refund: &str, cents: u64) -> Answer {
        let id = &order["order_id"];
        let body = json!({"order_id": id, "event": "refunded", "refund_id": refund, "amount_cents": cents});
        self.tell_payment(&body.to_string(), &[self.payment_key()], 0)
    }

    /// Sends a webhook that is signed with these keys, as if `age_s` seconds ago.
    pub(crate) fn tell_payment(&self, body: &str, keys: &[&str], age_s: i64) -> Answer {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let at = i64::try_from(now.as_secs()).unwrap() - age_s;
        let id = format!("msg_{}", fastrand::u64(..));
        let sign = |key: &&str| {
            standardwebhooks::Webhook::new(key).unwrap().sign(&id, at, body.as_bytes()).unwrap()
        };
        let signatures: Vec<String> = keys.iter().map(sign).collect();
        let headers = format!(
            "webhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: {}\r\n",
            signatures.join(" ")
        );
        send(self.public, "POST", "/v1/payments", &headers, body.as_bytes())
    }

    /// Makes a call to the public listener as a gold member.
    pub(crate) fn call(&self, member: &str, method: &str, path: &str, body: &str) -> Answer {
        self.call_as(member, Tier::Gold, method, path, body)
    }

    pub(crate) fn call_as(
        &self,
        member: &str,
        tier: Tier,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let headers = format!("authorization: Bearer {}\r\n", self.token(member, tier));
        send(self.public, method, path, &headers, body.as_bytes())
    }

    /// Buys in the sale `drop` as a gold member, and returns the confirmed order.
    pub(crate) fn order(&self, member: &str, units: u32) -> Value {
        let answer = self.click(member, units, "prefer: wait=10\r\n");
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json
    }

    pub(crate) fn cancel(&self, member: &str, order: &Value) -> Answer {
        let path = format!("/v1/orders/{}/cancel", order["order_id"].as_str().unwrap());
        self.call(member, "POST", &path, "")
    }

    /// Returns the status of an order, as its gold member reads it.
    pub(crate) fn status(&self, member: &str, order: &Value) -> String {
        let path = format!("/v1/orders/{}", order["order_id"].as_str().unwrap());
        self.get(member, &path).json["status"].as_str().unwrap_or("none").to_owned()
    }

    /// Waits until a member's order has come to this status.
    pub(crate) fn comes_to(&self, member: &str, order: &Value, status: &str) {
        let began = Instant::now();
        while self.status(member, order) != status {
            if began.elapsed() > PATIENCE {
                let ready = send(self.public, "GET", "/readyz", "", b"").body;
                let metrics = self.operate("GET", "/metrics", &Value::Null).body;
                let (is, report) = (self.status(member, order), self.report());
                panic!("{order} is {is} and not {status}\n{ready}\n{report}\n{metrics}");
            }
            std::thread::yield_now();
        }
    }

    /// Returns the operator's report of `drop`.
    pub(crate) fn report(&self) -> Value {
        self.operate("GET", "/v1/sales/drop", &Value::Null).json
    }

    pub(crate) fn make(&self, sale: &Value) {
        let answer = self.operate("POST", "/v1/sales", sale);
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Returns the operator's report of `drop` once no order waits for the store.
    pub(crate) fn settled(&self) -> Value {
        let mut report = Value::Null;
        until("every order is settled", || {
            report = self.operate("GET", "/v1/sales/drop", &Value::Null).json;
            report["reserved"] == 0
        });
        report
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the server has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits for a condition, not for a time.
pub(crate) fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// `Null` where the body is no JSON.
    pub(crate) json: Value,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &str| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        Some(self.head.lines().find(|l| line(l))?.split_once(':')?.1.trim())
    }

    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or("")
    }

    /// Asserts that the answer is a whole problem document with this status and code.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.json["type"], format!("/problems/{}", code.replace('_', "-")));
        assert_eq!(self.json["status"], status);
        let said = |field: &str| self.json[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("title") && said("detail"), "{self:?}");
        self
    }
}

/// Sends a request as it is written and reads the answer to its end.
pub(crate) fn send(to: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: flashlane\r\nconnection: close\r\n\
         content-length: {length}\r\n{headers}\r\n"
    );
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // A server that has refused the head may have closed already.
    stream.write_all(body).ok();
    read(stream)
}

pub(crate) fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    // What nodes tell one another is no text, and has some.
    answer(&String::from_utf8_lossy(&bytes))
}

pub(crate) fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let json = serde_json::from_str(body).unwrap_or(Value::Null);
    Answer { status, head: head.to_owned(), json, body: body.to_owned() }
}

/// Returns a sale that is open to all tiers, with limits from 1 (regular) to 5 (diamond).
pub(crate) fn drop_of(stock: u32) -> Value {
    let open = "2020-01-01T00:00:00Z";
    json!({
        "id": "drop", "title": "A lamp", "price_cents": 19_900, "currency": "CNY", "stock": stock,
        "windows": {"regular": open, "silver": open, "gold": open, "platinum": open, "diamond": open},
        "limits": {"regular": 1, "silver": 2, "gold": 3, "platinum": 4, "diamond": 5},
        "closes_at": "2999-01-01T00:00:00Z", "pay_within_s": 900,
    })
}

/// Starts a server in a folder of its own that sells `stock` units as `drop`.
pub(crate) fn selling(stock: u32) -> (TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    server.make(&drop_of(stock));
    (data, server)
}
