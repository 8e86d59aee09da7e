//! The operator's desk.

use crate::browser::{Browser, DESK, Set};
use crate::support::{Answer, Server, selling, send};
use jiff::{Timestamp, ToSpan};
use membership::Tier::Gold;
use serde_json::{Value, json};

const VIEW: &str = "#view";

/// What a script has typed into a field of the form.
fn typed(name: &str, value: &str) -> String {
    format!(
        "const field = document.querySelector('[name=\"{name}\"]'); field.value = {};
         field.dispatchEvent(new Event('input', {{ bubbles: true }}));",
        json!(value)
    )
}

/// A gold member's click for one unit, answered when it is confirmed.
fn click(server: &Server, sale: &str, member: &str) -> Answer {
    server.click_as(member, Gold, sale, r#"{"units":1}"#, "prefer: wait=10\r\n")
}

async fn desk(server: &Server) -> Browser {
    Browser::sign_in(DESK, server, &server.operator_key).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_a_sale_watches_it_and_ends_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let page = desk(&server).await;
    page.press_words("New sale").await;
    page.shows(VIEW, "Begin with").await;
    // What does not fit is said as one types.
    page.run(&typed("id", "A lamp!")).await;
    page.shows("#fault-id", "a-z").await;
    page.run(&typed("windows.regular", "2020-01-01T00:00:00")).await;
    page.shows(".tiers", "A higher tier never opens later").await;
    page.press_words("All at once").await;
    page.run(&typed("id", "lamp")).await;
    page.run(&typed("title", "A lamp")).await;
    page.run(&typed("stock", "3")).await;
    for tier in ["diamond", "platinum", "gold", "silver", "regular"] {
        page.run(&typed(&format!("windows.{tier}"), "2020-01-01T00:00:00")).await;
    }
    page.picture("desk-form").await;
    page.press_words("Make the sale").await;
    page.shows(VIEW, "3 of 3 left").await;
    let order = click(&server, "lamp", "ann").json;
    assert_eq!(click(&server, "lamp", "ann").code(), "limit_reached");
    page.shows(VIEW, "Limit reached").await;
    page.shows(VIEW, "2 of 3 left").await;
    assert_eq!(server.pay(&order, "paid").status, 200);
    let funnel = "return document.querySelector('.bars').textContent.includes('paid') && document.querySelector('.bars li:last-child b').textContent[0] === '1' || null";
    page.told(funnel).await;
    page.press_words("Pause").await;
    page.shows(".chip", "Paused").await;
    page.press_words("Resume").await;
    page.shows(".chip", "Open").await;
    page.run("document.querySelector('[aria-label=\"Units to add\"]').value = 7").await;
    page.press_words("Add units").await;
    page.told("const b = [...document.querySelectorAll('button')].find((b) => b.textContent === 'Really: Add units?'); b?.click(); return document.querySelector('#view').innerText.includes('9 of 10 left') || null").await;
    page.shows(VIEW, "9 of 10 left").await;
    page.picture("desk-live").await;
    // A double click does not end a sale.
    page.run("const close = [...document.querySelectorAll('button')].find((b) => b.textContent === 'Close'); close.click(); close.click()").await;
    page.shows(VIEW, "Really: Close?").await;
    assert_eq!(server.operate("GET", "/v1/sales/lamp", &Value::Null).json["state"], "open");
    let asked = "const b = [...document.querySelectorAll('button')].find((b) => b.textContent === 'Really: Close?'); b?.click(); return document.querySelector('.chip').textContent === 'Closed' || null";
    page.told(asked).await;
    page.shows(".chip", "Closed").await;
    assert!(!page.offers("Pause").await);
    page.press_words("Log").await;
    page.shows(VIEW, "closed a sale").await;
    page.picture("desk-log").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_sees_only_what_it_may_do_and_a_key_is_not_kept() {
    let data = tempfile::tempdir().unwrap();
    let (viewer, admin) = ("viewer-key-0123456789", "admin-key-0123456789");
    let keys = format!("ann viewer never {viewer}\nbob admin never {admin}\n");
    std::fs::write(data.path().join("operator.key"), keys).unwrap();
    let server = Server::start(data.path());
    let page = Browser::start(DESK).await;
    page.go(&format!("http://{}/", server.operator)).await;
    page.enter("#key", "not-a-key-at-all-0").await;
    page.press("#enter button").await;
    page.shows("#said", "That key is not taken").await;
    page.enter("#key", viewer).await;
    page.press("#enter button").await;
    page.shows("#who", "ann · viewer").await;
    page.shows(VIEW, "Nothing yet").await;
    assert!(!page.offers("New sale").await && !page.offers("Members").await);
    let sale = crate::support::drop_of(3);
    let bearer = format!("authorization: Bearer {admin}\r\n");
    let made = send(server.operator, "POST", "/v1/sales", &bearer, sale.to_string().as_bytes());
    assert_eq!(made.status, 201, "{made:?}");
    page.run("location.hash = '#/sale/drop'").await;
    page.shows(VIEW, "3 of 3 left").await;
    for words in ["Pause", "Close", "Add units", "Rehearse", "Change", "Delete"] {
        assert!(!page.offers(words).await, "{words}");
    }
    let kept = "return [...Object.values(localStorage), ...Object.values(sessionStorage), document.cookie].join()";
    let kept = page.run(kept).await;
    assert!(!kept.as_str().unwrap().contains(viewer), "{kept}");
    page.run("location.reload()").await;
    page.shows("#enter", "Operator's key").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_is_marked_counts_nowhere_and_is_gone_afterwards() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut sale = crate::support::drop_of(200);
    // Its windows lie hours apart; those of the copy, seconds.
    for (tier, hours) in
        [("diamond", 1), ("platinum", 2), ("gold", 3), ("silver", 4), ("regular", 5)]
    {
        sale["windows"][tier] = (Timestamp::now() + hours.hours()).to_string().into();
    }
    server.make(&sale);
    let page = desk(&server).await;
    page.run("location.hash = '#/sale/drop'").await;
    page.shows(VIEW, "200 of 200 left").await;
    page.press_words("Rehearse").await;
    page.told("const b = [...document.querySelectorAll('button')].find((b) => b.textContent === 'Really: Rehearse?'); b?.click(); return document.querySelector('.banner') && 1").await;
    page.shows(".banner", "Rehearsal").await;
    let facts = "[...document.querySelectorAll('.facts b')].map((b) => b.textContent)";
    page.told(&format!("const facts = {facts}; return facts[0].startsWith('0 of') || null")).await;
    page.told(&format!("const facts = {facts}; return Number(facts[3]) >= 100 || null")).await;
    page.picture("desk-rehearsal").await;
    let report = server.operate("GET", "/v1/sales/drop", &Value::Null).json;
    assert_eq!((&report["left"], &report["flow"]["clicks"]), (&json!(200), &json!(0)));
    let copy = server.operate("GET", "/v1/sales/drop/rehearsal", &Value::Null).json;
    assert_eq!((&copy["rehearsal"], &copy["id"]), (&json!(true), &json!("rehearsal-drop")));
    let metrics = server.operate("GET", "/metrics", &Value::Null).body;
    assert!(!metrics.contains("rehearsal-drop"), "{metrics}");
    let listed = server.operate("GET", "/v1/sales", &Value::Null).body;
    assert!(!listed.contains("rehearsal-drop"), "{listed}");
    page.press_words("End the rehearsal").await;
    page.shows(VIEW, "200 of 200 left").await;
    assert_eq!(server.operate("GET", "/v1/sales/drop/rehearsal", &Value::Null).status, 404);
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_found_and_the_desk_says_why_they_did_not_get_it() {
    let (_data, server) = selling(1);
    let order = server.order("bob", 1);
    assert_eq!(click(&server, "drop", "ann").code(), "sold_out");
    let page = desk(&server).await;
    page.press_words("Members").await;
    page.enter("[type=search]", "ann").await;
    page.press_words("Search").await;
    page.shows("#view h1", "ann").await;
    page.enter("[list=sales-known]", "drop").await;
    page.press_words("Why?").await;
    page.shows(VIEW, "sold out").await;
    page.picture("desk-member").await;
    page.press_words("Block").await;
    page.shows(VIEW, "Unblock").await;
    assert_eq!(click(&server, "drop", "ann").code(), "blocked");
    // An order is found by its number and by what the payment channel calls it.
    page.enter("[type=search]", order["payment_ref"].as_str().unwrap()).await;
    page.press_words("Search").await;
    page.shows("#view h1", order["order_id"].as_str().unwrap()).await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_is_read_and_tried_and_reports_are_made() {
    let (_data, server) = selling(1);
    let page = desk(&server).await;
    page.press_words("Plan").await;
    page.shows("#view h1", "Plan: the one inside").await;
    page.press_words("Dry run").await;
    page.shows(VIEW, "Would be").await;
    page.picture("desk-plan").await;
    page.press_words("Reports").await;
    page.press_words("Read").await;
    page.shows(VIEW, "Deficit").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_fits_a_phone_in_both_languages_and_nothing_serious_keeps_anybody_from_using_it() {
    let axe = std::env::var("AXE").expect("AXE names axe.min.js; scripts/pages.sh fetches it");
    let axe = std::fs::read_to_string(axe).unwrap();
    let (_data, server) = selling(5);
    server.order("ann", 1);
    for (language, width) in [("en-US", 390), ("zh-CN", 390), ("en-US", 1_280)] {
        let page = Browser::sign_in(Set { language, width }, &server, &server.operator_key).await;
        for hash in ["", "new", "sale/drop", "members/ann", "plan", "reports", "log"] {
            page.run(&format!("location.hash = '#/{hash}'")).await;
            page.told("return document.querySelector('#view h1, #view h2') && 1").await;
            assert_eq!(page.too_wide(width).await, json!([]), "{hash} in {language}");
            page.picture(&format!("desk-{}-{language}-{width}", hash.replace('/', "-"))).await;
            if width > 1_000 {
                page.dark().await;
                assert_eq!(page.serious(&axe).await, json!([]), "{hash} in the dark");
                page.picture(&format!("desk-{}-dark", hash.replace('/', "-"))).await;
                page.light().await;
            }
            if language == "en-US" {
                assert_eq!(page.serious(&axe).await, json!([]), "{hash} at {width}");
            }
        }
        page.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_shows_the_picture_of_the_thing() {
    let data = tempfile::tempdir().unwrap();
    let others = tempfile::tempdir().unwrap();
    let pictures = Server::start(others.path());
    let origin = format!("http://{}", pictures.public);
    let server = Server::start_with(data.path(), &["--media-origins", &origin]);
    let mut sale = crate::support::drop_of(1);
    // Any server's picture will do: another Flashlane has one.
    let icon = pictures.get("ann", "/").body;
    let path = icon.split("href=\"").find(|part| part.contains("icon.svg")).unwrap();
    sale["image_url"] = format!("{origin}{}", path.split('"').next().unwrap()).into();
    server.make(&sale);
    let page = Browser::open(crate::browser::PHONE, &server, "/room/drop", "ann", Gold).await;
    page.told("return document.querySelector('#picture').checkVisibility() || null").await;
    page.go(&format!("http://{}/", server.public)).await;
    page.told("return document.querySelector('.card img').checkVisibility() || null").await;
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_keeps_whom_a_sale_is_for_and_another_language_keeps_what_was_typed() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut sale = crate::support::drop_of(3);
    sale["audience"] = json!({"tiers": ["gold", "diamond"], "enrolled": true});
    (sale["listed"], sale["adults_only"]) = (json!(false), json!(true));
    (sale["points_share_max"], sale["member_day_price_cents"]) = (json!(50), json!(15_000));
    server.make(&sale);
    let page = desk(&server).await;
    page.press_words("As a template").await;
    page.told("return document.querySelector('[name=title]')?.value === 'A lamp' || null").await;
    page.run(&typed("id", "again")).await;
    // The page is in Chinese from now on, and nobody had to sign in again.
    page.press("#language").await;
    page.shows("#who", "管理员").await;
    page.told("return document.querySelector('[name=id]')?.value === 'again' || null").await;
    page.press_words("创建活动").await;
    page.shows(VIEW, "again").await;
    let made = server.operate("GET", "/v1/sales/again", &Value::Null).json;
    for field in [
        "audience",
        "listed",
        "adults_only",
        "points_share_max",
        "member_day_price_cents",
        "coupons",
    ] {
        let was = server.operate("GET", "/v1/sales/drop", &Value::Null).json;
        assert_eq!(made[field], was[field], "{field}");
    }
    page.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_drawn_anew_keeps_the_focus_and_how_far_it_was_scrolled() {
    let (_data, server) = selling(50);
    let page =
        Browser::sign_in(Set { language: "en-US", width: 390 }, &server, &server.operator_key)
            .await;
    page.run("location.hash = '#/sale/drop'").await;
    page.shows(VIEW, "50 of 50 left").await;
    page.run("const box = [...document.querySelectorAll('.scrolls')][0]; box.focus(); box.scrollLeft = 40").await;
    for nth in 1..=2 {
        assert_eq!(click(&server, "drop", &format!("buyer-{nth}")).status, 201);
        page.shows(VIEW, &format!("{} of 50 left", 50 - nth)).await;
    }
    let kept = "const box = [...document.querySelectorAll('.scrolls')][0]; return [document.activeElement === box, box.scrollLeft]";
    assert_eq!(page.run(kept).await, json!([true, 40]));
    page.close().await;
}
