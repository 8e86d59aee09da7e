//! The embedded store: one redb file, one durable transaction per batch. The default.

mod failure;
mod file;
mod rows;

pub use file::{Disk, RedbStore};
