//! The waitlist: which members wait, which of them are served first, and which units go on sale
//! again.

use crate::support::{Server, drop_of, selling, send, until};
use membership::Tier::{self, Diamond, Gold, Regular};
use serde_json::{Value, json};

const LIST: &str = "/v1/sales/drop/waitlist";

fn join(server: &Server, member: &str, tier: Tier, units: u32) -> crate::support::Answer {
    server.call_as(member, tier, "POST", LIST, &json!({ "units": units }).to_string())
}

/// Returns the member's place, as the sale tells it.
fn position(server: &Server, member: &str) -> Value {
    server.get(member, "/v1/sales/drop").json["you"]["waiting"]["position"].clone()
}

/// Returns the members who have an order, by its number.
fn buyers(server: &Server) -> Vec<String> {
    let listed = server.operate("GET", "/v1/sales/drop/orders", &Value::Null).json;
    let orders = listed["orders"].as_array().unwrap().iter();
    orders.map(|order| order["member"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn units_that_come_back_go_to_the_highest_tier_first_and_then_by_arrival() {
    let (_data, server) = selling(3);
    let orders = ["a", "b", "c"].map(|member| server.order(member, 1));
    for (member, tier) in [("r1", Regular), ("g1", Gold), ("d1", Diamond), ("g2", Gold)] {
        let joined = join(&server, member, tier, 1);
        assert_eq!(joined.status, 202, "{joined:?}");
    }
    let places = ["r1", "g1", "d1", "g2"].map(|member| position(&server, member));
    assert_eq!(places, [json!(4), json!(2), json!(1), json!(3)]);
    for (order, member) in orders.iter().zip(["a", "b", "c"]) {
        server.cancel(member, order);
    }
    until("three are served", || buyers(&server).len() == 6 && server.settled()["confirmed"] == 3);
    assert_eq!(buyers(&server)[3..], ["d1", "g1", "g2"]);
    assert_eq!(position(&server, "r1"), 1);
    assert_eq!(
        (server.report()["waiting"].clone(), position(&server, "g1")),
        (json!(1), Value::Null)
    );
    server.click("x", 1, "").is_problem(409, "sold_out");
}

#[test]
fn an_offer_is_a_confirmed_order_with_a_time_to_pay_of_its_own() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut sale = drop_of(1);
    sale["pay_within_s"] = json!(1);
    server.make(&sale);
    server.order("ann", 1);
    join(&server, "bob", Gold, 1);
    join(&server, "cyd", Gold, 1);
    // No member pays: the unit goes from one waiting member to the next.
    let offered = |member: &str| {
        let mut order = Value::Null;
        until("it is offered", || {
            order = server.get(member, "/v1/orders?sale=drop").json["orders"][0].clone();
            order["status"] == "confirmed"
        });
        order
    };
    let bobs = offered("bob");
    assert!(bobs["pay_by"].is_string());
    let cyds = offered("cyd");
    assert_eq!(server.status("bob", &bobs), "expired");
    assert_eq!(server.pay(&cyds, "paid").json["status"], "paid");
    let sold = server.click("dan", 1, "");
    assert_eq!(sold.is_problem(409, "sold_out").json["may_return"], false);
}

#[test]
fn the_public_gets_what_the_waitlist_leaves() {
    let (_data, server) = selling(2);
    let order = server.order("ann", 2);
    join(&server, "bob", Gold, 1);
    // Cyd asks for more units than will come back, and goes on waiting.
    join(&server, "cyd", Diamond, 3);
    server.cancel("ann", &order);
    until("bob is served", || buyers(&server).len() == 2);
    until("the rest is on sale", || server.report()["left"] == 1);
    assert_eq!(position(&server, "cyd"), 1);
    assert_eq!(server.order("dan", 1)["status"], "confirmed");
}

#[test]
fn a_member_who_waits_never_exceeds_the_limit() {
    let (_data, server) = selling(4);
    let (first, second) = (server.order("ann", 1), server.order("bob", 3));
    join(&server, "ann", Gold, 3).is_problem(409, "limit_reached");
    assert_eq!(join(&server, "ann", Gold, 2).status, 202);
    // Meanwhile ann buys as many units as she may.
    server.operate_with("POST", "/v1/sales/drop/pause", "", &Value::Null);
    server.cancel("bob", &second);
    server.operate_with("POST", "/v1/sales/drop/resume", "", &Value::Null);
    until("she is served", || server.settled()["confirmed"] == 3);
    assert_eq!(server.pay(&first, "paid").status, 200);
    let you = server.get("ann", "/v1/sales/drop").json["you"].clone();
    assert_eq!((&you["held"], &you["limit"]), (&json!(3), &json!(3)));
    join(&server, "ann", Gold, 1).is_problem(409, "not_sold_out");
}

#[test]
fn nothing_is_offered_while_the_sale_is_paused_and_nothing_after_it_is_closed() {
    let (_data, server) = selling(2);
    let (first, second) = (server.order("ann", 1), server.order("bob", 1));
    join(&server, "cyd", Gold, 1);
    join(&server, "dan", Gold, 1);
    server.operate("POST", "/v1/sales/drop/pause", &Value::Null);
    server.cancel("ann", &first);
    assert_eq!((buyers(&server).len(), server.report()["left"].clone()), (2, json!(0)));
    server.operate("POST", "/v1/sales/drop/resume", &Value::Null);
    until("cyd is served", || buyers(&server).len() == 3);
    server.operate("POST", "/v1/sales/drop/close", &Value::Null);
    server.cancel("bob", &second);
    until("nobody waits any more", || server.report()["waiting"] == 0);
    assert_eq!((buyers(&server).len(), server.report()["left"].clone()), (3, json!(1)));
    join(&server, "eve", Gold, 1).is_problem(410, "closed");
}

#[test]
fn who_waits_keeps_the_place_over_a_restart_and_who_leaves_loses_it() {
    let (data, server) = selling(1);
    let order = server.order("ann", 1);
    for member in ["bob", "cyd", "dan"] {
        join(&server, member, Gold, 1);
    }
    assert_eq!(join(&server, "bob", Gold, 2).json, json!({"units": 1, "position": 1}));
    for _ in 0..2 {
        assert_eq!(server.call("bob", "DELETE", LIST, "").status, 204);
    }
    join(&server, "bob", Gold, 1);
    drop(server);
    let server = Server::start(data.path());
    let places = ["cyd", "dan", "bob"].map(|member| position(&server, member));
    assert_eq!(places, [json!(1), json!(2), json!(3)]);
    server.cancel("ann", &order);
    until("cyd is served", || buyers(&server).len() == 2);
    assert_eq!(buyers(&server)[1], "cyd");
    drop(server);
    // Both are on disk: the offer, and that cyd does not wait any more.
    let server = Server::start(data.path());
    assert_eq!((position(&server, "cyd"), position(&server, "dan")), (Value::Null, json!(1)));
}

#[test]
fn added_stock_is_offered_to_those_who_wait_first() {
    let (_data, server) = selling(1);
    server.order("ann", 1);
    join(&server, "bob", Gold, 2);
    let key = "idempotency-key: a\r\n";
    let add = json!({"add": 3});
    assert_eq!(server.operate_with("POST", "/v1/sales/drop/stock", key, &add).status, 200);
    until("bob is served", || server.settled()["confirmed"] == 3);
    assert_eq!(server.report()["left"], 1);
}

#[test]
fn joining_is_refused_for_the_first_reason_and_changes_nothing() {
    let (_data, server) = selling(1);
    join(&server, "bob", Gold, 1).is_problem(409, "not_sold_out");
    server.order("ann", 1);
    for body in ["", "{}", "[]", r#"{"units":"1"}"#, r#"{"units":1.5}"#, r#"{"units":1,"x":1}"#] {
        server.call("bob", "POST", LIST, body).is_problem(400, "bad_request");
    }
    for units in ["0", "4", "-1", "18446744073709551616"] {
        let body = format!("{{\"units\":{units}}}");
        server.call("bob", "POST", LIST, &body).is_problem(422, "bad_units");
    }
    let nowhere = "/v1/sales/none/waitlist";
    server.call("bob", "POST", nowhere, r#"{"units":1}"#).is_problem(404, "unknown_sale");
    server.call("bob", "DELETE", nowhere, "").is_problem(404, "unknown_sale");
    send(server.public, "POST", LIST, "", br#"{"units":1}"#).is_problem(401, "unauthenticated");
    send(server.public, "DELETE", LIST, "", b"").is_problem(401, "unauthenticated");
    let huge = format!("{{\"units\":1{}}}", " ".repeat(5_000));
    server.call("bob", "POST", LIST, &huge).is_problem(413, "body_too_large");
    server.operate("POST", "/v1/sales/drop/pause", &Value::Null);
    join(&server, "bob", Gold, 1).is_problem(409, "paused");
    let report = server.report();
    assert_eq!(report["waiting"], 0);
    assert_eq!(
        (&report["refused"]["not_sold_out"], &report["refused"]["paused"]),
        (&json!(1), &json!(1))
    );
}
