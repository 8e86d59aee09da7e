//! What Prometheus and those who look at its charts are told.

use crate::redis_server::RedisServer;
use crate::support::{Server, drop_of, selling, send};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const DASHBOARD: &str = include_str!("../../../deploy/grafana/flashlane.json");
const RULES: &str = include_str!("../../../deploy/prometheus/flashlane.rules.yml");

fn metrics(server: &Server) -> String {
    server.operate("GET", "/metrics", &Value::Null).body
}

#[test]
fn metrics_tell_what_happened() {
    let (_data, server) = selling(2);
    server.click("ann", 2, "prefer: wait=10\r\n");
    server.click("bob", 1, "");
    send(server.public, "GET", "/v1/nothing/here", "", b"");
    let text = metrics(&server);
    for line in [
        r#"flashlane_accepted_orders_total{sale="drop",tier="gold"} 1"#,
        r#"flashlane_confirmed_orders_total{sale="drop",tier="gold"} 1"#,
        r#"flashlane_refused_total{sale="drop",code="sold_out"} 1"#,
        r#"flashlane_left_units{sale="drop"} 0"#,
        r#"flashlane_stock_units{sale="drop"} 2"#,
        r#"flashlane_click_seconds_count{outcome="accepted"} 1"#,
        r#"flashlane_click_seconds_count{outcome="refused"} 1"#,
        r#"flashlane_confirm_seconds_count{sale="drop"} 1"#,
        r#"flashlane_store_call_seconds_count{call="commit",outcome="done"} 1"#,
        r#"flashlane_http_request_seconds_count{listener="public",route="/v1/sales/{sale}/orders",method="POST",status="409"} 1"#,
        r#"flashlane_http_request_seconds_count{listener="public",route="none",method="GET",status="404"} 1"#,
        r#"flashlane_build_info{version="0.1.0",commit=""#,
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_listener_of_their_own_serves_metrics_without_a_key_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--metrics-listen", "127.0.0.1:0"]);
    server.make(&drop_of(2));
    let address = server.metrics.unwrap();
    let answer = send(address, "GET", "/metrics", "", b"");
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(r#"flashlane_left_units{sale="drop"} 2"#));
    send(address, "GET", "/v1/sales", "", b"").is_problem(404, "not_found");
    send(address, "POST", "/metrics", "", b"").is_problem(405, "method_not_allowed");
}

/// The metrics that an expression asks for.
fn asked_for(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("flashlane_") || word.starts_with("process_"))
}

/// Every text under the key `expr` or `definition`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" || name == "definition" => {
                        found.push(text.clone());
                    }
                    other => expressions(other, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_metrics_that_there_are_and_leave_none_of_ours_out() {
    let data = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(data.path());
    // As a node, it has all metrics that there are.
    let key = data.path().join("node.key");
    std::fs::write(&key, "the-nodes-of-a-test\n").unwrap();
    let url = redis.url();
    let args = ["--redis", &url, "--node-listen", "127.0.0.1:0", "--node-key"];
    let args = [&args[..], &[key.to_str().unwrap()]].concat();
    let server = Server::start_with(data.path(), &args);
    server.make(&drop_of(1));
    server.click("ann", 1, "prefer: wait=10\r\n");
    let text = metrics(&server);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let there: BTreeSet<&str> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();

    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut asking = Vec::new();
    expressions(&dashboard, &mut asking);
    assert!(asking.len() > 30, "the dashboard's queries were not found");
    let rules = RULES.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    asking.extend(rules.map(str::to_owned));
    let wanted: BTreeSet<&str> = asking.iter().flat_map(|text| asked_for(text)).collect();
    let missing: Vec<_> = wanted.difference(&there).collect();
    assert_eq!(missing, Vec::<&&str>::new(), "no such metrics");

    let base = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        let end = ends.into_iter().find_map(|end| name.strip_suffix(end));
        end.unwrap_or(name).to_owned()
    };
    let shown: BTreeSet<String> = wanted.iter().map(|name| base(name)).collect();
    let ours = there.iter().filter(|name| name.starts_with("flashlane_")).map(|name| base(name));
    let unseen: BTreeSet<String> = ours.filter(|name| !shown.contains(name)).collect();
    assert_eq!(unseen, BTreeSet::new(), "metrics that nobody looks at");
    assert_eq!(dashboard["uid"], json!("flashlane"));
}
