//! The audit log: who of the operators did what.

use crate::support::{Server, drop_of, selling, send, until};
use serde_json::{Value, json};

const NONE: &Value = &Value::Null;

fn entries(server: &Server) -> Vec<Value> {
    let page = server.operate("GET", "/v1/audit", NONE);
    assert_eq!(page.status, 200, "{}", page.body);
    page.json["entries"].as_array().unwrap().clone()
}

#[test]
fn each_change_is_told_with_who_asked_for_it_and_how_things_were_and_are() {
    let data = tempfile::tempdir().unwrap();
    let team = data.path().join("team");
    let (ann, bob) = ("ann-key-0123456789", "bob-key-0123456789");
    std::fs::write(&team, format!("ann operator never {ann}\nbob viewer never {bob}\n")).unwrap();
    let server = Server::start_with(data.path(), &["--operator-key", team.to_str().unwrap()]);
    let call = |key: &str, method: &str, path: &str, more: &str, body: &Value| {
        let more = format!("authorization: Bearer {key}\r\n{more}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(server.operator, method, path, &more, body.as_bytes())
    };
    assert_eq!(call(ann, "POST", "/v1/sales", "", &drop_of(3)).status, 201);
    let more = "x-request-id: r-7\r\n";
    assert_eq!(call(ann, "POST", "/v1/sales/drop/pause", more, NONE).status, 200);
    let key = "idempotency-key: k\r\n";
    assert_eq!(call(ann, "POST", "/v1/sales/drop/stock", key, &json!({"add": 2})).status, 200);
    let again = call(ann, "POST", "/v1/sales/drop/stock", key, &json!({"add": 3}));
    again.is_problem(422, "idempotency_conflict");
    assert_eq!(call(ann, "PUT", "/v1/blocked/eve", "", NONE).status, 204);
    call(bob, "PUT", "/v1/blocked/carol", "", NONE).is_problem(403, "not_permitted");

    let page = call(bob, "GET", "/v1/audit", "", NONE).json;
    let entries = page["entries"].as_array().unwrap();
    let ids: Vec<_> = entries.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=10).collect::<Vec<_>>());
    let said: Vec<_> = entries
        .iter()
        .map(|e| format!("{} {}", e["action"].as_str().unwrap(), e["state"].as_str().unwrap()))
        .collect();
    let both = |action: &str, end: &str| [format!("{action} asked"), format!("{action} {end}")];
    let expected = [
        both("create_sale", "done"),
        both("pause_sale", "done"),
        both("add_stock", "done"),
        both("add_stock", "failed"),
        both("block_member", "done"),
    ];
    assert_eq!(said, expected.concat());
    for entry in entries {
        assert_eq!((&entry["by"], &entry["role"]), (&json!("ann"), &json!("operator")));
        assert_eq!(entry["from"], "127.0.0.1");
    }
    let (asked, done) = (&entries[2], &entries[3]);
    assert_eq!((&asked["request_id"], &done["request_id"]), (&json!("r-7"), &json!("r-7")));
    assert_eq!((&asked["before"], &asked["of"]), (&json!({"state": "open"}), NONE));
    assert_eq!((&done["after"], &done["of"]), (&json!({"state": "paused"}), &asked["id"]));
    assert_eq!(entries[1]["after"]["stock"], 3);
    assert_eq!(
        (&entries[4]["before"], &entries[5]["after"]),
        (&json!({"stock": 3}), &json!({"stock": 5}))
    );
    assert!(entries[7]["why"].as_str().unwrap().contains("idempotency key"), "{}", entries[7]);
    assert_eq!((&entries[8]["member"], &entries[8]["member_number"]), (&json!("eve"), &json!(1)));

    let next = page["next"].as_u64().unwrap();
    let rest = call(bob, "GET", &format!("/v1/audit?after={next}"), "", NONE).json;
    assert_eq!(rest, json!({"entries": [], "next": next}));
    call(bob, "GET", "/v1/audit?after=3", "", NONE).is_problem(400, "bad_request");
    // The log itself names the member by a number alone.
    let log = std::fs::read_to_string(data.path().join("audit.log")).unwrap();
    assert!(!log.contains("eve") && log.contains("\"member_number\":1"), "{log}");
}

#[test]
fn the_log_outlives_the_process_and_tells_what_sighup_read() {
    let (data, server) = selling(1);
    server.operate("POST", "/v1/sales/drop/pause", NONE);
    let before = entries(&server);
    drop(server);
    let server = Server::start(data.path());
    assert_eq!(entries(&server), before);
    server.signal("-HUP");
    until("the log has it", || entries(&server).len() > before.len());
    let last = entries(&server).pop().unwrap();
    assert_eq!((&last["by"], &last["action"]), (&json!("SIGHUP"), &json!("read_again")));
    assert!(last["after"].to_string().contains("no key has changed"), "{last}");
}

#[test]
fn what_cannot_be_written_down_is_not_done() {
    let (data, server) = selling(1);
    server.operate("POST", "/v1/sales/drop/pause", NONE);
    // A folder stands where the members' names should be.
    let names = data.path().join("audit-members.log");
    std::fs::remove_file(&names).unwrap();
    std::fs::create_dir(&names).unwrap();
    server.operate("PUT", "/v1/blocked/eve", NONE).is_problem(503, "busy");
    assert_eq!(server.operate("GET", "/v1/blocked", NONE).json["members"], json!([]));
    std::fs::remove_dir(&names).unwrap();
    std::fs::write(&names, "").unwrap();
    assert_eq!(server.operate("POST", "/v1/sales/drop/resume", NONE).status, 200);
}
