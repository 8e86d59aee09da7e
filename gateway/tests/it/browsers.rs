//! Pages on other origins: which may call, by what pass they open a stream, and who may frame ours.

use crate::support::{PATIENCE, Server, drop_of, selling, send};
use membership::Tier;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;

const SHOP: &str = "https://shop.example";

fn with(args: &[&str]) -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), args);
    server.make(&drop_of(5));
    (data, server)
}

fn preflight(server: &Server, origin: &str) -> crate::support::Answer {
    let headers = format!(
        "origin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: authorization,content-type,idempotency-key,prefer\r\n"
    );
    send(server.public, "OPTIONS", "/v1/sales/drop/orders", &headers, b"")
}

#[test]
fn a_page_of_an_allowed_origin_may_click_and_read_the_answer() {
    let (_data, server) = with(&["--allow-origins", "https://other.example,https://shop.example"]);
    let asked = preflight(&server, SHOP);
    assert_eq!(asked.status, 200, "{asked:?}");
    assert_eq!(asked.header("access-control-allow-origin"), Some(SHOP));
    let allowed = asked.header("access-control-allow-headers").unwrap();
    for name in ["authorization", "idempotency-key", "prefer", "last-event-id"] {
        assert!(allowed.contains(name), "{allowed}");
    }
    assert!(asked.header("access-control-allow-methods").unwrap().contains("DELETE"));
    assert!(asked.header("access-control-max-age").is_some());
    let more = format!("origin: {SHOP}\r\n");
    let bought = server.click("ann", 1, &more);
    assert_eq!((bought.status, bought.header("access-control-allow-origin")), (202, Some(SHOP)));
    let exposed = bought.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("location") && exposed.contains("retry-after"), "{exposed}");
    // No cookie is ever asked for.
    assert_eq!(bought.header("access-control-allow-credentials"), None);
    let refused = send(server.public, "POST", "/v1/sales/drop/orders", &more, b"{\"units\":1}");
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(SHOP)));
}

#[test]
fn a_page_may_also_read_what_is_answered_before_any_route() {
    let (_data, server) = with(&["--allow-origins", SHOP, "--address-rate", "1"]);
    let large = format!("origin: {SHOP}\r\nx: {}\r\n", "y".repeat(17 << 10));
    let refused = send(server.public, "GET", "/healthz", &large, b"");
    assert_eq!(
        refused.is_problem(431, "headers_too_large").header("access-control-allow-origin"),
        Some(SHOP)
    );
    let ask = || send(server.public, "GET", "/healthz", &format!("origin: {SHOP}\r\n"), b"");
    let often = (0..50).map(|_| ask()).find(|answer| answer.status == 429).expect("too often");
    assert_eq!(often.header("access-control-allow-origin"), Some(SHOP));
    assert!(often.header("access-control-expose-headers").unwrap().contains("retry-after"));
    let other = large.replace(SHOP, "https://evil.example");
    let other = send(server.public, "GET", "/healthz", &other, b"");
    assert_eq!(other.header("access-control-allow-origin"), None);
}

#[test]
fn a_page_of_any_other_origin_may_not() {
    let (_data, server) = with(&["--allow-origins", SHOP]);
    for origin in ["https://evil.example", "https://shop.example.evil.example", "null"] {
        let asked = preflight(&server, origin);
        assert_eq!(asked.header("access-control-allow-origin"), None, "{asked:?}");
    }
    let (_data, closed) = with(&[]);
    preflight(&closed, SHOP).is_problem(405, "method_not_allowed");
    let (_data, wrong) = (tempfile::tempdir().unwrap(), "https://shop.example/path");
    let started = crate::support::flashlane().args(["serve", "--allow-origins", wrong]).output();
    let said = String::from_utf8(started.unwrap().stderr).unwrap();
    assert!(said.contains("write an origin as"), "{said}");
}

#[test]
fn pages_are_framed_by_those_who_may() {
    let (_data, server) = with(&["--frame-ancestors", "https://a.example,https://b.example"]);
    let room = send(server.public, "GET", "/room/drop", "", b"");
    let policy = room.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors https://a.example https://b.example;"), "{policy}");
}

/// Asks for events with this query, and reads so much that `text` is in it.
fn stream(server: &Server, query: &str, text: &str) -> String {
    let mut stream = TcpStream::connect(server.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = format!("GET /v1/sales/drop/events{query} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut read = String::new();
    let mut piece = [0; 4_096];
    while !read.contains(text) {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "it ended without {text}: {read}");
        read.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
    read
}

#[test]
fn a_pass_opens_one_stream_of_the_members_own_orders() {
    let (_data, server) = selling(5);
    let order = server.order("ann", 1);
    let made = server.call("ann", "POST", "/v1/stream-passes", "");
    assert_eq!(made.status, 201, "{made:?}");
    let pass = made.json["pass"].as_str().unwrap();
    let query = format!("?pass={pass}");
    let told = stream(&server, &query, order["order_id"].as_str().unwrap());
    assert!(told.contains("event: order"), "{told}");
    let again = send(server.public, "GET", &format!("/v1/sales/drop/events{query}"), "", b"");
    again.is_problem(401, "unauthenticated");
    let none = send(server.public, "GET", "/v1/sales/drop/events?pass=0", "", b"");
    none.is_problem(401, "unauthenticated");
    send(server.public, "POST", "/v1/stream-passes", "", b"").is_problem(401, "unauthenticated");
    let odd = send(server.public, "GET", "/v1/sales/drop/events?pas=0", "", b"");
    odd.is_problem(400, "bad_request");
}

#[test]
fn a_stream_by_a_pass_goes_on_where_the_one_before_ended() {
    let (_data, server) = selling(5);
    let (first, second) = (server.order("ann", 1), server.order("ann", 1));
    let pass = |member: &str| {
        let made = server.call_as(member, Tier::Gold, "POST", "/v1/stream-passes", "").json;
        made["pass"].as_str().unwrap().to_owned()
    };
    let told = stream(&server, &format!("?pass={}", pass("ann")), "\nid: ");
    let id = told.split("\nid: ").nth(1).unwrap().lines().next().unwrap();
    assert!(id.parse::<u64>().is_ok(), "{told}");
    let after = u64::MAX;
    let query = format!("?pass={}&last_event_id={after}", pass("ann"));
    let told = stream(&server, &query, "event: sale");
    for order in [&first, &second] {
        assert!(!told.contains(order["order_id"].as_str().unwrap()), "it was told before: {told}");
    }
    assert_eq!(json!(2), server.report()["confirmed"]);
}
