//! Whose word a member's tier is: the token's, the book's, or the book's where it has one.

use crate::membership::World;
use crate::redis_server::RedisServer;
use crate::support::{drop_of, send};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use membership::Tier;
use serde_json::{Value, json};

/// What the sale tells a member of their own tier.
fn tier_of(world: &World, member: &str, token: Tier) -> Value {
    let sale = world.server.call_as(member, token, "GET", "/v1/sales/drop", "").json;
    sale["you"]["tier"].clone()
}

fn gold_only(world: &World) {
    let mut sale = drop_of(50);
    sale["id"] = "early".into();
    let windows = sale["windows"].as_object_mut().unwrap();
    windows.retain(|tier, _| ["gold", "platinum", "diamond"].contains(&tier.as_str()));
    world.server.make(&sale);
}

fn buys_early(world: &World, member: &str, token: Tier) -> u16 {
    world.server.click_as(member, token, "early", r#"{"units":1}"#, "").status
}

fn buys(world: &World, member: &str) -> u16 {
    world.server.click_as(member, Tier::Gold, "drop", r#"{"units":1}"#, "").status
}

fn in_batch(world: &World, member: &str, token: &str) -> Value {
    let batch = json!({"clicks": [{"member": member, "tier": token, "units": 1}]});
    world.platform("POST", "/v1/sales/early/clicks", &batch).json["answers"][0].clone()
}

#[test]
fn the_book_decides_for_those_who_are_enrolled_and_the_token_for_all_others() {
    let world = World::with(&[]);
    gold_only(&world);
    // Before anybody is enrolled, the token counts.
    assert_eq!(tier_of(&world, "ann", Tier::Diamond), "diamond");
    assert_eq!(world.enrol("ann", None).status, 201);
    assert_eq!(tier_of(&world, "ann", Tier::Diamond), "regular");
    assert_eq!(tier_of(&world, "bob", Tier::Diamond), "diamond");
    assert_eq!(
        (buys_early(&world, "ann", Tier::Diamond), buys_early(&world, "bob", Tier::Gold)),
        (403, 202)
    );
    assert_eq!(in_batch(&world, "ann", "diamond")["code"], "tier_not_admitted");
    assert!(in_batch(&world, "cyd", "gold")["order_id"].is_string());
    // A change in the book reaches sessions that are open.
    world.adjust("ann", "g", "growth", 5_000);
    assert_eq!(tier_of(&world, "ann", Tier::Regular), "gold");
    assert_eq!(buys_early(&world, "ann", Tier::Regular), 202);
    assert!(in_batch(&world, "ann", "regular")["order_id"].is_string());
}

#[test]
fn a_member_who_was_never_seen_is_looked_up_before_a_batch_is_judged() {
    let world = World::with(&[]);
    gold_only(&world);
    world.enrol("dee", None);
    world.adjust("dee", "g", "growth", 5_000);
    assert!(in_batch(&world, "dee", "regular")["order_id"].is_string());
}

#[test]
fn by_the_book_alone_who_is_not_enrolled_is_regular() {
    let world = World::with(&["--tiers-from", "members"]);
    gold_only(&world);
    assert_eq!(tier_of(&world, "bob", Tier::Diamond), "regular");
    assert_eq!(buys_early(&world, "bob", Tier::Diamond), 403);
    world.enrol("bob", None);
    world.adjust("bob", "g", "growth", 20_000);
    assert_eq!(tier_of(&world, "bob", Tier::Regular), "platinum");
}

#[test]
fn by_the_token_alone_the_book_says_nothing() {
    let world = World::with(&["--tiers-from", "token"]);
    gold_only(&world);
    world.enrol("ann", None);
    assert_eq!(tier_of(&world, "ann", Tier::Diamond), "diamond");
    assert!(in_batch(&world, "ann", "gold")["order_id"].is_string());
}

#[test]
fn a_token_without_a_tier_is_good_unless_the_token_alone_counts() {
    let claims = json!({"sub": "ann", "aud": "flashlane", "exp": 4_000_000_000_u64});
    for (from, status) in [("either", 200), ("members", 200), ("token", 401)] {
        let world = World::with(&["--tiers-from", from]);
        let key = EncodingKey::from_secret(world.server.token_key());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        let header = format!("authorization: Bearer {token}\r\n");
        let answer = send(world.server.public, "GET", "/v1/sales/drop", &header, b"");
        assert_eq!(answer.status, status, "{from}");
        if status == 200 {
            assert_eq!(answer.json["you"]["tier"], "regular");
        }
    }
}

#[test]
fn an_erased_members_tier_is_nobodys() {
    let world = World::with(&[]);
    world.enrol("ann", None);
    world.adjust("ann", "g", "growth", 60_000);
    assert_eq!(tier_of(&world, "ann", Tier::Regular), "diamond");
    assert_eq!(world.server.operate("DELETE", "/v1/members/ann", &Value::Null).status, 204);
    assert_eq!(tier_of(&world, "ann", Tier::Regular), "regular");
}

#[test]
fn while_the_book_is_away_its_last_word_counts_and_nobodys_where_tiers_are_its_own() {
    for (from, of_a_stranger) in [("token", 202), ("either", 503), ("members", 503)] {
        let folder = tempfile::tempdir().unwrap();
        let mut redis = RedisServer::start(folder.path());
        let world = World::with(&["--redis", &redis.url(), "--tiers-from", from]);
        assert_eq!(world.enrol("ann", None).status, 201);
        assert!(tier_of(&world, "ann", Tier::Gold).is_string());
        redis.kill();
        assert_eq!((buys(&world, "ann"), buys(&world, "bob")), (202, of_a_stranger), "{from}");
    }
}
