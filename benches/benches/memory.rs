//! What a million members, a small sale and a large one take in resident memory.
//!
//! Not a timed bench: it counts pages, so that the allocator's own overhead is in the figures.

use benches::world::{Lamps, NOW, click, sale};
use engine::roster::Roster;
use engine::rules::key::IdempotencyKey;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::units::Units;
use engine::sale::refused::{Record, Refused};
use engine::sale::{Click, Sale};
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::num::NonZeroU64;

const MILLION: u32 = 1_000_000;
/// Members whom the process has seen.
const SEATS: u32 = 8 * MILLION;
/// Small sales that are open at once.
const SALES: u32 = 200;

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).expect("Linux");
    pages * 4_096.0
}

/// What it takes to `make` something, and that, which must be kept: memory that is given back is used again and
/// not seen.
fn weighed<T>(make: impl FnOnce() -> T) -> (f64, T) {
    let before = resident_bytes();
    let made = make();
    (resident_bytes() - before, made)
}

/// Sells all units, each to a member at random and so many clicks of a hundred with a key, and takes the orders in.
fn sell(drop: &Sale, rng: &mut fastrand::Rng, keys: u32) {
    let mut intake = drop.intake();
    loop {
        let key =
            NonZeroU64::new(rng.u64(1..)).filter(|_| rng.u32(..100) < keys).map(IdempotencyKey);
        match drop.buy(NOW, Click { key, ..click(rng.u32(..SEATS)) }) {
            Ok(_) => drop.take_in(&mut intake).map(black_box),
            Err(Refusal::SoldOut { .. }) => return,
            Err(refusal) => panic!("{refusal:?}"),
        };
    }
}

fn small(rng: &mut fastrand::Rng, keys: u32) -> (f64, Vec<Sale>) {
    let make = || {
        let sales = (0..SALES).map(|_| sale(Lamps { stock: 1_000, limit: 10 }));
        let sales: Vec<Sale> = sales.collect();
        sales.iter().for_each(|sale| sell(sale, rng, keys));
        sales
    };
    let (bytes, sales) = weighed(make);
    (bytes / f64::from(SALES), sales)
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut rng = fastrand::Rng::with_seed(3);
    let million = f64::from(MILLION);
    let (members, roster) = weighed(|| {
        let (roster, mut name) = (Roster::new(), String::new());
        for i in 0..SEATS {
            name.clear();
            write!(name, "viewer-{i:07}").expect("a string takes all");
            roster.seat(&name).expect("a free seat");
        }
        roster
    });
    let (plain, small_plain) = small(&mut rng, 0);
    let (keyed, small_keyed) = small(&mut rng, 100);
    let (record, refused) = weighed(|| {
        let record = Record::default();
        for i in 0..10 * MILLION {
            let seat = Seat::new(rng.u32(..SEATS));
            let at = engine::rules::time::Millis(u64::from(i));
            record.note(Refused { seat, kind: 8, at, left: Units(0) });
        }
        record
    });
    let (large, sold) = weighed(|| {
        let drop = sale(Lamps { stock: MILLION, limit: 10 });
        sell(&drop, &mut rng, 0);
        drop
    });
    let (keyed_large, sold_keyed) = weighed(|| {
        let drop = sale(Lamps { stock: MILLION, limit: 10 });
        sell(&drop, &mut rng, 100);
        drop
    });
    let (few_large, sold_few) = weighed(|| {
        let drop = sale(Lamps { stock: MILLION, limit: 10 });
        sell(&drop, &mut rng, 1);
        drop
    });
    let kib = |bytes: f64| format!("{:.0} KiB", bytes / 1_024.0);
    let each = |bytes: f64| format!("{:.1} bytes", bytes / million);
    writeln!(out, "| resident memory of a process with 8,000,000 seats | | at most |")?;
    writeln!(out, "| --- | --- | --- |")?;
    writeln!(out, "| a member seen | {:.1} bytes | 64 bytes |", members / f64::from(SEATS))?;
    writeln!(out, "| a sale of 1,000 units, all sold | {} | 300 KB |", kib(plain))?;
    writeln!(out, "| with a key on each click, more | {} | |", kib(keyed - plain))?;
    writeln!(out, "| a unit of a sale of 1,000,000, all sold | {} | 96 bytes |", each(large))?;
    writeln!(out, "| with a key on each click, more | {} | |", each(keyed_large - large))?;
    writeln!(
        out,
        "| with a key on one click of a hundred, more | {} | |",
        each(few_large - large)
    )?;
    writeln!(out, "| a full record of refusals | {} | |", kib(record))?;
    black_box((&roster, &small_plain, &small_keyed, &refused, &sold, &sold_keyed, &sold_few));
    assert!(members <= 64.0 * f64::from(SEATS), "a member takes 64 bytes at most");
    assert!(plain <= 300_000.0, "a sale of 1,000 units takes 300 KB at most");
    assert!(large <= 96.0 * million, "a unit takes 96 bytes at most");
    Ok(())
}
