//! What operators do and see.

use crate::support::{Server, drop_of, selling, send};
use serde_json::{Value, json};

const NONE: &Value = &Value::Null;

#[test]
fn a_top_up_adds_once_while_the_sale_runs() {
    let (_data, server) = selling(2);
    server.click("ann", 2, "prefer: wait=10\r\n");
    let path = "/v1/sales/drop/stock";
    server.operate("POST", path, &json!({"add": 5})).is_problem(400, "bad_request");
    for _ in 0..2 {
        let answer =
            server.operate_with("POST", path, "idempotency-key: monday\r\n", &json!({"add": 5}));
        assert_eq!(
            (answer.status, &answer.json["stock"], &answer.json["left"]),
            (200, &json!(7), &json!(5))
        );
    }
    let other =
        server.operate_with("POST", path, "idempotency-key: monday\r\n", &json!({"add": 6}));
    other.is_problem(422, "idempotency_conflict");
    let key = "idempotency-key: tuesday\r\n";
    for (add, status, code) in [
        (json!(0), 400, "bad_request"),
        (json!(-5), 400, "bad_request"),
        (json!(10_000_000), 422, "too_much_stock"),
        (json!(1e30), 422, "too_much_stock"),
        (json!("5"), 400, "bad_request"),
    ] {
        server.operate_with("POST", path, key, &json!({"add": add})).is_problem(status, code);
    }
    assert_eq!(server.click("bob", 3, "").status, 202);
}

#[test]
fn a_report_adds_up_and_tells_each_tier() {
    let (_data, server) = selling(10);
    server.click("ann", 2, "");
    server.click("bob", 3, "");
    server.click("bob", 3, "");
    let report = server.settled();
    let units = |field: &str| report[field].as_u64().unwrap();
    assert_eq!(
        units("left") + units("reserved") + units("confirmed") + units("paid"),
        units("stock")
    );
    let gold = &report["by_tier"]["gold"];
    assert_eq!((&gold["orders"], &gold["confirmed"]), (&json!(2), &json!(5)));
    assert_eq!(report["refused"]["limit_reached"], 1);
    assert_eq!(server.operate("GET", "/v1/sales", NONE).json["sales"][0]["id"], "drop");
    server.operate("GET", "/v1/sales/none", NONE).is_problem(404, "unknown_sale");
    server.operate("POST", "/v1/sales/none/pause", NONE).is_problem(404, "unknown_sale");
}

#[test]
fn orders_come_in_pages_by_number_over_restarts() {
    let (data, server) = selling(10);
    for member in ["a", "b", "c"] {
        server.click(member, 1, "prefer: wait=10\r\n");
    }
    drop(server);
    let server = Server::start(data.path());
    for member in ["d", "e"] {
        server.click(member, 1, "prefer: wait=10\r\n");
    }
    let (mut after, mut members) = (0, Vec::new());
    loop {
        let path = format!("/v1/sales/drop/orders?after={after}&limit=2");
        let page = server.operate("GET", &path, NONE).json;
        let orders = page["orders"].as_array().unwrap().clone();
        members.extend(orders.iter().map(|o| o["member"].as_str().unwrap().to_owned()));
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(members, ["a", "b", "c", "d", "e"]);
    let end = format!("/v1/sales/drop/orders?after={}", u64::MAX);
    assert_eq!(server.operate("GET", &end, NONE).json["orders"], json!([]));
    for wrong in ["limit=0", "limit=10001", "after=-1", "after=x", "page=1"] {
        let path = format!("/v1/sales/drop/orders?{wrong}");
        server.operate("GET", &path, NONE).is_problem(400, "bad_request");
    }
}

#[test]
fn the_openapi_document_tells_of_every_route_and_no_other() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--platform-listen", "127.0.0.1:0"]);
    server.make(&drop_of(2));
    let addresses = [server.public, server.operator, server.platform.unwrap()];
    let documents = gateway::openapi_documents();
    for (document, address) in documents.iter().zip(addresses) {
        let served = send(address, "GET", "/openapi.json", "", b"").json;
        assert_eq!(served, serde_json::to_value(document).unwrap());
    }
    let mut routes = 0;
    for (document, address) in documents.into_iter().zip(addresses) {
        let document = serde_json::to_value(document).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let path = path.replace("{sale}", "none").replace("{order}", "none");
                let path = path.replace("{member}", "none");
                let answer = if address == server.operator {
                    server.operate(&method.to_uppercase(), &path, NONE)
                } else {
                    send(address, &method.to_uppercase(), &path, "", b"")
                };
                assert!(!["not_found", "method_not_allowed"].contains(&answer.code()), "{path}");
                routes += 1;
            }
        }
    }
    let table = include_str!("../../src/routes.rs");
    let methods = ["get(", "post(", "put(", "patch(", "delete("];
    let in_table: usize = methods.map(|m| table.matches(m).count()).iter().sum();
    assert_eq!(routes, in_table, "a route without a description, or the reverse");
}

#[test]
fn pages_take_nothing_from_elsewhere_and_stand_in_nobodys_frame() {
    let (_data, server) = selling(2);
    for (path, kind) in [("/", "text/html"), ("/room/drop", "text/html"), ("/me", "text/html")] {
        let page = send(server.public, "GET", path, "", b"");
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").unwrap().starts_with(kind), "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert!(!page.body.contains("http://") && !page.body.contains("https://"), "{path}");
        // What a page loads may be kept for good: its address changes with what it is.
        let loads = page.body.split('"').filter(|word| word.starts_with("/assets/"));
        for path in loads.collect::<Vec<_>>() {
            let file = send(server.public, "GET", path, "", b"");
            assert_eq!(file.status, 200, "{path}");
            assert!(file.header("cache-control").unwrap().contains("immutable"), "{path}");
            let old = path.replace("/assets/", "/assets/0");
            assert_eq!(send(server.public, "GET", &old, "", b"").status, 404, "{old}");
        }
    }
}

#[test]
fn sales_are_listed_in_pages_and_by_state() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    for n in 0..205 {
        let mut sale = drop_of(1);
        sale["id"] = json!(format!("s-{n:03}"));
        server.make(&sale);
    }
    for closed in ["s-003", "s-150"] {
        let close = server.operate("POST", &format!("/v1/sales/{closed}/close"), &Value::Null);
        assert_eq!(close.status, 200);
    }
    let public = |query: &str| {
        let page = send(server.public, "GET", &format!("/v1/sales{query}"), "", b"").json;
        let ids = page["sales"].as_array().unwrap().iter();
        let ids: Vec<_> = ids.map(|sale| sale["id"].as_str().unwrap().to_owned()).collect();
        (ids, page["next"].as_str().map(str::to_owned))
    };
    let (first, next) = public("");
    assert_eq!((first.len(), next.as_deref()), (100, Some("s-099")));
    let (second, next) = public("?after=s-099");
    assert_eq!((second.len(), next.as_deref()), (100, Some("s-199")));
    let (last, next) = public("?after=s-199");
    assert_eq!((last.len(), next), (5, None));
    assert_eq!(public("?state=closed"), (vec!["s-003".into(), "s-150".into()], None));
    let operators = server.operate("GET", "/v1/sales?state=open&after=s-150", &Value::Null).json;
    assert_eq!((&operators["sales"][0]["id"], &operators["next"]), (&json!("s-151"), &Value::Null));
    for bad in ["?state=odd", "?page=2"] {
        let answer = send(server.public, "GET", &format!("/v1/sales{bad}"), "", b"");
        answer.is_problem(400, "bad_request");
    }
    let metrics = server.operate("GET", "/metrics", &Value::Null).body;
    assert!(metrics.contains("sale=\"s-004\"") && !metrics.contains("sale=\"s-003\""));
}
