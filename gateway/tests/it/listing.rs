//! What operators read of orders: by filters, as a stream of lines, one by any of its names, and who
//! waits.

use crate::support::{Server, selling, send};
use membership::Tier;
use serde_json::{Value, json};

const NONE: &Value = &Value::Null;

fn orders(server: &Server, query: &str) -> Vec<(u64, String)> {
    let answer = server.operate("GET", &format!("/v1/sales/drop/orders{query}"), NONE);
    assert_eq!(answer.status, 200, "{answer:?}");
    let of = |order: &Value| {
        (order["number"].as_u64().unwrap(), order["member"].as_str().unwrap().to_owned())
    };
    answer.json["orders"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn orders_are_found_by_status_tier_and_member_over_restarts() {
    let (data, mut server) = selling(20);
    let first = server.order("ann", 1);
    let second = server.order("bob", 1);
    let body = json!({"units": 1}).to_string();
    server.click_as("eve", Tier::Silver, "drop", &body, "prefer: wait=10\r\n");
    assert_eq!(server.cancel("ann", &first).status, 200);
    server.terminate();
    assert!(server.ended().success());
    let server = Server::start(data.path());
    server.order("ann", 2);
    let numbers = |query: &str| -> Vec<u64> {
        orders(&server, query).into_iter().map(|(number, _)| number).collect()
    };
    assert_eq!(numbers(""), [1, 2, 3, 4]);
    assert_eq!(numbers("?status=cancelled"), [1]);
    assert_eq!(numbers("?tier=silver"), [3]);
    assert_eq!(numbers("?member=ann"), [1, 4]);
    assert_eq!(numbers("?member=ann&status=confirmed"), [4]);
    assert_eq!(numbers("?status=confirmed&after=2&limit=1"), [3]);
    assert_eq!(numbers("?member=nobody"), [0; 0]);
    for bad in ["?status=lost", "?tier=bronze", "?member=a%20b", "?limit=0", "?colour=red"] {
        let path = format!("/v1/sales/drop/orders{bad}");
        server.operate("GET", &path, NONE).is_problem(400, "bad_request");
    }
    // Pages go on until nothing is left.
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let path = format!("/v1/sales/drop/orders?limit=1&tier=gold&after={after}");
        let page = server.operate("GET", &path, NONE).json;
        seen.extend(page["orders"].as_array().unwrap().iter().map(|o| o["number"].clone()));
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 4]);
    // One order has two names.
    for name in ["order_id", "payment_ref"] {
        let path = format!("/v1/orders/{}", second[name].as_str().unwrap());
        let found = server.operate("GET", &path, NONE);
        assert_eq!((found.status, &found.json["member"]), (200, &json!("bob")), "{found:?}");
    }
    for none in ["drop.1.1", "1x1x1", "none.1.1", "x"] {
        let path = format!("/v1/orders/{none}");
        server.operate("GET", &path, NONE).is_problem(404, "unknown_order");
    }
}

#[test]
fn all_orders_come_as_lines_of_csv_or_json() {
    let (_data, server) = selling(5_000);
    for n in 0..1_500 {
        let member = format!("m{n}");
        assert_eq!(server.click(&member, 1, "").status, 202);
    }
    server.settled();
    let stream = |kind: &str, query: &str| {
        let path = format!("/v1/sales/drop/orders{query}");
        let answer = server.operate_with("GET", &path, &format!("accept: {kind}\r\n"), NONE);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.header("content-type").unwrap().starts_with(kind), "{}", answer.head);
        // The body is chunked, as its length is not known before; the last chunk is empty.
        assert!(answer.body.ends_with("0\r\n\r\n"), "it has its end");
        answer.body
    };
    let csv = stream("text/csv", "");
    assert!(csv.contains("order_id,payment_ref,sale,member,tier,"), "{}", &csv[..200]);
    assert_eq!(csv.matches(",confirmed,").count(), 1_500);
    assert!(csv.contains(",m1499,gold,1,confirmed,1500,"), "the last one");
    let lines = stream("application/x-ndjson", "?member=m7");
    let line = lines.lines().find(|line| line.starts_with('{')).unwrap();
    let order: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&order["member"], &order["due_cents"]), (&json!("m7"), &json!(19_104)));
    assert_eq!(lines.matches("\"order_id\"").count(), 1);
}

#[test]
fn a_payment_names_its_order_by_either_name_and_by_one() {
    let (_data, server) = selling(3);
    let order = server.order("ann", 1);
    let tell = |body: Value| server.tell_payment(&body.to_string(), &[server.payment_key()], 0);
    let by_ref = json!({
        "payment_ref": order["payment_ref"], "event": "paid", "amount_cents": 19_104,
    });
    let paid = tell(by_ref);
    assert_eq!((paid.status, &paid.json["order_id"]), (200, &order["order_id"]), "{paid:?}");
    assert_eq!(paid.json["status"], "paid");
    let both = json!({
        "payment_ref": order["payment_ref"], "order_id": order["order_id"], "event": "paid",
        "amount_cents": 19_104,
    });
    tell(both).is_problem(400, "bad_request");
    tell(json!({"event": "paid", "amount_cents": 1})).is_problem(400, "bad_request");
    let unknown = json!({"payment_ref": "1x1x1", "event": "paid", "amount_cents": 19_104});
    tell(unknown).is_problem(422, "payment_mismatch");
    // What has gone back stands on the order.
    server.refund(&order, "re_1", 500);
    let path = format!("/v1/orders/{}", order["order_id"].as_str().unwrap());
    let order = server.get("ann", &path).json;
    assert_eq!((&order["refunded_cents"], &order["status"]), (&json!(500), &json!("paid")));
    assert_eq!((&order["currency"], &order["price_kind"]), (&json!("CNY"), &json!("tier")));
}

#[test]
fn the_operator_reads_who_waits_in_the_order_of_service() {
    let (_data, server) = selling(1);
    server.order("early", 1);
    let wait = |member: &str, tier: Tier| {
        let joined =
            server.call_as(member, tier, "POST", "/v1/sales/drop/waitlist", "{\"units\":1}");
        assert_eq!(joined.status, 202, "{joined:?}");
    };
    for n in 0..120 {
        wait(&format!("m{n}"), Tier::Regular);
    }
    wait("late", Tier::Diamond);
    let page = |after: usize| {
        let path = format!("/v1/sales/drop/waitlist?after={after}");
        server.operate("GET", &path, NONE).json
    };
    let first = page(0);
    assert_eq!((&first["all"], &first["next"]), (&json!(121), &json!(100)));
    assert_eq!(
        first["waiting"][0],
        json!({"position": 1, "member": "late", "tier": "diamond", "units": 1})
    );
    let second = page(100);
    assert_eq!((second["waiting"].as_array().unwrap().len(), &second["next"]), (21, NONE));
    assert_eq!(
        second["waiting"][20],
        json!({"position": 121, "member": "m119", "tier": "regular", "units": 1})
    );
    assert_eq!(page(500)["waiting"], json!([]));
}

#[test]
fn a_key_says_whose_it_is() {
    let (_data, server) = selling(1);
    let key = server.operate("GET", "/v1/key", NONE);
    assert_eq!(key.json, json!({"name": "key", "role": "admin"}));
    send(server.operator, "GET", "/v1/key", "", b"").is_problem(401, "unauthenticated");
}
