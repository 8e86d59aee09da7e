//! Prices by tier and day, points and coupons at the sale, sales that are there for some, places, and why a
//! member did not get it, over HTTP.

use crate::membership::World;
use crate::support::{drop_of, send, until};
use membership::Tier;
use membership::time::Millis;
use serde_json::{Value, json};

const NONE: &Value = &Value::Null;

/// A sale under another id, with these fields besides.
fn sale(world: &World, id: &str, more: &Value) -> Value {
    let mut sale = drop_of(50);
    sale["id"] = id.into();
    for (field, value) in more.as_object().unwrap() {
        sale[field] = value.clone();
    }
    world.server.make(&sale);
    sale
}

fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Millis(u64::try_from(since.as_millis()).unwrap())
}

/// Buys one unit, waiting until it is confirmed.
fn buys(world: &World, member: &str, sale: &str, body: &Value) -> (u16, Value) {
    let wait = "prefer: wait=10\r\n";
    let answer = world.server.click_as(member, Tier::Regular, sale, &body.to_string(), wait);
    (answer.status, answer.json)
}

fn account(world: &World, member: &str) -> Value {
    world.server.get(member, "/v1/me").json
}

fn coupons(world: &World, member: &str) -> Value {
    world.server.get(member, "/v1/me/coupons").json["coupons"].clone()
}

#[test]
fn each_tier_has_its_price_and_a_payment_must_match_it() {
    let world = World::with(&[]);
    let shown = world.server.get("bob", "/v1/sales/drop").json;
    let prices = json!({
        "regular": 19_900, "silver": 19_502, "gold": 19_104, "platinum": 18_706, "diamond": 18_308,
    });
    assert_eq!(shown["prices"], prices);
    let own = (&shown["you"]["price_cents"], &shown["you"]["price_kind"]);
    assert_eq!(own, (&json!(19_104), &json!("tier")));
    let order = world.server.order("bob", 2);
    assert_eq!((&order["price_cents"], &order["due_cents"]), (&json!(19_104), &json!(38_208)));
    let pay = |cents: u64| {
        let told = json!({"order_id": order["order_id"], "event": "paid", "amount_cents": cents});
        world.server.tell_payment(&told.to_string(), &[world.server.payment_key()], 0)
    };
    assert_eq!((pay(39_800).status, pay(38_208).status), (422, 200));
}

#[test]
fn on_a_member_day_everyone_pays_its_price_if_it_is_the_lowest() {
    let world = World::with(&[]);
    sale(&world, "wed", &json!({"member_day_price_cents": 18_500}));
    let before = now().is_member_day();
    let shown = world.server.get("bob", "/v1/sales/wed").json;
    if before != now().is_member_day() {
        return;
    }
    let (regular, diamond) = (if before { 18_500 } else { 19_900 }, 18_308);
    assert_eq!(shown["prices"]["regular"], regular);
    assert_eq!(shown["prices"]["diamond"], diamond);
    let over = world.server.operate("POST", "/v1/sales", &{
        let mut over = drop_of(5);
        over["id"] = "over".into();
        over["member_day_price_cents"] = 20_000.into();
        over
    });
    assert_eq!(over.json["errors"][0]["field"], "member_day_price_cents");
}

#[test]
fn points_and_a_coupon_pay_a_part_and_come_back_with_a_return() {
    let world = World::with(&[]);
    sale(&world, "mix", &json!({"points_share_max": 50, "coupons": ["welcome"]}));
    world.enrol("ann", None);
    world.adjust("ann", "p", "points", 6_000);
    let issued = json!({"kind": "welcome", "id": "w-1"});
    assert_eq!(world.server.operate("POST", "/v1/members/ann/coupons", &issued).status, 200);
    // The most points that one unit takes, of those that the member has.
    let shown = world.server.call_as("ann", Tier::Regular, "GET", "/v1/sales/mix", "").json;
    assert_eq!(shown["you"]["points_most"], 6_000);
    let (_, few) = buys(&world, "ann", "mix", &json!({"units": 1, "points": 6_001}));
    assert_eq!((&few["code"], &few["points"]), (&json!("not_enough_points"), &json!(6_000)));
    let (_, many) = buys(&world, "ann", "mix", &json!({"units": 1, "points": 9_951}));
    assert_eq!(many["code"], "bad_request");
    let (_, none) = buys(&world, "ann", "mix", &json!({"units": 1, "coupon": "w-2"}));
    assert_eq!(none["code"], "coupon_not_valid");
    let body = json!({"units": 1, "points": 5_000, "coupon": "w-1"});
    let (status, order) = buys(&world, "ann", "mix", &body);
    assert_eq!((status, &order["due_cents"]), (201, &json!(13_900)));
    assert_eq!((&order["points"], &order["coupon"]), (&json!(5_000), &json!("w-1")));
    assert_eq!(account(&world, "ann")["points"]["balance"], 1_000);
    assert_eq!(coupons(&world, "ann")[0]["state"], "held");
    let pay = json!({"order_id": order["order_id"], "event": "paid", "amount_cents": 13_900});
    let key = [world.server.payment_key()];
    assert_eq!(world.server.tell_payment(&pay.to_string(), &key, 0).status, 200);
    until("the coupon is used", || coupons(&world, "ann")[0]["state"] == "used");
    // One point for each whole unit of the currency that was paid in money.
    assert_eq!(account(&world, "ann")["points"]["balance"], 1_139);
    assert_eq!(account(&world, "ann")["saved_cents"], 1_000);
    assert_eq!(world.server.refund(&order, "r", 13_900).status, 200);
    until("everything is back", || account(&world, "ann")["points"]["balance"] == 6_000);
    assert_eq!(coupons(&world, "ann")[0]["state"], "free");
}

#[test]
fn a_batch_pays_with_points_and_each_click_is_judged_as_if_alone() {
    let world = World::with(&[]);
    sale(&world, "mix", &json!({"points_share_max": 100, "coupons": []}));
    world.enrol("ann", None);
    world.adjust("ann", "g", "growth", 60_000);
    world.adjust("ann", "p", "points", 18_308);
    let click =
        |points: u64| json!({"member": "ann", "tier": "regular", "units": 1, "points": points});
    let batch = json!({"clicks": [click(18_309), click(18_308), click(1)]});
    let answers = world.platform("POST", "/v1/sales/mix/clicks", &batch).json["answers"].clone();
    assert_eq!(answers[0]["code"], "bad_request");
    assert!(answers[1]["order_id"].is_string());
    assert_eq!(
        (&answers[2]["code"], &answers[2]["points"]),
        (&json!("not_enough_points"), &json!(0))
    );
    // Nothing is due, so the order is paid when it is confirmed.
    let path = format!("/v1/orders/{}", answers[1]["order_id"].as_str().unwrap());
    until("it is paid", || world.server.get("ann", &path).json["status"] == "paid");
}

#[test]
fn a_sale_keeps_what_the_plan_said_when_it_was_made() {
    let world = World::with(&[]);
    sale(
        &world,
        "mix",
        &json!({"points_share_max": 50, "windows": {"regular": "2998-01-01T00:00:00Z"}}),
    );
    let mut plan = world.server.operate("GET", "/v1/plan", NONE).json["plan"].clone();
    plan["tiers"]["gold"]["discount"] = 5.into();
    plan["tiers"]["platinum"]["discount"] = 7.into();
    let changed = world.server.operate("PUT", "/v1/plan", &plan);
    assert_eq!(changed.status, 200, "{changed:?}");
    let gold =
        |id: &str| world.server.get("bob", &format!("/v1/sales/{id}")).json["prices"].clone();
    assert_eq!(gold("drop")["gold"], 19_104);
    sale(&world, "later", &json!({}));
    assert_eq!(gold("later")["gold"], 18_905);
    let report = |id: &str| world.server.operate("GET", &format!("/v1/sales/{id}"), NONE).json;
    assert_eq!((&report("mix")["plan"], &report("later")["plan"]), (&json!(0), &json!(1)));
    // Another title is no other price, nor is the same one; another price takes the plan of now.
    let change = |body: Value| world.server.operate("PATCH", "/v1/sales/mix", &body);
    assert_eq!(change(json!({"title": "Another"})).json["plan"], 0);
    assert_eq!(change(json!({"price_cents": 19_900, "points_share_max": 50})).json["plan"], 0);
    assert_eq!(change(json!({"price_cents": 20_000})).json["plan"], 1);
    let other = change(json!({"currency": "EUR"}));
    assert_eq!(other.json["errors"][0]["field"], "points_share_max", "{other:?}");
    let kinds = change(json!({"coupons": ["none"]}));
    assert_eq!(kinds.json["errors"][0]["field"], "coupons", "{kinds:?}");
}

#[test]
fn to_everyone_else_a_sale_with_an_audience_does_not_exist() {
    let world = World::with(&[]);
    sale(
        &world,
        "club",
        &json!({"audience": {"tiers": ["gold", "platinum", "diamond"], "enrolled": true}}),
    );
    sale(&world, "quiet", &json!({"listed": false}));
    world.enrol("ann", None);
    world.adjust("ann", "g", "growth", 5_000);
    let listed = |headers: &str| {
        let sales =
            send(world.server.public, "GET", "/v1/sales", headers, b"").json["sales"].clone();
        sales.as_array().unwrap().iter().map(|sale| sale["id"].clone()).collect::<Vec<_>>()
    };
    let token = |member: &str| {
        format!("authorization: Bearer {}\r\n", world.server.token(member, Tier::Gold))
    };
    assert_eq!(listed(&token("ann")), ["club", "drop"]);
    assert_eq!(listed(&token("bob")), ["drop"], "gold by the token, and not enrolled");
    assert_eq!(listed(""), ["drop"]);
    assert_eq!(world.server.get("bob", "/v1/sales/quiet").status, 200, "unlisted, and there");
    let call = |method: &str, path: &str, member: Option<&str>, body: &str| {
        let headers = member.map(token).unwrap_or_default();
        send(world.server.public, method, path, &headers, body.as_bytes())
    };
    for member in [None, Some("bob")] {
        let read = call("GET", "/v1/sales/club", member, "");
        read.is_problem(404, "unknown_sale");
        call("GET", "/v1/sales/club/events", member, "").is_problem(404, "unknown_sale");
    }
    for path in ["orders", "waitlist"] {
        let path = format!("/v1/sales/club/{path}");
        call("POST", &path, Some("bob"), r#"{"units":1}"#).is_problem(404, "unknown_sale");
    }
    call("GET", "/v1/orders?sale=club", Some("bob"), "").is_problem(404, "unknown_sale");
    call("DELETE", "/v1/sales/club/waitlist", Some("bob"), "").is_problem(404, "unknown_sale");
    let batch = json!({"clicks": [
        {"member": "bob", "tier": "gold", "units": 1}, {"member": "ann", "tier": "gold", "units": 1},
    ]});
    let answers = world.platform("POST", "/v1/sales/club/clicks", &batch).json["answers"].clone();
    assert_eq!(
        (&answers[0]["code"], answers[1]["order_id"].is_string()),
        (&json!("unknown_sale"), true)
    );
    assert_eq!(call("GET", "/v1/sales/club", Some("ann"), "").json["you"]["tier"], "gold");
    // Who falls out of the audience still sees their orders.
    world.adjust("ann", "less", "growth", -5_000);
    let id = answers[1]["order_id"].as_str().unwrap();
    assert_eq!(call("GET", &format!("/v1/orders/{id}"), Some("ann"), "").status, 200);
    assert_eq!(call("GET", "/v1/orders?sale=club", Some("ann"), "").status, 200);
    let nobody = world.server.operate("POST", "/v1/sales", &{
        let mut nobody = drop_of(5);
        nobody["id"] = "nobody".into();
        nobody["audience"] = json!({"tiers": []});
        nobody
    });
    assert_eq!(nobody.json["errors"][0]["field"], "audience");
}

#[test]
fn a_place_of_a_free_sale_is_used_once_and_counts_as_the_benefit() {
    let world = World::with(&[]);
    let places =
        json!({"price_cents": 0, "free": true, "audience": {"tiers": ["platinum", "diamond"]}});
    sale(&world, "party", &places);
    world.enrol("ann", None);
    world.adjust("ann", "g", "growth", 20_000);
    let (status, order) = buys(&world, "ann", "party", &json!({"units": 1}));
    assert_eq!((status, &order["status"], &order["due_cents"]), (201, &json!("paid"), &json!(0)));
    let check_in = |order: &Value| {
        let path = format!("/v1/orders/{}/check-in", order["order_id"].as_str().unwrap());
        world.server.operate("POST", &path, NONE)
    };
    assert_eq!(check_in(&order).json["is_first"], true);
    let again = check_in(&order);
    assert_eq!((again.status, &again.json["is_first"]), (200, &json!(false)));
    let report = world.server.operate("GET", "/v1/reports/benefits", NONE).json;
    let benefits = report["benefits"].as_array().unwrap();
    let used = benefits.iter().find(|benefit| benefit["benefit"] == "offline_events").unwrap();
    assert_eq!((&used["used"], &used["uses"]), (&json!(1), &json!(1)), "{report}");
    // Who has no account has a place all the same; it is not counted.
    let dan = world.server.click_as(
        "dan",
        Tier::Diamond,
        "party",
        r#"{"units":1}"#,
        "prefer: wait=10\r\n",
    );
    assert_eq!(check_in(&dan.json).json.get("is_first"), None);
    let unpaid = world.server.order("bob", 1);
    check_in(&unpaid).is_problem(400, "bad_request");
    let refund = json!({"order_id": order["order_id"], "event": "refunded", "refund_id": "r", "amount_cents": 0});
    let key = [world.server.payment_key()];
    assert_eq!(world.server.tell_payment(&refund.to_string(), &key, 0).json["status"], "returned");
    check_in(&order).is_problem(409, "not_paid");
}

#[test]
fn support_can_say_why_somebody_did_not_get_it() {
    let world = World::with(&[]);
    let opens = json!({"gold": "2020-01-01T00:00:00Z", "regular": "2998-01-01T00:00:00Z"});
    sale(&world, "early", &json!({"windows": opens, "stock": 1}));
    world.enrol("ann", None);
    let click = |member: &str, tier| {
        world.server.click_as(member, tier, "early", r#"{"units":1}"#, "").status
    };
    assert_eq!(click("ann", Tier::Gold), 403, "the book says regular");
    assert_eq!((click("bob", Tier::Gold), click("cyd", Tier::Gold)), (202, 409));
    let why = |member: &str| {
        world.server.operate("GET", &format!("/v1/sales/early/why/{member}"), NONE).json
    };
    let ann = why("ann");
    assert_eq!((&ann["tier"], &ann["limit"]), (&json!("regular"), &json!(1)));
    assert_eq!(ann["opens_at"], "2998-01-01T00:00:00.000Z");
    assert_eq!(ann["refusals"][0]["code"], "not_open");
    assert_eq!(ann["refusals"][0]["left"], 1);
    let bob = why("bob");
    assert_eq!(bob["orders"].as_array().unwrap().len(), 1);
    assert_eq!((bob.get("tier"), &bob["held"]), (None, &json!(1)));
    let cyd = why("cyd");
    assert_eq!(
        (&cyd["refusals"][0]["code"], &cyd["refusals"][0]["left"]),
        (&json!("sold_out"), &json!(0))
    );
    assert_eq!(world.server.operate("PUT", "/v1/blocked/cyd", NONE).status, 204);
    assert_eq!(click("cyd", Tier::Gold), 403);
    let cyd = why("cyd");
    assert_eq!((&cyd["blocked"], &cyd["refusals"][0]["code"]), (&json!(true), &json!("blocked")));
    // Who never came here has nothing to show.
    assert_eq!(why("zed")["refusals"], json!([]));
    let unknown = world.server.operate("GET", "/v1/sales/none/why/ann", NONE);
    unknown.is_problem(404, "unknown_sale");
}
