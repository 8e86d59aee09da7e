//! Operators' keys: by name, with a role and an expiry, and read again while the process serves.

use crate::support::{Server, drop_of, flashlane, send, until};
use serde_json::json;
use std::process::Stdio;

const VIEWER: &str = "viewer-key-0123456789";
const OPERATOR: &str = "operator-key-0123456789";
const OVER: &str = "old-admin-key-0123456789";

fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

#[test]
fn a_viewer_reads_an_operator_runs_sales_and_an_expired_key_does_nothing() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("team");
    let text = format!(
        "# the team\nann viewer never {VIEWER}\nbob operator 2999-01-01T00:00:00Z {OPERATOR}\n\
         eve admin 2020-01-01T00:00:00Z {OVER}\n"
    );
    std::fs::write(&file, &text).unwrap();
    let log = data.path().join("log");
    let server =
        Server::start_logged(data.path(), &["--operator-key", file.to_str().unwrap()], &log);
    let call = |key: &str, method: &str, path: &str, body: &str| {
        send(server.operator, method, path, &bearer(key), body.as_bytes())
    };
    let sale = drop_of(3).to_string();
    call(VIEWER, "POST", "/v1/sales", &sale).is_problem(403, "not_permitted");
    assert_eq!(call(OPERATOR, "POST", "/v1/sales", &sale).status, 201);
    for path in ["/v1/sales", "/v1/sales/drop", "/v1/sales/drop/orders", "/metrics"] {
        assert_eq!(call(VIEWER, "GET", path, "").status, 200, "{path}");
        call(OVER, "GET", path, "").is_problem(401, "unauthenticated");
    }
    call(VIEWER, "PUT", "/v1/blocked/eve", "").is_problem(403, "not_permitted");
    assert_eq!(send(server.operator, "GET", "/openapi.json", "", b"").status, 200);

    // A key that is deleted stops working at SIGHUP; a new one begins to.
    let next = "carol-key-0123456789";
    std::fs::write(&file, format!("ann viewer never {VIEWER}\ncarol admin never {next}\n"))
        .unwrap();
    server.signal("-HUP");
    until("the file is read again", || call(next, "GET", "/v1/sales", "").status == 200);
    call(OPERATOR, "GET", "/v1/sales", "").is_problem(401, "unauthenticated");
    assert_eq!(call(next, "POST", "/v1/sales/drop/pause", "").status, 200);

    // A file that cannot be used changes nothing.
    std::fs::write(&file, "carol chief never short\n").unwrap();
    server.signal("-HUP");
    let is_refused =
        || std::fs::read_to_string(&log).unwrap().contains("the keys stay as they were");
    until("the file is refused", is_refused);
    assert_eq!(call(next, "GET", "/v1/sales", "").status, 200);
    std::fs::write(&file, format!("dan viewer never {VIEWER}x\n")).unwrap();
    server.signal("-HUP");
    let dan = format!("{VIEWER}x");
    until("the good file is read", || call(&dan, "GET", "/v1/sales", "").status == 200);
    call(&dan, "POST", "/v1/sales/drop/resume", "").is_problem(403, "not_permitted");
    assert_eq!(
        json!(1),
        send(server.operator, "GET", "/v1/sales", &bearer(&dan), b"").json["sales"]
            .as_array()
            .unwrap()
            .len()
    );
}

#[test]
fn a_key_file_with_a_fault_is_refused_with_its_line() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("team");
    std::fs::write(&file, format!("ann viewer never {VIEWER}\nbob chief never {OPERATOR}\n"))
        .unwrap();
    let run = flashlane()
        .args(["serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .args(["--operator-key", file.to_str().unwrap()])
        .stderr(Stdio::piped())
        .output();
    let said = String::from_utf8(run.unwrap().stderr).unwrap();
    assert!(said.contains("line 2: `chief` is none of viewer, agent, operator, admin"), "{said}");
    assert!(!said.contains(OPERATOR), "keys are never printed: {said}");
}
