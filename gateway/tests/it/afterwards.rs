//! What becomes of a confirmed order: paid, cancelled, expired, and paid too late.

use crate::support::{Server, drop_of, selling, send, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Starts a server with a sale whose orders are to be paid within this many seconds.
fn selling_within(stock: u32, pay_within_s: u32) -> (TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut sale = drop_of(stock);
    sale["pay_within_s"] = json!(pay_within_s);
    server.make(&sale);
    (data, server)
}

/// Returns left, reserved, confirmed, paid, cancelled, expired, refund_due.
fn counts(server: &Server) -> [u64; 7] {
    let report = server.report();
    ["left", "reserved", "confirmed", "paid", "cancelled", "expired", "refund_due"]
        .map(|field| report[field].as_u64().unwrap())
}

#[test]
fn a_payment_makes_a_confirmed_order_paid_and_repetitions_change_nothing() {
    let (data, server) = selling(10);
    let order = server.order("ann", 2);
    assert!(order["pay_by"].is_string());
    for _ in 0..3 {
        let paid = server.pay(&order, "paid");
        assert_eq!((paid.status, &paid.json["status"]), (200, &json!("paid")), "{paid:?}");
    }
    let path = format!("/v1/orders/{}", order["order_id"].as_str().unwrap());
    let shown = server.get("ann", &path).json;
    assert_eq!((&shown["status"], &shown["pay_by"]), (&json!("paid"), &Value::Null));
    assert_eq!(shown["confirmed_at"], order["confirmed_at"], "that is not forgotten");
    assert_eq!(counts(&server), [8, 0, 0, 2, 0, 0, 0]);
    server.cancel("ann", &order).is_problem(409, "not_cancellable");
    drop(server);
    let server = Server::start(data.path());
    assert_eq!(server.status("ann", &order), "paid");
    assert_eq!(server.pay(&order, "paid").status, 200, "also after a restart");
    assert_eq!(counts(&server), [8, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn a_payment_that_failed_leaves_the_order_to_be_paid() {
    let (_data, server) = selling(10);
    let order = server.order("ann", 1);
    let failed = server.pay(&order, "failed");
    assert_eq!((failed.status, &failed.json["status"]), (200, &json!("confirmed")));
    assert_eq!(server.pay(&order, "paid").json["status"], "paid");
}

#[test]
fn a_cancelled_order_gives_its_units_back_at_once_and_once() {
    let (_data, server) = selling(3);
    let order = server.order("ann", 3);
    server.click("bob", 1, "").is_problem(409, "sold_out");
    server.cancel("bob", &order).is_problem(404, "unknown_order");
    for _ in 0..2 {
        let cancelled = server.cancel("ann", &order);
        assert_eq!((cancelled.status, &cancelled.json["status"]), (200, &json!("cancelled")));
        assert_eq!(counts(&server), [3, 0, 0, 0, 3, 0, 0]);
    }
    assert_eq!(server.order("bob", 2)["status"], "confirmed", "sold out no more");
    assert_eq!(server.order("ann", 1)["status"], "confirmed", "the limit is free again");
}

#[test]
fn a_member_cannot_make_and_cancel_orders_without_end() {
    let data = tempfile::tempdir().unwrap();
    let args = ["--orders-per-member", "2"];
    let server = Server::start_with(data.path(), &args);
    server.make(&drop_of(3));
    for _ in 0..2 {
        let order = server.order("ann", 1);
        assert_eq!(server.cancel("ann", &order).json["status"], "cancelled");
    }
    let refused = server.click("ann", 1, "");
    assert_eq!(refused.is_problem(409, "too_many_orders").json["most"], 2);
    assert_eq!(server.click("bob", 1, "").status, 202);
    drop(server);
    let server = Server::start_with(data.path(), &args);
    server.click("ann", 1, "").is_problem(409, "too_many_orders");
}

#[test]
fn an_order_that_was_just_accepted_can_be_cancelled() {
    let (_data, server) = selling(10);
    for i in 0..20 {
        let member = format!("m{i}");
        let order = server.click(&member, 1, "").json;
        assert_eq!(server.cancel(&member, &order).json["status"], "cancelled", "{order}");
    }
    assert_eq!(counts(&server), [10, 0, 0, 0, 20, 0, 0]);
}

#[test]
fn an_unpaid_order_expires_on_time_and_a_paid_one_never() {
    let (_data, server) = selling_within(5, 1);
    let (unpaid, paid) = (server.order("ann", 2), server.order("bob", 1));
    server.pay(&paid, "paid");
    server.comes_to("ann", &unpaid, "expired");
    let path = format!("/v1/orders/{}", unpaid["order_id"].as_str().unwrap());
    let shown = server.get("ann", &path).json;
    let at = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let late_ms =
        at(&shown["changed_at"]).as_millisecond() - at(&unpaid["pay_by"]).as_millisecond();
    assert!((0..1_000).contains(&late_ms), "{late_ms} ms late");
    until("its units are counted", || counts(&server) == [4, 0, 0, 1, 0, 2, 0]);
    assert_eq!(server.order("cyd", 2)["status"], "confirmed", "on sale again");
}

#[test]
fn orders_that_expired_while_the_process_was_down_are_on_sale_again_after_it() {
    let (data, server) = selling_within(3, 1);
    let unpaid = server.order("ann", 3);
    drop(server);
    let server = Server::start(data.path());
    server.comes_to("ann", &unpaid, "expired");
    until("its units are counted", || counts(&server) == [3, 0, 0, 0, 0, 3, 0]);
    server.cancel("ann", &unpaid).is_problem(409, "not_cancellable");
    assert_eq!(server.order("bob", 3)["status"], "confirmed");
}

#[test]
fn an_order_of_before_a_restart_can_be_paid_or_cancelled() {
    let (data, server) = selling(5);
    let (first, second) = (server.order("ann", 1), server.order("bob", 2));
    drop(server);
    let server = Server::start(data.path());
    assert_eq!(server.pay(&first, "paid").json["status"], "paid");
    assert_eq!(server.cancel("bob", &second).json["status"], "cancelled");
    assert_eq!(server.pay(&second, "paid").json["status"], "refund_due");
    assert_eq!(counts(&server), [4, 0, 0, 1, 0, 0, 2]);
    assert_eq!(server.order("bob", 3)["status"], "confirmed", "limit and units are free");
}

#[test]
fn a_late_payment_is_to_be_refunded_and_never_takes_a_unit_back() {
    let (data, server) = selling(1);
    let late = server.order("ann", 1);
    server.cancel("ann", &late);
    let next = server.order("bob", 1);
    for _ in 0..2 {
        assert_eq!(server.pay(&late, "paid").json["status"], "refund_due");
        assert_eq!(counts(&server), [0, 0, 1, 0, 0, 0, 1]);
    }
    assert_eq!(server.pay(&next, "paid").json["status"], "paid");
    drop(server);
    let server = Server::start(data.path());
    assert_eq!(counts(&server), [0, 0, 0, 1, 0, 0, 1]);
    assert_eq!(server.pay(&late, "paid").json["status"], "refund_due");
    assert_eq!(
        (server.status("ann", &late), server.status("bob", &next)),
        ("refund_due".into(), "paid".into())
    );
}

#[test]
fn money_that_went_back_is_told_once_and_the_units_of_a_returned_order_stay_taken() {
    let (data, server) = selling(5);
    let (returned, late) = (server.order("ann", 2), server.order("bob", 1));
    server.refund(&returned, "r1", 38_208).is_problem(409, "not_paid");
    server.pay(&returned, "paid");
    server.refund(&late, "r2", 19_104).is_problem(409, "not_paid");
    server.cancel("bob", &late);
    server.pay(&late, "paid");
    for cents in [38_209, 0] {
        server.refund(&returned, "r1", cents).is_problem(422, "payment_mismatch");
    }
    for _ in 0..2 {
        assert_eq!(server.refund(&returned, "r1", 38_208).json["status"], "returned");
        assert_eq!(server.refund(&late, "r2", 19_104).json["status"], "refunded");
    }
    let all = |server: &Server| {
        let report = server.report();
        ["left", "paid", "refund_due", "refunded", "returned"].map(|field| report[field].clone())
    };
    assert_eq!(all(&server), [3, 0, 0, 1, 2].map(|units| json!(units)));
    server.cancel("ann", &returned).is_problem(409, "not_cancellable");
    let used = server.click("ann", 2, "");
    assert_eq!(used.is_problem(409, "limit_reached").json["held"], 2, "the limit stays used");
    drop(server);
    let server = Server::start(data.path());
    assert_eq!(all(&server), [3, 0, 0, 1, 2].map(|units| json!(units)));
    assert_eq!(server.pay(&returned, "paid").json["status"], "returned", "a webhook that is late");
}

#[test]
fn another_amount_or_an_unknown_order_is_refused_and_raises_an_alarm() {
    let (_data, server) = selling(5);
    let order = server.order("ann", 2);
    let id = order["order_id"].as_str().unwrap();
    let tell = |order: &str, cents: u64| {
        let body = json!({"order_id": order, "event": "paid", "amount_cents": cents}).to_string();
        server.tell_payment(&body, &[server.payment_key()], 0)
    };
    for (order, cents) in [
        (id, 19_104),
        (id, 0),
        (id, 38_209),
        ("drop.1.99", 38_208),
        ("none.1.1", 38_208),
        ("drop.2.1", 38_208),
        ("", 38_208),
        ("drop.1.1 ", 38_208),
    ] {
        tell(order, cents).is_problem(422, "payment_mismatch");
    }
    assert_eq!(counts(&server), [3, 0, 2, 0, 0, 0, 0]);
    let metrics = server.operate("GET", "/metrics", &Value::Null).body;
    assert!(metrics.contains("flashlane_payments_mismatched_total 8"), "{metrics}");
    assert_eq!(tell(id, 38_208).json["status"], "paid");
}

#[test]
fn a_payment_without_a_good_signature_changes_nothing() {
    let (_data, server) = selling(5);
    let order = server.order("ann", 1);
    let body = json!({"order_id": order["order_id"], "event": "paid", "amount_cents": 19_104});
    let (body, other) = (body.to_string(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    server.tell_payment(&body, &[other], 0).is_problem(401, "bad_signature");
    server.tell_payment(&body, &[], 0).is_problem(401, "bad_signature");
    for age_s in [302, -302] {
        let key = [server.payment_key()];
        server.tell_payment(&body, &key, age_s).is_problem(401, "bad_signature");
    }
    // These are signed for another body, or their headers are missing or nonsense.
    let signed = "webhook-id: m\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,aaaa\r\n";
    let mad = [
        "",
        "webhook-id: m\r\n",
        signed,
        &signed.replace(": 1\r", ": -9223372036854775808\r"),
        &signed.replace(": 1\r", ": 99999999999999999999\r"),
        &signed.replace("v1,", "v2,"),
        &signed.replace(": m", ": \u{fc}"),
    ];
    for headers in mad {
        let answer = send(server.public, "POST", "/v1/payments", headers, body.as_bytes());
        answer.is_problem(401, "bad_signature");
    }
    assert_eq!(server.status("ann", &order), "confirmed");
    // While keys are rotated the provider signs with the old and the new one.
    let both = server.tell_payment(&body, &[other, server.payment_key()], 0);
    assert_eq!(both.json["status"], "paid");
}

#[test]
fn payment_keys_can_be_rotated() {
    let data = tempfile::tempdir().unwrap();
    let (old, new) =
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    let file = data.path().join("keys");
    std::fs::write(&file, format!("{new}\n\n{old}\n")).unwrap();
    let args = ["--payment-key", file.to_str().unwrap()];
    let server = Server::start_with(data.path(), &args);
    server.make(&drop_of(5));
    for (member, key) in [("ann", old), ("bob", new)] {
        let order = server.order(member, 1);
        let body = json!({"order_id": order["order_id"], "event": "paid", "amount_cents": 19_104});
        assert_eq!(server.tell_payment(&body.to_string(), &[key], 0).json["status"], "paid");
    }
    // While it serves, too: the old key goes.
    std::fs::write(&file, format!("{new}\n")).unwrap();
    server.signal("-HUP");
    let order = server.order("eve", 1);
    let body = json!({"order_id": order["order_id"], "event": "failed", "amount_cents": 19_104});
    let told = |key: &str| server.tell_payment(&body.to_string(), &[key], 0).status;
    until("the old key is gone", || told(old) == 401);
    assert_eq!(told(new), 200);
}

#[test]
fn an_order_has_a_name_for_payment_channels_that_no_other_order_has() {
    let (data, server) = selling(5);
    let orders = [server.order("ann", 1), server.order("bob", 1)];
    let names = orders.each_ref().map(|order| order["payment_ref"].as_str().unwrap().to_owned());
    assert_ne!(names[0], names[1]);
    for name in &names {
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(is_plain && name.len() <= 32, "{name}");
    }
    drop(server);
    let server = Server::start(data.path());
    let path = format!("/v1/orders/{}", orders[0]["order_id"].as_str().unwrap());
    assert_eq!(server.call("ann", "GET", &path, "").json["payment_ref"], names[0].as_str());
}

#[test]
fn parts_of_the_money_go_back_one_by_one_each_once() {
    let (data, server) = selling(5);
    let order = server.order("ann", 2);
    server.pay(&order, "paid");
    let part = |server: &Server| server.refund(&order, "part-1", 10_000);
    for _ in 0..2 {
        assert_eq!(part(&server).json["status"], "paid");
    }
    server.refund(&order, "part-1", 9_999).is_problem(422, "payment_mismatch");
    server.refund(&order, "part-2", 28_209).is_problem(422, "payment_mismatch");
    drop(server);
    let server = Server::start(data.path());
    assert_eq!(part(&server).json["status"], "paid", "it is known after a restart");
    for _ in 0..2 {
        assert_eq!(server.refund(&order, "part-2", 28_208).json["status"], "returned");
    }
    assert_eq!(part(&server).json["status"], "returned");
    server.refund(&order, "part-3", 1).is_problem(422, "payment_mismatch");
}

#[test]
fn a_webhook_with_a_bad_body_is_told_what_is_wrong() {
    let (_data, server) = selling(5);
    let key = [server.payment_key()];
    let bad = [
        "",
        "{",
        "[]",
        "null",
        r#"{"order_id":"drop.1.1"}"#,
        r#"{"order_id":"drop.1.1","event":"refunding","amount_cents":1}"#,
        r#"{"order_id":"drop.1.1","event":"refunded","amount_cents":1}"#,
        r#"{"order_id":"drop.1.1","event":"refunded","refund_id":"","amount_cents":1}"#,
        r#"{"order_id":"drop.1.1","event":"refunded","refund_id":"a b","amount_cents":1}"#,
        r#"{"order_id":"drop.1.1","event":"paid","refund_id":"r","amount_cents":1}"#,
        r#"{"order_id":"drop.1.1","event":"paid","amount_cents":-1}"#,
        r#"{"order_id":"drop.1.1","event":"paid","amount_cents":1.5}"#,
        r#"{"order_id":7,"event":"paid","amount_cents":1}"#,
        r#"{"order_id":"drop.1.1","event":"paid","amount_cents":1,"tip":1}"#,
        r#"{"order_id":"drop.1.1","event":"paid","amount_cents":1} x"#,
    ];
    for body in bad {
        server.tell_payment(body, &key, 0).is_problem(400, "bad_request");
    }
    let huge = " ".repeat(5_000);
    server.tell_payment(&huge, &key, 0).is_problem(413, "body_too_large");
}

#[test]
fn a_cancellation_needs_an_order_and_its_owner() {
    let (_data, server) = selling(5);
    let order = server.order("ann", 1);
    for path in ["none", "drop.1.99", "drop.9.1", "other.1.1", "%ff", "drop.1.1.1"] {
        let answer = server.call("ann", "POST", &format!("/v1/orders/{path}/cancel"), "");
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let path = format!("/v1/orders/{}/cancel", order["order_id"].as_str().unwrap());
    send(server.public, "POST", &path, "", b"").is_problem(401, "unauthenticated");
    assert_eq!(server.status("ann", &order), "confirmed");
}

#[test]
fn of_a_payment_and_a_cancellation_at_the_same_time_one_wins_and_all_agree() {
    let (data, server) = selling(40);
    let orders: Vec<_> =
        (0..40).map(|i| (format!("m{i}"), server.order(&format!("m{i}"), 1))).collect();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (server, orders) = (&server, &orders);
            scope.spawn(move || {
                for (member, order) in orders {
                    let answer = match half {
                        0 => server.pay(order, "paid"),
                        _ => server.cancel(member, order),
                    };
                    assert!([200, 409].contains(&answer.status), "{answer:?}");
                }
            });
        }
    });
    let mut paid = 0;
    for (member, order) in &orders {
        match server.status(member, order).as_str() {
            "paid" => paid += 1,
            "refund_due" => {}
            other => panic!("{order} is {other}"),
        }
    }
    assert_eq!(counts(&server), [40 - paid, 0, 0, paid, 0, 0, 40 - paid]);
    drop(server);
    let server = Server::start(data.path());
    assert_eq!(counts(&server), [40 - paid, 0, 0, paid, 0, 0, 40 - paid]);
}
