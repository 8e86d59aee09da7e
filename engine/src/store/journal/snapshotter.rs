//! Snapshotter: makes a snapshot when much was written since the last one, on a thread of its own, and
//! removes what is not needed any more.

use super::block::{HEAD, Head};
use super::disk::Disk;
use super::failure::failed;
use super::files::{self, Files};
use super::live::Live;
use super::log::Log;
use super::options::JournalOptions;
use super::snapshot::{self, Scene};
use crate::clock::Clock;
use crate::rules::time::Millis;
use crate::store::planted::is_planted;
use crate::store::rows::Stored;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Makes snapshots, one at a time.
#[derive(Debug)]
pub(super) struct Snapshotter {
    running: Option<JoinHandle<Stored<Option<u64>>>>,
    /// Bytes of the newest snapshot: the next one is not made before as much was written.
    newest_bytes: u64,
    options: JournalOptions,
}

impl Snapshotter {
    pub(super) fn new(newest_bytes: u64, options: &JournalOptions) -> Self {
        Self { running: None, newest_bytes, options: *options }
    }

    /// Begins a snapshot of everything up to the newest block, if it is time for one.
    pub(super) fn begin_if_due(
        &mut self,
        disk: &Arc<dyn Disk>,
        live: &Arc<Live>,
        log: &mut Log,
        next_sale: u32,
    ) {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end();
        }
        if self.running.is_some()
            || log.since_snapshot < self.options.snapshot_bytes.max(self.newest_bytes)
        {
            return;
        }
        let sales = live.sales.read().values().map(|sale| Arc::clone(&sale.kept)).collect();
        let missing = u64::from(is_planted("snapshot-without-its-last-block"));
        let (covers, blocked) = (log.next_block - 1 + missing, live.blocked.read().clone());
        let mut scene = Scene { covers, oldest: 1, next_sale, blocked, sales };
        let (disk, live, keep) = (Arc::clone(disk), Arc::clone(live), self.options.outbox_keep);
        let snapshot = move || {
            scene.oldest = oldest_needed(&*disk, covers, keep).map_err(failed)?;
            trim(&scene);
            let bytes = snapshot::write(&*disk, &scene, files::snapshot(covers))?;
            if bytes.is_some() {
                tidy(&*disk, &live, &scene).map_err(failed)?;
            }
            Ok(bytes)
        };
        match thread::Builder::new().name("snapshot".into()).spawn(snapshot) {
            Ok(running) => self.running = Some(running),
            Err(error) => tracing::warn!(%error, "no thread for a snapshot of the journal"),
        }
        // Also without a thread, the next try is not at once.
        log.since_snapshot = 0;
    }

    /// Waits for a snapshot that is being made.
    pub(super) fn end(&mut self) {
        let Some(running) = self.running.take() else { return };
        match running.join() {
            Ok(Ok(Some(bytes))) => self.newest_bytes = bytes,
            Ok(Ok(None)) => {
                tracing::warn!("no snapshot of the journal is made while a sale is damaged");
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "no snapshot of the journal could be made; it goes on growing");
            }
            Err(_) => tracing::error!("making a snapshot of the journal failed"),
        }
    }
}

/// The oldest segment that has a block that `covers` does not cover, or outbox entries that are not
/// older than `keep`.
fn oldest_needed(disk: &dyn Disk, covers: u64, keep: Duration) -> std::io::Result<u64> {
    let (segments, now) = (Files::list(disk)?.segments, Clock::Wall.now());
    for pair in segments.windows(2) {
        let [first, next] = pair else { continue };
        if *next > covers + 1 || now.since(begun_at(disk, *next)?) < keep {
            return Ok(*first);
        }
    }
    Ok(segments.last().copied().unwrap_or(1))
}

/// Forgets the outbox entries in segments that are not needed.
fn trim(scene: &Scene) {
    for sale in &scene.sales {
        let mut kept = sale.write();
        let newest = kept.rows.counters.seq;
        if let Some(trimmed_to) = kept.outbox.trim(scene.oldest, newest) {
            kept.rows.trimmed_to = trimmed_to;
        }
    }
}

/// Removes snapshots and segments that are not needed any more, now that this one is there.
fn tidy(disk: &dyn Disk, live: &Live, scene: &Scene) -> std::io::Result<()> {
    let files = Files::list(disk)?;
    for older in files.snapshots.iter().filter(|snapshot| **snapshot < scene.covers) {
        disk.remove(&files::snapshot(*older))?;
    }
    for first in files.segments.iter().filter(|first| **first < scene.oldest) {
        live.segments.write().remove(first);
        disk.remove(&files::segment(*first))?;
    }
    disk.sync_names()
}

/// When the first block of a segment was written: those before it are older.
fn begun_at(disk: &dyn Disk, first: u64) -> std::io::Result<Millis> {
    let head = disk.read_at(&files::segment(first), HEAD as u64, HEAD)?;
    Ok(Head::read(&head).map_or(Millis::MAX, |head| head.written_at))
}
