//! The fault suite: breaks the real binary and the real redis-server in every way that is known to
//! happen, under load, and compares three views of what became of the orders.

mod archived;
mod book_view;
pub mod crashes;
mod embedded;
pub mod history;
mod machines;
mod many;
pub mod patience;
pub mod process;
pub mod proxy;
pub mod replies;
pub mod scenarios;
pub mod shop;
pub mod site;
pub mod spoils;
pub mod suite;
mod versions;
pub mod views;
pub mod wire;
