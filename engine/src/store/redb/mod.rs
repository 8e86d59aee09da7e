//! The store of earlier versions: one redb file. It is read once, to take its sales over.

mod failure;
mod look;
mod read;

pub(super) use read::{FromRedb, read};
