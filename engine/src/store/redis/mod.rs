//! Redis as the store: one function call decides a part of a batch, which is on disk before the
//! answer comes.
//!
//! The transactions are in `transactions.lua`; `selling.rs` and `reading.rs` say what is sent and
//! what the answers mean, `link.rs` carries both to the primary that serves the sale.

mod address;
mod archiving;
mod book;
mod calls;
mod check;
mod cluster;
mod entries;
mod facts;
mod format;
mod keys;
mod library;
mod link;
mod meaning;
mod nodes;
mod options;
mod primary;
mod reading;
mod rows;
mod selling;
mod sentinels;
mod slots;
mod snapshot;
mod store;
mod trim;
mod upgrade;

pub use options::{Durability, RedisOptions};
pub use store::RedisStore;
pub use upgrade::Upgraded;
