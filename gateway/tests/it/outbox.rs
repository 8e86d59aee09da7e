//! The outbox, as an order system pulls it.

use crate::redis_server::RedisServer;
use crate::support::{Answer, Server, drop_of, send};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

struct World {
    data: tempfile::TempDir,
    server: Server,
    key: String,
}

impl World {
    fn new(args: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = start(data.path(), args);
        server.make(&drop_of(9));
        let key = std::fs::read_to_string(data.path().join("platform.key")).unwrap();
        Self { data, server, key: key.trim().to_owned() }
    }

    fn get(&self, query: &str) -> Answer {
        let headers = format!("authorization: Bearer {}\r\n", self.key);
        let to = self.server.platform.unwrap();
        send(to, "GET", &format!("/v1/outbox{query}"), &headers, b"")
    }

    /// The changes behind a cursor, as `seq status`, and the next cursor.
    fn read(&self, after: Option<&str>) -> (Vec<String>, String) {
        let query = after.map_or(String::new(), |cursor| format!("?after={cursor}"));
        let answer = self.get(&query);
        assert_eq!(answer.status, 200, "{answer:?}");
        let word = |change: &Value| format!("{} {}", change["seq"], change["status"]);
        let changes = answer.json["changes"].as_array().unwrap();
        let cursor = answer.json["cursor"].as_str().unwrap().to_owned();
        (changes.iter().map(word).collect(), cursor)
    }
}

fn start(data: &std::path::Path, args: &[&str]) -> Server {
    let args = [&["--platform-listen", "127.0.0.1:0"], args].concat();
    Server::start_with(data, &args)
}

fn an_order_system_reads_each_change(args: &[&str]) {
    let mut world = World::new(args);
    let (nothing, cursor) = world.read(None);
    assert_eq!(nothing, [""; 0]);
    let order = world.server.order("ann", 2);
    let (changes, cursor) = world.read(Some(&cursor));
    assert_eq!(changes, [r#"1 "confirmed""#]);
    world.server.pay(&order, "paid");
    let other = world.server.order("bob", 1);
    world.server.cancel("bob", &other);
    let (changes, next) = world.read(Some(&cursor));
    assert_eq!(changes, [r#"2 "paid""#, r#"3 "confirmed""#, r#"4 "cancelled""#]);
    assert_eq!(world.read(Some(&cursor)).0, changes, "the same cursor, the same changes");
    assert_eq!(world.read(Some(&next)).0, [""; 0]);

    // A restart changes nothing for a reader.
    world.server.terminate();
    assert!(world.server.ended().success());
    world.server = start(world.data.path(), args);
    assert_eq!(world.read(Some(&next)).0, [""; 0]);
    let from_the_beginning = world.get("").json;
    let first = &from_the_beginning["changes"][0];
    assert_eq!((&first["source"], &first["seq"]), (&json!("sale/drop"), &json!(1)));
    let is_now = &first["order"];
    assert_eq!((&is_now["order_id"], &is_now["member"]), (&order["order_id"], &json!("ann")));
    assert_eq!((&is_now["status"], &is_now["units"]), (&json!("paid"), &json!(2)));
    assert_eq!(from_the_beginning["changes"].as_array().unwrap().len(), 4);
    assert_eq!(world.server.refund(&order, "r1", 100).status, 200);
    let last = world.get(&format!("?after={next}")).json["changes"][0].clone();
    assert_eq!((&last["seq"], &last["status"]), (&json!(5), &json!("paid")));
    assert_eq!(last["refund"], json!({"refund_id": "r1", "amount_cents": 100}));
}

#[test]
fn an_order_system_reads_each_change_from_the_journal() {
    an_order_system_reads_each_change(&[]);
}

#[test]
fn an_order_system_reads_each_change_from_redis() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(folder.path());
    an_order_system_reads_each_change(&["--redis", &redis.url()]);
}

#[test]
fn a_call_waits_for_a_change_and_no_longer_than_it_was_told() {
    let world = World::new(&[]);
    let (_, cursor) = world.read(None);
    let began = Instant::now();
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| world.get(&format!("?after={cursor}&wait=30")));
        // The reader may or may not wait already: either way it must be told.
        world.server.order("ann", 1);
        waiting.join().unwrap()
    });
    assert_eq!(answer.json["changes"][0]["status"], "confirmed");
    assert!(began.elapsed() < Duration::from_secs(20));
    let next = answer.json["cursor"].as_str().unwrap();
    let began = Instant::now();
    let nothing = world.get(&format!("?after={next}&wait=1"));
    assert_eq!(nothing.json["changes"], json!([]));
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn what_is_no_cursor_is_refused_and_the_outbox_is_for_the_platform_alone() {
    let world = World::new(&[]);
    for bad in ["?after=", "?after=1", "?after=AAAAAAAA", "?wait=31", "?wait=x", "?limit=1"] {
        world.get(bad).is_problem(400, "bad_request");
    }
    let to = world.server.platform.unwrap();
    send(to, "GET", "/v1/outbox", "", b"").is_problem(401, "unauthenticated");
    world.server.operate("GET", "/v1/outbox", &Value::Null).is_problem(404, "not_found");
}

#[test]
fn a_reader_that_waits_does_not_hold_up_the_end() {
    let mut world = World::new(&[]);
    let (to, headers) =
        (world.server.platform.unwrap(), format!("authorization: Bearer {}\r\n", world.key));
    let waiting = std::thread::spawn(move || send(to, "GET", "/v1/outbox?wait=30", &headers, b""));
    world.server.order("ann", 1);
    let answer = waiting.join().unwrap();
    let cursor = answer.json["cursor"].as_str().unwrap().to_owned();
    let headers = format!("authorization: Bearer {}\r\n", world.key);
    let path = format!("/v1/outbox?after={cursor}&wait=30");
    let waiting = std::thread::spawn(move || send(to, "GET", &path, &headers, b""));
    let began = Instant::now();
    world.server.terminate();
    assert!(world.server.ended().success());
    assert!(began.elapsed() < Duration::from_secs(15));
    // It was answered, or had not been heard yet.
    drop(waiting.join());
}
