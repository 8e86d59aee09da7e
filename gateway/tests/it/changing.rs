//! Changing a sale: anything before its first window opens, a little while it sells.

use crate::support::{Server, drop_of, selling, send, until};
use jiff::{Timestamp, ToSpan};
use membership::Tier;
use serde_json::{Value, json};
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

fn change(server: &Server, body: &Value) -> crate::support::Answer {
    server.operate("PATCH", "/v1/sales/drop", body)
}

fn in_an_hour() -> Value {
    json!((Timestamp::now() + 1.hour()).to_string())
}

/// A sale whose windows open in an hour.
fn to_come(stock: u32) -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut sale = drop_of(stock);
    for at in sale["windows"].as_object_mut().unwrap().values_mut() {
        *at = in_an_hour();
    }
    server.make(&sale);
    (data, server)
}

#[test]
fn before_its_first_window_everything_may_change_but_the_id() {
    let (data, mut server) = to_come(5);
    server.click("ann", 1, "").is_problem(403, "not_open");
    let key = "idempotency-key: k\r\n";
    let more = server.operate_with("POST", "/v1/sales/drop/stock", key, &json!({"add": 3}));
    assert_eq!(more.json["stock"], 8);
    let answer = change(
        &server,
        &json!({
            "title": "Two lamps", "price_cents": 5, "stock": 4, "limits": {"gold": 2, "diamond": 4},
            "windows": {"gold": "2020-01-01T00:00:00Z", "diamond": "2020-01-01T00:00:00Z"},
            "pay_within_s": 60,
        }),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let report = answer.json;
    let shown =
        ["title", "price_cents", "stock", "left", "state", "pay_within_s"].map(|f| &report[f]);
    let expected = [json!("Two lamps"), json!(5), json!(4), json!(4), json!("open"), json!(60)];
    assert_eq!(shown, expected.each_ref());
    assert_eq!(report["limits"], json!({"gold": 2, "diamond": 4}));
    let order = server.click("ann", 2, "prefer: wait=10\r\n");
    assert_eq!((order.status, &order.json["due_cents"]), (201, &json!(8)));
    let silver = server.click_as("bob", Tier::Silver, "drop", r#"{"units":1}"#, "");
    silver.is_problem(403, "tier_not_admitted");
    server.click("ann", 1, "").is_problem(409, "limit_reached");
    assert_eq!(server.click("bob", 2, "prefer: wait=10\r\n").status, 201);
    server.click("cyd", 1, "").is_problem(409, "sold_out");
    let marks = server.report()["marks"].clone();
    let marked: Vec<_> = marks.as_array().unwrap().iter().map(|mark| &mark["mark"]).collect();
    assert_eq!(marked, ["window_opened", "window_opened", "taken_over", "changed"]);

    server.terminate();
    assert!(server.ended().success());
    let server = Server::start(data.path());
    let report = server.report();
    assert_eq!((&report["title"], &report["confirmed"]), (&json!("Two lamps"), &json!(4)));
}

#[test]
fn once_a_window_has_opened_title_a_later_close_and_the_time_to_pay_change_and_nothing_else() {
    let (data, mut server) = selling(5);
    let first = server.order("ann", 1);
    let closes_at = server.report()["closes_at"].clone();
    for (body, field) in [
        (json!({"price_cents": 1}), "price_cents"),
        (json!({"stock": 9}), "stock"),
        (json!({"limits": {"gold": 9}}), "limits"),
        (json!({"windows": {"gold": "2020-01-01T00:00:00Z"}}), "windows"),
        (json!({"closes_at": in_an_hour()}), "closes_at"),
        (json!({"adults_only": true, "title": "x"}), "adults_only"),
    ] {
        let answer = change(&server, &body);
        let errors = &answer.is_problem(422, "invalid_sale").json["errors"];
        assert!(errors.to_string().contains(&format!("\"field\":\"{field}\"")), "{errors}");
    }
    assert_eq!(server.report()["title"], "A lamp");
    let later = json!("2999-02-01T00:00:00.000Z");
    let body = json!({"title": "The lamp", "closes_at": later, "pay_within_s": 1});
    let report = change(&server, &body).json;
    assert_eq!((&report["title"], &report["closes_at"]), (&json!("The lamp"), &later));
    assert_ne!(closes_at, later);
    let second = server.order("bob", 1);
    server.comes_to("bob", &second, "expired");
    assert_eq!(server.status("ann", &first), "confirmed", "an order keeps its own time to pay");
    let path = format!("/v1/orders/{}", first["order_id"].as_str().unwrap());
    assert_eq!(server.get("ann", &path).json["pay_by"], first["pay_by"]);
    let shown = send(server.public, "GET", "/v1/sales/drop", "", b"").json;
    assert_eq!((&shown["title"], &shown["closes_at"]), (&json!("The lamp"), &later));

    server.terminate();
    assert!(server.ended().success());
    let server = Server::start(data.path());
    assert_eq!(server.get("ann", &path).json["pay_by"], first["pay_by"]);
    assert_eq!(server.report()["closes_at"], later);
}

#[test]
fn what_no_sale_can_have_is_refused_and_a_closed_sale_stays_as_it_is() {
    let (_data, server) = to_come(5);
    for (body, status, code) in [
        (json!({"id": "other"}), 400, "bad_request"),
        (json!({"stock": 0}), 422, "invalid_sale"),
        (json!({"price_cents": 0}), 422, "invalid_sale"),
        (json!({"title": ""}), 422, "invalid_sale"),
        (json!({"windows": {}}), 422, "invalid_sale"),
        (json!({"closes_at": "2020-01-01T00:00:00Z"}), 422, "invalid_sale"),
        (json!({"title": 7}), 400, "bad_request"),
    ] {
        change(&server, &body).is_problem(status, code);
    }
    assert_eq!(change(&server, &json!({})).status, 200);
    assert_eq!(server.operate("POST", "/v1/sales/drop/close", &Value::Null).status, 200);
    change(&server, &json!({"title": "x"})).is_problem(410, "closed");
    server.operate("PATCH", "/v1/sales/none", &json!({})).is_problem(404, "unknown_sale");
}

#[test]
fn a_stream_of_a_sale_that_was_opened_anew_ends_and_the_next_one_tells_of_it() {
    use std::io::Write;
    let (_data, server) = to_come(5);
    let open = || {
        let mut stream = TcpStream::connect(server.public).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"GET /v1/sales/drop/events HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        stream
    };
    let mut first = open();
    let mut bytes = [0; 4_096];
    assert!(first.read(&mut bytes).unwrap() > 0);
    assert_eq!(change(&server, &json!({"stock": 7})).status, 200);
    // It ends: the rest of it can be read to the end.
    let mut rest = Vec::new();
    let mut ended = false;
    until("the stream ends", || {
        match first.read(&mut bytes) {
            Ok(0) => ended = true,
            Ok(read) => rest.extend_from_slice(&bytes[..read]),
            Err(error) => panic!("{error}"),
        }
        ended || rest.ends_with(b"0\r\n\r\n")
    });
    let mut second = open();
    let mut told = String::new();
    until("the sale is told", || {
        let read = second.read(&mut bytes).unwrap();
        told.push_str(&String::from_utf8_lossy(&bytes[..read]));
        told.contains("\"left\":7")
    });
}
