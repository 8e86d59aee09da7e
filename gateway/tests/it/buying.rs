//! A member's way from the click to the order.

use crate::support::{drop_of, selling, send};
use membership::Tier;
use serde_json::json;

#[test]
fn a_click_is_answered_with_the_order_and_where_it_is() {
    let (_data, server) = selling(10);
    let answer = server.click("ann", 2, "");
    assert_eq!(answer.status, 202, "{answer:?}");
    let order = &answer.json;
    let id = order["order_id"].as_str().unwrap();
    assert_eq!(answer.header("location"), Some(format!("/v1/orders/{id}").as_str()));
    assert_eq!(
        (&order["sale"], &order["member"], &order["tier"]),
        (&json!("drop"), &json!("ann"), &json!("gold"))
    );
    assert_eq!(
        (&order["units"], &order["number"], &order["price_cents"]),
        (&json!(2), &json!(1), &json!(19_104))
    );
    assert!(order["reserved_at"].as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')));
    server.settled();
    let shown = server.get("ann", &format!("/v1/orders/{id}"));
    assert_eq!((shown.status, &shown.json["status"]), (200, &json!("confirmed")));
    assert!(shown.json["confirmed_at"].is_string() && shown.json["pay_by"].is_string());
    server.get("bob", &format!("/v1/orders/{id}")).is_problem(404, "unknown_order");
}

#[test]
fn who_waits_is_told_when_the_order_is_on_disk() {
    let (_data, server) = selling(10);
    let answer = server.click("ann", 1, "prefer: respond-async, wait=10\r\n");
    assert_eq!((answer.status, &answer.json["status"]), (201, &json!("confirmed")), "{answer:?}");
    assert_eq!(answer.header("preference-applied"), Some("wait=10"));
    for wrong in ["wait=0", "wait=11", "wait=x", "wait"] {
        let refused = server.click("ann", 1, &format!("prefer: {wrong}\r\n"));
        refused.is_problem(400, "bad_request");
    }
}

#[test]
fn a_repeated_key_gives_the_same_order_and_another_body_is_a_conflict() {
    let (data, server) = selling(10);
    let key = "idempotency-key: \"first try\"\r\n".replace(' ', "-").replace("key:-", "key: ");
    let first = server.click("ann", 2, &key);
    assert_eq!(first.status, 202, "{first:?}");
    let again = server.click("ann", 2, &key.replace('"', ""));
    assert_eq!(again.json["order_id"], first.json["order_id"], "quoted or bare");
    server.click("ann", 1, &key).is_problem(422, "idempotency_conflict");
    assert_eq!(server.settled()["confirmed"], 2);
    drop(server);
    // The key outlives the process.
    let server = crate::support::Server::start(data.path());
    let again = server.click("ann", 2, &format!("{key}prefer: wait=5\r\n"));
    assert_eq!(again.json["order_id"], first.json["order_id"], "{again:?}");
    assert_eq!((again.status, &again.json["status"]), (201, &json!("confirmed")));
    server.click("ann", 1, &key).is_problem(422, "idempotency_conflict");
}

#[test]
fn each_refusal_has_its_status_its_code_and_its_fields() {
    let (_data, server) = selling(3);
    let later = json!("2998-01-01T00:00:00Z");
    let mut other = drop_of(5);
    other["id"] = json!("later");
    other["windows"] = json!({"gold": later, "platinum": later, "diamond": later});
    other["limits"] = json!({"gold": 1, "platinum": 1, "diamond": 1});
    server.make(&other);
    let one = r#"{"units":1}"#;

    let early = server.click_as("ann", Tier::Gold, "later", one, "");
    early.is_problem(403, "not_open");
    assert_eq!(early.json["opens_at"], "2998-01-01T00:00:00.000Z");
    assert!(early.json["server_time"].is_string());
    let outside = server.click_as("ann", Tier::Silver, "later", one, "");
    assert_eq!(outside.is_problem(403, "tier_not_admitted").json["tier"], "silver");
    server.click_as("ann", Tier::Gold, "nowhere", one, "").is_problem(404, "unknown_sale");

    assert_eq!(server.click("ann", 4, "").is_problem(422, "bad_units").json["limit"], 3);
    let bought = server.click("ann", 2, "prefer: wait=10\r\n");
    let short = server.click("bob", 2, "");
    assert_eq!(short.is_problem(409, "sold_out").json["left"], 1);
    assert_eq!(short.json["may_return"], true, "it is not paid yet: {short:?}");
    assert_eq!(server.pay(&bought.json, "paid").status, 200);
    let short = server.click("bob", 2, "");
    assert_eq!(short.json["may_return"], false, "{short:?}");
    server.operate_with(
        "POST",
        "/v1/sales/drop/stock",
        "idempotency-key: a\r\n",
        &json!({"add": 5}),
    );
    let full = server.click("ann", 2, "");
    full.is_problem(409, "limit_reached");
    assert_eq!((&full.json["limit"], &full.json["held"]), (&json!(3), &json!(2)));

    server.operate("POST", "/v1/sales/drop/pause", &json!(null));
    server.click("bob", 1, "").is_problem(409, "paused");
    server.operate("POST", "/v1/sales/drop/resume", &json!(null));
    assert_eq!(server.click("bob", 1, "").status, 202);
    server.operate("POST", "/v1/sales/drop/close", &json!(null));
    server.click("bob", 1, "").is_problem(410, "closed");
    let report = server.settled();
    assert_eq!(
        (&report["refused"]["sold_out"], &report["refused"]["paused"]),
        (&json!(2), &json!(1))
    );
}

#[test]
fn a_sale_shows_what_it_is_and_what_it_is_for_you() {
    let (_data, server) = selling(10);
    server.click("ann", 2, "prefer: wait=10\r\n");
    let shown = send(server.public, "GET", "/v1/sales/drop", "", b"");
    let sale = &shown.json;
    assert_eq!(
        (&sale["stock"], &sale["left"], &sale["state"]),
        (&json!(10), &json!(8), &json!("open"))
    );
    assert_eq!(sale["windows"]["gold"], "2020-01-01T00:00:00.000Z");
    assert_eq!(
        (&sale["limits"]["diamond"], &sale["closes_at"]),
        (&json!(5), &json!("2999-01-01T00:00:00.000Z"))
    );
    assert!(sale["server_time"].is_string() && sale["you"].is_null());
    let you = &server.get("ann", "/v1/sales/drop").json["you"];
    assert_eq!((&you["tier"], &you["limit"], &you["held"]), (&json!("gold"), &json!(3), &json!(2)));
    assert!(you["opens_at"].is_string());
    let listed = send(server.public, "GET", "/v1/sales", "", b"");
    assert_eq!(listed.json["sales"][0]["id"], "drop");
}

#[test]
fn a_member_sees_their_own_orders_over_restarts_and_nobody_elses() {
    let (data, server) = selling(10);
    let first = server.click("ann", 1, "prefer: wait=10\r\n").json;
    server.click("bob", 1, "prefer: wait=10\r\n");
    drop(server);
    let server = crate::support::Server::start(data.path());
    let second = server.click("ann", 1, "").json;
    let mine = server.get("ann", "/v1/orders?sale=drop").json;
    let ids: Vec<_> = mine["orders"].as_array().unwrap().iter().map(|o| &o["order_id"]).collect();
    assert_eq!(ids, [&second["order_id"], &first["order_id"]], "newest first");
    let before = first["order_id"].as_str().unwrap();
    assert_eq!(server.get("ann", &format!("/v1/orders/{before}")).json["status"], "confirmed");
    server.get("bob", &format!("/v1/orders/{before}")).is_problem(404, "unknown_order");
    assert_eq!(server.get("cyd", "/v1/orders?sale=drop").json["orders"], json!([]));
    server.get("ann", "/v1/orders?sale=none").is_problem(404, "unknown_sale");
    server.get("ann", "/v1/orders").is_problem(400, "bad_request");
    for lost in ["drop.1.999", "drop.9.1", "x", "drop.1.1.1", "drop.01.1"] {
        let answer = server.get("ann", &format!("/v1/orders/{lost}"));
        assert!(answer.is_problem(404, "unknown_order").body.contains("on sale again"));
    }
}

#[test]
fn a_members_orders_come_in_pages_newest_first_over_restarts() {
    let (data, server) = selling(1_000);
    let make = |server: &crate::support::Server, orders: u32| {
        for _ in 0..orders {
            let order = server.order("ann", 1);
            assert_eq!(server.cancel("ann", &order).status, 200);
        }
    };
    let args = ["--member-rate", "0"];
    drop(server);
    let server = crate::support::Server::start_with(data.path(), &args);
    make(&server, 130);
    drop(server);
    let server = crate::support::Server::start_with(data.path(), &args);
    make(&server, 120);
    let (mut numbers, mut pages, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = server.get("ann", &format!("/v1/orders?sale=drop{after}")).json;
        let orders = page["orders"].as_array().unwrap();
        pages.push(orders.len());
        numbers.extend(orders.iter().map(|order| order["number"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(pages, [100, 100, 50]);
    assert!(numbers.iter().eq((1..=250).rev().collect::<Vec<u64>>().iter()), "{numbers:?}");
    server.get("ann", "/v1/orders?sale=drop&after=x").is_problem(400, "bad_request");
    let bobs = server.get("bob", "/v1/orders?sale=drop&after=200").json;
    assert_eq!(bobs["orders"], json!([]), "another member's order is no place in this list");
}
