//! Sales for benches and tests: open to all, for ever.

use engine::rules::seat::Seat;
use engine::rules::terms::{Cents, Terms};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::window::Windows;
use engine::sale::{Click, Sale};
use membership::{PerTier, Tier};

/// How many lamps a sale has, and how many of them one member may hold.
#[derive(Debug, Clone, Copy)]
pub struct Lamps {
    /// In all, from 1.
    pub stock: u32,
    /// For each tier, from 1.
    pub limit: u32,
}

/// An instant at which every window of [`terms`] is open.
pub const NOW: Millis = Millis(1_000);

/// The terms of a sale that all tiers may enter from the instant 1 on.
///
/// # Panics
/// When `id` is not a valid sale id.
#[must_use]
pub fn terms(id: &str, Lamps { stock, limit }: Lamps) -> Terms {
    Terms {
        id: id.parse().expect("a sale id"),
        title: "A lamp".into(),
        price: Cents(19_900),
        currency: "CNY".into(),
        stock: Units(stock),
        windows: Windows::new(PerTier([Some(Millis(1)); 5]), Millis::MAX).expect("windows"),
        limits: PerTier([Units(limit); 5]),
        pay_within_s: 900,
    }
}

/// A sale with these [`terms`], open in this process.
#[must_use]
pub fn sale(lamps: Lamps) -> Sale {
    Sale::new(terms("bench", lamps))
}

/// A click of a gold member for one unit.
#[must_use]
pub fn click(seat: u32) -> Click {
    Click { seat: Seat::new(seat), tier: Tier::Gold, units: Units(1), key: None }
}
