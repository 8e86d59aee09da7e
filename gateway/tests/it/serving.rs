//! Starting, refusing to start, overload and stopping.

use crate::support::{PATIENCE, Server, drop_of, flashlane, read, selling, send, until};
use serde_json::json;
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    until("new connections are refused", || TcpStream::connect(server.public).is_err());
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
    until("there is room again", || {
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

/// Its instants are dates of TOML.
const FREE_SALE: &str = r#"
    [[sale]]
    id = "gift"
    title = "A sticker"
    price_cents = 0
    free = true
    currency = "JPY"
    stock = 3
    windows = { gold = 2020-01-01T00:00:00Z }
    limits = { gold = 1 }
    closes_at = 2999-01-01 08:00:00+08:00
    pay_within_s = 900
"#;

/// What a server says on standard error while it makes the sales of a file, and then stops.
fn said_of(data: &Path, file: &str) -> String {
    let sales = data.join("sales.toml");
    std::fs::write(&sales, file).unwrap();
    let log = data.join("log");
    let mut server = Server::start_logged(data, &["--sales", sales.to_str().unwrap()], &log);
    server.terminate();
    assert!(server.ended().success());
    std::fs::read_to_string(log).unwrap()
}

#[test]
fn a_file_of_sales_is_followed_or_it_is_said_where_it_is_not() {
    let data = tempfile::tempdir().unwrap();
    let said = said_of(data.path(), FREE_SALE);
    assert!(said.contains("sale made") && said.contains("gift"), "{said}");
    let said = said_of(data.path(), FREE_SALE);
    assert!(said.contains("sale goes on") && !said.contains("WARN"), "{said}");
    let other = FREE_SALE.replace("stock = 3", "stock = 4").replace("sticker", "pin");
    let said = said_of(data.path(), &other);
    assert!(said.contains("something else of its title, stock"), "{said}");
    let over = FREE_SALE.replace("gift", "late").replace("2999-01-01 08", "2021-01-01 08");
    let said = said_of(data.path(), &over);
    assert!(said.contains("its closes_at is over already") && said.contains("late"), "{said}");
}

#[test]
fn what_it_cannot_start_with_is_said_in_one_line() {
    let (used, _server) = selling(1);
    let (folder, foreign) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (used, folder, foreign) = (used.path(), folder.path(), foreign.path());
    std::fs::write(folder.join("short.key"), "secret").unwrap();
    std::fs::write(folder.join("sales.toml"), "[[sale]]\nid = 1").unwrap();
    std::fs::write(folder.join("twice.toml"), format!("{FREE_SALE}{FREE_SALE}")).unwrap();
    let private = "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n";
    std::fs::write(folder.join("private.pem"), private).unwrap();
    std::fs::write(foreign.join("store.redb"), "this is no store".repeat(400)).unwrap();
    let cases: [(&Path, &str, &str); 16] = [
        (used, "", "another process uses the data folder"),
        (Path::new("/proc/none"), "", "cannot make the data folder"),
        (foreign, "", "is not a store of Flashlane"),
        (folder, "--token-key DIR/short.key", "32 or more"),
        (folder, "--operator-key DIR/short.key", "use a longer one"),
        (folder, "--token-key none.key", "cannot read the key file"),
        (folder, "--token-alg EdDSA", "--token-alg EdDSA needs --token-key FILE with the public"),
        (folder, "--token-alg ES256 --token-key DIR/private.pem", "this is a private key"),
        (folder, "--sales DIR/sales.toml", "does not describe sales"),
        (folder, "--sales DIR/twice.toml", "stands twice in"),
        (folder, "--listen 192.0.2.1:1", "choose another address"),
        (folder, "--listen nowhere", "is no address"),
        (folder, "--listen :8080", "0.0.0.0:8080"),
        (folder, "--listen 8080", "127.0.0.1:8080"),
        (folder, "--trusted-proxies x", "is no address or network"),
        (folder, "--confirm-within 5", "is no duration"),
    ];
    for (data, args, said) in cases {
        let args = args.replace("DIR", folder.to_str().unwrap());
        let mut command = flashlane();
        command.args(["serve", "--operator-listen", "127.0.0.1:0", "--data"]).arg(data);
        if !args.contains("--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let output = command.args(args.split_whitespace()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(said), "{args:?}: {text}");
    }
}

#[test]
fn verify_says_what_it_needs() {
    let (data, server) = selling(1);
    let verify = |folder: &Path| {
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

#[test]
fn debug_shows_clicks_and_refused_tokens_without_secrets() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let server = Server::start_logged(data.path(), &[], &log);
    server.make(&drop_of(1));
    assert_eq!(server.click("ann", 1, "").status, 202);
    assert_eq!(server.click("bob", 1, "").status, 409);
    let headers = "authorization: Bearer canary-token\r\n";
    let refused = send(server.public, "GET", "/v1/orders", headers, b"");
    assert_eq!(refused.status, 401);
    let said = std::fs::read_to_string(log).unwrap();
    for expected in ["click", "ann", "SoldOut", "a token is refused"] {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
    let key = String::from_utf8_lossy(server.token_key()).into_owned();
    for secret in ["canary-token", &key, server.payment_key()] {
        assert!(!said.contains(secret), "{secret}");
    }
}

#[test]
fn the_version_names_the_program_and_the_commit() {
    let output = flashlane().arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let commit = said.trim().strip_prefix(concat!("flashlane ", env!("CARGO_PKG_VERSION"), " ("));
    let commit = commit.and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("{said}"));
    assert!(commit == "commit unknown" || commit.bytes().all(|b| b.is_ascii_hexdigit()), "{said}");
}

#[test]
fn it_listens_where_a_name_leads() {
    let data = tempfile::tempdir().unwrap();
    let mut command = flashlane();
    command.args([
        "serve",
        "--listen",
        "localhost:0",
        "--operator-listen",
        "localhost:0",
        "--data",
    ]);
    let child = command.arg(data.path()).args(["--trusted-proxies", "10.0.0.1,10.1.0.0/16"]);
    let mut child = child.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("public http://127.0.0.1:"), "{line}");
}

/// Many sales are opened while the server answers already.
#[test]
fn it_answers_before_its_sales_are_opened_and_says_how_far_it_is() {
    let data = tempfile::tempdir().unwrap();
    crate::many_sales::fill(data.path());
    let mut child = flashlane()
        .args(["serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0", "--data"])
        .arg(data.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let public = line.strip_prefix("public http://").unwrap().parse().unwrap();
    let ready = || send(public, "GET", "/readyz", "", b"");
    let first = ready();
    assert_eq!(first.status, 503, "{}", first.body);
    assert!(first.body.starts_with("starting: "), "{}", first.body);
    assert!(first.body.ends_with(" of 10000 sales are opened\n"), "{}", first.body);
    assert_eq!(send(public, "GET", "/healthz", "", b"").status, 200);
    until("all sales are opened", || ready().status == 200);
    child.kill().unwrap();
    child.wait().unwrap();
}
