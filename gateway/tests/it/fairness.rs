//! Rates, caps, blocked members: no member and no address gets more than its share.

use crate::support::{Answer, Server, drop_of, selling, send, until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn a_member_who_clicks_too_often_is_told_when_to_come_back_and_others_are_not() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--member-rate", "1"]);
    server.make(&drop_of(100));
    let answers: Vec<Answer> = (0..12).map(|_| server.click("ann", 1, "")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(refused.len() >= 6, "{} of 12 refused at one a second", refused.len());
    for answer in refused {
        answer.is_problem(429, "too_many_requests");
        assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    }
    assert_eq!(server.click("bob", 1, "").status, 202);
    assert_eq!(server.get("ann", "/v1/sales/drop").status, 200, "looking is free");
    // The rate counts every call that changes something.
    let others = [
        ("POST", "/v1/sales/drop/waitlist"),
        ("DELETE", "/v1/sales/drop/waitlist"),
        ("POST", "/v1/orders/drop.1.1/cancel"),
    ];
    for (method, path) in others {
        let limited =
            (0..4).any(|_| server.call("cyd", method, path, r#"{"units":1}"#).status == 429);
        assert!(limited, "{method} {path}");
    }
}

#[test]
fn an_address_may_ask_only_so_often_and_forges_no_other() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--address-rate", "2"]);
    let ask = |forged: usize| {
        let header = format!("x-forwarded-for: 9.9.9.{forged}\r\n");
        send(server.public, "GET", "/healthz", &header, b"")
    };
    let refused = (0..12).map(ask).filter(|answer| answer.status == 429).count();
    assert!(refused >= 4, "{refused} of 12 refused");
    drop(server);
    let args = ["--address-rate", "2", "--trusted-proxies", "127.0.0.0/8"];
    let server = Server::start_with(data.path(), &args);
    let ask = |client: usize| {
        let header = format!("x-forwarded-for: 1.1.1.1, 9.9.9.{client}\r\n");
        send(server.public, "GET", "/healthz", &header, b"").status
    };
    assert!((0..12).map(ask).all(|status| status == 200), "behind a proxy each is another one");
    assert!((0..12).map(|_| ask(1)).any(|status| status == 429));
}

#[test]
fn an_address_holds_only_so_many_connections() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--address-connections", "2"]);
    let connect = || {
        let mut stream = TcpStream::connect(server.public).unwrap();
        stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        (String::from_utf8(first.to_vec()).unwrap(), stream)
    };
    // Whoever asked whether the server has started may not be gone yet.
    let mut held = [connect(), connect()];
    until("nobody else is connected", || {
        let is_full = held.iter().all(|(status, _)| status.ends_with("200"));
        if !is_full {
            held = [connect(), connect()];
        }
        is_full
    });
    assert!(connect().0.ends_with("503"));
    drop(held);
    until("there is room again", || connect().0.ends_with("200"));
}

#[test]
fn who_is_turned_away_takes_no_descriptors_from_the_rest() {
    const CROWD: usize = 300;
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--connections-max", "1"]);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    let before = descriptors();
    let seen = || {
        let metrics = server.operate("GET", "/metrics", &Value::Null).body;
        let turned_away = |line: &str| {
            line.strip_prefix("flashlane_connections_turned_away_total ")?.parse().ok()
        };
        metrics.lines().find_map(turned_away).unwrap_or(0_usize)
    };
    // They send no request, and they do not close.
    let crowd: Vec<_> = (0..CROWD).map(|_| TcpStream::connect(server.public).unwrap()).collect();
    let mut most = 0;
    until("the crowd is turned away", || {
        most = most.max(descriptors());
        seen() >= CROWD - 1
    });
    assert!(most <= before + 48, "{before} descriptors before, {most} with a crowd at the door");
    drop(crowd);
}

#[test]
fn a_blocked_member_neither_buys_nor_waits_and_keeps_what_they_have() {
    let (data, server) = selling(2);
    let order = server.order("ann", 1);
    for _ in 0..2 {
        assert_eq!(server.operate("PUT", "/v1/blocked/ann", &Value::Null).status, 204);
    }
    server.click("ann", 1, "").is_problem(403, "blocked");
    drop(server);
    let server = Server::start(data.path());
    let listed = server.operate("GET", "/v1/blocked", &Value::Null).json;
    assert_eq!(listed, json!({"members": ["ann"]}), "also after a restart");
    server.click("ann", 1, "").is_problem(403, "blocked");
    server.order("bob", 1);
    let wait = server.call("ann", "POST", "/v1/sales/drop/waitlist", r#"{"units":1}"#);
    wait.is_problem(403, "blocked");
    assert_eq!(server.pay(&order, "paid").json["status"], "paid");
    assert_eq!(server.operate("DELETE", "/v1/blocked/ann", &Value::Null).status, 204);
    server.click("ann", 1, "").is_problem(409, "sold_out");
}

#[test]
fn who_waits_and_is_blocked_is_passed_over() {
    let (_data, server) = selling(1);
    let order = server.order("ann", 1);
    for member in ["bob", "cyd"] {
        server.call(member, "POST", "/v1/sales/drop/waitlist", r#"{"units":1}"#);
    }
    assert_eq!(server.operate("PUT", "/v1/blocked/bob", &Value::Null).status, 204);
    let waits = |member| server.get(member, "/v1/sales/drop").json["you"]["waiting"].clone();
    assert!(waits("bob").is_null() && waits("cyd").is_object());
    server.cancel("ann", &order);
    until("cyd is served", || server.settled()["confirmed"] == 1);
    let mine = server.get("cyd", "/v1/orders?sale=drop").json;
    assert_eq!(mine["orders"][0]["status"], "confirmed");
    assert_eq!(server.operate("DELETE", "/v1/blocked/bob", &Value::Null).status, 204);
    assert_eq!(waits("bob")["position"], 1, "the place is kept");
}

#[test]
fn a_name_that_is_none_cannot_be_blocked_and_nobody_but_the_operator_blocks() {
    let (_data, server) = selling(1);
    let long = "x".repeat(65);
    for name in ["%20", "a%2fb", "%ff", long.as_str()] {
        let answer = server.operate("PUT", &format!("/v1/blocked/{name}"), &Value::Null);
        assert!([400, 404].contains(&answer.status), "{name}: {answer:?}");
    }
    send(server.operator, "PUT", "/v1/blocked/ann", "", b"").is_problem(401, "unauthenticated");
    send(server.public, "PUT", "/v1/blocked/ann", "", b"").is_problem(404, "not_found");
    let listed = server.operate("GET", "/v1/blocked", &Value::Null).json;
    assert_eq!(listed, json!({"members": []}));
}

#[test]
fn a_paused_sale_takes_no_click_from_the_moment_the_switch_has_answered() {
    let (data, server) = selling(1_000);
    std::thread::scope(|scope| {
        let clicking = scope.spawn(|| {
            let mut accepted = 0;
            for i in 0.. {
                match server.click(&format!("m{i}"), 1, "") {
                    answer if answer.status == 202 => accepted += 1,
                    answer => {
                        answer.is_problem(409, "paused");
                        return accepted;
                    }
                }
            }
            unreachable!()
        });
        until("some have bought", || server.report()["left"].as_u64() < Some(990));
        assert_eq!(server.operate("POST", "/v1/sales/drop/pause", &Value::Null).status, 200);
        let at_pause = server.report()["left"].clone();
        let accepted: u64 = clicking.join().unwrap();
        assert_eq!(server.settled()["left"], at_pause);
        assert_eq!(server.settled()["confirmed"], accepted);
    });
    drop(server);
    let server = Server::start(data.path());
    server.click("zoe", 1, "").is_problem(409, "paused");
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    let (_data, server) = selling(1);
    let mut stream = TcpStream::connect(server.public).unwrap();
    stream.set_nonblocking(true).unwrap();
    let ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50);
    // The client asks and never reads. Until the server cuts it off, a write may find the socket
    // full.
    until("it is cut off", || match stream.write(&ask) {
        Ok(_) => false,
        Err(error) => [BrokenPipe, ConnectionReset].contains(&error.kind()),
    });
    assert_eq!(send(server.public, "GET", "/healthz", "", b"").status, 200);
}

#[test]
fn every_read_of_a_member_has_a_rate_and_takes_nothing_from_their_clicks() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--read-rate", "1"]);
    server.make(&drop_of(10));
    let order = server.order("ann", 1);
    let id = order["order_id"].as_str().unwrap();
    let paths = [
        format!("/v1/orders/{id}"),
        "/v1/orders?sale=drop".to_owned(),
        "/v1/sales".to_owned(),
        "/v1/sales/drop".to_owned(),
    ];
    until("the reads are too many", || server.get("ann", &paths[0]).status == 429);
    let answers: Vec<_> = paths.iter().map(|path| server.get("ann", path)).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(refused.len() >= 3, "one read a second may come: {answers:?}");
    for answer in refused {
        answer.is_problem(429, "too_many_requests");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(server.get("bob", &paths[3]).status, 200, "another member may look");
    assert_eq!(server.click("ann", 1, "").status, 202, "a click is no read");
}
