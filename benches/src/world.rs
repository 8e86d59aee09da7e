//! Sales for benches and tests: open to all, for ever.

use engine::clock::Clock;
use engine::rules::cents::Cents;
use engine::rules::key::IdempotencyKey;
use engine::rules::member_terms::MemberTerms;
use engine::rules::money::Money;
use engine::rules::seat::Seat;
use engine::rules::terms::{SaleId, Terms};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::window::Windows;
use engine::sale::{Click, Sale};
use engine::store::{Batch, ReservedOrder, Store};
use membership::{PerTier, Tier};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

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
        adults_only: false,
        image_url: None,
        members: MemberTerms::default(),
    }
}

/// As [`terms`], for an operator's call that makes the sale; open since long ago.
#[must_use]
pub fn open_to_all(id: &str, Lamps { stock, limit }: Lamps) -> Value {
    let of_each = |value: Value| -> BTreeMap<&str, Value> {
        Tier::ALL.iter().map(|tier| (tier.as_str(), value.clone())).collect()
    };
    json!({
        "id": id, "title": "A lamp", "price_cents": 19_900, "currency": "CNY", "stock": stock,
        "windows": of_each("2020-01-01T00:00:00Z".into()), "limits": of_each(limit.into()),
        "closes_at": "2999-01-01T00:00:00Z", "pay_within_s": 900,
    })
}

/// The [`terms`] of a sale of which points may pay all.
#[must_use]
pub fn paid_with_points(lamps: Lamps) -> Terms {
    let members = MemberTerms { points_share_max: 100, ..MemberTerms::default() };
    Terms { members, ..terms("bench", lamps) }
}

/// A sale with these [`terms`], open in this process.
#[must_use]
pub fn sale(lamps: Lamps) -> Sale {
    Sale::new(terms("bench", lamps))
}

/// A click of a gold member for one unit.
#[must_use]
pub fn click(seat: u32) -> Click {
    Click { seat: Seat::new(seat), tier: Tier::Gold, units: Units(1), key: None, is_minor: false }
}

/// Makes the sale `bench` in a store, with so many confirmed orders, each keyed, unpaid and of a member
/// at random.
///
/// # Panics
/// When the store does not take them all, or has the sale already.
pub async fn fill(store: &Store, orders: u64) {
    let lamps = Lamps { stock: 10_000_000, limit: 65_535 };
    store.opening.create(&terms("bench", lamps)).await.expect("a sale");
    let sale: SaleId = "bench".parse().expect("a sale id");
    let epoch = store.opening.open(&sale).await.expect("an epoch").epoch;
    let most = store.selling.batch_orders_max() as u64;
    let mut first = 1;
    while first <= orders {
        let next = (first + most).min(orders + 1);
        let reserved = |number: u64| ReservedOrder {
            number,
            member: format!("member-{:07}", fastrand::u64(..orders)).parse().expect("a member id"),
            tier: Tier::Gold,
            units: Units(1),
            reserved_at: NOW,
            money: Money::list(Cents(19_900), Units(1)),
            key: NonZeroU64::new(number).map(IdempotencyKey),
            is_offer: false,
            refused: None,
        };
        let orders = (first..next).map(reserved).collect();
        let at = Clock::Wall.now();
        let pay_by = at + Duration::from_secs(900);
        let batch = Batch { sale: sale.clone(), epoch, at, pay_by, orders };
        store.selling.commit(&batch).await.expect("the store takes all");
        first = next;
    }
}
