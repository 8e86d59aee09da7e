//! Which tokens are accepted, and which are refused.

use crate::support::{Answer, Server, drop_of, flashlane, selling, send};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

pub(crate) fn claims() -> Value {
    json!({"sub": "ann", "tier": "gold", "aud": "flashlane", "exp": now_s() + 600})
}

pub(crate) fn signed(server: &Server, claims: &Value) -> String {
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
fn a_minor_is_not_admitted_to_a_sale_for_adults_whether_it_is_sold_out_or_not() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--platform-listen", "127.0.0.1:0"]);
    let mut sale = drop_of(1);
    sale["adults_only"] = json!(true);
    server.make(&sale);
    let mut claims = claims();
    let mut token = |minor: Value| {
        claims["minor"] = minor;
        format!("Bearer {}", signed(&server, &claims))
    };
    let (minor, adult, odd) = (token(json!(true)), token(json!(false)), token(json!("no")));
    click(&server, &odd).is_problem(401, "unauthenticated");
    click(&server, &minor).is_problem(403, "not_for_minors");
    assert_eq!(click(&server, &adult).status, 202);
    click(&server, &minor).is_problem(403, "not_for_minors");
    let wait = |token: &str| {
        let more = format!("authorization: {token}\r\n");
        send(server.public, "POST", "/v1/sales/drop/waitlist", &more, br#"{"units":1}"#)
    };
    wait(&minor).is_problem(403, "not_for_minors");
    let batch = json!({"clicks": [{"member": "bob", "tier": "gold", "units": 1, "minor": true}]});
    let key = std::fs::read_to_string(data.path().join("platform.key")).unwrap();
    let more = format!("authorization: Bearer {}\r\n", key.trim());
    let batch = batch.to_string();
    let to = server.platform.unwrap();
    let answers = send(to, "POST", "/v1/sales/drop/clicks", &more, batch.as_bytes()).json;
    assert_eq!(answers["answers"][0]["code"], "not_for_minors");
    let shown = send(server.public, "GET", "/v1/sales/drop", "", b"").json;
    assert_eq!(shown["adults_only"], true);
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

/// A token signed by this key, which it names.
fn named(kid: Option<&str>, secret: u8, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
    let token = jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(&[secret; 32]));
    format!("Bearer {}", token.unwrap())
}

#[test]
fn keys_in_a_folder_are_named_by_kid_and_rotated_while_it_serves() {
    let data = tempfile::tempdir().unwrap();
    let keys = data.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let put = |kid: &str, secret: u8| {
        std::fs::write(keys.join(format!("{kid}.key")), [secret; 32]).unwrap();
    };
    put("spring", b'a');
    put(".hidden", b'x');
    let log = data.path().join("log");
    let server = Server::start_logged(data.path(), &["--token-key", keys.to_str().unwrap()], &log);
    server.make(&drop_of(100));
    let spring = named(Some("spring"), b'a', &claims());
    assert_eq!(click(&server, &spring).status, 202);
    for (kid, secret) in
        [(None, b'a'), (Some("summer"), b'a'), (Some("spring"), b'b'), (Some(".hidden"), b'x')]
    {
        click(&server, &named(kid, secret, &claims())).is_problem(401, "unauthenticated");
    }
    // The new key is taken beside the old one, then alone.
    put("summer", b'b');
    server.signal("-HUP");
    let summer = named(Some("summer"), b'b', &claims());
    let status = |token: &str| click(&server, token).status;
    crate::support::until("the new key is read", || status(&summer) != 401);
    assert_ne!(status(&spring), 401);
    std::fs::remove_file(keys.join("spring.key")).unwrap();
    server.signal("-HUP");
    crate::support::until("the old key is gone, for remembered tokens too", || {
        status(&spring) == 401
    });
    assert_ne!(status(&summer), 401);
    // A folder that cannot be used changes nothing.
    std::fs::write(keys.join("short.key"), "too short").unwrap();
    server.signal("-HUP");
    let is_refused =
        || std::fs::read_to_string(&log).unwrap().contains("the keys stay as they were");
    crate::support::until("the folder is refused", is_refused);
    assert_ne!(status(&summer), 401);
    std::fs::remove_file(keys.join("short.key")).unwrap();
    put("autumn", b'd');
    server.signal("-HUP");
    let autumn = named(Some("autumn"), b'd', &claims());
    crate::support::until("the next one is read", || status(&autumn) != 401);
    assert_ne!(status(&summer), 401);
}

#[test]
fn another_claim_may_name_the_member() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--token-member-claim", "person"]);
    server.make(&drop_of(10));
    let mut claims = claims();
    let bearer = |claims: &Value| format!("Bearer {}", signed(&server, claims));
    click(&server, &bearer(&claims)).is_problem(401, "unauthenticated");
    claims["person"] = json!("p-7");
    let answer = click(&server, &bearer(&claims));
    assert_eq!((answer.status, &answer.json["member"]), (202, &json!("p-7")));
}

#[test]
fn a_folder_without_a_good_key_is_refused_in_a_sentence() {
    let data = tempfile::tempdir().unwrap();
    let keys = data.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let start = || {
        let run = flashlane()
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--operator-listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(data.path())
            .args(["--token-key", keys.to_str().unwrap()])
            .output();
        String::from_utf8(run.unwrap().stderr).unwrap()
    };
    assert!(start().contains("there is no key in the folder"));
    std::fs::write(keys.join("a.key"), "short").unwrap();
    let said = start();
    assert!(said.contains("a.key cannot be used") && said.contains("32 or more"), "{said}");
    std::fs::write(keys.join("a.key"), [1; 32]).unwrap();
    std::fs::write(keys.join("a.pem"), [2; 32]).unwrap();
    assert!(start().contains("two files in"));
}
