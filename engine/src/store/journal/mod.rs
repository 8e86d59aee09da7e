//! The embedded store: a journal of append-only segments, and all that it comes to in memory. The
//! default.
//!
//! A transaction takes this way: [`store`] asks the [`writer`], which gathers what waits in a
//! [`group`], lets it change the rows in memory, and writes one [`block`] of what was decided to the
//! [`log`]. When that is on disk, the callers are told. At a start [`recover`] reads the newest
//! [`snapshot`] and the blocks behind it.

mod block;
mod disk;
mod entries;
mod failure;
mod files;
mod group;
mod live;
mod log;
mod options;
mod outbox;
mod recover;
mod snapshot;
mod snapshotter;
mod store;
mod take_over;
mod writer;

pub use disk::{Disk, DiskFile, Folder};
pub use options::JournalOptions;
pub use store::{Journal, JournalStore};
