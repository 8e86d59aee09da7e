//! The embedded store: one redb file, one durable transaction per batch. The default.

mod failure;
mod file;
mod look;
mod read_only;
mod rows;
mod sale_row;

pub use file::{Disk, RedbStore};
pub use read_only::ReadOnlyRedbStore;
