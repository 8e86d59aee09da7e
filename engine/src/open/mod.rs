//! A sale that this process sells, and the members and tasks around it.

pub(crate) mod asks;
pub mod blocked;
pub(crate) mod feed;
pub mod found;
pub mod sale;
