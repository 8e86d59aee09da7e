//! Backups while it sells, and going on from one.

use crate::redis_server::RedisServer;
use crate::support::{Server, drop_of, flashlane, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;

fn run(args: &[&str]) -> Output {
    flashlane().args(args).output().unwrap()
}

fn is_clean(data: &Path) {
    let said = run(&["verify", "--data", data.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
}

fn restored(from: &Path, data: &Path) -> Output {
    run(&["restore", "--from", from.to_str().unwrap(), "--data", data.to_str().unwrap()])
}

fn click(server: &Server, member: &str, sale: &str) -> Value {
    let body = json!({"units": 1}).to_string();
    server.click_as(member, membership::Tier::Gold, sale, &body, "prefer: wait=10\r\n").json
}

/// The orders of members who buy all the time while something else is done.
fn buying_meanwhile(server: &Server, then: impl FnOnce()) -> BTreeSet<String> {
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let buying = scope.spawn(move || {
            let mut confirmed = BTreeSet::new();
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                let order = click(server, &format!("m{}", confirmed.len()), "drop");
                confirmed.insert(order["order_id"].as_str().unwrap().to_owned());
            }
            confirmed
        });
        then();
        drop(stop);
        buying.join().unwrap()
    })
}

#[test]
fn a_backup_that_is_made_while_it_sells_is_restored_verified_and_sold_on() {
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut server = Server::start_with(data.path(), &["--archive-after", "1s"]);
    server.make(&drop_of(5_000));
    let mut over = drop_of(3);
    over["id"] = json!("over");
    assert_eq!(server.operate("POST", "/v1/sales", &over).status, 201);
    let old = click(&server, "ann", "over");
    assert_eq!(server.pay(&old, "paid").status, 200);
    assert_eq!(server.operate("POST", "/v1/sales/over/close", &Value::Null).status, 200);
    let report = || server.operate("GET", "/v1/sales/over", &Value::Null).json;
    until("the other sale is archived", || report()["archived"] == json!(true));
    let first = server.order("ann", 1);

    let backups: Vec<_> = (0..4).map(|nth| elsewhere.path().join(format!("b{nth}"))).collect();
    let confirmed = buying_meanwhile(&server, || {
        for to in &backups {
            let answer = server.operate("POST", "/v1/backup", &json!({"to": to}));
            assert_eq!(answer.status, 204, "{answer:?}");
        }
    });
    let lost = server.order("bob", 1);
    let relative = server.operate("POST", "/v1/backup", &json!({"to": "b9"}));
    relative.is_problem(400, "bad_request");
    let there = server.operate("POST", "/v1/backup", &json!({"to": backups[0]}));
    there.is_problem(400, "bad_request");
    server.terminate();
    assert!(server.ended().success());

    for (nth, from) in backups.iter().enumerate() {
        is_clean(from);
        let into = elsewhere.path().join(format!("r{nth}"));
        let done = restored(from, &into);
        assert!(done.status.success(), "{done:?}");
        is_clean(&into);
        let again = restored(from, &into);
        assert!(String::from_utf8_lossy(&again.stderr).contains("without a store"), "{again:?}");
    }
    let into = elsewhere.path().join("r3");
    for key in ["token.key", "payment.key"] {
        std::fs::copy(data.path().join(key), into.join(key)).unwrap();
    }
    let server = Server::start(&into);
    until("the sale is open", || server.status("ann", &first) == "confirmed");
    assert_eq!(server.status("ann", &old), "paid", "the archive is in it");
    // What was sold after the backup is gone: its money is alarmed about, and its id is nobody's again.
    server.pay(&lost, "paid").is_problem(422, "payment_mismatch");
    let new = server.order("bob", 1);
    let id = |order: &Value| order["order_id"].as_str().unwrap().to_owned();
    assert!(id(&new) != id(&lost) && !confirmed.contains(&id(&new)), "{new}");
    assert_eq!(server.pay(&new, "paid").status, 200);
}

#[test]
fn the_command_asks_a_running_server() {
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(data.path());
    server.make(&drop_of(5));
    server.order("ann", 1);
    let (key, to) = (data.path().join("operator.key"), elsewhere.path().join("copy"));
    let operator = format!("http://{}", server.operator);
    let mut args = vec!["backup", "--operator", &operator, "--to", to.to_str().unwrap()];
    args.extend(["--operator-key", key.to_str().unwrap()]);
    let done = run(&args);
    assert!(done.status.success(), "{done:?}");
    is_clean(&to);
    let again = run(&args);
    assert!(String::from_utf8_lossy(&again.stderr).contains("not there yet"), "{again:?}");
    drop(server);
    let nobody = run(&args);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("is `serve` running?"), "{nobody:?}");
}

#[test]
fn redis_has_means_of_its_own() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let redis = RedisServer::start(folder.path());
    let server = Server::start_with(data.path(), &["--redis", &redis.url()]);
    let to = folder.path().join("copy");
    let answer = server.operate("POST", "/v1/backup", &json!({"to": to}));
    answer.is_problem(409, "not_embedded");
}
