//! Live events: what a stream tells, that it misses nothing, and that what waits for a client is
//! bounded.

use crate::support::{PATIENCE, Server, drop_of, selling, send, until};
use membership::Tier;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// A stream of events that is read line by line.
pub(crate) struct Stream {
    lines: BufReader<TcpStream>,
    head: String,
}

#[derive(Debug)]
pub(crate) struct Told {
    name: String,
    id: Option<String>,
    pub(crate) data: Value,
}

impl Stream {
    pub(crate) fn open(server: &Server, member: Option<&str>, more: &str) -> Self {
        let token = member.map(|member| server.token(member, Tier::Gold));
        let token = token.map_or_else(String::new, |t| format!("authorization: Bearer {t}\r\n"));
        Self::ask(server, "", &format!("{token}{more}"))
    }

    /// Opens a stream by what its address says.
    pub(crate) fn of(server: &Server, query: &str) -> Self {
        Self::ask(server, query, "")
    }

    fn ask(server: &Server, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(server.public).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let path = format!("/v1/sales/drop/events{query}");
        let ask = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        Self { lines, head: head.to_lowercase() }
    }

    /// Returns the next event, or `None` when the stream has ended.
    fn next(&mut self) -> Option<Told> {
        let (mut name, mut id, mut data) = (None, None, None);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            let line = line.trim_end();
            // Other lines are chunk sizes of the transfer, or comments.
            match line.split_once(": ") {
                Some(("event", text)) => name = Some(text.to_owned()),
                Some(("id", text)) => id = Some(text.to_owned()),
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                _ => {}
            }
            if line.is_empty()
                && let (Some(name), Some(data)) = (&name, &data)
            {
                return Some(Told { name: name.clone(), id, data: Value::clone(data) });
            }
        }
    }

    /// Returns the next event of this name for which `holds` is true.
    pub(crate) fn until(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Told {
        loop {
            let told = self.next().expect("the stream goes on");
            if told.name == name && holds(&told.data) {
                return told;
            }
        }
    }
}

#[test]
fn a_stream_tells_state_and_stock_as_they_change() {
    let (_data, server) = selling(2);
    let mut stream = Stream::open(&server, None, "");
    assert!(stream.head.contains("200 ok") && stream.head.contains("text/event-stream"));
    let first = stream.next().unwrap();
    assert_eq!((first.name.as_str(), &first.data["left"]), ("sale", &json!(2)));
    assert_eq!((&first.data["state"], &first.id), (&json!("open"), &None));
    assert!(first.data["server_time"].is_string());
    server.order("ann", 2);
    stream.until("sale", |sale| sale["state"] == "sold_out" && sale["left"] == 0);
    server.call("bob", "POST", "/v1/sales/drop/waitlist", r#"{"units":1}"#);
    stream.until("sale", |sale| sale["waiting"] == 1);
    server.operate("POST", "/v1/sales/drop/pause", &Value::Null);
    stream.until("sale", |sale| sale["state"] == "paused");
}

#[test]
fn a_rush_is_told_in_few_events_the_last_of_which_is_true() {
    let (_data, server) = selling(300);
    let mut stream = Stream::open(&server, None, "");
    for i in 0..300 {
        assert_eq!(server.click(&format!("m{i}"), 1, "").status, 202);
    }
    let mut events = 1;
    while stream.next().unwrap().data["left"] != 0 {
        events += 1;
    }
    assert!(events < 100, "{events} events for 300 clicks");
}

#[test]
fn a_member_is_told_each_step_of_their_own_orders_and_of_nobody_elses() {
    let (_data, server) = selling(10);
    let mut stream = Stream::open(&server, Some("ann"), "");
    let theirs = server.order("bob", 1);
    let mine = server.order("ann", 2);
    let confirmed = stream.until("order", |_| true);
    assert_eq!(
        (&confirmed.data["order_id"], &confirmed.data["status"]),
        (&mine["order_id"], &json!("confirmed"))
    );
    assert!(confirmed.data["pay_by"].is_string() && confirmed.id.is_some());
    server.pay(&theirs, "paid");
    server.cancel("ann", &mine);
    let cancelled = stream.until("order", |_| true);
    assert_eq!(cancelled.data["status"], "cancelled");
    server.pay(&mine, "paid");
    assert_eq!(stream.until("order", |_| true).data["status"], "refund_due");
}

#[test]
fn what_was_there_at_the_start_of_a_stream_is_told_whole_and_its_last_event_alone_has_an_id() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--member-rate", "0"]);
    server.make(&drop_of(1_000));
    for _ in 0..250 {
        let order = server.order("ann", 1);
        server.cancel("ann", &order);
    }
    let mut stream = Stream::open(&server, Some("ann"), "");
    let mut numbers = Vec::new();
    let last = loop {
        let told = stream.until("order", |_| true);
        numbers.push(told.data["number"].as_u64().unwrap());
        if told.id.is_some() {
            break told;
        }
    };
    numbers.sort_unstable();
    assert!(numbers.iter().eq((1..=250).collect::<Vec<u64>>().iter()), "{numbers:?}");
    // A client that comes back with this id has seen everything, and is told of what is new.
    let id = format!("last-event-id: {}\r\n", last.id.unwrap());
    let mut back = Stream::open(&server, Some("ann"), &id);
    let newest = server.order("ann", 1);
    back.until("order", |order| order["order_id"] == newest["order_id"]);
}

#[test]
fn a_stream_that_comes_back_is_told_what_it_missed() {
    let (data, server) = selling(10);
    let first = server.order("ann", 1);
    let mut stream = Stream::open(&server, Some("ann"), "");
    let known = stream.until("order", |_| true);
    assert_eq!(known.data["order_id"], first["order_id"], "what there is already is told first");
    drop(stream);
    // Time must go on, so that later changes are not of the same instant as the known one.
    let seen: u64 = known.id.unwrap().parse().unwrap();
    until("a millisecond has passed", || {
        server.order("bob", 1)["confirmed_at"] != first["confirmed_at"]
    });
    let second = server.order("ann", 1);
    drop(server);
    let server = Server::start(data.path());
    server.pay(&second, "paid");
    let since = format!("last-event-id: {}\r\n", seen);
    let mut stream = Stream::open(&server, Some("ann"), &since);
    stream.until("order", |order| {
        order["order_id"] == second["order_id"] && order["status"] == "paid"
    });
    for odd in ["", "nonsense", "-1", "99999999999999999999"] {
        let mut stream = Stream::open(&server, Some("ann"), &format!("last-event-id: {odd}\r\n"));
        assert_eq!(stream.until("order", |_| true).data["order_id"], first["order_id"], "{odd}");
    }
}

#[test]
fn a_member_who_waits_is_told_their_place_as_it_moves() {
    let (_data, server) = selling(1);
    let order = server.order("ann", 1);
    let list = "/v1/sales/drop/waitlist";
    server.call("bob", "POST", list, r#"{"units":1}"#);
    server.call("cyd", "POST", list, r#"{"units":1}"#);
    let mut stream = Stream::open(&server, Some("cyd"), "");
    assert_eq!(stream.until("waiting", |_| true).data, json!({"units": 1, "position": 2}));
    server.call("bob", "DELETE", list, "");
    assert_eq!(stream.until("waiting", |_| true).data["position"], 1);
    server.cancel("ann", &order);
    stream.until("order", |order| order["status"] == "confirmed");
    stream.until("waiting", Value::is_null);
}

#[test]
fn a_silent_stream_has_a_heartbeat() {
    let (_data, server) = selling(1);
    let mut stream = Stream::open(&server, None, "");
    let mut line = String::new();
    while !line.starts_with(':') {
        line.clear();
        assert!(stream.lines.read_line(&mut line).unwrap() > 0, "it ended");
    }
}

#[test]
fn a_stream_with_an_expired_token_ends_and_a_bad_one_is_refused() {
    let (_data, server) = selling(5);
    let bad = "authorization: Bearer nonsense\r\n";
    send(server.public, "GET", "/v1/sales/drop/events", bad, b"")
        .is_problem(401, "unauthenticated");
    send(server.public, "GET", "/v1/sales/none/events", "", b"").is_problem(404, "unknown_sale");
    let ttl = std::time::Duration::from_secs(1);
    let (member, key) = ("ann".parse().unwrap(), server.token_key());
    let token =
        gateway::issue_token(gateway::Algorithm::Hs256, key, None, None, &member, Tier::Gold, ttl);
    let bearer = format!("authorization: Bearer {}\r\n", token.unwrap());
    let mut stream = Stream::open(&server, None, &bearer);
    // The stream checks the token when something happens, and allows five seconds of leeway.
    let mut clicks = 0..;
    until("the stream ends", || {
        server.click(&format!("m{}", clicks.next().unwrap()), 1, "");
        stream
            .lines
            .get_ref()
            .set_read_timeout(Some(std::time::Duration::from_millis(50)))
            .unwrap();
        let mut line = String::new();
        matches!(stream.lines.read_line(&mut line), Ok(0))
    });
}

#[test]
fn open_streams_do_not_keep_the_server_from_ending() {
    let (_data, mut server) = selling(5);
    let mut streams: Vec<_> = (0..3).map(|_| Stream::open(&server, Some("ann"), "")).collect();
    server.terminate();
    assert!(server.ended().success());
    for stream in &mut streams {
        while stream.next().is_some() {}
    }
}

#[test]
fn a_stream_that_is_not_read_is_dropped_and_the_others_go_on() {
    let data = tempfile::tempdir().unwrap();
    let args = ["--member-rate", "0", "--orders-per-member", "65535"];
    let server = Server::start_with(data.path(), &args);
    server.make(&drop_of(10_000_000));
    let silent = Stream::open(&server, Some("ann"), "");
    let mut read = Stream::open(&server, None, "");
    let streams = || {
        let metrics = server.operate("GET", "/metrics", &Value::Null).body;
        let line = metrics.lines().find(|line| line.starts_with("flashlane_streams ")).unwrap();
        line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(streams(), 2);
    // These are more steps than may wait for one stream, and more bytes than its socket buffers.
    until("the silent stream is dropped", || {
        for _ in 0..20 {
            let order = server.click("ann", 1, "").json;
            assert_eq!(server.cancel("ann", &order).status, 200, "{order}");
        }
        streams() == 1
    });
    assert!(read.next().is_some());
    drop(silent);
}

#[test]
fn a_stream_that_opens_while_an_order_moves_tells_each_step_once_and_in_order() {
    const LIFE: [&str; 4] = ["reserved", "confirmed", "cancelled", "refund_due"];
    let (_data, server) = selling(1_000);
    for round in 0..100 {
        let member = &format!("m{round}");
        let server = &server;
        let (mut stream, first, last) = std::thread::scope(|threads| {
            let stream = threads.spawn(|| Stream::open(server, Some(member), ""));
            let first = server.order(member, 1);
            server.cancel(member, &first);
            server.pay(&first, "paid");
            let stream = stream.join().unwrap();
            (stream, first, server.order(member, 1))
        });
        let mut steps = Vec::new();
        loop {
            let told = stream.until("order", |_| true).data;
            if told["order_id"] == last["order_id"] && told["status"] == "confirmed" {
                break;
            }
            if told["order_id"] == first["order_id"] {
                steps.push(LIFE.iter().position(|status| told["status"] == *status).unwrap());
            }
        }
        assert!(steps.is_sorted_by(|one, next| one < next), "round {round}: {steps:?}");
        assert_eq!(steps.last(), Some(&3));
    }
}

#[test]
fn streams_without_a_token_have_a_cap_of_their_own() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--anonymous-streams-max", "2"]);
    server.make(&drop_of(10));
    let path = "/v1/sales/drop/events";
    let anonymous = [Stream::open(&server, None, ""), Stream::open(&server, None, "")];
    let refused = send(server.public, "GET", path, "", b"");
    assert_eq!(refused.is_problem(503, "busy").header("retry-after"), Some("5"));
    let mut member = Stream::open(&server, Some("ann"), "");
    assert!(member.next().is_some(), "members have room");
    drop(anonymous);
    until("the streams have ended", || {
        let metrics = server.operate("GET", "/metrics", &Value::Null).body;
        // A stream ends when something is written to it.
        server.order("ann", 1);
        server.cancel("ann", &server.order("bob", 1));
        metrics.contains("flashlane_anonymous_streams 0")
    });
    assert!(Stream::open(&server, None, "").next().is_some());
}

#[test]
fn no_id_of_a_streams_beginning_is_later_than_what_is_still_to_be_told() {
    let data = tempfile::tempdir().unwrap();
    let args = ["--member-rate", "0", "--orders-per-member", "65535"];
    let server = Server::start_with(data.path(), &args);
    server.make(&drop_of(10));
    let cancelled = |_| {
        let order = server.order("ann", 1);
        server.cancel("ann", &order);
        order
    };
    let orders: Vec<_> = (0..1_500).map(cancelled).collect();
    // The stream is not read: it stands in the middle of its beginning.
    let mut stream = Stream::open(&server, Some("ann"), "");
    let (oldest, newest) = (&orders[0], &orders[orders.len() - 1]);
    // The newest order is told already, and its next step comes behind the whole beginning; the oldest
    // one is not told yet.
    server.pay(newest, "paid");
    server.pay(oldest, "paid");
    let order = newest["order_id"].as_str().unwrap();
    let paid = server.get("ann", &format!("/v1/orders/{order}")).json;
    let paid_at: jiff::Timestamp = paid["changed_at"].as_str().unwrap().parse().unwrap();
    let last = loop {
        if let Some(id) = stream.until("order", |_| true).id {
            break id;
        }
    };
    assert!(last.parse::<i64>().unwrap() <= paid_at.as_millisecond(), "{last}");
    stream.until("order", |told| told["order_id"] == order && told["status"] == "refund_due");
}
