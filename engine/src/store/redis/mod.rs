//! Redis as the authority: one function call decides a batch, written to disk before it is answered.
//!
//! The transactions are in `transactions.lua`; `selling.rs` and `reading.rs` say what is sent and what
//! the answers mean, `link.rs` gets them there.

mod calls;
mod check;
mod facts;
mod keys;
mod library;
mod link;
mod meaning;
mod reading;
mod rows;
mod selling;
mod snapshot;
mod store;

pub use link::RedisOptions;
pub use store::RedisStore;
