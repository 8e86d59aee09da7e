//! `serve --redis` and `verify --redis`, as an operator meets them.

use crate::redis_server::RedisServer;
use crate::support::{Server, drop_of, flashlane, send};
use serde_json::Value;
use std::path::Path;

fn verify(server: &RedisServer) -> (bool, String) {
    let output = flashlane().args(["verify", "--redis", &server.url()]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_drop_confirms_to_redis_and_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(folder.path());
    let args = ["--redis", &redis.url()];
    let mut server = Server::start_with(folder.path(), &args);
    server.make(&drop_of(5));
    let headers = "prefer: wait=10\r\nidempotency-key: once\r\n";
    let bought = server.click("ann", 2, headers);
    assert_eq!((bought.status, bought.json["status"].as_str()), (201, Some("confirmed")));
    server.terminate();
    assert!(server.ended().success());

    let server = Server::start_with(folder.path(), &args);
    let again = server.click("ann", 2, headers);
    assert_eq!((again.status, &again.json["order_id"]), (201, &bought.json["order_id"]));
    assert_eq!(send(server.public, "GET", "/v1/sales/drop", "", b"").json["left"], 3);
    let (is_clean, said) = verify(&redis);
    assert!(is_clean && said.contains("5 units = 3 left + 2 held in 1 orders"), "{said}");
    drop(server);
    // Another client changes what the store has.
    redis.must("HSET flashlane:{drop}:sale left 5");
    let (is_clean, said) = verify(&redis);
    assert!(!is_clean && said.contains("DIFFERS: units left"), "{said}");

    // The sale is there, but it cannot be opened: nobody hears that it, or an order of it, is unknown.
    let server = Server::start_with(folder.path(), &args);
    server.click("bob", 1, "").is_problem(503, "busy");
    let order = format!("/v1/orders/{}", bought.json["order_id"].as_str().unwrap());
    for path in [&order, "/v1/orders?sale=drop", "/v1/sales/drop", "/v1/sales/drop/events"] {
        server.get("ann", path).is_problem(503, "busy");
    }
    server.cancel("ann", &bought.json).is_problem(503, "busy");
    server.pay(&bought.json, "paid").is_problem(503, "busy");
    server.call("ann", "DELETE", "/v1/sales/drop/waitlist", "").is_problem(503, "busy");
    server.operate("POST", "/v1/sales/drop/close", &Value::Null).is_problem(503, "busy");
    redis.must("HSET flashlane:{drop}:sale left 3");
    crate::support::until("the sale is opened after all", || {
        server.click("bob", 1, "").status == 202
    });
}

/// Starting with this URL must fail with one sentence that contains `said` and no password.
#[track_caller]
fn refused(folder: &Path, url: &str, said: &str) {
    for command in ["serve", "verify"] {
        let mut process = flashlane();
        process.arg(command).arg("--data").arg(folder).env("FLASHLANE_REDIS", url);
        let output = process.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let announced = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && !announced.contains("canary"), "{text}");
        assert!(text.contains(said) && !text.contains("canary"), "{text}");
        assert_eq!(text.trim().lines().count(), 1, "{text}");
    }
}

#[test]
fn a_redis_that_cannot_be_used_is_refused_at_the_start_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::with(folder.path(), &["--requirepass", "right"]);
    let at = |user: &str| format!("redis://{user}{}", redis.address());
    refused(folder.path(), "postgres://canary@x", "--redis takes redis://");
    refused(folder.path(), &at(":canary@"), "does not accept the user or the password");
    refused(folder.path(), "redis://127.0.0.1:1", "cannot reach Redis");
    let well = at(":right@");
    let ask = |command: &str| {
        let port = redis.address().port().to_string();
        let mut cli = std::process::Command::new("redis-cli");
        cli.args(["-p", &port, "-a", "right", "--no-auth-warning"]).args(command.split(' '));
        assert!(cli.output().unwrap().status.success());
    };
    ask("CONFIG SET appendonly no");
    refused(folder.path(), &well, "appendonly yes");
    ask("CONFIG SET appendonly yes");
    ask("CONFIG SET maxmemory-policy allkeys-lfu");
    refused(folder.path(), &well, "maxmemory-policy noeviction");
}

#[test]
fn options_for_redis_without_redis_are_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("none.pem");
    let mut serve = flashlane();
    serve.arg("serve").arg("--data").arg(folder.path()).arg("--redis-roots").arg(&roots);
    let output = serve.output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("goes with --redis URL"));
    let mut serve = flashlane();
    serve.arg("serve").arg("--data").arg(folder.path()).arg("--redis-roots").arg(&roots);
    let output = serve.args(["--redis", "rediss://127.0.0.1:1"]).output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot read the certificates"));
}

#[test]
fn a_start_that_fails_takes_no_sale_from_who_sells_it() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(folder.path());
    let server = Server::start_with(folder.path(), &["--redis", &redis.url()]);
    server.make(&drop_of(5));
    let second = |args: &[&str]| {
        let mut serve = flashlane();
        serve.args(["serve", "--redis", &redis.url(), "--operator-listen", "127.0.0.1:0"]);
        let output = serve.arg("--data").arg(folder.path()).args(args).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(second(&["--listen", &server.public.to_string()]).contains("cannot listen"));
    assert!(second(&["--listen", "127.0.0.1:0", "--sales", "/none.toml"]).contains("cannot read"));
    let bought = server.click("ann", 1, "prefer: wait=10\r\n");
    assert_eq!((bought.status, bought.json["status"].as_str()), (201, Some("confirmed")));
}

#[test]
fn a_sale_of_the_file_that_the_store_has_lost_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(folder.path());
    let file = folder.path().join("sales.toml");
    let open = "2020-01-01T00:00:00Z";
    let text = format!(
        "[[sale]]\nid = \"drop\"\ntitle = \"A lamp\"\nprice_cents = 1\ncurrency = \"CNY\"\n\
         stock = 2\nwindows = {{ gold = \"{open}\", platinum = \"{open}\", diamond = \"{open}\" }}\n\
         limits = {{ gold = 1, platinum = 1, diamond = 1 }}\n\
         closes_at = \"2999-01-01T00:00:00Z\"\npay_within_s = 900\n"
    );
    std::fs::write(&file, text).unwrap();
    let args = ["--redis", &redis.url(), "--sales", file.to_str().unwrap()];
    let mut server = Server::start_with(folder.path(), &args);
    assert_eq!(server.click("ann", 1, "prefer: wait=10\r\n").status, 201);
    redis.must("FLUSHALL");
    crate::support::until("the sale is stopped", || {
        send(server.public, "GET", "/readyz", "", b"").body.contains("history")
    });
    server.terminate();
    assert!(!server.ended().success(), "what only this process knew is lost with it");
    let mut serve = flashlane();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]);
    let output = serve.arg("--data").arg(folder.path()).args(args).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the store has lost it"), "{said}");
}

#[test]
fn what_everyone_may_read_names_no_member() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(folder.path());
    let server = Server::start_with(folder.path(), &["--redis", &redis.url()]);
    server.make(&drop_of(5));
    server.order("canary-member", 1);
    redis.must("HSET flashlane:{drop}:holders 0 canary-holdings");
    assert_eq!(server.click("canary-member", 1, "").status, 202);
    crate::support::until("the sale is stopped", || {
        send(server.public, "GET", "/readyz", "", b"").body.contains("damaged")
    });
    let ready = send(server.public, "GET", "/readyz", "", b"").body;
    assert!(!ready.contains("canary"), "{ready}");
    let report = server.operate("GET", "/v1/sales/drop", &Value::Null).body;
    assert!(report.contains("canary-holdings"), "the operator is told: {report}");
}

#[test]
fn a_switch_is_turned_to_the_end_when_its_operator_is_gone() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(folder.path());
    // With so much time to confirm, no call but the operator's is on its way to Redis.
    let calm = ["--redis", &redis.url(), "--confirm-within", "1h"];
    let server = Server::start_with(folder.path(), &calm);
    server.make(&drop_of(5));
    assert_eq!(server.click("ann", 1, "prefer: wait=10\r\n").status, 201);
    let key = std::fs::read_to_string(folder.path().join("operator.key")).unwrap();
    // Redis delays the call until the operator's client has hung up.
    redis.must("CLIENT PAUSE 20000 WRITE");
    let mut operator = std::net::TcpStream::connect(server.operator).unwrap();
    let head = format!(
        "POST /v1/sales/drop/close HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-length: 0\r\n\r\n",
        key.trim()
    );
    operator.write_all(head.as_bytes()).unwrap();
    crate::support::until("Redis has the call", || {
        redis.must("INFO clients").contains("blocked_clients:1")
    });
    drop(operator);
    redis.must("CLIENT UNPAUSE");
    crate::support::until("the sale is closed here, too", || {
        send(server.public, "GET", "/v1/sales/drop", "", b"").json["state"] == "closed"
    });
}
