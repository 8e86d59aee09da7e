//! Redis as the store: one function call decides a part of a batch, which is on disk before the
//! answer comes.
//!
//! The transactions are in `transactions.lua`; `selling.rs` and `reading.rs` say what is sent and
//! what the answers mean, `link.rs` carries both.

mod archiving;
mod book;
mod calls;
mod check;
mod entries;
mod facts;
mod format;
mod keys;
mod library;
mod link;
mod meaning;
mod nodes;
mod reading;
mod rows;
mod selling;
mod snapshot;
mod store;
mod trim;
mod upgrade;

pub use link::RedisOptions;
pub use store::RedisStore;
pub use upgrade::Upgraded;
