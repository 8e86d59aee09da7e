//! `kill -9` at random instants under load: no confirmed order is lost and no unit is stranded.

use crate::support::{PATIENCE, Server, drop_of, flashlane, until};
use gateway::{Algorithm, issue_token};
use membership::Tier;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Members click far more often here than members may, and make more orders.
const UNLIMITED: [&str; 4] = ["--member-rate", "0", "--orders-per-member", "65535"];

const KILLS: u64 = 100;
const STOCK: u64 = 1_000_000;
const LIMIT: u64 = 60_000;
const CLIENTS: u64 = 6;

/// What a client was told of a click.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    order_id: String,
    member: String,
    units: u64,
    is_confirmed: bool,
}

/// A keep-alive client that clicks until the server is gone. Each click has a key of its own.
fn click_until_gone(
    public: SocketAddr,
    client: u64,
    round: u64,
    key: &[u8],
) -> (Vec<Told>, Option<u64>) {
    let member = format!("m{}", client % 4).parse().unwrap();
    let ttl = Duration::from_secs(600);
    let token = issue_token(Algorithm::Hs256, key, None, None, &member, Tier::Gold, ttl).unwrap();
    let mut told = Vec::new();
    let Ok(mut stream) = TcpStream::connect(public) else { return (told, None) };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for i in 0.. {
        let units = 1 + i % 3;
        let body = json!({"units": units}).to_string();
        // Half of the clients wait for the disk.
        let prefer = if client.is_multiple_of(2) { "prefer: wait=10\r\n" } else { "" };
        let length = body.len();
        let request = format!(
            "POST /v1/sales/drop/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             idempotency-key: {round}-{client}-{i}\r\n{prefer}content-length: {length}\r\n\r\n{body}"
        );
        let answer = stream.write_all(request.as_bytes()).ok().and_then(|()| answer(&mut stream));
        let Some(order) = answer else { return (told, Some(i)) };
        told.push(Told {
            order_id: order["order_id"].as_str().unwrap_or_else(|| panic!("{order}")).to_owned(),
            member: member.to_string(),
            units,
            is_confirmed: order["status"] == "confirmed",
        });
    }
    unreachable!("a client clicks until the server is gone")
}

/// Reads one answer from a keep-alive connection. Returns `None` if the connection broke off.
fn answer(stream: &mut TcpStream) -> Option<Value> {
    let (mut bytes, mut part) = (Vec::new(), [0; 1_024]);
    loop {
        let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&part[..n]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        if body.len() == length.parse::<usize>().unwrap() {
            return Some(serde_json::from_str(body).unwrap());
        }
    }
}

/// Waits until this many more orders have come in, and ends the server by SIGKILL.
fn kill_after(server: &mut Server, orders: u64) {
    let confirmed = |server: &Server| {
        let report = server.operate("GET", "/v1/sales/drop", &Value::Null).json;
        report["by_tier"]["gold"]["orders"].as_u64().unwrap()
    };
    let from = confirmed(server);
    until("orders come in", || confirmed(server) >= from + orders);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
}

#[test]
fn a_hundred_kills_lose_no_confirmed_order_and_strand_no_unit() {
    let data = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(11);
    let mut all: HashMap<String, Told> = HashMap::new();
    let mut sale = drop_of(u32::try_from(STOCK).unwrap());
    sale["limits"]["gold"] = json!(LIMIT);
    sale["limits"]["platinum"] = json!(LIMIT);
    sale["limits"]["diamond"] = json!(65_535);
    let mut retried = 0;
    for round in 0..KILLS {
        let mut server = Server::start_with(data.path(), &UNLIMITED);
        if round == 0 {
            server.make(&sale);
        }
        let (public, key) = (server.public, server.token_key().to_owned());
        let (told, interrupted) = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let key = &key;
                    scope.spawn(move || (client, click_until_gone(public, client, round, key)))
                })
                .collect();
            kill_after(&mut server, rng.u64(1..200));
            let (mut told, mut interrupted) = (Vec::new(), Vec::new());
            for (client, (receipts, at)) in clients.into_iter().map(|c| c.join().unwrap()) {
                told.extend(receipts);
                interrupted.extend(at.map(|i| (client, i)));
            }
            (told, interrupted)
        });
        for receipt in told {
            all.insert(receipt.order_id.clone(), receipt);
        }
        // The first client that was cut off asks again with its key: one order, whatever happened.
        if let Some((client, i)) = interrupted.first() {
            let server = Server::start_with(data.path(), &UNLIMITED);
            let more = format!("idempotency-key: {round}-{client}-{i}\r\nprefer: wait=10\r\n");
            let ask = || {
                server.click(&format!("m{}", client % 4), u32::try_from(1 + i % 3).unwrap(), &more)
            };
            let (first, second) = (ask(), ask());
            if first.status == 201 {
                assert_eq!(first.json["order_id"], second.json["order_id"]);
                let order_id = first.json["order_id"].as_str().unwrap().to_owned();
                let member = first.json["member"].as_str().unwrap().to_owned();
                let told = Told {
                    order_id: order_id.clone(),
                    member,
                    units: 1 + i % 3,
                    is_confirmed: true,
                };
                all.insert(order_id, told);
                retried += 1;
            }
        }
    }
    assert!(retried > 0, "no interrupted click was ever repeated");
    check(data.path(), &all);
}

fn check(data: &std::path::Path, all: &HashMap<String, Told>) {
    let mut server = Server::start_with(data, &UNLIMITED);
    let (mut after, mut stored) = (0, HashMap::new());
    loop {
        let path = format!("/v1/sales/drop/orders?after={after}&limit=10000");
        let page = server.operate("GET", &path, &Value::Null).json;
        for order in page["orders"].as_array().unwrap() {
            stored.insert(order["order_id"].as_str().unwrap().to_owned(), order.clone());
        }
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    let confirmed: Vec<_> = all.values().filter(|told| told.is_confirmed).collect();
    assert!(confirmed.len() > 500, "only {} clients saw a confirmation", confirmed.len());
    for told in &confirmed {
        let order = stored.get(&told.order_id).unwrap_or_else(|| panic!("lost: {told:?}"));
        assert_eq!((&order["status"], &order["units"]), (&json!("confirmed"), &json!(told.units)));
        assert_eq!(order["member"], told.member);
    }
    // The units that the crashes left can be sold, to the last one.
    let mut left = server.settled()["left"].as_u64().unwrap();
    let mut buyer = 0;
    while left > 0 {
        let units = u32::try_from(left.min(65_535)).unwrap();
        let body = json!({"units": units}).to_string();
        let answer = server.click_as(&format!("rest-{buyer}"), Tier::Diamond, "drop", &body, "");
        assert_eq!(answer.status, 202, "{answer:?}");
        (left, buyer) = (left - u64::from(units), buyer + 1);
    }
    let report = server.settled();
    assert_eq!((&report["left"], &report["confirmed"]), (&json!(0), &json!(STOCK)));
    server.terminate();
    assert!(server.ended().success());
    let verify = flashlane().arg("verify").arg("--data").arg(data).output().unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
}
