//! Rehearsals and the desk, over HTTP: what counts nowhere, and what needs a key.

use crate::support::{Server, drop_of, selling, send, until};
use serde_json::{Value, json};

const REHEARSE: &str = "/v1/sales/drop/rehearse";
const REHEARSAL: &str = "/v1/sales/drop/rehearsal";

#[test]
fn invented_members_sell_the_copy_out_and_the_sale_is_as_it_was() {
    let (data, server) = selling(20);
    let begun = server.operate("POST", REHEARSE, &json!({"members": 400}));
    assert_eq!(begun.status, 201, "{begun:?}");
    assert_eq!(begun.json["id"], "rehearsal-drop");
    assert_eq!(begun.json["rehearsal"], true);
    until("the copy is sold out", || {
        let copy = server.operate("GET", REHEARSAL, &Value::Null).json;
        copy["left"] == 0 && copy["flow"]["paid"].as_u64() > Some(0)
    });
    let copy = server.operate("GET", REHEARSAL, &Value::Null).json;
    assert!(copy["refused"]["sold_out"].as_u64() > Some(0), "{copy}");
    assert!(copy["confirm_times"]["count"].as_u64() >= Some(20), "{copy}");
    let sale = server.report();
    assert_eq!((&sale["left"], &sale["flow"]["clicks"]), (&json!(20), &json!(0)));
    assert!(sale.get("rehearsal").is_none());
    // Its members cannot be clicked for, and its sale not bought at.
    assert_eq!(server.operate("GET", "/v1/sales/rehearsal-drop", &Value::Null).status, 404);
    // A new one ends the one before, which is another sale's perhaps.
    assert_eq!(server.operate("POST", REHEARSE, &json!({"members": 1})).status, 201);
    assert_eq!(server.operate("GET", REHEARSAL, &Value::Null).json["left"], 20);
    assert_eq!(server.operate("DELETE", REHEARSAL, &Value::Null).status, 204);
    assert_eq!(server.operate("GET", REHEARSAL, &Value::Null).status, 404);
    assert_eq!(server.operate("DELETE", REHEARSAL, &Value::Null).status, 404);
    let log = server.operate("GET", "/v1/audit", &Value::Null).body;
    assert!(log.contains("rehearse_sale") && log.contains("end_rehearsal"), "{log}");
    // Nothing of it is there after a restart either.
    drop(server);
    let server = Server::start(data.path());
    let sales = server.operate("GET", "/v1/sales", &Value::Null).json;
    assert_eq!(sales["sales"].as_array().unwrap().len(), 1);
}

#[test]
fn a_rehearsal_is_bounded_and_needs_a_sale() {
    let (_data, server) = selling(1);
    for members in [json!(0), json!(100_001), json!(-1), json!("many")] {
        let refused = server.operate("POST", REHEARSE, &json!({"members": members}));
        refused.is_problem(400, "bad_request");
    }
    // Without a body the usual crowd comes.
    assert_eq!(server.operate("POST", REHEARSE, &Value::Null).status, 201);
    let unknown = server.operate("POST", "/v1/sales/none/rehearse", &json!({}));
    unknown.is_problem(404, "unknown_sale");
}

#[test]
fn the_desk_needs_no_key_and_every_call_does() {
    let (_data, server) = selling(1);
    let page = send(server.operator, "GET", "/", "", b"");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
    for part in page.body.split(['"']).filter(|part| part.starts_with("/assets/")) {
        let file = send(server.operator, "GET", part, "", b"");
        assert_eq!(file.status, 200, "{part}");
        assert!(file.header("cache-control").unwrap().contains("immutable"), "{part}");
    }
    send(server.operator, "GET", "/v1/sales", "", b"").is_problem(401, "unauthenticated");
    // Members' listener has no desk.
    let desk = page.body.split('"').find(|part| part.ends_with("/desk.js")).unwrap();
    assert_eq!(send(server.public, "GET", desk, "", b"").status, 404);
}

#[test]
fn a_picture_lies_on_an_origin_that_is_named_and_may_change_while_the_sale_sells() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--media-origins", "https://cdn.example"]);
    let mut sale = drop_of(3);
    for bad in ["https://elsewhere.example/lamp.jpg", "lamp.jpg", "https://cdn.example/a b"] {
        sale["image_url"] = bad.into();
        let refused = server.operate("POST", "/v1/sales", &sale);
        assert_eq!(refused.is_problem(422, "invalid_sale").json["errors"][0]["field"], "image_url");
    }
    sale["image_url"] = "https://cdn.example/lamp.jpg".into();
    server.make(&sale);
    let read = |server: &Server| server.get("ann", "/v1/sales/drop").json["image_url"].clone();
    assert_eq!(read(&server), "https://cdn.example/lamp.jpg");
    let change = |server: &Server, url: &str| {
        server.operate("PATCH", "/v1/sales/drop", &json!({"image_url": url})).status
    };
    assert_eq!(change(&server, "https://cdn.example/other.jpg"), 200, "its windows are open");
    assert_eq!(change(&server, "https://elsewhere.example/x.jpg"), 422);
    let page = send(server.public, "GET", "/room/drop", "", b"");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("img-src 'self' https://cdn.example;"), "{policy}");
    drop(server);
    let server = Server::start_with(data.path(), &["--media-origins", "https://cdn.example"]);
    assert_eq!(read(&server), "https://cdn.example/other.jpg");
    drop(server);
    // A picture on an origin that is not named any more keeps nothing else from being changed.
    let server = Server::start(data.path());
    let title = server.operate("PATCH", "/v1/sales/drop", &json!({"title": "Another"}));
    assert_eq!(title.status, 200, "{title:?}");
    assert_eq!(change(&server, ""), 200);
    assert_eq!(read(&server), Value::Null);
}
