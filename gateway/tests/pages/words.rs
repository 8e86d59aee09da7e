//! What the pages say.

use crate::browser::{Browser, PHONE};
use crate::support::selling;
use membership::Tier::Gold;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn both_languages_have_the_same_words() {
    let (_data, server) = selling(1);
    let page = Browser::open(PHONE, &server, "/", "ann", Gold).await;
    page.run(
        "const src = document.querySelector('script').src;
         import(src.replace('cards.js', 'words.js')).then(({ DICTIONARIES }) => { window.words = DICTIONARIES; });",
    )
    .await;
    let keys = "return window.words && Object.values(window.words).map((words) => Object.keys(words).sort().join())";
    let mut told = Value::Null;
    while told.is_null() {
        told = page.run(keys).await;
    }
    let told: Vec<String> = serde_json::from_value(told).unwrap();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], told[1]);
    let blanks = "const blanks = (text) => (text.match(/\\{\\w+\\}/g) ?? []).sort().join();
        return Object.keys(window.words.en).filter((key) => blanks(window.words.en[key]) !== blanks(window.words.zh[key]))";
    assert_eq!(page.run(blanks).await, Value::Array(Vec::new()), "the same is filled in");
    page.close().await;
}
