//! Starting, refusing to start, overload and stopping.

use crate::support::{PATIENCE, Server, drop_of, flashlane, read, selling, send};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

#[test]
fn it_is_alive_and_ready() {
    let (_data, server) = selling(1);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(server.public, "GET", path, "", b"").status, 200);
    }
}

#[test]
fn keys_that_are_made_are_readable_by_their_owner_alone() {
    let (data, _server) = selling(1);
    for key in ["token.key", "operator.key", "payment.key"] {
        let mode = std::fs::metadata(data.path().join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[test]
fn sigterm_confirms_what_is_reserved_and_exits_0() {
    let (data, mut server) = selling(500);
    for i in 0..200 {
        assert_eq!(server.click(&format!("m{i}"), 1, "").status, 202);
    }
    server.terminate();
    assert!(server.ended().success());
    let verify = flashlane().arg("verify").arg("--data").arg(data.path()).output().unwrap();
    let said = String::from_utf8(verify.stdout).unwrap();
    assert!(verify.status.success(), "{said}");
    assert!(said.contains("500 units = 300 left + 200 held in 200 orders"), "{said}");
}

#[test]
fn sighup_never_ends_the_process() {
    let (_data, mut server) = selling(5);
    assert_eq!(server.click("ann", 1, "").status, 202);
    server.signal("-HUP");
    assert_eq!(server.click("bob", 1, "").status, 202);
    server.terminate();
    assert!(server.ended().success());
}

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let (_data, mut server) = selling(5);
    let token = server.token("ann", membership::Tier::Gold);
    let mut stream = TcpStream::connect(server.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1/sales/drop/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         expect: 100-continue\r\ncontent-length: 11\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The handler asks for the body: the request is in flight.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"));
    server.terminate();
    crate::support::until("new connections are refused", || {
        TcpStream::connect(server.public).is_err()
    });
    stream.write_all(br#"{"units":1}"#).unwrap();
    let answer = read(stream);
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(server.ended().success());
}

#[test]
fn a_client_that_trickles_its_headers_is_cut_off() {
    let (_data, server) = selling(5);
    let mut stream = TcpStream::connect(server.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
    let mut rest = Vec::new();
    // Ends when the server closes; a server that waits for ever runs into the read time-out.
    stream.read_to_end(&mut rest).unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_client_that_trickles_its_body_is_told_and_buys_nothing() {
    let (_data, server) = selling(5);
    let token = server.token("ann", membership::Tier::Gold);
    let mut stream = TcpStream::connect(server.public).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1/sales/drop/orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\ncontent-length: 11\r\n\r\n{{\"units"
    );
    stream.write_all(head.as_bytes()).unwrap();
    read(stream).is_problem(408, "body_too_slow");
    assert_eq!(server.settled()["left"], 5);
}

#[test]
fn a_connection_over_the_cap_is_told_so() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--connections-max", "2"]);
    let idle: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(server.public).unwrap();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            stream
        })
        .collect();
    let mut third = TcpStream::connect(server.public).unwrap();
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    third.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("\"code\":\"busy\""), "{text}");
    assert!(text.to_lowercase().contains("retry-after: 1"), "{text}");
    drop(idle);
    crate::support::until("there is room again", || {
        let mut stream = TcpStream::connect(server.public).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok();
        let mut text = String::new();
        stream.read_to_string(&mut text).is_ok() && text.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn sales_of_a_file_are_made_once_and_go_on() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("sales.toml");
    let sale = r#"
        [[sale]]
        id = "drop"
        title = "A lamp"
        price_cents = 19900
        currency = "CNY"
        stock = 5
        closes_at = "2999-01-01T00:00:00Z"
        pay_within_s = 900
        windows = { gold = "2020-01-01T00:00:00Z", platinum = "2020-01-01T00:00:00Z", diamond = "2020-01-01T00:00:00Z" }
        limits = { gold = 1, platinum = 1, diamond = 1 }
    "#;
    std::fs::write(&file, sale).unwrap();
    let sales = ["--sales", file.to_str().unwrap()];
    let server = Server::start_with(data.path(), &sales);
    assert_eq!(server.click("ann", 1, "prefer: wait=10\r\n").status, 201);
    drop(server);
    let server = Server::start_with(data.path(), &sales);
    assert_eq!(server.settled()["left"], 4);
}

#[test]
fn what_it_cannot_start_with_is_said_in_one_line() {
    let (data, _server) = selling(1);
    let other = tempfile::tempdir().unwrap();
    let short = other.path().join("short.key");
    std::fs::write(&short, "secret").unwrap();
    let sales = other.path().join("sales.toml");
    std::fs::write(&sales, "[[sale]]\nid = 1").unwrap();
    let damaged = tempfile::tempdir().unwrap();
    std::fs::write(
        damaged.path().join("store.redb"),
        "this is no store, whatever it is".repeat(200),
    )
    .unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let cases = [
        (vec!["--data".into(), path(data.path())], "another process uses the data folder"),
        (vec!["--data".into(), "/proc/none".into()], "cannot make the data folder"),
        (
            vec!["--data".into(), path(other.path()), "--token-key".into(), path(&short)],
            "32 or more",
        ),
        (
            vec!["--data".into(), path(other.path()), "--operator-key".into(), path(&short)],
            "use a longer one",
        ),
        (
            vec!["--data".into(), path(other.path()), "--token-key".into(), "none.key".into()],
            "cannot read the key file",
        ),
        (
            vec!["--data".into(), path(other.path()), "--token-alg".into(), "EdDSA".into()],
            "public key in PEM",
        ),
        (
            vec!["--data".into(), path(other.path()), "--sales".into(), path(&sales)],
            "does not describe sales",
        ),
        (
            vec!["--data".into(), path(other.path()), "--listen".into(), "192.0.2.1:1".into()],
            "choose another address",
        ),
        (vec!["--data".into(), path(other.path()), "--listen".into(), "nowhere".into()], "invalid"),
        (vec!["--data".into(), path(damaged.path())], "is not a store of Flashlane"),
    ];
    for (args, said) in cases {
        let mut command = flashlane();
        command.args(["serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"]);
        // The same flag twice would be refused, so the tested arguments take the place of the usual
        // ones.
        let mut command = if args.iter().any(|arg| arg == "--listen") {
            let mut command = flashlane();
            command.args(["serve", "--operator-listen", "127.0.0.1:0"]);
            command
        } else {
            command
        };
        let output = command.args(&args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(said), "{args:?}: {text}");
    }
}

#[test]
fn verify_says_what_it_needs() {
    let (data, server) = selling(1);
    let verify = |folder: &std::path::Path| {
        let output = flashlane().arg("verify").arg("--data").arg(folder).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (ok, said) = verify(data.path());
    assert!(!ok && said.contains("another process uses the data folder"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let (ok, said) = verify(empty.path());
    assert!(!ok && said.contains("there is no store"), "{said}");
    server.make(&{
        let mut sale = drop_of(3);
        sale["id"] = json!("second");
        sale
    });
    drop(server);
    assert!(verify(data.path()).0);
}
