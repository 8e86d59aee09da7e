//! The models of the lock-free core, and their twins.
#![cfg(flash_loom)]

mod changes;
mod orderings;
mod parts;
mod sale;
mod spending;
mod tiers;
