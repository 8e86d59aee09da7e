//! Several processes that share a Redis: each answers for every sale, and one sells it.

use crate::events::Stream;
use crate::redis_server::RedisServer;
use crate::support::{Answer, Server, drop_of, flashlane, send, until};
use engine::rules::key::IdempotencyKey;
use engine::rules::units::Units;
use gateway::{PASSED_ON_CLICKS, PassedClick};
use membership::Tier;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Nodes with the same keys, each with a data folder of its own.
pub(crate) struct Nodes {
    folder: TempDir,
    redis: RedisServer,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = RedisServer::start(folder.path());
        std::fs::write(folder.path().join("node.key"), "the-nodes-of-a-test\n").unwrap();
        Self { folder, redis }
    }

    pub(crate) fn start(&self, name: &str) -> Server {
        self.start_with(name, &["--node-id", name, "--node-listen", "127.0.0.1:0"])
    }

    pub(crate) fn front(&self) -> Server {
        self.start_with("front", &["--owns", "none"])
    }

    pub(crate) fn start_with(&self, name: &str, args: &[&str]) -> Server {
        let data = self.folder.path().join(name);
        std::fs::create_dir_all(&data).unwrap();
        for key in ["token.key", "operator.key", "payment.key"] {
            let shared = self.folder.path().join(key);
            if shared.exists() {
                std::fs::copy(shared, data.join(key)).unwrap();
            }
        }
        let (url, key) = (self.redis.url(), self.folder.path().join("node.key"));
        let shared = ["--redis", &url, "--node-key", key.to_str().unwrap()];
        let server = Server::start_with(&data, &[&shared, args].concat());
        for key in ["token.key", "operator.key", "payment.key"] {
            std::fs::copy(data.join(key), self.folder.path().join(key)).unwrap();
        }
        server
    }
}

fn named(sale: &str, stock: u32) -> Value {
    let mut sale_of = drop_of(stock);
    sale_of["id"] = json!(sale);
    sale_of
}

pub(crate) fn node_of(answer: &Answer) -> Option<&str> {
    answer.header("flashlane-node")
}

fn read(server: &Server, path: &str) -> Answer {
    send(server.public, "GET", path, "", b"")
}

#[test]
fn a_sale_is_the_same_at_every_node_and_its_owner_alone_sells_it() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(6));
    let (b, front) = (nodes.start("b"), nodes.front());
    let mut orders = Vec::new();
    for (nth, server) in [&a, &b, &front].into_iter().enumerate() {
        let bought = server.click(&format!("m{nth}"), 1, "prefer: wait=10\r\n");
        assert_eq!(bought.status, 201, "{bought:?}");
        assert_eq!(node_of(&bought), (nth > 0).then_some("a"), "{bought:?}");
        orders.push(bought.json);
        let bought = server.click(&format!("n{nth}"), 1, "");
        assert_eq!(bought.status, 202, "{bought:?}");
    }
    for server in [&a, &b, &front] {
        server.click("late", 1, "").is_problem(409, "sold_out");
        assert_eq!(read(server, "/v1/sales/drop").json["left"], 0);
        read(server, "/v1/sales/none").is_problem(404, "unknown_sale");
        // Whoever asks whichever node sees their orders, and nobody else's.
        assert_eq!(server.status("m1", &orders[1]), "confirmed");
        assert_eq!(server.status("m2", &orders[1]), "none");
        let listed = server.get("m2", "/v1/orders?sale=drop").json;
        assert_eq!(listed["orders"].as_array().unwrap().len(), 1, "{listed}");
    }
    let by_ref = json!({
        "payment_ref": orders[0]["payment_ref"], "event": "paid",
        "amount_cents": orders[0]["due_cents"],
    });
    let key = front.payment_key();
    let paid = front.tell_payment(&by_ref.to_string(), &[key], 0);
    assert_eq!((paid.status, &paid.json["status"]), (200, &json!("paid")), "{paid:?}");
    assert_eq!(b.pay(&orders[1], "paid").status, 200);
    assert_eq!(b.cancel("m2", &orders[2]).json["status"], "cancelled");
    assert_eq!(front.report()["by_status"], a.report()["by_status"]);
    front.operate("POST", "/v1/sales/drop/close", &Value::Null);
    a.click("late", 1, "").is_problem(410, "closed");
}

#[test]
fn the_list_of_sales_is_that_of_all_nodes() {
    let nodes = Nodes::new();
    let (a, b) = (nodes.start("a"), nodes.start("b"));
    a.make(&named("at-a", 1));
    b.make(&named("at-b", 1));
    let front = nodes.front();
    // A front makes no sale of its own.
    front.make(&named("of-front", 1));
    for server in [&a, &b, &front] {
        let public = read(server, "/v1/sales").json;
        let operators = server.operate("GET", "/v1/sales", &Value::Null).json;
        for list in [public, operators] {
            let ids: Vec<_> =
                list["sales"].as_array().unwrap().iter().map(|sale| &sale["id"]).collect();
            assert_eq!(ids, ["at-a", "at-b", "of-front"], "{list}");
        }
    }
}

#[test]
fn operators_see_the_nodes_what_they_sell_and_which_cannot_be_reached() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&named("at-a", 1));
    let (b, front) = (nodes.start("b"), nodes.front());
    let listed = |server: &Server| {
        let listed = server.operate("GET", "/v1/nodes", &Value::Null).json;
        listed["nodes"].as_array().unwrap().clone()
    };
    let all = |server: &Server, fact: &str| -> Vec<Value> {
        listed(server).iter().map(|node| node[fact].clone()).collect()
    };
    let sells = |server: &Server| {
        let sales = all(server, "sales");
        sales.iter().filter_map(Value::as_u64).sum::<u64>()
    };
    // A node hears of others when it renews its lease, and the sale may move to the other one.
    until("both know of both, and one sells", || {
        [&a, &front].iter().all(|server| listed(server).len() == 2 && sells(server) == 1)
    });
    assert_eq!(all(&a, "node"), ["a", "b"]);
    assert_eq!(all(&a, "is_here"), [true, false]);
    assert_eq!(all(&front, "is_here"), [false, false]);
    assert_eq!(all(&front, "is_reached"), [true, true]);
    let sale = |server: &Server| server.operate("GET", "/v1/sales/at-a", &Value::Null).json;
    until("the sale's report names its node", || {
        all(&front, "node").contains(&sale(&front)["node"])
    });
    front.click("ann", 1, "prefer: wait=10\r\n");
    let metrics = |server: &Server| server.operate("GET", "/metrics", &Value::Null).body;
    let of_front = metrics(&front);
    assert!(of_front.contains("flashlane_nodes 2"), "{of_front}");
    assert!(!of_front.contains("flashlane_lease_held"), "a front has no lease");
    assert!(metrics(&b).contains("flashlane_lease_held 1"));
    assert!(metrics(&a).contains("flashlane_sales_taken_over_total 1"));
    drop(b);
    // Its lease lasts for a while, and nobody answers.
    let gone = &listed(&front)[1];
    assert_eq!((&gone["node"], &gone["is_reached"]), (&json!("b"), &json!(false)));
    assert_eq!((&gone["sales"], &gone["version"]), (&Value::Null, &Value::Null));
}

#[test]
fn when_the_owner_is_killed_another_node_goes_on_and_no_confirmed_order_is_lost() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(20));
    let (b, front) = (nodes.start("b"), nodes.front());
    let before: Vec<Value> = (0..5).map(|n| front.order(&format!("m{n}"), 1)).collect();
    drop(a);
    // The click waits until the lease is over, and buys once.
    let bought = front.click("after", 1, "prefer: wait=10\r\n");
    assert_eq!((bought.status, node_of(&bought)), (201, Some("b")), "{bought:?}");
    for (nth, order) in before.iter().enumerate() {
        assert_eq!(b.status(&format!("m{nth}"), order), "confirmed");
    }
    assert_eq!(read(&front, "/v1/sales/drop").json["left"], 14);
    let a = nodes.start("a");
    assert_eq!(node_of(&a.click("again", 1, "")), Some("b"), "it takes nothing back at its start");
}

#[test]
fn a_node_that_ends_hands_its_sales_over_and_no_click_is_refused_for_it() {
    let nodes = Nodes::new();
    let mut a = nodes.start("a");
    a.make(&drop_of(1_000));
    let (b, front) = (nodes.start("b"), nodes.front());
    a.terminate();
    let (mut bought, mut by_b) = (0, 0);
    while by_b < 5 {
        let answer = front.click(&format!("m{bought}"), 1, "");
        assert_eq!(answer.status, 202, "{answer:?}");
        bought += 1;
        by_b += u32::from(node_of(&answer) == Some("b"));
    }
    assert!(a.ended().success());
    until("every order is confirmed", || b.report()["reserved"] == 0);
    assert_eq!(read(&front, "/v1/sales/drop").json["left"], 1_000 - bought);
}

#[test]
fn a_stream_goes_on_at_the_next_owner() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(20));
    let (b, front) = (nodes.start("b"), nodes.front());
    let mut stream = Stream::open(&front, Some("ann"), "");
    let confirmed = |order: &Value| {
        let id = order["order_id"].clone();
        move |told: &Value| told["order_id"] == id && told["status"] == "confirmed"
    };
    let first = front.order("ann", 1);
    stream.until("order", confirmed(&first));
    drop(a);
    let second = front.order("ann", 1);
    stream.until("order", confirmed(&second));
    drop(b);
}

/// Writes the certificates of a node at 127.0.0.1, and those that they are signed by; returns the options that name
/// them.
fn certificates(folder: &Path) -> Vec<String> {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let cert = cert.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let write = |option: &str, file: &str, text: String| {
        let path = folder.join(file);
        std::fs::write(&path, text).unwrap();
        [option.to_owned(), path.to_str().unwrap().to_owned()]
    };
    [
        write("--node-roots", "roots.pem", root.pem()),
        write("--node-cert", "cert.pem", cert.pem()),
        write("--node-cert-key", "key.pem", key.serialize_pem()),
    ]
    .concat()
}

#[test]
fn nodes_with_certificates_speak_over_tls_and_with_nobody_else() {
    let nodes = Nodes::new();
    let options = certificates(nodes.folder.path());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let listens = ["--node-listen", "127.0.0.1:0", "--node-id"];
    let a = nodes.start_with("a", &[&listens[..], &["a"], &options].concat());
    a.make(&drop_of(9));
    let b = nodes.start_with("b", &[&listens[..], &["b"], &options].concat());
    let front = nodes.start_with("front", &[&["--owns", "none"], &options[..2]].concat());
    for (member, server) in [("ann", &b), ("bob", &front)] {
        let mut stream = Stream::open(server, Some(member), "");
        let bought = server.click(member, 1, "");
        assert_eq!((bought.status, node_of(&bought)), (202, Some("a")), "{bought:?}");
        stream.until("order", |told| told["order_id"] == bought.json["order_id"]);
    }
    // A connection without TLS is closed without a word.
    let key = "authorization: Bearer the-nodes-of-a-test\r\nflashlane-face: public\r\n";
    let ask = format!("GET /v1/sales/drop HTTP/1.1\r\nhost: x\r\n{key}\r\n");
    let mut plain = TcpStream::connect(a.node.unwrap()).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    plain.write_all(ask.as_bytes()).unwrap();
    let mut said = Vec::new();
    // Err: it was reset.
    plain.read_to_end(&mut said).ok();
    assert!(!said.starts_with(b"HTTP"), "{}", said.escape_ascii());
    // A node that would speak without it is refused before it has sent its key.
    let key = nodes.folder.path().join("node.key");
    let url = nodes.redis.url();
    let plain = ["--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0", "--redis", &url];
    let plain = [&plain[..], &listens, &["plain", "--node-key", key.to_str().unwrap()]].concat();
    refused(
        &nodes.folder.path().join("plain"),
        &plain,
        "this node one speaks TLS; give --node-cert",
    );
    // A front that trusts others than those reaches no node.
    let other = nodes.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let others = certificates(&other);
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let stranger = nodes.start_with("stranger", &[&["--owns", "none"], &others[..2]].concat());
    stranger.click("cid", 1, "").is_problem(503, "busy");
}

#[test]
fn what_one_node_is_told_of_a_blocked_member_holds_at_every_node() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(20));
    let b = nodes.start("b");
    assert_eq!(b.operate("PUT", "/v1/blocked/ann", &Value::Null).status, 204);
    a.click("ann", 1, "").is_problem(403, "blocked");
    assert_eq!(a.operate("DELETE", "/v1/blocked/ann", &Value::Null).status, 204);
    // This one may not have heard yet that there is another.
    until("the other knows it", || {
        b.operate("GET", "/v1/blocked", &Value::Null).json["members"] == json!([])
    });
}

#[test]
fn an_erased_member_is_named_by_no_sale_and_no_log_of_any_node() {
    let nodes = Nodes::new();
    let (a, b, front) = (nodes.start("a"), nodes.start("b"), nodes.front());
    let sales = ["one", "two", "three", "four", "five", "six"];
    let click = |server: &Server, sale: &str, more: &str| {
        server.click_as("canary", Tier::Gold, sale, "{\"units\":1}", more)
    };
    for sale in sales {
        front.make(&named(sale, 3));
        let bought = click(&front, sale, "prefer: wait=10\r\n");
        assert_eq!(bought.status, 201, "{bought:?}");
    }
    // What a node was asked about the member is in its log.
    let log_of = |name: &str| {
        let log = nodes.folder.path().join(name).join("audit-members.log");
        std::fs::read_to_string(log).unwrap()
    };
    a.operate("GET", "/v1/members/canary/export", &Value::Null);
    assert!(log_of("a").contains("canary"));
    let erased = front.operate("DELETE", "/v1/members/canary", &Value::Null);
    assert_eq!(erased.status, 204, "{erased:?}");
    for sale in sales {
        let holders = nodes.redis.must(&format!("HGETALL flashlane:{{{sale}}}:holders"));
        assert!(holders.contains("erased:") && !holders.contains("canary"), "{holders}");
    }
    for name in ["a", "b", "front"] {
        assert!(!log_of(name).contains("canary"), "the log of {name}");
    }
    // A member who comes by that name is another one, at every node.
    for (server, sale) in [(&a, "one"), (&b, "two"), (&front, "three")] {
        assert_eq!(click(server, sale, "").status, 202);
    }
}

/// Starting with these arguments must fail with one sentence that contains `said`.
#[track_caller]
fn refused(folder: &Path, args: &[&str], said: &str) {
    let output = flashlane().arg("serve").arg("--data").arg(folder).args(args).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains(said), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
}

#[test]
fn options_of_nodes_that_do_not_fit_are_refused_in_a_sentence() {
    let nodes = Nodes::new();
    let (url, folder) = (nodes.redis.url(), nodes.folder.path().join("x"));
    let key = nodes.folder.path().join("node.key");
    let key = key.to_str().unwrap();
    let listen = ["--node-listen", "127.0.0.1:0"];
    let on = |args: &[&'static str]| -> Vec<&str> {
        let redis: Vec<&str> =
            vec!["--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0", "--redis", &url];
        redis.into_iter().chain(args.iter().copied()).collect()
    };
    refused(&folder, &listen, "--node-listen goes with --redis URL");
    refused(&folder, &["--owns", "none"], "--owns none goes with --redis URL");
    refused(&folder, &on(&listen), "--node-listen needs --node-key FILE");
    refused(&folder, &on(&["--owns", "none"]), "--owns none needs --node-key FILE");
    let addressed = [on(&["--node-address", "b:1"]), vec!["--node-key", key]].concat();
    refused(&folder, &addressed, "--node-address says how --node-listen is reached");
    let bad = [on(&["--node-address", "b"]), listen.to_vec(), vec!["--node-key", key]].concat();
    refused(&folder, &bad, "write it as HOST:PORT");
    let a = nodes.start("a");
    let same = [on(&["--node-id", "a"]), listen.to_vec(), vec!["--node-key", key]].concat();
    refused(&folder, &same, "another process that shares this Redis is named a");
    // What nodes say of themselves does not fit.
    let as_b = |more: &[&'static str], key| {
        [on(&["--node-id", "b"]), listen.to_vec(), more.to_vec(), vec!["--node-key", key]].concat()
    };
    let other_key = nodes.folder.path().join("other.key");
    std::fs::write(&other_key, "the-nodes-of-another\n").unwrap();
    let other_key = as_b(&[], other_key.to_str().unwrap());
    refused(
        &folder,
        &other_key,
        "does not accept this node's key; give all nodes the same --node-key",
    );
    let address = a.node.unwrap().to_string().leak();
    let said = "of node b leads to node a; correct the --node-address of b";
    refused(&folder, &as_b(&["--node-address", address], key), said);
    // Those that were refused have no lease.
    let living = || a.operate("GET", "/v1/nodes", &Value::Null).json;
    until("a alone lives", || living()["nodes"].as_array().unwrap().len() == 1);
}

#[test]
fn who_has_not_the_nodes_key_hears_nothing_of_a_node() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(1));
    let listener = a.node.unwrap();
    send(listener, "GET", "/v1/sales/drop", "", b"").is_problem(401, "unauthenticated");
    let wrong = "authorization: Bearer another-key-than-theirs\r\nflashlane-face: public\r\n";
    send(listener, "GET", "/v1/sales/drop", wrong, b"").is_problem(401, "unauthenticated");
    let right = "authorization: Bearer the-nodes-of-a-test\r\nflashlane-face: public\r\n";
    assert_eq!(send(listener, "GET", "/v1/sales/drop", right, b"").status, 200);
    // The operator's calls need the operator's key as well.
    let operator = "authorization: Bearer the-nodes-of-a-test\r\nflashlane-face: operator\r\n";
    send(listener, "GET", "/v1/sales/drop", operator, b"").is_problem(401, "unauthenticated");
    // What is carried out for another node is in the log with the address that it came from there.
    let asked_with = format!("flashlane-asked-with: Bearer {}\r\n", a.operator_key);
    let headers = format!("{operator}{asked_with}flashlane-peer: 10.1.2.3\r\n");
    assert_eq!(send(listener, "POST", "/v1/sales/drop/pause", &headers, b"").status, 200);
    let log = a.operate("GET", "/v1/audit", &Value::Null).json;
    assert!(log.to_string().contains("10.1.2.3"), "{log}");
}

#[test]
fn a_click_that_a_front_sends_again_is_the_order_that_it_became() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(1));
    let sent = |member: &str| {
        let (units, key) = (Units(1), IdempotencyKey(NonZeroU64::MIN));
        let (member, tier) = (member.parse().unwrap(), Some(Tier::Gold));
        let (is_minor, points, coupon) = (false, 0, None);
        let click = PassedClick { member, tier, is_minor, units, key, points, coupon };
        let key = "authorization: Bearer the-nodes-of-a-test\r\n";
        let clicks = postcard::to_stdvec(&[click][..]).unwrap();
        let path = format!("{PASSED_ON_CLICKS}/drop");
        let answer = send(a.node.unwrap(), "POST", &path, key, &clicks);
        assert_eq!(answer.status, 200, "{answer:?}");
        let order =
            answer.body.split_once("\"order_id\":\"").and_then(|(_, rest)| rest.split_once('"'));
        order.map(|(order, _)| order.to_owned())
    };
    let order = sent("ann");
    assert!(order.is_some(), "{order:?}");
    assert_eq!(sent("bob"), None, "no unit is left");
    assert_eq!(sent("ann"), order, "the answer did not come");
}
