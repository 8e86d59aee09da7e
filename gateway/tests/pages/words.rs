//! What the pages say.

use crate::browser::{Browser, PHONE};
use crate::support::selling;
use membership::Tier::Gold;
use serde_json::Value;

/// Has the page compare its dictionaries. Waits until it has those words as well that `key` is one of.
async fn compare(page: &Browser, key: &str) {
    let src = "const src = [...document.querySelectorAll('script[type=module]')].at(-1).src;";
    page.run(&format!(
        "{src} import(src.replace(/[a-z]+\\.js$/, 'words.js')).then(({{ DICTIONARIES }}) => {{ window.words = DICTIONARIES; }});"
    ))
    .await;
    let keys = format!(
        "return window.words?.en.{key} && Object.values(window.words).map((words) => Object.keys(words).sort().join())"
    );
    let told: Vec<String> = serde_json::from_value(page.told(&keys).await).unwrap();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], told[1]);
    let blanks = "const blanks = (text) => (text.match(/\\{\\w+\\}/g) ?? []).sort().join();
        return Object.keys(window.words.en).filter((key) => blanks(window.words.en[key]) !== blanks(window.words.zh[key]))";
    assert_eq!(page.run(blanks).await, Value::Array(Vec::new()), "the same is filled in");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_languages_have_the_same_words() {
    let (_data, server) = selling(1);
    let page = Browser::open(PHONE, &server, "/", "ann", Gold).await;
    compare(&page, "sales").await;
    page.go(&format!("http://{}/", server.operator)).await;
    compare(&page, "d_desk").await;
    page.close().await;
}

/// Every text between these two marks.
fn between<'a>(text: &'a str, opens: &str, closes: char) -> Vec<&'a str> {
    text.split(opens).skip(1).filter_map(|rest| rest.split(closes).next()).collect()
}

#[test]
fn every_word_that_a_page_asks_for_is_there() {
    let web = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/assets/web");
    let read = |name: &str| std::fs::read_to_string(web.join(name)).unwrap();
    let words = read("words.js") + &read("desk_words.js");
    for name in [
        "desk.html",
        "desk.js",
        "desk_actions.js",
        "desk_charts.js",
        "desk_form.js",
        "desk_live.js",
        "desk_log.js",
        "desk_members.js",
        "desk_plan.js",
        "desk_reports.js",
        "desk_sales.js",
        "desk_samples.js",
        "dom.js",
        "room.js",
        "me.js",
        "cards.js",
        "orders.js",
        "face.js",
        "room.html",
        "me.html",
        "sales.html",
    ] {
        let text = read(name);
        let mut asked = between(&text, "say(\"", '"');
        for mark in ["data-say=\"", "data-label=\"", "say: \"", "help: \"", "return [\""] {
            asked.extend(between(&text, mark, '"'));
        }
        for key in asked {
            // The beginning of a word that ends with a state or a code.
            let is_there = words.contains(&format!(" {key}:")) || key.ends_with('_');
            assert!(is_there, "{name} asks for {key}");
        }
    }
}
