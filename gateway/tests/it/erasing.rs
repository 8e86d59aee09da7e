//! A person's export, and taking their name out of everything.

use crate::redis_server::RedisServer;
use crate::support::{Server, drop_of, until};
use membership::Tier;
use serde_json::{Value, json};
use std::path::Path;

const NONE: &Value = &Value::Null;
const CANARY: &str = "ann-canary@shop.example";

/// Whether a file of the folder has this name in it.
fn names(folder: &Path, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A file may go between the two looks.
        let bytes =
            if path.is_file() { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        if bytes.windows(name.len()).any(|part| part == name.as_bytes()) {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}

/// Sells, blocks, exports and erases; returns the member's order.
fn erased(server: &Server, data: &Path) -> Value {
    server.make(&drop_of(4));
    let order = server.order(CANARY, 2);
    server.pay(&order, "paid");
    server.order("bob", 2);
    let path = "/v1/sales/drop/waitlist";
    assert_eq!(server.call_as(CANARY, Tier::Gold, "POST", path, r#"{"units":1}"#).status, 202);
    let blocked = format!("/v1/blocked/{CANARY}");
    assert_eq!(server.operate("PUT", &blocked, NONE).status, 204);

    let export = format!("/v1/members/{CANARY}/export");
    let kept = server.operate("GET", &export, NONE).json;
    assert_eq!((&kept["member"], &kept["is_blocked"]), (&json!(CANARY), &json!(true)));
    assert_eq!(kept["orders"][0]["order_id"], order["order_id"]);
    let actions: Vec<_> =
        kept["audit"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["block_member", "block_member", "export_member"]);

    let erase = format!("/v1/members/{CANARY}");
    for _ in 0..2 {
        assert_eq!(server.operate("DELETE", &erase, NONE).status, 204);
    }
    let kept = server.operate("GET", &export, NONE).json;
    assert_eq!((&kept["orders"], &kept["waits"]), (&json!([]), &json!([])));
    assert_eq!((&kept["is_blocked"], &kept["audit"]), (&json!(false), &json!([])));
    // Looking for somebody who is not known writes no name down.
    let members = std::fs::read_to_string(data.join("audit-members.log")).unwrap();
    assert!(!members.contains(CANARY), "{members}");
    order
}

fn check(server: &Server, order: &Value) {
    let path = format!("/v1/orders/{}", order["order_id"].as_str().unwrap());
    let stays = server.operate("GET", &path, NONE).json;
    assert_eq!((&stays["status"], &stays["units"]), (&json!("paid"), &json!(2)));
    assert!(stays["member"].as_str().unwrap().starts_with("erased:"), "{stays}");
    server.get(CANARY, &path).is_problem(404, "unknown_order");
    // Nobody comes to the orders by calling themselves like that.
    server.get(stays["member"].as_str().unwrap(), &path).is_problem(401, "unauthenticated");
    // There is nobody of this name to do anything with.
    for (method, path) in [("DELETE", "/v1/members"), ("PUT", "/v1/blocked")] {
        let path = format!("{path}/{}", stays["member"].as_str().unwrap());
        server.operate(method, &path, NONE).is_problem(400, "bad_request");
    }
    let report = server.report();
    assert_eq!(
        (&report["left"], &report["waiting"], &report["paid"]),
        (&json!(0), &json!(0), &json!(2))
    );
}

#[test]
fn an_erased_member_is_named_by_no_byte_in_the_data_folder_once_outbox_entries_are_too_old() {
    let data = tempfile::tempdir().unwrap();
    let args = ["--outbox-keep", "2s"];
    let mut server = Server::start_with(data.path(), &args);
    let order = erased(&server, data.path());
    check(&server, &order);
    until("nothing names them", || names(data.path(), CANARY).is_empty());
    assert!(!names(data.path(), "bob").is_empty());
    // Somebody who comes by the name is another person.
    let key = "idempotency-key: k\r\n";
    server.operate_with("POST", "/v1/sales/drop/stock", key, &json!({"add": 3}));
    let new = server.click(CANARY, 3, "prefer: wait=10\r\n");
    assert_eq!(new.status, 201, "{new:?}");

    server.terminate();
    assert!(server.ended().success());
    let server = Server::start_with(data.path(), &args);
    let path = format!("/v1/orders/{}", order["order_id"].as_str().unwrap());
    assert!(
        server.operate("GET", &path, NONE).json["member"].as_str().unwrap().starts_with("erased:")
    );
    assert_eq!(server.report()["paid"], 2);
}

#[test]
fn an_erased_member_is_named_by_nothing_in_redis_once_outbox_entries_are_too_old() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let redis = RedisServer::start(folder.path());
    let args = ["--redis", &redis.url(), "--outbox-keep", "1s"];
    let server = Server::start_with(data.path(), &args);
    let order = erased(&server, data.path());
    check(&server, &order);
    assert!(names(data.path(), CANARY).is_empty());
    let has = |key: &str| {
        let dump = match redis.must(&format!("TYPE {key}")).trim_start_matches('+').trim() {
            "hash" => redis.must(&format!("HGETALL {key}")),
            "stream" => redis.must(&format!("XRANGE {key} - +")),
            "set" => redis.must(&format!("SMEMBERS {key}")),
            _ => redis.must(&format!("GET {key}")),
        };
        dump.contains(CANARY)
    };
    let keys = || -> Vec<String> {
        let answer = redis.must("KEYS flashlane*");
        let keys = answer.lines().filter(|line| line.starts_with("flashlane"));
        keys.map(|key| key.trim().to_owned()).collect()
    };
    assert!(keys().len() > 4, "{:?}", keys());
    until("no key names them", || !keys().iter().any(|key| has(key)));
}

#[test]
fn erasing_needs_an_admin_and_exporting_an_agent() {
    let data = tempfile::tempdir().unwrap();
    let team = data.path().join("team");
    let roles = ["viewer", "agent", "operator", "admin"];
    let line = |role: &&str| format!("{role} {role} never {role}-key-0123456789\n");
    std::fs::write(&team, roles.iter().map(line).collect::<String>()).unwrap();
    let server = Server::start_with(data.path(), &["--operator-key", team.to_str().unwrap()]);
    let call = |role: &str, method: &str, path: &str| {
        let headers = format!("authorization: Bearer {role}-key-0123456789\r\n");
        crate::support::send(server.operator, method, path, &headers, b"").status
    };
    let export = roles.map(|role| call(role, "GET", "/v1/members/eve/export"));
    assert_eq!(export, [403, 200, 200, 200]);
    assert_eq!(roles.map(|role| call(role, "DELETE", "/v1/members/eve")), [403, 403, 403, 204]);
    assert_eq!(call("admin", "DELETE", "/v1/members/a%20b"), 400);
}
