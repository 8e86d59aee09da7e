//! The live room in a frame of the platform's page, which hands it a member's token and hears what to pay.

use crate::browser::{Browser, PHONE};
use crate::support::{Server, drop_of};
use membership::Tier::Gold;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

/// Serves one page to whoever asks, on an origin of its own, as long as the test runs.
fn platform(page: impl Fn(SocketAddr) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut asked = [0; 4_096];
            // What is asked for does not matter: there is one page.
            let _bytes = stream.read(&mut asked).unwrap_or(0);
            let body = page(address);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // The browser may have gone.
            stream.write_all((head + &body).as_bytes()).ok();
        }
    });
    address
}

/// A page that frames the room, hands it a token when it asks for one, and keeps what it is told.
fn shop(room: &str, token: &str) -> String {
    format!(
        "<!doctype html><title>Shop</title><iframe src='{room}' width='380' height='800'></iframe>
        <script>
          window.heard = [];
          addEventListener('message', (event) => {{
            window.heard.push(event.data);
            if (event.data.type === 'flashlane:ready') event.source.postMessage({{ type: 'flashlane:token', token: '{token}' }}, event.origin);
          }});
        </script>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_page_hands_over_a_token_and_hears_what_to_pay() {
    let data = tempfile::tempdir().unwrap();
    // The platform's address is needed for the server's option, and the server's for the platform's page.
    let place = std::sync::Arc::new(std::sync::OnceLock::<(String, String)>::new());
    let seen = std::sync::Arc::clone(&place);
    let platform = platform(move |_| {
        let (room, token) = seen.get().expect("the server runs");
        shop(room, token)
    });
    let origin = format!("http://{platform}");
    let server = Server::start_with(data.path(), &["--frame-ancestors", &origin]);
    server.make(&drop_of(3));
    let room = format!("http://{}/room/drop", server.public);
    place.set((room, server.token("ann", Gold))).unwrap();

    let page = Browser::start(PHONE).await;
    page.go(&origin).await;
    page.enter_frame(0).await;
    page.shows("#button", "Buy now").await;
    // A message from an origin that is not the platform's changes nothing.
    page.run("postMessage({ type: 'flashlane:token', token: 'nonsense' }, '*')").await;
    page.press("#button").await;
    page.shows("#button", "Pay ").await;
    page.press("#button").await;
    page.leave_frame().await;
    let asked = "const told = window.heard.find(({ type }) => type === 'flashlane:pay'); return told ?? null";
    let told = page.told(asked).await;
    let order = server.get("ann", "/v1/orders?sale=drop").json["orders"][0].clone();
    assert_eq!(told["payment_ref"], order["payment_ref"]);
    assert_eq!((&told["due_cents"], &told["currency"]), (&order["due_cents"], &json!("CNY")));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_named_cannot_frame_the_room() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    server.make(&drop_of(3));
    let (room, token) = (format!("http://{}/room/drop", server.public), server.token("ann", Gold));
    let stranger = platform(move |_| shop(&room, &token));
    let page = Browser::start(PHONE).await;
    page.go(&format!("http://{stranger}")).await;
    page.enter_frame(0).await;
    // The browser shows its own page in the room's place.
    page.told("return document.readyState === 'complete' || null").await;
    assert_eq!(page.text("#button").await, "");
    page.leave_frame().await;
    assert_eq!(page.run("return window.heard").await, json!([]));
}
