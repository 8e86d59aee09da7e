//! A thousand open sales, and ten thousand in the store: what is answered is bounded in bytes.

use crate::support::{Server, send, until};
use engine::rules::cents::Cents;
use engine::rules::member_terms::MemberTerms;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::window::Windows;
use engine::store::{JournalOptions, JournalStore, Opening};
use membership::PerTier;
use serde_json::Value;
use std::path::Path;

const STORED: usize = 10_000;
const OPEN: usize = 1_000;
/// Bytes of metrics for an open sale, and for the process.
const SALE_METRICS_BYTES_MAX: usize = 10 << 10;
const PROCESS_METRICS_BYTES_MAX: usize = 32 << 10;
/// Bytes of one sale in a list.
const SALE_BYTES_MAX: usize = 1 << 10;

/// Fills a store with sales of which one in ten is open and the others are over.
pub(crate) fn fill(data: &Path) {
    let store = JournalStore::open(data, JournalOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for n in 0..STORED {
        let closes_at = if n % (STORED / OPEN) == 0 { 32_503_680_000_000 } else { 2 };
        let terms = Terms {
            id: format!("sale-{n:05}").parse().unwrap(),
            title: "A lamp".into(),
            price: Cents(19_900),
            currency: "CNY".into(),
            stock: Units(10),
            windows: Windows::new(PerTier([Some(Millis(1)); 5]), Millis(closes_at)).unwrap(),
            limits: PerTier([Units(3); 5]),
            pay_within_s: 900,
            adults_only: false,
            image_url: None,
            members: MemberTerms::default(),
        };
        runtime.block_on(store.create(&terms)).unwrap();
    }
}

#[test]
fn ten_thousand_sales_in_the_store_cost_lists_and_metrics_no_more_than_the_open_ones() {
    // In memory if there is such a folder: ten thousand sales are made one by one.
    let in_memory = Path::new("/dev/shm");
    let data = match in_memory.is_dir() {
        true => tempfile::tempdir_in(in_memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    fill(data.path());
    let server = Server::start(data.path());
    let (mut after, mut listed, mut pages) = (String::new(), 0, 0);
    loop {
        let page =
            send(server.public, "GET", &format!("/v1/sales?state=open&after={after}"), "", b"");
        assert!(page.body.len() <= 100 * SALE_BYTES_MAX, "a page of {} bytes", page.body.len());
        (listed, pages) = (listed + page.json["sales"].as_array().unwrap().len(), pages + 1);
        let Some(next) = page.json["next"].as_str() else { break };
        after = next.to_owned();
    }
    assert_eq!((listed, pages), (OPEN, OPEN / 100));
    let metrics = || server.operate("GET", "/metrics", &Value::Null).body;
    let most = OPEN * SALE_METRICS_BYTES_MAX + PROCESS_METRICS_BYTES_MAX;
    until("sales that are over are closed, and have no series", || {
        !metrics().contains("sale=\"sale-00001\"")
    });
    let told = metrics();
    assert!(told.contains("sale=\"sale-09990\""), "an open sale has its series");
    assert!(told.len() <= most, "{} bytes of metrics", told.len());
    assert_eq!(server.operate("PUT", "/v1/blocked/ann", &Value::Null).status, 204);
    let token = server.token("ann", membership::Tier::Gold);
    let headers = format!("authorization: Bearer {token}\r\n");
    let refused =
        send(server.public, "POST", "/v1/sales/sale-05000/orders", &headers, br#"{"units":1}"#);
    refused.is_problem(403, "blocked");
    assert_eq!(
        server.click_as("bob", membership::Tier::Gold, "sale-05000", r#"{"units":1}"#, "").status,
        202
    );
}
