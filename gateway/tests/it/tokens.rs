//! Which tokens are accepted, and which are refused.

use crate::support::{Answer, Server, flashlane, selling, send};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn claims() -> Value {
    json!({"sub": "ann", "tier": "gold", "aud": "flashlane", "exp": now_s() + 600})
}

fn signed(server: &Server, claims: &Value) -> String {
    let key = EncodingKey::from_secret(server.token_key());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn click(server: &Server, authorization: &str) -> Answer {
    let headers = format!("authorization: {authorization}\r\n");
    send(server.public, "POST", "/v1/sales/drop/orders", &headers, br#"{"units":1}"#)
}

#[test]
fn a_token_that_is_wrong_forged_or_expired_buys_nothing() {
    let (_data, server) = selling(10);
    let with = |field: &str, value: Value| {
        let mut claims = claims();
        claims[field] = value;
        signed(&server, &claims)
    };
    let without = |field: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(field);
        signed(&server, &claims)
    };
    let good = signed(&server, &claims());
    let parts: Vec<&str> = good.split('.').collect();
    // {"alg":"none","typ":"JWT"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]);
    let other_key = EncodingKey::from_secret(&[7; 32]);
    let other_key = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &other_key);
    let other_alg = EncodingKey::from_secret(server.token_key());
    let other_alg = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims(), &other_alg);
    let tampered = format!("{}.{}x.{}", parts[0], parts[1], parts[2]);
    let bad = [
        none,
        other_key.unwrap(),
        other_alg.unwrap(),
        tampered,
        with("exp", json!(now_s() - 60)),
        with("nbf", json!(now_s() + 60)),
        with("aud", json!("elsewhere")),
        with("tier", json!("emerald")),
        with("tier", json!(5)),
        with("sub", json!("a{b}")),
        with("sub", json!("a\u{0}")),
        with("sub", json!("\u{4f1a}")),
        with("sub", json!("")),
        with("sub", json!("x".repeat(65))),
        with("exp", json!("soon")),
        without("exp"),
        without("aud"),
        without("sub"),
        without("tier"),
        "garbage".into(),
        String::new(),
    ];
    for token in bad {
        let answer = click(&server, &format!("Bearer {token}"));
        answer.is_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    click(&server, &format!("Basic {good}")).is_problem(401, "unauthenticated");
    click(&server, &format!("Bearer {good}\r\nauthorization: Bearer {good}"))
        .is_problem(401, "unauthenticated");
    send(server.public, "POST", "/v1/sales/drop/orders", "", br#"{"units":1}"#)
        .is_problem(401, "unauthenticated");
    assert_eq!(server.settled()["left"], 10);
    assert_eq!(click(&server, &format!("bearer {good}")).status, 202);
}

#[test]
fn a_remembered_token_is_refused_once_it_has_expired() {
    let (_data, server) = selling(10);
    let mut claims = claims();
    // The token is within the leeway of 5 s for 2 s more.
    claims["exp"] = json!(now_s() - 3);
    let token = format!("Bearer {}", signed(&server, &claims));
    assert_eq!(click(&server, &token).status, 202);
    crate::support::until("the token is no longer taken", || click(&server, &token).status == 401);
}

#[test]
fn the_operator_listener_wants_its_own_key() {
    let (_data, server) = selling(10);
    let member = format!("authorization: Bearer {}\r\n", signed(&server, &claims()));
    for headers in ["", "authorization: Bearer x\r\n", "authorization: Bearer \r\n", &member] {
        for path in ["/v1/sales", "/metrics", "/nowhere"] {
            send(server.operator, "GET", path, headers, b"").is_problem(401, "unauthenticated");
        }
    }
    let path = "/v1/sales/drop/close";
    send(server.public, "POST", path, &member, b"").is_problem(404, "not_found");
    assert_eq!(server.settled()["state"], "open");
}

#[test]
fn the_token_command_makes_tokens_that_serve_takes() {
    let (data, server) = selling(10);
    let key = data.path().join("token.key");
    let made = flashlane()
        .args(["token", "--member", "ann", "--tier", "platinum", "--token-key"])
        .arg(&key)
        .output()
        .unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    let answer = click(&server, &format!("Bearer {}", token.trim()));
    assert_eq!((answer.status, &answer.json["tier"]), (202, &json!("platinum")));
    for wrong in [["--member", "a b", "--tier", "gold"], ["--member", "a", "--tier", "emerald"]] {
        assert!(!flashlane().arg("token").args(wrong).output().unwrap().status.success());
    }
}
