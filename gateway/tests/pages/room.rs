//! The live room.

use crate::browser::{Browser, PHONE, Set, has_orders};
use crate::support::{Server, drop_of, selling, send};
use jiff::{Timestamp, ToSpan};
use membership::Tier::{Gold, Regular};
use serde_json::{Value, json};
use tempfile::TempDir;

const BUTTON: &str = "#button";

fn in_s(seconds: i64) -> String {
    (Timestamp::now() + seconds.seconds()).to_string()
}

/// Sells to gold only, from an instant on.
fn selling_to_gold(stock: u32, opens_at: &str) -> (TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let windows = json!({"gold": opens_at, "platinum": opens_at, "diamond": opens_at});
    let limits = json!({"gold": 2, "platinum": 2, "diamond": 2});
    let mut sale = drop_of(stock);
    (sale["windows"], sale["limits"]) = (windows, limits);
    server.make(&sale);
    (data, server)
}

fn orders_of(server: &Server, member: &str) -> Vec<Value> {
    let listed = server.get(member, "/v1/orders?sale=drop").json;
    listed["orders"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_waits_for_their_window_buys_and_pays() {
    let (_data, server) = selling_to_gold(5, &in_s(3_000));
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    page.shows(BUTTON, "Opens in").await;
    page.picture("room-soon").await;
    // Pressed too early, nothing is sent.
    page.press(BUTTON).await;
    assert_eq!(orders_of(&server, "ann"), Vec::<Value>::new());
    let soon = in_s(3);
    let windows = json!({"windows": {"gold": soon, "platinum": soon, "diamond": soon}});
    assert_eq!(server.operate("PATCH", "/v1/sales/drop", &windows).status, 200);
    page.run("location.reload()").await;
    page.shows(BUTTON, "Buy now").await;
    page.shows("#windows", "open").await;
    page.picture("room-open").await;
    page.press(BUTTON).await;
    page.shows(BUTTON, "Pay ¥191.04 within 14:").await;
    page.shows("#said", "It is yours").await;
    page.picture("room-pay").await;
    let order = orders_of(&server, "ann").remove(0);
    page.press(BUTTON).await;
    page.shows("#said", order["payment_ref"].as_str().unwrap()).await;
    assert_eq!(server.pay(&order, "paid").status, 200);
    page.shows("#orders", "paid").await;
    page.shows(BUTTON, "Buy now").await;
    let own = format!("http://{}", server.public);
    assert_eq!(page.origins().await, [own], "everything comes from the server");
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_buys_once_and_the_limit_is_told() {
    let (_data, server) = selling(5);
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    page.shows(BUTTON, "Buy now").await;
    page.run("const b = document.querySelector('#button'); b.click(); b.click(); b.click()").await;
    page.shows(BUTTON, "Pay ").await;
    assert_eq!(orders_of(&server, "ann").len(), 1);
    // As many more as the limit leaves, and no more than that.
    page.shows("#another", "Buy another").await;
    page.press("#another").await;
    page.shows("#orders", "Order 2").await;
    page.shows("#another", "Buy another").await;
    page.press("#another").await;
    page.shows("#orders", "Order 3").await;
    page.shows(BUTTON, "Pay ").await;
    for order in orders_of(&server, "ann") {
        assert_eq!(server.pay(&order, "paid").status, 200);
    }
    page.shows(BUTTON, "Paid. It is yours").await;
    page.picture("room-paid").await;
    page.shows("#help", "the most that one Gold member may have").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_whose_connection_is_cut_buys_once() {
    let (_data, server) = selling(5);
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    page.shows(BUTTON, "Buy now").await;
    page.offline(true).await;
    page.press(BUTTON).await;
    page.shows(BUTTON, "Sending again").await;
    page.shows("#said", "Connection lost").await;
    page.picture("room-lost").await;
    // The click outlives a reload: it is sent again under its key.
    let kept = page.run("return sessionStorage.getItem('click:drop')").await;
    assert!(kept.as_str().is_some_and(|kept| kept.contains("key")), "{kept}");
    page.offline(false).await;
    page.shows(BUTTON, "Pay ").await;
    page.run(&format!("sessionStorage.setItem('click:drop', {kept})")).await;
    page.run("location.reload()").await;
    page.told("return sessionStorage.getItem('click:drop') === null || null").await;
    page.shows(BUTTON, "Pay ").await;
    has_orders(&server, 1);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_loudly_of_the_unit_that_came_back() {
    let (_data, server) = selling(1);
    let bobs = server.order("bob", 1);
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    page.shows(BUTTON, "Sold out: wait").await;
    page.picture("room-sold-out").await;
    page.press(BUTTON).await;
    page.shows(BUTTON, "Waiting at place 1").await;
    page.picture("room-waiting").await;
    assert_eq!(server.cancel("bob", &bobs).status, 200);
    page.shows("#loud", "A unit is yours: pay within").await;
    page.shows(BUTTON, "Pay ").await;
    page.picture("room-offer").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_says_why_a_member_cannot_buy() {
    let (_data, server) = selling_to_gold(1, "2020-01-01T00:00:00Z");
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Regular).await;
    page.shows(BUTTON, "Not for your tier").await;
    page.picture("room-tier").await;
    page.shows("#help", "Gold").await;
    page.run("sessionStorage.clear()").await;
    page.go(&format!("http://{}/room/drop?x", server.public)).await;
    page.shows(BUTTON, "Sign in to buy").await;
    page.picture("room-sign-in").await;
    page.go(&format!("http://{}/room/drop?y#token=nonsense", server.public)).await;
    page.shows("#said", "not signed in any more").await;
    page.shows(BUTTON, "Sign in to buy").await;
    page.run("sessionStorage.clear()").await;
    page.go(&format!("http://{}/room/none", server.public)).await;
    page.shows(BUTTON, "There is no such sale").await;
    page.picture("room-unknown").await;
    let pause = server.operate("POST", "/v1/sales/drop/pause", &Value::Null);
    assert_eq!(pause.status, 200);
    let token = server.token("cyd", Gold);
    page.go(&format!("http://{}/room/drop#token={token}", server.public)).await;
    page.shows(BUTTON, "Paused").await;
    page.picture("room-paused").await;
    assert_eq!(page.run("return location.hash").await, "", "the token leaves the address");
    server.operate("POST", "/v1/sales/drop/resume", &Value::Null);
    page.shows(BUTTON, "Buy now").await;
    server.operate("POST", "/v1/sales/drop/close", &Value::Null);
    page.shows(BUTTON, "The sale is over").await;
    page.picture("room-closed").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_agree_and_a_cancelled_order_gives_its_unit_back() {
    let (_data, server) = selling(3);
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    let other = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    other.shows(BUTTON, "Buy now").await;
    page.shows(BUTTON, "Buy now").await;
    page.press(BUTTON).await;
    other.shows(BUTTON, "Pay ").await;
    page.shows("#left", "2 of 3 left").await;
    page.press("#orders button").await;
    page.shows("#orders button", "Really cancel?").await;
    page.told("return document.querySelector('#orders [data-asked=sure]') && 1").await;
    page.press("#orders button").await;
    page.shows("#orders", "cancelled").await;
    other.shows("#orders", "cancelled").await;
    other.shows("#left", "3 of 3 left").await;
    page.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_shows_every_page_without_scrolling_sideways() {
    let (_data, server) = selling(3);
    for language in ["en-US", "zh-CN"] {
        let set = Set { language, width: 360 };
        let page = Browser::open(set, &server, "/room/drop", "ann", Gold).await;
        for (path, name) in [("/room/drop", "room"), ("/", "home"), ("/me", "me")] {
            page.go(&format!("http://{}{path}", server.public)).await;
            page.shows("body", if language == "en-US" { "中文" } else { "English" }).await;
            assert_eq!(page.too_wide(set.width).await, json!([]), "{path} in {language}");
            page.picture(&format!("{name}-{language}")).await;
        }
        page.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_serious_keeps_anybody_from_using_the_pages() {
    let axe = std::env::var("AXE").expect("AXE names axe.min.js; scripts/pages.sh fetches it");
    let axe = std::fs::read_to_string(axe).unwrap();
    let (_data, server) = selling(2);
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    page.shows(BUTTON, "Buy now").await;
    page.dark().await;
    assert_eq!(page.serious(&axe).await, json!([]), "dark");
    page.picture("dark-open").await;
    page.light().await;
    for (step, path) in [("open", ""), ("bought", ""), ("home", "/"), ("me", "/me")] {
        if step == "bought" {
            page.press(BUTTON).await;
            page.shows(BUTTON, "Pay ").await;
        } else if !path.is_empty() {
            page.go(&format!("http://{}{path}", server.public)).await;
            page.shows("body", "中文").await;
        }
        assert_eq!(page.serious(&axe).await, json!([]), "{step}");
        page.picture(&format!("light-{step}")).await;
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_is_never_sent_for_another_member() {
    let (_data, server) = selling(5);
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    page.shows(BUTTON, "Buy now").await;
    page.offline(true).await;
    page.press(BUTTON).await;
    page.shows(BUTTON, "Sending again").await;
    // Another member signs in, in the same tab, while the click of the first has no answer.
    let bobs = server.token("bob", Gold);
    page.run(&format!("location.hash = '#token={bobs}'")).await;
    page.shows(BUTTON, "One moment").await;
    page.offline(false).await;
    page.shows(BUTTON, "Buy now").await;
    assert_eq!(orders_of(&server, "bob"), Vec::<Value>::new());
    // The first member comes back, and the click is theirs.
    let anns = server.token("ann", Gold);
    page.run(&format!("location.hash = '#token={anns}'")).await;
    page.shows(BUTTON, "Pay ").await;
    assert_eq!((orders_of(&server, "ann").len(), orders_of(&server, "bob").len()), (1, 0));
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_centre_shows_tier_orders_news_and_what_to_redeem() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--platform-listen", "127.0.0.1:0"]);
    server.make(&drop_of(3));
    let key = std::fs::read_to_string(data.path().join("platform.key")).unwrap();
    let headers = format!("authorization: Bearer {}\r\n", key.trim());
    let enrolled =
        send(server.platform.unwrap(), "POST", "/v1/members", &headers, br#"{"member":"ann"}"#);
    assert_eq!(enrolled.status, 201, "{enrolled:?}");
    for (id, account) in [("a", "growth"), ("b", "points")] {
        let more = json!({"id": id, "account": account, "amount": 1_500, "reason": "a test"});
        assert_eq!(server.operate("POST", "/v1/members/ann/adjustments", &more).status, 200);
    }
    server.order("ann", 1);
    let page = Browser::open(PHONE, &server, "/me", "ann", Gold).await;
    page.shows("#tier", "Silver").await;
    page.shows("#points", "1,500").await;
    page.shows("#next", "3,500 growth to Gold").await;
    page.shows("#orders", "A lamp").await;
    page.shows("#notices", "You are Silver now").await;
    page.shows("#lines", "correction").await;
    page.picture("me-silver").await;
    // A lunar birthday may be in a leap month.
    page.run("const c = document.querySelector('#calendar'); c.value = 'lunar'; c.dispatchEvent(new Event('change'))").await;
    page.enter("#month", "6").await;
    page.enter("#day", "15").await;
    page.press("#leap").await;
    page.press("#born button").await;
    page.shows("#birthday", "lunar leap month 6-15").await;
    page.close().await;
}
