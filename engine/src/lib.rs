//! The sale itself: every decision is made in this crate.
//!
//! The core (windows, roster, holdings, stock, queue, board, [`sale::Sale`]) is synchronous and
//! knows no store; the confirmer carries its orders to the store behind one port.
//!
//! ```
//! use engine::rules::time::Millis;
//! use engine::rules::refusal::Refusal;
//! use engine::roster::Roster;
//! use engine::sale::{Click, Sale};
//! use engine::rules::units::Units;
//! use engine::rules::cents::Cents;
//! use engine::rules::member_terms::MemberTerms;
//! use engine::rules::terms::Terms;
//! use engine::rules::window::Windows;
//! use membership::{PerTier, Tier};
//!
//! let opens_at = PerTier([Some(Millis(2_000)); 5]);
//! let terms = Terms {
//!     id: "drop-1".parse()?,
//!     title: "Ten lamps".into(),
//!     price: Cents(19_900),
//!     currency: "CNY".into(),
//!     stock: Units(10),
//!     windows: Windows::new(opens_at, Millis(9_000))?,
//!     limits: PerTier([Units(1); 5]),
//!     pay_within_s: 900,
//!     adults_only: false,
//!     image_url: None,
//!     members: MemberTerms::default(),
//! };
//! let (sale, roster) = (Sale::new(terms), Roster::new());
//! let seat = roster.seat("viewer-42").expect("a free seat");
//! let click = Click { seat, tier: Tier::Gold, units: Units(1), key: None, is_minor: false };
//!
//! assert_eq!(sale.buy(Millis(1_999), click), Err(Refusal::NotOpen { opens_at: Millis(2_000) }));
//! assert_eq!(sale.buy(Millis(2_000), click).map(|order| order.number), Ok(1));
//! assert!(matches!(sale.buy(Millis(2_000), click), Err(Refusal::LimitReached { .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod clock;
#[cfg(not(flash_loom))]
pub mod confirm;
// Of the confirmer, models see the lanes alone: the rest of it speaks to a store.
#[cfg(not(flash_loom))]
pub mod engine;
#[cfg(not(flash_loom))]
pub mod fault;
#[cfg(flash_loom)]
#[path = "confirm/lanes.rs"]
pub mod lanes;
#[cfg(not(flash_loom))]
pub mod members;
#[cfg(not(flash_loom))]
pub mod nodes;
#[cfg(not(flash_loom))]
pub mod open;
pub mod roster;
pub mod rules;
pub mod sale;
#[cfg(not(flash_loom))]
pub mod store;
pub mod sync;
pub mod timing;

#[cfg(not(flash_loom))]
pub use engine::{
    ChangeSource, Cursor, Engine, NoSale, NotChanged, NotDeleted, NotRefunded, NotWaiting, Place,
    Settings, Told,
};
#[cfg(not(flash_loom))]
pub use open::found::Found;
#[cfg(not(flash_loom))]
pub use open::sale::OpenSale;
