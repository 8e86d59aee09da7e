//! Takes the sales of an earlier version's store over into a journal that is to be.
//!
//! The new files are written under other names first; then the old one gets another name, and then the
//! new ones theirs. So a crash leaves either the old store or all of the new one.

use super::block;
use super::disk::Disk;
use super::failure::failed;
use super::files::{self, Files, Unfinished};
use super::live::Kept;
use super::outbox::Spot;
use super::snapshot::{self, BookIn, Scene};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::redb::{self, FromRedb};
use crate::store::rows::Stored;
use crate::store::section::{Kind, Section};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const OLD: &str = "store.redb";
const TAKEN_OVER: &str = "store.redb.taken-over";
/// Behind the name of a file that gets its own once the old store has another.
const TAKING: &str = ".taking";
/// Outbox entries in a block.
const ENTRIES: usize = 8_192;

/// Whether the folder has a store of an earlier version.
pub(super) fn is_to_be_taken_over(folder: &Path) -> bool {
    folder.join(OLD).exists()
}

/// Takes the old store in this folder over, if there is one.
pub(super) fn take_over(folder: &Path, disk: &dyn Disk) -> Stored<()> {
    if is_to_be_taken_over(folder) {
        if !Files::list(disk).map_err(failed)?.is_empty() {
            return Err(StoreError::Unusable(format!(
                "{} has a journal and a {OLD}, and only one of them can be the store; move the other \
                 away",
                folder.display()
            )));
        }
        tracing::info!("taking over the sales of {OLD}; this may take a while");
        let Some(old) = redb::read(&folder.join(OLD))? else { return Ok(()) };
        let sales = old.sales.len();
        // What is left of a takeover that was cut off may be of an older state.
        for name in disk.names().map_err(failed)? {
            if name.ends_with(TAKING) {
                disk.remove(&name).map_err(failed)?;
            }
        }
        disk.sync_names().map_err(failed)?;
        write(disk, old)?;
        crate::fault::crash_point("taken");
        disk.rename(OLD, TAKEN_OVER).map_err(failed)?;
        disk.sync_names().map_err(failed)?;
        crate::fault::crash_point("renamed");
        tracing::info!("{sales} sales were taken over; the old file is kept as {TAKEN_OVER}");
    }
    for name in disk.names().map_err(failed)? {
        if let Some(finished) = name.strip_suffix(TAKING) {
            disk.rename(&name, finished).map_err(failed)?;
        }
    }
    disk.sync_names().map_err(failed)
}

/// Writes the outbox entries into a segment, and everything else into a snapshot that covers it.
fn write(disk: &dyn Disk, old: FromRedb) -> Stored<()> {
    let name = files::segment(1) + TAKING;
    let mut segment = Unfinished::create(disk, name, 1).map_err(failed)?;
    let (mut offset, mut covers) = (block::HEAD, 0);
    let next_sale = u32::try_from(old.sales.len() + 1).expect("few sales");
    let mut sales = Vec::new();
    for (rows, outbox) in old.sales {
        let mut kept = Kept::new(rows);
        for entries in outbox.chunks(ENTRIES) {
            covers += 1;
            let mut bytes = Vec::new();
            block::begin(&mut bytes);
            let mut section = Section::begin(&mut bytes, Kind::Told, kept.rows.number);
            entries.iter().for_each(|entry| section.push(entry));
            section.finish_told(entries.last().map_or(0, |entry| entry.seq));
            block::seal(&mut bytes, 0, covers, Clock::Wall.now());
            segment.append(&bytes).map_err(failed)?;
            let after = entries.first().map_or(0, |entry| entry.seq - 1);
            let at = u32::try_from(offset).map_err(failed)?;
            kept.outbox.push(Spot { after, block: covers, offset: at });
            offset += bytes.len();
        }
        kept.block = covers;
        sales.push(Arc::new(RwLock::new(kept)));
    }
    segment.finish(disk).map_err(failed)?;
    let blocked = old.blocked.into_iter().collect();
    let scene = Scene {
        covers,
        oldest: 1,
        next_sale,
        blocked,
        sales,
        book: BookIn { whole_to: covers, ..BookIn::default() },
        erasing: BTreeMap::new(),
        plans: Vec::new(),
        taken_in: BTreeMap::new(),
        archive: 0,
    };
    snapshot::write(disk, &scene, files::snapshot(covers) + TAKING)?;
    Ok(())
}
