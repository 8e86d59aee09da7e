//! What a million members and a million orders take in resident memory.
//!
//! Not a timed bench: it counts pages, so that the allocator's own overhead is in the figures.

use benches::world::{Lamps, NOW, click, sale};
use engine::roster::Roster;
use engine::rules::units::Units;
use std::hint::black_box;
use std::io::Write;

const MILLION: u32 = 1_000_000;
/// The most bytes that the project promises, for a member and for a unit.
const PROMISE: f64 = 64.0;

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).expect("Linux");
    pages * 4_096.0
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let start = resident_bytes();
    let roster = Roster::new();
    let drop = sale(Lamps { stock: 10_000_000, limit: 65_535 });
    let mut seats = Vec::with_capacity(MILLION as usize);
    seats.extend((0..MILLION).map(|_| 0_u32));
    let before = resident_bytes();
    let mut name = String::new();
    for (i, seat) in seats.iter_mut().enumerate() {
        use std::fmt::Write;
        name.clear();
        write!(name, "viewer-{i:07}").expect("a string takes all");
        *seat = roster.seat(&name).expect("a free seat").number();
        drop.restore_holding(engine::rules::seat::Seat::new(*seat), Units(0), 0);
    }
    let seen = resident_bytes();
    for seat in &seats {
        drop.buy(NOW, click(*seat)).expect("a unit");
    }
    let bought = resident_bytes();
    let million = f64::from(MILLION);
    let (member, unit) = ((seen - before) / million, (bought - seen) / million);
    writeln!(out, "| resident memory at a million | | promised |")?;
    writeln!(out, "| --- | --- | --- |")?;
    let promise = format!("at most {PROMISE} bytes");
    writeln!(
        out,
        "| a member seen, with the holdings in one sale | {member:.1} bytes | {promise} |"
    )?;
    writeln!(out, "| a unit sold and waiting on the queue | {unit:.1} bytes | {promise} |")?;
    let empty_kib = (before - start) / 1_024.0;
    writeln!(out, "| an open sale before its first click | {empty_kib:.0} KiB | |")?;
    black_box((&roster, &drop));
    assert!(member <= PROMISE && unit <= PROMISE, "at most {PROMISE} bytes each are promised");
    Ok(())
}
