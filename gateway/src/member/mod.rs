//! The calls of the public listener.

pub(crate) mod buy;
pub(crate) mod click;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod hub;
pub(crate) mod me;
pub(crate) mod orders;
pub(crate) mod passes;
pub(crate) mod sales;
mod shares;
pub(crate) mod waitlist;
pub(crate) mod watcher;
