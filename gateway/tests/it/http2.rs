//! HTTP/2 with prior knowledge, which the platform's servers may speak.

use crate::support::{Server, drop_of, send};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;

async fn connect(to: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { connection.await.unwrap() });
    sender
}

/// Sends a batch of so many members' clicks; returns the status and the answer.
async fn click(
    mut to: SendRequest<Full<Bytes>>,
    key: &str,
    name: &str,
    members: usize,
) -> (u16, Value) {
    // With such keys the largest batches are several windows long.
    let key_of = "k".repeat(200);
    let click =
        |nth| json!({"member": format!("{name}-{nth}"), "tier": "gold", "units": 1, "key": key_of});
    let clicks: Vec<Value> = (0..members).map(click).collect();
    let request = Request::post("http://flashlane/v1/sales/drop/clicks")
        .header("authorization", format!("Bearer {key}"))
        .body(json!({ "clicks": clicks }).to_string().into())
        .unwrap();
    let answer = to.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn the_platform_may_speak_http2_with_several_batches_on_their_way() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--platform-listen", "127.0.0.1:0"]);
    server.make(&drop_of(30_000));
    let to = server.platform.unwrap();
    let key = std::fs::read_to_string(data.path().join("platform.key")).unwrap();
    let key = key.trim();
    let sender = connect(to).await;
    let batches = ["a", "b", "c"].map(|name| click(sender.clone(), key, name, 8_192));
    for (status, answer) in futures_util::future::join_all(batches).await {
        let answers = answer["answers"].as_array().unwrap();
        let orders = answers.iter().filter(|answer| answer["order_id"].is_string()).count();
        assert_eq!((status, orders), (200, 8_192));
    }
    assert_eq!(click(sender, "wrong", "d", 1).await.0, 401);
    let body = json!({"clicks": [{"member": "eve", "tier": "gold", "units": 1}]}).to_string();
    let headers = format!("authorization: Bearer {key}\r\n");
    let answer = send(to, "POST", "/v1/sales/drop/clicks", &headers, body.as_bytes());
    assert_eq!(answer.status, 200, "HTTP/1.1 at the same address: {answer:?}");
}
