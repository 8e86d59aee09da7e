//! Snapshotter: makes a snapshot when much was written since the last one, on a thread of its own, and
//! removes what is not needed any more.

use super::archive::ArchiveFile;
use super::ask::{Ask, Backup, Tell, refuse};
use super::backup;
use super::block::{HEAD, Head};
use super::disk::Disk;
use super::failure::failed;
use super::files::{self, Files};
use super::live::{Kept, Live};
use super::log::Log;
use super::options::JournalOptions;
use super::snapshot::{self, BookIn, Scene};
use crate::clock::Clock;
use crate::rules::time::Millis;
use crate::store::StoreError;
use crate::store::planted::is_planted;
use crate::store::rows::Stored;
use parking_lot::RwLock;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a snapshot that is being made is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How often a segment that is due and does not go is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// Makes snapshots, one at a time.
#[derive(Debug)]
pub(super) struct Snapshotter {
    running: Option<JoinHandle<Stored<Option<u64>>>>,
    /// Bytes of the newest snapshot: the next one is not made before as much was written.
    newest_bytes: u64,
    options: JournalOptions,
    /// A snapshot up to this block is made, however little was written since the last one.
    pub(super) wanted: Option<u64>,
    /// The newest block that the running one has.
    covers: u64,
    /// When the oldest segment is too old to be kept; a snapshot is made then, which lets it go.
    next_goes_at: Option<Millis>,
    /// After one that failed, the next one is not made before this.
    try_after: Millis,
    /// A backup is made behind the next one.
    backup: Option<(Backup, Tell)>,
}

impl Snapshotter {
    pub(super) fn new(newest_bytes: u64, options: &JournalOptions) -> Self {
        let next_goes_at = Some(Millis(0));
        Self {
            running: None,
            newest_bytes,
            options: *options,
            wanted: None,
            covers: 0,
            next_goes_at,
            try_after: Millis(0),
            backup: None,
        }
    }

    /// Takes the backups out that are asked for; one at a time is made.
    pub(super) fn take_backups(&mut self, asks: Vec<Ask>) -> Vec<Ask> {
        let mut others = Vec::with_capacity(asks.len());
        for ask in asks {
            match ask {
                Ask::Backup(backup, tell) if self.backup.is_none() => {
                    self.backup = Some((backup, tell));
                }
                Ask::Backup(..) => {
                    refuse(ask, &StoreError::Refused("another backup is being made".into()));
                }
                ask => others.push(ask),
            }
        }
        others
    }

    /// Begins a snapshot of everything up to the newest block, if it is time for one.
    pub(super) fn begin_if_due(
        &mut self,
        disk: &Arc<dyn Disk>,
        live: &Arc<Live>,
        log: &mut Log,
        (next_sale, archive): (u32, Option<&ArchiveFile>),
    ) {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end();
        }
        let is_large = log.since_snapshot >= self.options.snapshot_bytes.max(self.newest_bytes);
        let is_due = is_large || self.wanted.is_some() || self.is_segment_due(&**disk);
        let is_to_wait = Clock::Wall.now() < self.try_after;
        if self.running.is_some() || self.backup.is_none() && (!is_due || is_to_wait) {
            return;
        }
        let archive = match archive.map_or(Ok(0), ArchiveFile::version) {
            Ok(version) => version,
            Err(error) => return self.refuse_backup(&error),
        };
        let sales = live.sales.read().values().map(|sale| Arc::clone(&sale.kept)).collect();
        let missing = u64::from(is_planted("snapshot-without-its-last-block"));
        let (covers, blocked) = (log.next_block - 1 + missing, live.blocked.read().clone());
        let erasing = live.erasing.read().clone();
        self.covers = covers;
        let scene = Scene {
            covers,
            oldest: 1,
            next_sale,
            blocked,
            sales,
            book: BookIn::default(),
            erasing,
            plans: live.book.plans(),
            taken_in: live.book.taken_in(),
            archive,
        };
        let (backup, keep) = (self.backup.take(), self.options.outbox_keep);
        let (disk, live) = (Arc::clone(disk), Arc::clone(live));
        let snapshot = move || {
            let made = make(&*disk, &live, scene, keep);
            if let Some((Backup { from, to, archive }, tell)) = backup {
                let made = match &made {
                    Ok(Some(_)) => backup::copy(&from, &to, &live, archive.as_deref()),
                    Ok(None) => Err(StoreError::Refused("a sale is damaged".into())),
                    Err(error) => Err(error.clone()),
                };
                // Err: nobody waits for it any more.
                tell.send(made).ok();
            }
            made
        };
        match thread::Builder::new().name("snapshot".into()).spawn(snapshot) {
            Ok(running) => self.running = Some(running),
            Err(error) => tracing::warn!(%error, "no thread for a snapshot of the journal"),
        }
        // Also without a thread, the next try is not at once.
        log.since_snapshot = 0;
    }

    /// Tells who waits for a backup that none is made now.
    pub(super) fn refuse_backup(&mut self, why: &StoreError) {
        if let Some((_, tell)) = self.backup.take() {
            // Err: nobody waits for it any more.
            tell.send(Err(why.clone())).ok();
        }
    }

    /// How long until something is to be done without an ask; `None` for ever.
    pub(super) fn until_due(&self, now: Millis) -> Option<Duration> {
        if self.running.is_some() {
            return Some(LOOK_AGAIN);
        }
        let wanted_at = self.wanted.map(|_| self.try_after);
        let next = wanted_at.into_iter().chain(self.next_goes_at).min();
        next.map(|at| at.since(now).max(LOOK_AGAIN))
    }

    /// Whether the oldest segment is too old to be kept. Looks again only when it may be.
    fn is_segment_due(&mut self, disk: &dyn Disk) -> bool {
        let now = Clock::Wall.now();
        if self.next_goes_at.is_none_or(|at| now < at) {
            return false;
        }
        let Ok(goes_at) = oldest_goes_at(disk, self.options.outbox_keep) else {
            self.next_goes_at = Some(now + TRY_AGAIN);
            return false;
        };
        let is_due = goes_at.is_some_and(|at| at <= now);
        // A segment that is due and does not go is tried again now and then.
        self.next_goes_at = if is_due { Some(now + TRY_AGAIN) } else { goes_at };
        is_due
    }

    /// Waits for a snapshot that is being made.
    pub(super) fn end(&mut self) {
        let Some(running) = self.running.take() else { return };
        match running.join() {
            Ok(Ok(Some(bytes))) => {
                self.newest_bytes = bytes;
                self.wanted = self.wanted.filter(|block| *block > self.covers);
                // The segments are others now, so their ages are looked at.
                self.next_goes_at = Some(Millis(0));
                return;
            }
            Ok(Ok(None)) => {
                tracing::warn!("no snapshot of the journal is made while a sale is damaged");
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "no snapshot of the journal could be made; it goes on growing");
            }
            Err(_) => tracing::error!("making a snapshot of the journal failed"),
        }
        self.try_after = Clock::Wall.now() + TRY_AGAIN;
    }
}

/// Makes a snapshot, and removes what is not needed any more. Returns its size; `None` while a sale is
/// damaged.
fn make(disk: &dyn Disk, live: &Live, mut scene: Scene, keep: Duration) -> Stored<Option<u64>> {
    let covers = scene.covers;
    let whole_to = if live.book.fold()? { covers } else { live.book.folded_to() };
    scene.book = BookIn { folded_to: live.book.folded_to(), whole_to };
    let covered = covers.min(whole_to).min(not_taken_in(&scene, live) - 1);
    scene.oldest = oldest_needed(disk, covered, keep).map_err(failed)?;
    trim(&scene);
    let bytes = snapshot::write(disk, &scene, files::snapshot(covers))?;
    if bytes.is_some() {
        tidy(disk, live, &scene).map_err(failed)?;
    }
    Ok(bytes)
}

/// When the oldest segment has only outbox entries that are older than `keep`; `None` if it is the only one.
fn oldest_goes_at(disk: &dyn Disk, keep: Duration) -> std::io::Result<Option<Millis>> {
    let segments = Files::list(disk)?.segments;
    let Some(next) = segments.get(1) else { return Ok(None) };
    let begun_at = begun_at(disk, *next)?;
    // A segment in which nothing stands yet has no age.
    Ok((begun_at < Millis::MAX).then(|| begun_at + keep))
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

/// The first block with an outbox entry that the book has not taken in: it is kept, however old.
fn not_taken_in(scene: &Scene, live: &Live) -> u64 {
    let taken_in = live.book.taken_in();
    let of_sale = |sale: &Arc<RwLock<Kept>>| {
        let kept = sale.read();
        let taken_in = taken_in.get(&kept.rows.number).copied().unwrap_or(0);
        let is_behind = taken_in < kept.rows.counters.seq;
        let next = kept.outbox.from(taken_in).first().filter(|_| is_behind);
        next.map(|spot| spot.block)
    };
    scene.sales.iter().filter_map(of_sale).min().unwrap_or(u64::MAX)
}

/// Forgets the outbox entries in segments that are not needed.
fn trim(scene: &Scene) {
    for sale in &scene.sales {
        sale.write().forget_before(scene.oldest);
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
