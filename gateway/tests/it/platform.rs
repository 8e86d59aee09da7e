//! The platform's own servers: batches of clicks, each judged as if it had come alone.

use crate::support::{Answer, Server, drop_of, send};
use serde_json::{Value, json};

struct World {
    _data: tempfile::TempDir,
    server: Server,
    key: String,
}

impl World {
    fn new(stock: u32, args: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let args = [&["--platform-listen", "127.0.0.1:0"], args].concat();
        let server = Server::start_with(data.path(), &args);
        server.make(&drop_of(stock));
        let key = std::fs::read_to_string(data.path().join("platform.key")).unwrap();
        Self { _data: data, server, key: key.trim().to_owned() }
    }

    fn send(&self, body: &str, more: &str) -> Answer {
        let headers = format!("authorization: Bearer {}\r\n{more}", self.key);
        let to = self.server.platform.unwrap();
        send(to, "POST", "/v1/sales/drop/clicks", &headers, body.as_bytes())
    }

    fn answers(&self, clicks: &Value, more: &str) -> Vec<Value> {
        let answer = self.send(&json!({ "clicks": clicks }).to_string(), more);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["answers"].as_array().unwrap().clone()
    }
}

fn click(member: &str, tier: &str, units: i64) -> Value {
    json!({"member": member, "tier": tier, "units": units})
}

#[test]
fn each_click_of_a_batch_is_judged_in_its_order_as_if_it_had_come_alone() {
    let world = World::new(4, &[]);
    let clicks = json!([
        click("ann", "gold", 2),
        click("bob", "regular", 2),
        click("ann", "gold", 2),
        click("eve", "silver", 0),
        click("bob", "regular", 1),
        click("dan", "diamond", 5),
        click("dan", "diamond", 1),
    ]);
    let answers = world.answers(&clicks, "");
    let code = |n: usize| answers[n]["code"].as_str().unwrap_or("");
    assert_eq!((answers[0]["order_id"].is_string(), &answers[0]["number"]), (true, &json!(1)));
    assert!(answers[0]["order_id"].as_str().unwrap().starts_with("drop."));
    assert_eq!((code(1), &answers[1]["limit"]), ("bad_units", &json!(1)));
    assert_eq!((code(2), &answers[2]["held"]), ("limit_reached", &json!(2)));
    assert_eq!(code(3), "bad_units");
    assert_eq!(answers[4]["number"], 2);
    assert_eq!((code(5), &answers[5]["left"]), ("sold_out", &json!(1)));
    assert_eq!(answers[6]["number"], 3);
    let report = world.server.settled();
    assert_eq!((&report["confirmed"], &report["left"]), (&json!(4), &json!(0)));
    // The member sees the order as their own.
    let path = format!("/v1/orders/{}", answers[0]["order_id"].as_str().unwrap());
    assert_eq!(world.server.get("ann", &path).json["units"], 2);
}

#[test]
fn a_click_with_a_bad_key_is_answered_alone() {
    let world = World::new(9, &[]);
    let long = "k".repeat(300);
    let keyed = |key: &str| json!({"member": "bob", "tier": "gold", "units": 1, "key": key});
    let clicks = json!([click("ann", "gold", 1), keyed(&long), keyed(""), keyed("k1")]);
    let answers = world.answers(&clicks, "");
    let codes: Vec<&str> = answers.iter().map(|a| a["code"].as_str().unwrap_or("order")).collect();
    assert_eq!(codes, ["order", "bad_request", "bad_request", "order"]);
}

#[test]
fn a_click_in_the_name_of_an_erased_member_is_refused_alone() {
    let world = World::new(9, &[]);
    let clicks = json!([click("erased:00ff", "gold", 1), click("ann", "gold", 1)]);
    let answers = world.answers(&clicks, "");
    assert_eq!((&answers[0]["code"], &answers[1]["number"]), (&json!("bad_request"), &json!(1)));
}

#[test]
fn a_batch_that_waits_is_answered_when_its_orders_are_on_disk() {
    let world = World::new(100, &[]);
    let clicks: Vec<Value> = (0..90).map(|n| click(&format!("m{n}"), "gold", 1)).collect();
    let answers = world.answers(&json!(clicks), "prefer: wait=10\r\n");
    assert_eq!(answers.len(), 90);
    assert!(answers.iter().all(|answer| answer["status"] == "confirmed"), "{answers:?}");
}

#[test]
fn a_key_in_a_batch_makes_a_retry_safe_also_beside_the_members_own_click() {
    let world = World::new(9, &[]);
    let keyed =
        |units: i64| json!([{"member": "ann", "tier": "gold", "units": units, "key": "k1"}]);
    let first = world.answers(&keyed(1), "prefer: wait=5\r\n");
    let again = world.answers(&keyed(1), "");
    assert_eq!(first, again);
    assert_eq!(world.answers(&keyed(2), "")[0]["code"], "idempotency_conflict");
    let alone = world.server.click("ann", 1, "idempotency-key: k1\r\n");
    assert_eq!(alone.json["order_id"], first[0]["order_id"]);
}

#[test]
fn a_member_who_is_blocked_or_clicks_too_often_hears_so_in_a_batch_too() {
    let world = World::new(1_000, &["--member-rate", "1"]);
    world.server.operate("PUT", "/v1/blocked/eve", &Value::Null);
    let clicks: Vec<Value> = (0..40).map(|_| click("ann", "regular", 0)).collect();
    let answers = world.answers(&json!([&clicks[..], &[click("eve", "gold", 1)]].concat()), "");
    let often = answers.iter().find(|answer| answer["code"] == "too_many_requests");
    assert!(often.unwrap()["retry_after"].as_u64().unwrap() >= 1, "{often:?}");
    assert_eq!(answers[40]["code"], "blocked");
}

#[test]
fn a_batch_that_cannot_be_read_is_refused_whole_and_names_the_click() {
    let world = World::new(9, &[]);
    let good = click("ann", "gold", 1);
    for (bad, index) in [
        (click("a b", "gold", 1), 1),
        (click("bob", "bronze", 1), 1),
        (json!({"member": "bob", "tier": "gold"}), 1),
        (json!({"member": "bob", "tier": "gold", "units": 1, "gift": 1}), 1),
        (json!(["bob", "gold", 1, null]), 1),
        (json!({"member": "bob", "tier": "gold", "units": 1.5}), 1),
    ] {
        let answer = world.send(&json!({"clicks": [good, bad]}).to_string(), "");
        answer.is_problem(422, "invalid_batch");
        assert_eq!(answer.json["index"], index, "{answer:?}");
    }
    let many = vec![good; 8_193];
    for body in [
        "",
        "{",
        "[]",
        "[[[\"ann\",\"gold\",1,null]]]",
        "{\"clicks\":[]}",
        &json!({ "clicks": many }).to_string(),
    ] {
        world.send(body, "").is_problem(422, "invalid_batch");
    }
    world.send(&" ".repeat((4 << 20) + 1), "").is_problem(413, "body_too_large");
    assert_eq!(world.server.report()["left"], 9, "nothing was judged");
    let most = vec![click("ann", "gold", 0); 8_192];
    assert_eq!(world.answers(&json!(most), "").len(), 8_192);
}

#[test]
fn only_who_has_a_key_of_the_platform_may_send_batches() {
    let world = World::new(9, &[]);
    let to = world.server.platform.unwrap();
    let body = json!({"clicks": [click("ann", "gold", 1)]}).to_string();
    for headers in ["", "authorization: Bearer wrong-wrong-wrong-wrong\r\n"] {
        let answer = send(to, "POST", "/v1/sales/drop/clicks", headers, body.as_bytes());
        answer.is_problem(401, "unauthenticated");
    }
    let member =
        format!("authorization: Bearer {}\r\n", world.server.token("ann", membership::Tier::Gold));
    let answer = send(to, "POST", "/v1/sales/drop/clicks", &member, body.as_bytes());
    answer.is_problem(401, "unauthenticated");
    // The public listener has no such call.
    let public = send(world.server.public, "POST", "/v1/sales/drop/clicks", "", body.as_bytes());
    public.is_problem(404, "not_found");
    let headers = format!("authorization: Bearer {}\r\n", world.key);
    let none = send(to, "POST", "/v1/sales/none/clicks", &headers, body.as_bytes());
    none.is_problem(404, "unknown_sale");
    assert_eq!(send(to, "GET", "/openapi.json", "", b"").status, 200);
}
