//! Requests that two readers could take in two ways: what one connection is told, on every listener.

use crate::support::{Server, drop_of};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What came back on a connection.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// The status of each answer.
    statuses: Vec<u16>,
    is_closed: bool,
}

/// Sends bytes as they are, and a request behind them that is answered if the connection goes on.
fn tell(to: SocketAddr, bytes: &str) -> Told {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    // The server may have closed the connection already: then these are not heard.
    let last = "GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(last.as_bytes()).ok();
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{bytes:?}: {error}");
    }
    let answer = String::from_utf8_lossy(&answer);
    let mut statuses: Vec<u16> = answer
        .match_indices("HTTP/1.")
        .filter_map(|(at, _)| answer.get(at + 9..at + 12)?.parse().ok())
        .collect();
    // What is asked last does not exist, or needs a key; it is answered if the one before left the
    // connection open.
    let is_closed = !matches!(statuses.last(), Some(404 | 401)) || statuses.len() < 2;
    if !is_closed {
        statuses.pop();
    }
    Told { statuses, is_closed }
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /v1/nothing HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}")
}

fn get(headers: &str) -> String {
    format!("GET /openapi.json HTTP/1.1\r\nhost: x\r\n{headers}\r\n")
}

/// A request that is hidden in the body of another.
const HIDDEN: &str = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";

#[test]
fn what_could_be_read_in_two_ways_is_refused_or_ends_the_connection() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--platform-listen", "127.0.0.1:0"]);
    server.make(&drop_of(1));
    let hidden = HIDDEN.len();
    let refused = [
        // One length that does not hold what the other says.
        post("content-length: 4\r\ncontent-length: 5\r\n", "abcde"),
        post("content-length: 2, 3\r\n", "{}"),
        post("content-length: +2\r\n", "{}"),
        post("content-length: 0x2\r\n", "{}"),
        post("content-length : 2\r\n", "{}"),
        post(&format!("content-length: {hidden}\r\ncontent-length: 0\r\n"), HIDDEN),
        // A coding that a proxy may not see as one, or see as another.
        post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
        post("transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        post("x: a\r\n transfer-encoding: chunked\r\n", "0\r\n\r\n"),
        "POST /v1/nothing HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        // Lines that go on, or have what no line may have.
        get("x: a\r\n b\r\n"),
        get("x: a\0b\r\n"),
        get("x: a\rb: c\r\n"),
        get("x y: z\r\n"),
    ];
    for to in [server.public, server.operator, server.platform.unwrap()] {
        for bytes in &refused {
            let told = tell(to, bytes);
            assert_eq!(told, Told { statuses: vec![400], is_closed: true }, "{bytes:?}");
        }
        // Both a length and a coding: the coding counts, and nothing behind the body is answered.
        for length in [0, 4, 5 + hidden] {
            let headers = format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n");
            let told = tell(to, &post(&headers, &format!("0\r\n\r\n{HIDDEN}")));
            assert!(told.is_closed && told.statuses.len() == 1, "{told:?}");
        }
        // A chunk whose size is none, or too large: whatever is answered, the connection ends.
        for size in ["fffffffffffffffff", "-1", "0x4", "4 4", ""] {
            let told =
                tell(to, &post("transfer-encoding: chunked\r\n", &format!("{size}\r\nabcd\r\n")));
            assert!(told.is_closed && told.statuses.len() == 1, "{size:?}: {told:?}");
        }
    }
}

#[test]
fn what_is_plain_is_answered_as_it_was_asked() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--platform-listen", "127.0.0.1:0"]);
    for to in [server.public, server.operator, server.platform.unwrap()] {
        let going_on = |statuses: &[u16]| Told { statuses: statuses.to_vec(), is_closed: false };
        // One after another without waiting.
        assert_eq!(tell(to, &[get(""), get(""), get("")].concat()), going_on(&[200, 200, 200]));
        // The same length twice is one length.
        let twice = post("content-length: 2\r\ncontent-length: 2\r\n", "{}");
        assert_eq!(tell(to, &twice).statuses.len(), 1);
        // A head alone has no body, which would be taken for the next answer.
        let head = get("").replace("GET", "HEAD");
        assert_eq!(tell(to, &head), going_on(&[200]));
        // The older version ends the connection by itself, and needs no host.
        let old = tell(to, "GET /openapi.json HTTP/1.0\r\n\r\n");
        assert_eq!(old, Told { statuses: vec![200], is_closed: true });
    }
}

#[test]
fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let (_data, server) = crate::support::selling(3);
    let token = server.token("ann", membership::Tier::Gold);
    let mut stream = TcpStream::connect(server.public).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST /v1/sales/drop/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         expect: 100-continue\r\ncontent-length: 11\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(br#"{"units":1}"#).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}
