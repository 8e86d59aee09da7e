//! Fronts: processes that own no sale, answer what they may by themselves, and have the rest answered.

use crate::events::Stream;
use crate::nodes::{Nodes, node_of};
use crate::support::{Server, drop_of, send, until};
use crate::tokens::{claims, signed};
use membership::Tier;
use serde_json::{Value, json};

/// A number that a server counts.
fn counted(server: &Server, name: &str) -> u64 {
    let text = server.operate("GET", "/metrics", &Value::Null).body;
    let count = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(count).unwrap()
}

/// Clicks at a front as so many gold members, many at a time; returns how many were refused by the front itself.
fn refused_here(front: &Server, named: &str, clicks: u64) -> u64 {
    let click = |nth: u64| {
        let refused = front.click(&format!("{named}-{nth}"), 1, "");
        refused.is_problem(409, "sold_out");
        let may_return = (&refused.json["left"], &refused.json["may_return"]);
        assert_eq!(may_return, (&json!(0), &json!(true)));
        u64::from(node_of(&refused).is_none())
    };
    std::thread::scope(|scope| {
        let each =
            |thread| scope.spawn(move || (thread..clicks).step_by(4).map(click).sum::<u64>());
        let threads: Vec<_> = (0..4).map(each).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

/// Clicks at a front until it has refused some by itself; returns how many clicks there were, and how many of them
/// it refused.
fn until_refused_here(front: &Server, named: &str) -> (u64, u64) {
    let (mut clicks, mut here) = (0, 0);
    until("clicks are refused at the front", || {
        here += refused_here(front, &format!("{named}{clicks}"), 40);
        clicks += 40;
        here >= 20
    });
    (clicks, here)
}

#[test]
fn a_front_reads_one_feed_of_a_sale_however_many_watch_there() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(20));
    let front = nodes.front();
    let members = ["ann", "bob", "cid", "dee"];
    let streams = |server: &Server| counted(server, "flashlane_streams");
    let mut watching: Vec<Stream> = members
        .iter()
        .map(|member| Stream::open(&front, Some(member), ""))
        .chain((0..4).map(|_| Stream::open(&front, None, "")))
        .collect();
    for stream in &mut watching {
        stream.until("sale", |sale| sale["left"] == 20);
    }
    assert_eq!((streams(&front), streams(&a)), (8, 1));
    // What is sold at whichever process is told to all, and a member's own steps to them alone.
    let orders: Vec<Value> = members.iter().map(|member| a.order(member, 1)).collect();
    for (stream, order) in watching.iter_mut().zip(&orders) {
        let told = stream.until("order", |told| told["status"] == "confirmed");
        assert_eq!(told.data["order_id"], order["order_id"]);
    }
    for stream in &mut watching {
        stream.until("sale", |sale| sale["left"] == 16);
    }
    drop(watching);
    until("nobody watches any more", || (streams(&front), streams(&a)) == (0, 0));
}

#[test]
fn a_front_refuses_plain_clicks_for_as_long_as_the_owner_says_so_and_no_others() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(1));
    let order = a.order("ann", 1);
    let front = nodes.front();
    let (mut clicks, here) = until_refused_here(&front, "m");
    assert_eq!(counted(&front, "flashlane_refused_for_another_total"), here);
    // What has a key, or is for more units, is another matter.
    for (units, more) in [(1, "idempotency-key: 7\r\n"), (2, "")] {
        let asked = front.click("bob", units, more);
        assert_eq!(node_of(&asked), Some("a"), "{asked:?}");
        clicks += 1;
    }
    let too_often = (0..2_000).find(|_| front.click("cid", 1, "").status == 429);
    let refused = || a.report()["refused"]["sold_out"].as_u64().unwrap();
    let all = clicks + too_often.expect("a member may click 20 times a second");
    until("the sale has counted every refusal", || refused() >= all);
    assert_eq!(refused(), all);
    // A unit that comes back is sold at the front at once.
    assert_eq!(a.cancel("ann", &order).json["status"], "cancelled");
    until("the unit is sold", || front.click("dee", 1, "").status == 202);
    assert_eq!(a.report()["left"], 0);
}

#[test]
fn a_front_asks_the_owner_about_a_tier_that_it_does_not_know_and_about_minors() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    let mut sale = drop_of(1);
    sale["windows"]["regular"] = json!("2998-01-01T00:00:00Z");
    a.make(&sale);
    a.order("ann", 1);
    let knows = nodes.start_with("knows", &["--owns", "none", "--tiers-from", "token"]);
    let asks = nodes.start_with("asks", &["--owns", "none"]);
    until_refused_here(&knows, "m");
    let regular = |member: &str, front: &Server| {
        let answer = front.click_as(member, Tier::Regular, "drop", r#"{"units":1}"#, "");
        answer.is_problem(403, "not_open");
        assert_eq!(node_of(&answer), Some("a"));
    };
    regular("reg", &knows);
    let mut minor = claims();
    minor["minor"] = json!(true);
    let more = format!("authorization: Bearer {}\r\n", signed(&knows, &minor));
    let path = "/v1/sales/drop/orders";
    let answer = send(knows.public, "POST", path, &more, br#"{"units":1}"#);
    assert_eq!(node_of(answer.is_problem(409, "sold_out")), Some("a"));
    // What the book may have of the tier is the owner's to say. By then it has said of gold members what it says.
    assert_eq!(refused_here(&asks, "n", 400), 0);
    regular("rex", &asks);
}

#[test]
fn a_front_that_hears_nothing_from_the_owner_refuses_nothing_in_its_place() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(1));
    a.order("ann", 1);
    let front = nodes.start_with("front", &["--owns", "none", "--tiers-from", "token"]);
    until_refused_here(&front, "m");
    a.signal("-STOP");
    let mut n = 0;
    until("clicks are left to the owner", || {
        n += 1;
        front.click(&format!("n{n}"), 1, "").status == 503
    });
    let before = counted(&front, "flashlane_refused_for_another_total");
    assert_eq!(front.click("late", 1, "").status, 503);
    assert_eq!(counted(&front, "flashlane_refused_for_another_total"), before);
    a.signal("-CONT");
}

#[test]
fn a_front_refuses_for_the_next_owner_once_that_says_so() {
    let nodes = Nodes::new();
    let mut a = nodes.start("a");
    a.make(&drop_of(1));
    let order = a.order("ann", 1);
    let front = nodes.start_with("front", &["--owns", "none", "--tiers-from", "token"]);
    until_refused_here(&front, "m");
    let b = nodes.start("b");
    a.terminate();
    assert!(a.ended().success());
    let asked = front.click("bob", 1, "idempotency-key: 7\r\n");
    assert_eq!(node_of(asked.is_problem(409, "sold_out")), Some("b"));
    until_refused_here(&front, "n");
    assert_eq!(b.cancel("ann", &order).json["status"], "cancelled");
    until("the unit is sold", || front.click("dee", 1, "").status == 202);
}

#[test]
fn a_pass_that_one_front_makes_opens_one_stream_at_another() {
    let nodes = Nodes::new();
    let a = nodes.start("a");
    a.make(&drop_of(9));
    let order = a.order("ann", 1);
    let [one, other] = ["one", "other"].map(|name| nodes.start_with(name, &["--owns", "none"]));
    let made = one.call("ann", "POST", "/v1/stream-passes", "");
    assert_eq!(made.status, 201, "{made:?}");
    let query = format!("?pass={}", made.json["pass"].as_str().unwrap());
    let mut stream = Stream::of(&other, &query);
    stream.until("order", |told| told["order_id"] == order["order_id"]);
    for front in [&one, &other] {
        let again = format!("/v1/sales/drop/events{query}");
        send(front.public, "GET", &again, "", b"").is_problem(401, "unauthenticated");
    }
}
