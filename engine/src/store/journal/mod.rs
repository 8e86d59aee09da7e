//! The embedded store: a journal of append-only segments, and all that it comes to in memory. The
//! default.
//!
//! A transaction takes this way: [`store`] asks the [`writer`], which gathers what waits in a
//! [`group`], lets it change the rows in memory, and writes one [`block`] of what was decided to the
//! [`log`]. When that is on disk, the callers are told. At a start [`recover`] reads the newest
//! [`snapshot`] and the blocks behind it.

mod archive;
mod archiving;
mod ask;
mod backup;
mod beside;
mod block;
mod book;
mod disk;
mod entries;
mod failure;
mod files;
mod fold;
mod group;
mod live;
mod lock;
mod log;
mod options;
mod outbox;
mod read_lately;
mod recover;
mod sale_frames;
mod snapshot;
mod snapshotter;
mod store;
mod take_over;
mod writer;

pub use disk::{Disk, DiskFile, Folder};
pub use options::JournalOptions;
pub use store::{Journal, JournalStore};
