//! A sale that this process sells, and the members and tasks around it.

pub(crate) mod asks;
pub mod blocked;
pub(crate) mod ends;
pub(crate) mod fed;
pub(crate) mod feed;
pub mod found;
pub(crate) mod live_terms;
pub mod marks;
pub(crate) mod right;
pub mod sale;
