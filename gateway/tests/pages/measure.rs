//! How heavy the room is, and how fast. A room that is too heavy fails; times are printed as a table for docs/measured.md.

use crate::browser::{Browser, PHONE};
use crate::support::selling;
use membership::Tier::Gold;
use serde_json::Value;

/// Most bytes of all that the room loads, compressed.
const COMPRESSED_MAX: f64 = 60_000.0;
/// Units that others buy while the page looks on.
const FALLING: u32 = 300;

/// What the page loaded, in bytes, as it is and as gzip has it; when it painted first; its longest task while stock fell, in ms.
const TELL: &str = "const files = [location.pathname, ...performance.getEntriesByType('resource').map((e) => e.name)]
        .filter((name) => !name.includes('/v1/'));
    const sizes = async (name) => {
        const body = await (await fetch(name)).blob();
        const packed = await new Response(body.stream().pipeThrough(new CompressionStream('gzip'))).blob();
        return [body.size, packed.size];
    };
    Promise.all(files.map(sizes)).then((all) => {
        const sum = (of) => all.reduce((whole, sizes) => whole + sizes[of], 0);
        const paint = performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0;
        window.told = [sum(0), sum(1), paint, Math.max(0, ...window.tasks)];
    });";

#[tokio::test(flavor = "multi_thread")]
async fn the_room_is_light() {
    // `scripts/pages.sh --measure` asks for more rounds.
    let asked = std::env::var("ROUNDS").ok();
    let count: usize = asked.map_or(1, |rounds| rounds.parse().expect("ROUNDS is a number"));
    let mut rounds = Vec::new();
    for _ in 0..count {
        rounds.push(round().await);
    }
    let spread = |nth: usize| {
        let mut values: Vec<f64> = rounds.iter().map(|round: &[f64; 4]| round[nth]).collect();
        values.sort_by(f64::total_cmp);
        (values[0], values[count / 2], values[count - 1])
    };
    println!("| the live room on a phone, {count} rounds | median | least | most | at most |");
    println!("| --- | --- | --- | --- | --- |");
    let rows = [
        ("loaded, KB", 0, 1e3, "-"),
        ("the same, compressed", 1, 1e3, "60"),
        ("first paint, ms", 2, 1.0, "300"),
        ("longest task while stock falls, ms (0: none over 50)", 3, 1.0, "50"),
    ];
    for (name, nth, unit, most) in rows {
        let (least, median, top) = spread(nth);
        let [least, median, top] = [least, median, top].map(|value| value / unit);
        println!("| {name} | {median:.0} | {least:.0} | {top:.0} | {most} |");
    }
    let (_, _, compressed) = spread(1);
    assert!((1_000.0..=COMPRESSED_MAX).contains(&compressed), "{compressed} bytes");
}

/// Opens the room, lets others buy all there is, and returns what [`TELL`] tells.
async fn round() -> [f64; 4] {
    let (_data, server) = selling(FALLING);
    let page = Browser::open(PHONE, &server, "/room/drop", "ann", Gold).await;
    page.shows("#button", "Buy now").await;
    page.run("window.tasks = []; new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'longtask' })")
        .await;
    for buyer in 0..FALLING {
        assert_eq!(server.click(&format!("buyer-{buyer}"), 1, "").status, 202);
    }
    page.shows("#left", "All sold").await;
    page.run(TELL).await;
    let told: Value = page.told("return window.told").await;
    page.close().await;
    serde_json::from_value(told).unwrap()
}
