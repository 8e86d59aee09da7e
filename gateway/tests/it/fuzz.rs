//! A client may send anything: the answer is a problem with a clear status, and nothing changes.

use crate::support::{Server, drop_of, send};
use membership::Tier;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;

fn unlimited() -> (TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--member-rate", "0"]);
    server.make(&drop_of(1_000));
    (data, server)
}

fn run<S: Strategy>(cases: u32, inputs: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    TestRunner::new(config).run(inputs, test).unwrap();
}

/// A good text with some bytes changed, left out or doubled.
fn edited(good: String, edits: Vec<(prop::sample::Index, u8, u8)>) -> Vec<u8> {
    let mut bytes = good.into_bytes();
    for (at, kind, other) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match kind % 3 {
            0 => bytes[at] = other,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, other),
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..5)
}

#[test]
fn a_token_that_nobody_signed_is_refused_whatever_it_is() {
    let (_data, server) = unlimited();
    let good = server.token("ann", Tier::Diamond);
    let visible = prop::collection::vec(0x20_u8..0x7f, 0..300);
    run(300, &(visible, edits(), any::<bool>()), |(any, edits, is_edited)| {
        let token = if is_edited { edited(good.clone(), edits) } else { any };
        let token: String = token.iter().map(|b| (b % 0x5f + 0x20) as char).collect();
        if token.trim() == good {
            return Ok(());
        }
        let header = format!("authorization: Bearer {token}\r\n");
        let answer = send(server.public, "GET", "/v1/orders?sale=drop", &header, b"");
        // The last bits of a signature's base64 carry nothing: a token edited only there is the
        // same token.
        let is_same = answer.status == 200 && token.len() == good.len();
        prop_assert!(is_same || answer.status == 401, "{answer:?}");
        Ok(())
    });
}

#[test]
fn a_body_that_is_none_is_a_problem_and_buys_nothing() {
    let (_data, server) = unlimited();
    let good = json!({"units": 1}).to_string();
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    let paths = ["/v1/sales/drop/orders", "/v1/sales/drop/waitlist"];
    let token = server.token("ann", Tier::Diamond);
    let headers = format!("authorization: Bearer {token}\r\n");
    run(400, &(bytes, edits(), any::<bool>()), |(any, edits, is_edited)| {
        let body = if is_edited { edited(good.clone(), edits) } else { any };
        for path in paths {
            let answer = send(server.public, "POST", path, &headers, &body);
            let is_order = [202, 409].contains(&answer.status);
            let units =
                serde_json::from_slice::<Value>(&body).ok().map(|body| body["units"].clone());
            prop_assert!(!is_order || units.is_some_and(|units| units.is_u64()), "{body:?}");
            prop_assert!([202, 400, 409, 422].contains(&answer.status), "{answer:?}");
            prop_assert!(answer.status == 202 || answer.json["code"].is_string(), "{answer:?}");
        }
        Ok(())
    });
    let report = server.settled();
    let sum =
        ["left", "confirmed"].map(|field| report[field].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!(sum, 1_000);
}

#[test]
fn a_webhook_may_say_anything_and_changes_nothing_but_what_it_is_about() {
    let (_data, server) = unlimited();
    let order = server.order("ann", 1);
    let good = json!({"order_id": order["order_id"], "event": "failed", "amount_cents": 19_900});
    let good = good.to_string();
    let bytes = prop::collection::vec(any::<u8>(), 0..200);
    run(
        300,
        &(bytes, edits(), any::<bool>(), any::<bool>()),
        |(any, edits, is_edited, is_signed)| {
            let body = if is_edited { edited(good.clone(), edits) } else { any };
            let Ok(text) = String::from_utf8(body) else { return Ok(()) };
            let other = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            let key = if is_signed { server.payment_key() } else { other };
            let answer = server.tell_payment(&text, &[key], 0);
            let expected: &[u16] = if is_signed { &[200, 400, 422] } else { &[401] };
            prop_assert!(expected.contains(&answer.status), "{text:?}: {answer:?}");
            Ok(())
        },
    );
    let visible = prop::collection::vec(0x20_u8..0x7f, 0..80);
    run(300, &(visible.clone(), visible.clone(), visible), |headers| {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (id, at, signature) = (text(headers.0), text(headers.1), text(headers.2));
        let headers = format!(
            "webhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: {signature}\r\n"
        );
        let answer = send(server.public, "POST", "/v1/payments", &headers, good.as_bytes());
        prop_assert_eq!(answer.status, 401);
        Ok(())
    });
    assert_eq!(server.status("ann", &order), "confirmed");
}
