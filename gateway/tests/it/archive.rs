//! A sale that is over leaves memory and is still answered for; an admin deletes it for good.

use crate::support::{Server, drop_of, selling, send, until};
use membership::Tier;
use serde_json::{Value, json};
use std::path::Path;

const NONE: &Value = &Value::Null;
const SALE: &str = "/v1/sales/drop";

fn start(data: &Path) -> Server {
    Server::start_with(data, &["--archive-after", "1s"])
}

fn until_archived(server: &Server) {
    until("the sale is archived", || server.report()["archived"] == json!(true));
}

/// A sale with a paid order and a cancelled one, closed and archived.
fn archived(data: &Path) -> (Server, Value, Value) {
    let server = start(data);
    server.make(&drop_of(4));
    let body = json!({"units": 2}).to_string();
    let key = "idempotency-key: once\r\nprefer: wait=10\r\n";
    let paid = server.click_as("ann", Tier::Gold, "drop", &body, key).json;
    assert_eq!(server.pay(&paid, "paid").status, 200);
    let cancelled = server.order("bob", 1);
    assert_eq!(server.cancel("bob", &cancelled).status, 200);
    assert_eq!(server.report()["archived"], json!(false));
    assert_eq!(server.operate("POST", &format!("{SALE}/close"), NONE).status, 200);
    until_archived(&server);
    (server, paid, cancelled)
}

#[test]
fn an_archived_sale_is_answered_for_as_before() {
    let data = tempfile::tempdir().unwrap();
    let (mut server, paid, cancelled) = archived(data.path());
    for _ in 0..2 {
        let seen = server.get("ann", SALE).json;
        assert_eq!(
            (&seen["state"], &seen["left"], &seen["you"]["held"]),
            (&json!("closed"), &json!(2), &json!(2))
        );
        let report = server.report();
        assert_eq!(
            (&report["paid"], &report["cancelled"], &report["waiting"]),
            (&json!(2), &json!(1), &json!(0))
        );
        // A click that is sent again gets its order, and another one hears that it is too late.
        let body = json!({"units": 2}).to_string();
        let again = server.click_as("ann", Tier::Gold, "drop", &body, "idempotency-key: once\r\n");
        assert_eq!((again.status, &again.json["order_id"]), (202, &paid["order_id"]), "{again:?}");
        let other = json!({"units": 1}).to_string();
        let other = server.click_as("ann", Tier::Gold, "drop", &other, "idempotency-key: once\r\n");
        other.is_problem(422, "idempotency_conflict");
        server.click("ann", 1, "").is_problem(410, "closed");
        let waits = server.call("ann", "POST", &format!("{SALE}/waitlist"), r#"{"units":1}"#);
        waits.is_problem(410, "closed");
        assert_eq!(server.call("ann", "DELETE", &format!("{SALE}/waitlist"), "").status, 204);
        server.get("ann", &format!("{SALE}/events")).is_problem(410, "closed");
        // Orders, by each of their names and from each side.
        assert_eq!(server.status("ann", &paid), "paid");
        let mine = server.get("ann", "/v1/orders?sale=drop").json;
        assert_eq!(mine["orders"][0]["order_id"], paid["order_id"]);
        let by_ref = format!("/v1/orders/{}", paid["payment_ref"].as_str().unwrap());
        assert_eq!(server.operate("GET", &by_ref, NONE).json["order_id"], paid["order_id"]);
        let all = server.operate("GET", &format!("{SALE}/orders"), NONE).json;
        assert_eq!(all["orders"].as_array().unwrap().len(), 2);
        let why = server.operate("GET", &format!("{SALE}/why/ann"), NONE);
        assert_eq!(
            (why.status, &why.json["orders"][0]["order_id"]),
            (200, &paid["order_id"]),
            "{why:?}"
        );
        server.cancel("ann", &paid).is_problem(409, "not_cancellable");
        let export = server.operate("GET", "/v1/members/bob/export", NONE).json;
        assert_eq!(export["orders"][0]["order_id"], cancelled["order_id"]);
        // It is on the lists, and nothing in it can be changed any more.
        for list in
            [server.operate("GET", "/v1/sales", NONE), server.get("ann", "/v1/sales?state=closed")]
        {
            assert_eq!(list.json["sales"][0]["id"], "drop", "{list:?}");
        }
        let open = server.get("ann", "/v1/sales?state=open").json;
        assert_eq!(open["sales"], json!([]));
        for call in ["pause", "resume", "close"] {
            server.operate("POST", &format!("{SALE}/{call}"), NONE).is_problem(410, "closed");
        }
        server.operate("PATCH", SALE, &json!({"title": "x"})).is_problem(410, "closed");
        server.terminate();
        assert!(server.ended().success());
        // The next process does not open it.
        server = start(data.path());
        let metrics = server.operate("GET", "/metrics", NONE).body;
        assert!(!metrics.contains("sale=\"drop\""), "{metrics}");
    }
    until_archived(&server);
}

#[test]
fn late_money_for_an_archived_sale_is_taken_in_and_told() {
    let data = tempfile::tempdir().unwrap();
    let (server, paid, cancelled) = archived(data.path());
    assert_eq!(server.pay(&cancelled, "paid").status, 200);
    assert_eq!(server.status("bob", &cancelled), "refund_due");
    assert_eq!(server.report()["archived"], json!(false), "money is to go back");
    assert_eq!(server.refund(&cancelled, "r1", 19_104).status, 200);
    assert_eq!(server.refund(&paid, "r2", 38_208).status, 200);
    until_archived(&server);
    assert_eq!(
        (server.status("ann", &paid), server.status("bob", &cancelled)),
        ("returned".into(), "refunded".into())
    );
    assert_eq!(server.report()["left"], json!(2), "no unit comes back");
}

#[test]
fn an_admin_deletes_an_archived_sale_and_its_id_stays_taken() {
    let data = tempfile::tempdir().unwrap();
    let (server, paid, _) = archived(data.path());
    assert_eq!(server.operate("DELETE", SALE, NONE).status, 204);
    server.get("ann", SALE).is_problem(404, "unknown_sale");
    let order = format!("/v1/orders/{}", paid["order_id"].as_str().unwrap());
    server.get("ann", &order).is_problem(404, "unknown_order");
    assert_eq!(server.operate("DELETE", SALE, NONE).status, 204, "repeated");
    server.operate("POST", "/v1/sales", &drop_of(4)).is_problem(409, "sale_exists");
}

#[test]
fn a_sale_that_sells_is_not_deleted_and_one_that_never_opened_is() {
    let (_data, server) = selling(4);
    server.order("ann", 1);
    server.operate("DELETE", SALE, NONE).is_problem(409, "not_archived");
    server.operate("DELETE", "/v1/sales/none", NONE).is_problem(404, "unknown_sale");
    let mut later = drop_of(1);
    later["id"] = json!("later");
    later["windows"] = json!({"gold": "2998-01-01T00:00:00Z"});
    later["limits"] = json!({"gold": 1});
    assert_eq!(server.operate("POST", "/v1/sales", &later).status, 201);
    assert_eq!(server.operate("DELETE", "/v1/sales/later", NONE).status, 204);
    server.operate("GET", "/v1/sales/later", NONE).is_problem(404, "unknown_sale");
    server.operate("POST", "/v1/sales", &later).is_problem(409, "sale_exists");
}

#[test]
fn only_an_admin_deletes() {
    let data = tempfile::tempdir().unwrap();
    let (keys, key) = (data.path().join("operators"), "0123456789abcdef-of-bob");
    std::fs::write(&keys, format!("bob operator never {key}\n")).unwrap();
    let server = Server::start_with(data.path(), &["--operator-key", keys.to_str().unwrap()]);
    let bearer = format!("authorization: Bearer {key}\r\n");
    send(server.operator, "DELETE", SALE, &bearer, b"").is_problem(403, "not_permitted");
}

#[test]
fn a_deleted_sale_that_the_sales_file_still_names_is_not_made_again() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("sales.toml");
    let sale = r#"
        [[sale]]
        id = "drop"
        title = "A lamp"
        price_cents = 1
        currency = "CNY"
        stock = 5
        closes_at = "2999-01-01T00:00:00Z"
        pay_within_s = 900
        windows = { gold = "2998-01-01T00:00:00Z" }
        limits = { gold = 1 }
    "#;
    std::fs::write(&file, sale).unwrap();
    let sales = ["--sales", file.to_str().unwrap()];
    let mut server = Server::start_with(data.path(), &sales);
    let is_made = || server.operate("GET", SALE, NONE).status == 200;
    until("the sale of the file is made", is_made);
    assert_eq!(server.operate("DELETE", SALE, NONE).status, 204);
    server.terminate();
    assert!(server.ended().success());
    let server = Server::start_with(data.path(), &sales);
    until("the start is over", || send(server.public, "GET", "/readyz", "", b"").status == 200);
    server.operate("GET", SALE, NONE).is_problem(404, "unknown_sale");
}
