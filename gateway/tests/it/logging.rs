//! What operators follow a request by: its id, log lines for machines, and the access log.

use crate::support::{Server, drop_of, flashlane, selling, send, until};
use serde_json::{Value, json};
use std::process::Stdio;

#[test]
fn each_answer_has_the_id_of_its_request_or_a_new_one() {
    let (_data, server) = selling(3);
    let get = |more: &str| {
        let answer = send(server.public, "GET", "/v1/sales/drop", more, b"");
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(get("x-request-id: drop-7/a\r\n"), "drop-7/a");
    let (one, other) = (get(""), get(""));
    assert!(one != other && one.len() == 16, "{one} {other}");
    for bad in [&"x".repeat(129), "a b", ""] {
        assert_ne!(get(&format!("x-request-id: {bad}\r\n")), bad.to_owned());
    }
    let refused = send(server.public, "GET", "/none", "x-request-id: r1\r\n", b"");
    assert_eq!(refused.is_problem(404, "not_found").header("x-request-id"), Some("r1"));
    let large = format!("x-request-id: r2\r\nx: {}\r\n", "y".repeat(17 << 10));
    let large = send(server.public, "GET", "/healthz", &large, b"");
    assert_eq!(large.is_problem(431, "headers_too_large").header("x-request-id"), Some("r2"));
}

#[test]
fn log_lines_for_machines_name_the_request_and_its_trace() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let server =
        Server::start_logged(data.path(), &["--log-format", "json", "--access-log", "1"], &log);
    server.make(&drop_of(2));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let more = format!("x-request-id: click-1\r\ntraceparent: {trace}\r\n");
    assert_eq!(server.click("ann", 1, &more).status, 202);
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&log).unwrap();
        let whole = text.lines().filter(|line| line.ends_with('}'));
        whole.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    };
    let of_click = |line: &Value| line.to_string().contains("click-1");
    until("both lines are there", || lines().iter().filter(|line| of_click(line)).count() >= 2);
    let lines = lines();
    let access = lines.iter().find(|line| line["message"] == "answered" && of_click(line)).unwrap();
    assert_eq!((&access["status"], &access["method"]), (&json!(202), &json!("POST")));
    assert_eq!(
        (&access["path"], &access["traceparent"]),
        (&json!("/v1/sales/drop/orders"), &json!(trace))
    );
    assert!(access["us"].as_u64().is_some(), "{access}");
    let click = lines.iter().find(|line| line["message"] == "click").unwrap();
    assert!(click.to_string().contains(trace), "{click}");
}

#[test]
fn by_default_no_request_has_a_line_of_its_own() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let server = Server::start_logged(data.path(), &[], &log);
    send(server.public, "GET", "/healthz", "", b"");
    assert!(!std::fs::read_to_string(&log).unwrap().contains("answered"));
    for bad in ["2", "x"] {
        let run = flashlane().args(["serve", "--access-log", bad]).stderr(Stdio::piped()).output();
        let said = String::from_utf8(run.unwrap().stderr).unwrap();
        assert!(said.contains("a number from 0 to 1"), "{said}");
    }
}
