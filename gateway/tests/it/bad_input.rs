//! A client that sends bad input is told what is wrong with it, and nothing changes.

use crate::support::{PATIENCE, read, selling, send};
use membership::Tier;
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;

#[test]
fn a_body_that_is_no_click_names_what_is_wrong() {
    let (_data, server) = selling(10);
    let bad = [
        ("", "the body is empty"),
        ("{", "EOF"),
        ("[1]", "array"),
        ("null", "null"),
        (r#"{"units":1"#, "EOF"),
        (r#"{"units":"1"}"#, "units"),
        (r#"{"units":null}"#, "units"),
        (r#"{"units":[1]}"#, "units"),
        (r#"{"units":1.5}"#, "units"),
        (r#"{"units":true}"#, "units"),
        (r#"{}"#, "units"),
        (r#"{"units":1,"tier":"diamond"}"#, "tier"),
        (r#"{"units":1,"units":2}"#, "units"),
        (r#"{"units":1}{"units":1}"#, "something after"),
        ("{\"units\":1}\u{0}", "something after"),
        ("\u{feff}{\"units\":1}", "expected value"),
    ];
    for (body, named) in bad {
        let answer = server.click_as("ann", Tier::Gold, "drop", body, "");
        answer.is_problem(400, "bad_request");
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(named), "{body}: {detail}");
    }
    assert_eq!(server.settled()["left"], 10);
}

#[test]
fn units_of_every_size_are_counts_or_refused() {
    let (_data, server) = selling(10);
    for units in [
        "0",
        "-1",
        "4",
        "65536",
        "2147483648",
        "4294967297",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "1e300",
    ] {
        let body = format!("{{\"units\":{units}}}");
        let answer = server.click_as("ann", Tier::Gold, "drop", &body, "");
        assert_eq!(answer.is_problem(422, "bad_units").json["limit"], 3, "{units}");
    }
    assert_eq!(server.settled()["left"], 10);
}

#[test]
fn a_huge_body_and_too_many_headers_are_refused_as_problems() {
    let (_data, server) = selling(10);
    let huge = format!("{{\"units\":1{}}}", " ".repeat(4_096));
    server.click_as("ann", Tier::Gold, "drop", &huge, "").is_problem(413, "body_too_large");
    let fits = format!("{{\"units\":1{}}}", " ".repeat(4_096 - 11));
    assert_eq!(server.click_as("ann", Tier::Gold, "drop", &fits, "").status, 202);
    let headers = |n: usize| (0..n).map(|i| format!("x-{i}: y\r\n")).collect::<String>();
    assert_eq!(server.click("ann", 1, &headers(60)).status, 202, "browsers and proxies send many");
    server.click("ann", 1, &headers(95)).is_problem(431, "headers_too_large");
    let long = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
    assert_eq!(server.click("ann", 1, &long(15_000)).status, 202);
    server.click("ann", 1, &long(17_000)).is_problem(431, "headers_too_large");
    assert_eq!(server.settled()["confirmed"], 3);
}

#[test]
fn a_chunked_body_without_end_is_cut_at_the_limit() {
    let (_data, server) = selling(10);
    let token = server.token("ann", Tier::Gold);
    let mut stream = TcpStream::connect(server.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1/sales/drop/orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(format!("1400\r\n{}\r\n", " ".repeat(0x1400)).as_bytes()).unwrap();
    read(stream).is_problem(413, "body_too_large");
}

#[test]
fn a_request_without_one_host_or_with_a_body_in_another_coding_is_refused() {
    let (_data, server) = selling(10);
    let ask = |head: &str| {
        let mut stream = TcpStream::connect(server.public).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).unwrap();
        read(stream)
    };
    let get = "GET /healthz HTTP/1.1\r\n";
    assert_eq!(ask(&format!("{get}host: x\r\n")).status, 200);
    for hosts in ["", "host: x\r\nhost: x\r\n", "host: x\r\nhost: y\r\n"] {
        let answer = ask(&format!("{get}{hosts}"));
        let detail = answer.is_problem(400, "bad_request").json["detail"].as_str().unwrap();
        assert!(detail.contains("Host"), "{hosts}: {detail}");
    }
    assert_eq!(ask("GET /healthz HTTP/1.0\r\n").status, 200, "1.0 has no such header");
    let post = "POST /v1/payments HTTP/1.1\r\nhost: x\r\n";
    for coding in ["gzip, chunked", "gzip", "chunked, chunked"] {
        let answer = ask(&format!("{post}transfer-encoding: {coding}\r\n"));
        assert!(matches!(answer.status, 400 | 501), "{coding}: {answer:?}");
    }
}

#[test]
fn paths_that_name_nothing_are_not_found() {
    let (_data, server) = selling(10);
    let sales =
        ["DROP", "dr%7Bop%7D", "dr{op", "%00", "%0a", "d%C3%A9p", &"x".repeat(41), "..%2f", "%ff"];
    for sale in sales {
        let answer = server.click_as("ann", Tier::Gold, sale, r#"{"units":1}"#, "");
        assert!(matches!(answer.status, 400 | 404), "{sale}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{sale}: {answer:?}"
        );
        let shown = send(server.public, "GET", &format!("/v1/sales/{sale}"), "", b"");
        assert_eq!(shown.header("content-type"), Some("application/problem+json"), "{sale}");
        let order = server.get("ann", &format!("/v1/orders/{sale}"));
        assert_eq!(
            order.header("content-type"),
            Some("application/problem+json"),
            "{sale}: {order:?}"
        );
    }
    send(server.public, "GET", "/v2", "", b"").is_problem(404, "not_found");
    send(server.public, "PUT", "/v1/sales", "", b"").is_problem(405, "method_not_allowed");
    send(server.public, "GET", "/metrics", "", b"").is_problem(404, "not_found");
}

#[test]
fn an_idempotency_key_that_is_none_is_refused() {
    let (_data, server) = selling(10);
    let long = "k".repeat(256);
    let bad = ["", "\"\"", "\"half", "a b", &long, "\u{e9}", "a\r\nidempotency-key: b"];
    for key in bad {
        let answer = server.click("ann", 1, &format!("idempotency-key: {key}\r\n"));
        answer.is_problem(400, "bad_request");
    }
    let longest = "k".repeat(255);
    assert_eq!(server.click("ann", 1, &format!("idempotency-key: {longest}\r\n")).status, 202);
    assert_eq!(server.settled()["confirmed"], 1);
}

#[test]
fn a_sale_that_cannot_be_made_names_every_field() {
    let (_data, server) = selling(10);
    let good = crate::support::drop_of(5);
    let make = |change: fn(&mut Value)| {
        let mut sale = good.clone();
        sale["id"] = json!("other");
        change(&mut sale);
        server.operate("POST", "/v1/sales", &sale)
    };
    let fields = |answer: &crate::support::Answer| -> Vec<String> {
        let errors = answer.is_problem(422, "invalid_sale").json["errors"].as_array().unwrap();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    };
    let many = make(|sale| {
        sale["id"] = json!("{other}");
        sale["stock"] = json!(0);
        sale["currency"] = json!("yuan");
        sale["limits"]["gold"] = json!(65_536);
        sale["windows"]["diamond"] = json!("2021-01-01T00:00:00Z");
    });
    assert_eq!(fields(&many), ["id", "windows", "currency", "stock"]);
    assert_eq!(fields(&make(|sale| sale["stock"] = json!(10_000_001))), ["stock"]);
    assert_eq!(fields(&make(|sale| sale["limits"]["gold"] = json!(0))), ["limits"]);
    assert_eq!(
        fields(&make(|sale| sale["closes_at"] = json!("2019-01-01T00:00:00Z"))),
        ["windows"]
    );
    assert_eq!(fields(&make(|sale| sale["title"] = json!(""))), ["title"]);
    assert_eq!(fields(&make(|sale| sale["pay_within_s"] = json!(0))), ["pay_within_s"]);
    assert_eq!(fields(&make(|sale| sale["price_cents"] = json!(0))), ["price_cents"]);
    assert_eq!(fields(&make(|sale| sale["free"] = json!(true))), ["price_cents"]);
    let over = |sale: &mut Value| sale["closes_at"] = json!("2021-01-01T00:00:00Z");
    assert_eq!(fields(&make(over)), ["closes_at"]);
    for change in [
        (|sale| sale["stock"] = json!("many")) as fn(&mut Value),
        |sale| sale["windows"]["bronze"] = json!("2020-01-01T00:00:00Z"),
        |sale| sale["windows"]["gold"] = json!("tomorrow"),
        |sale| sale["closes_at"] = json!("1969-12-31T23:59:59Z"),
        |sale| sale["price_cents"] = json!(-1),
        |sale| sale["colour"] = json!("red"),
    ] {
        make(change).is_problem(400, "bad_request");
    }
    server.operate("POST", "/v1/sales", &good).is_problem(409, "sale_exists");
    let listed = server.operate("GET", "/v1/sales", &json!(null)).json;
    assert_eq!(listed["sales"].as_array().unwrap().len(), 1);
}
