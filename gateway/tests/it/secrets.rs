//! Secrets are in files and nowhere else: not in what is logged, printed or answered, and not in
//! arguments, which every user of the machine can read.

use crate::support::{drop_of, flashlane, send, until};
use gateway::{Algorithm, issue_token};
use membership::Tier;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

#[test]
fn no_secret_is_logged_printed_answered_or_an_argument() {
    let data = tempfile::tempdir().unwrap();
    let secrets = [
        ("token.key", "canary-token-key-0123456789abcdefghij"),
        ("operator.key", "canary-operator-key-0123456789"),
        ("payment.key", "canary-payment-key-0123456789abcdefghij"),
    ];
    for (name, secret) in secrets {
        std::fs::write(data.path().join(name), secret).unwrap();
    }
    let mut child = traced(data.path());
    let mut stderr = child.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    let mut address = |name: &str| {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        printed.push_str(&line);
        line.trim().strip_prefix(name).unwrap().parse().unwrap()
    };
    let (public, operator) = (address("public http://"), address("operator http://"));
    let arguments = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();

    let token = token(secrets[0].1);
    let mut answers = Vec::new();
    let mut ask = |to, method: &str, path: &str, headers: &str, body: &Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = send(to, method, path, headers, body.as_bytes());
        answers.push(answer.head + &answer.body);
        answer.json
    };
    let operators = format!("authorization: Bearer {}\r\n", secrets[1].1);
    let members = format!("authorization: Bearer {token}\r\n");
    let wrong = format!("authorization: Bearer {token}x\r\n");
    ask(operator, "POST", "/v1/sales", &operators, &drop_of(5));
    let waits = format!("{members}prefer: wait=5\r\nidempotency-key: canary-idempotency\r\n");
    let order = ask(public, "POST", "/v1/sales/drop/orders", &waits, &json!({"units": 1}));
    ask(public, "POST", "/v1/sales/drop/orders", &wrong, &json!({"units": 1}));
    ask(operator, "GET", "/v1/sales", &members, &Value::Null);
    ask(operator, "GET", "/metrics", &operators, &Value::Null);
    for key in [secrets[2].1, "canary-of-somebody-else-0123456789"] {
        let body = json!({"order_id": order["order_id"], "event": "paid", "amount_cents": 1});
        ask(public, "POST", "/v1/payments", &signed(key, &body), &body);
    }
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    until("the server has ended", || child.try_wait().unwrap().is_some());
    stdout.read_to_string(&mut printed).unwrap();
    let log = reading.join().unwrap();
    assert!(log.contains("does not match") && answers.len() == 7, "it was put to use: {log}");

    let signature = token.rsplit('.').next().unwrap().to_owned();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    let texts = [("log", log), ("output", printed), ("arguments", arguments)];
    for (said, text) in texts.into_iter().chain([("answers", answers.concat())]) {
        for secret in ["canary", &signature] {
            assert!(!text.contains(secret), "{secret} is in the {said}: {text}");
        }
    }
}

/// A gold member's token, signed with this key.
fn token(key: &str) -> String {
    let (member, ttl) = ("ann".parse().unwrap(), Duration::from_secs(60));
    issue_token(Algorithm::Hs256, key.as_bytes(), None, None, &member, Tier::Gold, ttl).unwrap()
}

/// A server that logs all that it can.
fn traced(data: &Path) -> Child {
    let addresses = ["serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"];
    let mut command = flashlane();
    command.env("FLASHLANE_LOG", "trace").args(addresses).arg("--data").arg(data);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The headers of a webhook that is signed with this key now.
fn signed(key: &str, body: &Value) -> String {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = i64::try_from(at.as_secs()).unwrap();
    let webhook = standardwebhooks::Webhook::from_bytes(key.into()).unwrap();
    let signature = webhook.sign("m", at, body.to_string().as_bytes()).unwrap();
    format!("webhook-id: m\r\nwebhook-timestamp: {at}\r\nwebhook-signature: {signature}\r\n")
}

#[test]
fn no_option_takes_a_secret_itself() {
    for command in ["serve", "token", "verify"] {
        let help = flashlane().args([command, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for line in help.lines().filter(|line| line.trim_start().starts_with("--")) {
            let option = line.split_whitespace().next().unwrap();
            assert!(!option.ends_with("-key") || line.contains("<FILE"), "{command}: {line}");
        }
    }
}
