//! Members over HTTP: enrolling, earning, and what they and others see of it.

use crate::support::{Answer, Server, drop_of, send, until};
use membership::Tier;
use serde_json::{Value, json};

const NONE: &Value = &Value::Null;

pub(crate) struct World {
    _data: tempfile::TempDir,
    pub(crate) server: Server,
    key: String,
}

impl World {
    fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(args: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let args = [&["--platform-listen", "127.0.0.1:0"], args].concat();
        let server = Server::start_with(data.path(), &args);
        server.make(&drop_of(50));
        let key = std::fs::read_to_string(data.path().join("platform.key")).unwrap();
        Self { _data: data, server, key: key.trim().to_owned() }
    }

    pub(crate) fn platform(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = format!("authorization: Bearer {}\r\n", self.key);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.server.platform.unwrap(), method, path, &headers, body.as_bytes())
    }

    pub(crate) fn enrol(&self, member: &str, code: Option<&str>) -> Answer {
        let mut body = json!({ "member": member });
        if let Some(code) = code {
            body["referral_code"] = code.into();
        }
        self.platform("POST", "/v1/members", &body)
    }

    fn me(&self, member: &str) -> Value {
        self.server.get(member, "/v1/me").json
    }

    pub(crate) fn adjust(&self, member: &str, id: &str, account: &str, amount: i64) -> Answer {
        let path = format!("/v1/members/{member}/adjustments");
        let body = json!({"id": id, "account": account, "amount": amount, "reason": "a test"});
        self.server.operate("POST", &path, &body)
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn act(id: &str, member: &str, kind: &str) -> Value {
    json!({"id": id, "member": member, "kind": kind, "at": now()})
}

#[test]
fn a_member_sees_what_an_order_earned_once_it_is_paid() {
    let world = World::new();
    assert_eq!(world.enrol("ann", None).status, 201);
    assert_eq!(world.me("ann")["tier"], "regular");
    let order = world.server.order("ann", 1);
    let price = order["due_cents"].as_i64().unwrap() / 100;
    until("the order is pending", || world.me("ann")["points"]["pending"] == price);
    world.server.pay(&order, "paid");
    until("the order counts", || world.me("ann")["points"]["balance"] == price);
    let me = world.me("ann");
    assert_eq!((&me["growth"], &me["points"]["pending"]), (&json!(price), &json!(0)));
    let page = world.server.get("ann", "/v1/me/postings").json;
    let kinds: Vec<_> =
        page["postings"].as_array().unwrap().iter().map(|p| &p["account"]).collect();
    assert_eq!(kinds, ["points", "growth"]);
    // Support and the platform see the same.
    assert_eq!(world.platform("GET", "/v1/members/ann", NONE).json, me);
    assert_eq!(world.server.operate("GET", "/v1/members/ann", NONE).json, me);
}

#[test]
fn who_is_not_enrolled_has_no_account_and_orders_all_the_same() {
    let world = World::new();
    world.server.order("bob", 1);
    world.server.get("bob", "/v1/me").is_problem(404, "unknown_member");
    world.platform("GET", "/v1/members/bob", NONE).is_problem(404, "unknown_member");
    world.platform("GET", "/v1/members/b%20b", NONE).is_problem(404, "unknown_member");
    let wish = r#"{"calendar":"solar","month":1,"day":1}"#;
    world.server.call("bob", "PUT", "/v1/me/birthday", wish).is_problem(404, "unknown_member");
}

#[test]
fn a_referral_code_is_good_for_others_and_an_enrolment_stands() {
    let world = World::new();
    let code = world.enrol("ann", None).json["referral_code"].as_str().unwrap().to_owned();
    assert_eq!(world.enrol("bob", Some(&code)).status, 201);
    assert_eq!(world.enrol("bob", Some(&code)).status, 200);
    world.enrol("bob", None).is_problem(409, "already_enrolled");
    world.enrol("ann", Some(&code)).is_problem(409, "already_enrolled");
    world.enrol("cyd", Some("0000000000")).is_problem(422, "unknown_referral_code");
    world.enrol("cyd", Some("nonsense")).is_problem(422, "unknown_referral_code");
    world.enrol("c d", None).is_problem(400, "bad_request");
    world.enrol("erased:1", None).is_problem(400, "bad_request");
    let stages: Vec<_> = world.me("ann")["referrals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["state"].clone())
        .collect();
    assert_eq!(stages, ["waiting", "waiting", "waiting"]);
    let order = world.server.order("bob", 1);
    world.server.pay(&order, "paid");
    until("the referral is paid", || world.me("ann")["points"]["balance"] == 150);
    assert_eq!(world.me("ann")["growth"], 100);
}

#[test]
fn acts_count_once_and_those_that_do_not_fit_are_refused_alone() {
    let world = World::new();
    world.enrol("ann", None);
    let mut watch = act("w", "ann", "watch");
    watch["seconds"] = 600.into();
    let mut old = act("o", "ann", "share");
    old["at"] = "2026-01-01T00:00:00Z".into();
    let mut late = act("l", "ann", "share");
    late["at"] = "2199-01-01T00:00:00Z".into();
    let mut endless = watch.clone();
    endless["seconds"] = 86_401.into();
    endless["id"] = "e".into();
    let acts = json!([
        act("s", "ann", "share"),
        watch,
        act("s", "ann", "share"),
        act("n", "nobody", "share"),
        old,
        late,
        endless,
        act("", "ann", "share"),
        act("i", "ann", "invite"),
    ]);
    let told = world.platform("POST", "/v1/events", &acts).json;
    assert_eq!((&told["new"], &told["known"]), (&json!(3), &json!(1)), "{told}");
    let refused: Vec<_> =
        told["refused"].as_array().unwrap().iter().map(|r| r["index"].clone()).collect();
    assert_eq!(refused, [3, 4, 5, 6, 7]);
    let again = world.platform("POST", "/v1/events", &acts).json;
    assert_eq!((&again["new"], &again["known"]), (&json!(0), &json!(4)));
    let me = world.me("ann");
    assert_eq!((&me["growth"], &me["points"]["balance"]), (&json!(6), &json!(2)));
    for bad in [json!([]), json!({}), json!([{"id": "x"}]), json!([[1]])] {
        world.platform("POST", "/v1/events", &bad).is_problem(400, "bad_request");
    }
    // A member's own client cannot tell of it.
    world.server.call("ann", "POST", "/v1/events", "[]").is_problem(404, "not_found");
}

#[test]
fn points_buy_rewards_once_under_a_key() {
    let world = World::new();
    world.enrol("ann", None);
    assert_eq!(world.adjust("ann", "a", "points", 1_500).status, 200);
    assert_eq!(world.adjust("ann", "a", "points", 1_500).json["points"]["balance"], 1_500);
    let rewards = world.server.get("ann", "/v1/rewards").json;
    assert_eq!(rewards["rewards"][0]["id"], "coupon-10");
    let redeem = |key: &str, body: &str| {
        let token = world.server.token("ann", Tier::Gold);
        let headers = format!("authorization: Bearer {token}\r\nidempotency-key: {key}\r\n");
        send(world.server.public, "POST", "/v1/me/redemptions", &headers, body.as_bytes())
    };
    let body = r#"{"reward":"coupon-10"}"#;
    for _ in 0..2 {
        let taken = redeem("k", body);
        assert_eq!((taken.status, &taken.json["points"]["balance"]), (201, &json!(500)));
    }
    assert_eq!(redeem("l", body).is_problem(409, "not_enough_points").json["points"], 500);
    redeem("m", r#"{"reward":"none"}"#).is_problem(404, "unknown_reward");
    redeem("n", r#"{"reward":3}"#).is_problem(400, "bad_request");
    world.server.call("ann", "POST", "/v1/me/redemptions", body).is_problem(400, "bad_request");
    let coupons = world.server.get("ann", "/v1/me/coupons").json;
    assert_eq!(
        (&coupons["coupons"][0]["kind"], &coupons["coupons"][0]["state"]),
        (&json!("welcome"), &json!("free"))
    );
}

#[test]
fn corrections_have_a_reason_and_a_range_and_large_ones_need_an_admin() {
    let world = World::new();
    world.enrol("ann", None);
    for (id, account, amount, status, code) in [
        ("x", "points", 0, 422, "bad_amount"),
        ("x", "points", i64::MAX, 422, "bad_amount"),
        ("x", "points", i64::MIN, 422, "bad_amount"),
        ("", "points", 5, 400, "bad_request"),
        ("x", "pending", 5, 400, "bad_request"),
    ] {
        world.adjust("ann", id, account, amount).is_problem(status, code);
    }
    world.adjust("nobody", "x", "points", 5).is_problem(404, "unknown_member");
    let path = "/v1/members/ann/adjustments";
    let no_reason = json!({"id": "x", "account": "points", "amount": 5, "reason": ""});
    world.server.operate("POST", path, &no_reason).is_problem(400, "bad_request");
    assert_eq!(world.adjust("ann", "x", "points", -5).json["points"]["balance"], -5);
    assert_eq!(world.adjust("ann", "y", "growth", 5_000).json["tier"], "gold");
    let notices = world.server.get("ann", "/v1/me/notices").json;
    assert_eq!(
        (&notices["notices"][0]["kind"], &notices["notices"][0]["tier"]),
        (&json!("tier_reached"), &json!("gold"))
    );
    assert_eq!(world.server.get("ann", "/v1/me/notices?after=1").json["notices"], json!([]));
    let audit = world.server.operate("GET", "/v1/audit", NONE).json.to_string();
    assert!(audit.contains("adjust_member") && audit.contains("a test"), "{audit}");
}

#[test]
fn a_birthday_by_either_calendar_and_its_gift() {
    let world = World::new();
    world.enrol("ann", None);
    let put = |body: &str| world.server.call("ann", "PUT", "/v1/me/birthday", body);
    for bad in [
        r#"{"calendar":"solar","month":2,"day":30}"#,
        r#"{"calendar":"solar","month":13,"day":1}"#,
        r#"{"calendar":"lunar","month":1,"day":31}"#,
        r#"{"calendar":"solar","month":6,"day":1,"leap":true}"#,
        r#"{"calendar":"moon","month":6,"day":1}"#,
        r#"{"calendar":"solar","month":-1,"day":1}"#,
    ] {
        put(bad).is_problem(400, "bad_request");
    }
    let gift = || world.server.call("ann", "POST", "/v1/me/birthday-gift", "");
    gift().is_problem(403, "tier_not_admitted");
    world.adjust("ann", "g", "growth", 5_000);
    gift().is_problem(409, "no_birthday");
    // The month in Shanghai.
    let month =
        jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8))).month();
    let other = month % 12 + 1;
    put(&format!(r#"{{"calendar":"solar","month":{other},"day":1}}"#));
    gift().is_problem(403, "not_your_month");
    let set = put(&format!(r#"{{"calendar":"solar","month":{month},"day":29}}"#)).json;
    if month != 2 {
        assert_eq!((&set["gift"], &set["birthday"]["day"]), (&json!("waiting"), &json!(29)));
    }
    assert_eq!(gift().status, 201);
    gift().is_problem(409, "already_claimed");
    assert_eq!(world.me("ann")["gift"], "claimed");
}

#[test]
fn the_plan_is_changed_as_a_whole_and_by_its_faults() {
    let world = World::new();
    let current = world.server.operate("GET", "/v1/plan", NONE).json;
    assert_eq!(current["version"], 0);
    let mut plan = current["plan"].clone();
    plan["tiers"]["silver"]["growth"] = 9_000.into();
    let refused = world.server.operate("PUT", "/v1/plan", &plan);
    let fields = refused.is_problem(422, "invalid_plan").json["errors"].clone();
    assert_eq!(fields[0]["field"], "tiers.gold.growth");
    plan["tiers"]["silver"]["growth"] = 10.into();
    for _ in 0..2 {
        assert_eq!(world.server.operate("PUT", "/v1/plan", &plan).json["version"], 1);
    }
    world.server.operate("PUT", "/v1/plan", &json!({"tiers": 3})).is_problem(400, "bad_request");
    world.enrol("ann", None);
    assert_eq!(world.adjust("ann", "g", "growth", 10).json["tier"], "silver");
}

#[test]
fn coupons_are_issued_once_by_hand_and_preferences_are_kept() {
    let world = World::new();
    world.enrol("ann", None);
    let issue = |kind: &str| {
        let body = json!({"kind": kind, "id": "c1"});
        world.server.operate("POST", "/v1/members/ann/coupons", &body)
    };
    issue("none").is_problem(404, "unknown_coupon");
    assert_eq!((issue("welcome").status, issue("welcome").status), (200, 200));
    let coupons = world.server.get("ann", "/v1/me/coupons").json;
    assert_eq!(coupons["coupons"].as_array().unwrap().len(), 1);
    let kept = world.server.call("ann", "PUT", "/v1/me/preferences", r#"{"targeting":false}"#);
    assert_eq!((kept.status, &kept.json["targeting"]), (200, &json!(false)));
}

#[test]
fn the_export_has_the_book_and_erasing_takes_the_name_out_of_it() {
    let world = World::new();
    world.enrol("ann-canary", None);
    world.adjust("ann-canary", "a", "points", 5);
    let path = "/v1/members/ann-canary";
    let export = world.server.operate("GET", &format!("{path}/export"), NONE).json;
    assert_eq!(export["account"]["points"]["balance"], 5);
    assert_eq!(
        (&export["postings"][0]["kind"], &export["postings"][0]["amount"]),
        (&json!("adjustment"), &json!(5))
    );
    assert_eq!(world.server.operate("DELETE", path, NONE).status, 204);
    world.server.get("ann-canary", "/v1/me").is_problem(404, "unknown_member");
    let export = world.server.operate("GET", &format!("{path}/export"), NONE).json;
    assert_eq!((&export["account"], &export["postings"]), (NONE, &json!([])));
    assert_eq!(world.enrol("ann-canary", None).json["points"]["balance"], 0);
}

#[test]
fn reports_tell_what_is_owed_and_whether_it_adds_up() {
    let world = World::new();
    for (name, points) in [("ann", 1_500), ("bob", -20)] {
        world.enrol(name, None);
        world.adjust(name, "a", "points", points);
    }
    let owed = world.server.operate("GET", "/v1/reports/liability", NONE).json;
    assert_eq!(
        (&owed["members"], &owed["points"], &owed["cents"], &owed["deficit"]),
        (&json!(2), &json!(1_500), &json!(1_500), &json!(20))
    );
    assert_eq!(owed["expiring"][0]["points"], 1_500);
    let table =
        world.server.operate_with("GET", "/v1/reports/liability", "accept: text/csv\r\n", NONE);
    assert!(
        table.body.starts_with("expires_at,points,cents\r\n")
            && table.body.ends_with(",1500,1500\r\n"),
        "{}",
        table.body
    );
    let sums = world.server.operate("GET", "/v1/reports/consistency", NONE).json;
    assert_eq!(
        (&sums["members"], &sums["postings"], &sums["differences"]),
        (&json!(2), &json!(2), &json!([]))
    );
}

#[test]
fn benefits_are_granted_seen_and_used_and_the_report_says_how_often() {
    let world = World::new();
    for name in ["ann", "bob"] {
        world.enrol(name, None);
        world.adjust(name, "g", "growth", 1_000);
    }
    assert_eq!(world.me("ann")["benefits"], json!(["discount", "priority_service"]));
    let used = |id: &str, member: &str, benefit: &str| {
        let mut used = act(id, member, "benefit");
        used["benefit"] = benefit.into();
        used
    };
    let without = act("u9", "ann", "benefit");
    let mut shared = act("u8", "ann", "share");
    shared["benefit"] = "discount".into();
    let told = world.platform(
        "POST",
        "/v1/events",
        &json!([
            used("u1", "ann", "priority_service"),
            used("u1", "ann", "priority_service"),
            used("u2", "ann", "priority_service"),
            used("u3", "ann", "birthday_gift"),
            used("u4", "ann", "free_lunch"),
            without,
            shared,
        ]),
    );
    assert_eq!((&told.json["new"], &told.json["known"]), (&json!(2), &json!(1)));
    let refused: Vec<_> =
        told.json["refused"].as_array().unwrap().iter().map(|one| one["index"].clone()).collect();
    assert_eq!(refused, [3, 4, 5, 6]);
    let report = world.server.operate("GET", "/v1/reports/benefits", NONE).json;
    let of = |id: &str| {
        let all = report["benefits"].as_array().unwrap().iter();
        let benefit = all.clone().find(|benefit| benefit["benefit"] == id).unwrap();
        ["granted", "seen", "used", "uses", "usage"].map(|field| benefit[field].clone())
    };
    assert_eq!(of("priority_service"), [json!(2), json!(1), json!(1), json!(2), json!(0.5)]);
    assert_eq!(of("birthday_gift"), [json!(0), json!(0), json!(0), json!(0), json!(0.0)]);
    let table =
        world.server.operate_with("GET", "/v1/reports/benefits", "accept: text/csv\r\n", NONE);
    let row = "priority_service,silver,2,1,1,2,0.5000\r\n";
    assert!(table.body.contains(row), "{}", table.body);
}

#[test]
fn what_a_member_should_hear_of_is_in_the_outbox_with_their_name() {
    let world = World::new();
    world.enrol("ann", None);
    world.adjust("ann", "g", "growth", 5_000);
    let page = world.platform("GET", "/v1/outbox", NONE).json;
    let change = &page["changes"][0];
    let source = change["source"].as_str().unwrap();
    assert!(source.starts_with("members/") && source.len() == 12, "{source}");
    assert_eq!((&change["seq"], &change["member"]), (&json!(1), &json!("ann")));
    assert_eq!(change["notice"], json!({"kind": "tier_reached", "tier": "gold"}));
    let cursor = page["cursor"].as_str().unwrap();
    let waiting = format!("/v1/outbox?after={cursor}&wait=20");
    std::thread::scope(|scope| {
        let next = scope.spawn(|| world.platform("GET", &waiting, NONE).json);
        world.adjust("ann", "h", "growth", 15_000);
        let next = next.join().unwrap();
        assert_eq!(next["changes"][0]["notice"]["tier"], "platinum", "{next}");
    });
}

#[test]
fn another_plan_is_tried_without_holding() {
    let world = World::new();
    world.enrol("ann", None);
    let order = world.server.order("ann", 1);
    world.server.pay(&order, "paid");
    until("the order counts", || world.me("ann")["growth"] != 0);
    let mut plan = world.server.operate("GET", "/v1/plan", NONE).json["plan"].clone();
    plan["points"]["order"] = 3.into();
    let path = "/v1/plan/dry-run";
    let run = world.server.operate("POST", path, &json!({"plan": plan, "days": 30})).json;
    let price = order["due_cents"].as_i64().unwrap() / 100;
    let rule = json!({
        "rule": "order", "given": {"growth": price, "points": price},
        "would": {"growth": price, "points": 3 * price},
    });
    assert_eq!(run["rules"], json!([rule]));
    assert_eq!(run["tiers"][0], json!({"tier": "regular", "members": 1, "would": 1}));
    assert_eq!(world.server.operate("GET", "/v1/plan", NONE).json["version"], 0);
    for days in [0, 396] {
        let body = json!({"plan": plan, "days": days});
        world.server.operate("POST", path, &body).is_problem(400, "bad_request");
    }
    plan["points"]["per_unit"] = 0.into();
    let refused = world.server.operate("POST", path, &json!({"plan": plan, "days": 30}));
    refused.is_problem(422, "invalid_plan");
}

#[test]
fn a_members_orders_are_read_by_sale_by_the_platform_and_by_support() {
    let world = World::new();
    world.enrol("ann", None);
    let order = world.server.order("ann", 1);
    let own = world.server.get("ann", "/v1/orders?sale=drop").json;
    assert_eq!(own["orders"][0]["order_id"], order["order_id"]);
    let path = "/v1/members/ann/orders?sale=drop";
    assert_eq!(world.platform("GET", path, NONE).json, own);
    assert_eq!(world.server.operate("GET", path, NONE).json, own);
    let nobody = world.platform("GET", "/v1/members/nobody/orders?sale=drop", NONE);
    assert_eq!(nobody.json, json!({"orders": []}));
    world.platform("GET", "/v1/members/ann/orders", NONE).is_problem(400, "bad_request");
    let none = world.platform("GET", "/v1/members/ann/orders?sale=none", NONE);
    none.is_problem(404, "unknown_sale");
}
