//! Writer: the one thread that writes the journal. It takes everything that waits as one group; while
//! that is on its way to disk, the next one gathers.
//!
//! A write that fails closes the journal: what is on disk is read again before anything goes on.

use super::ask::{Ask, ended, refuse};
use super::beside::Beside;
use super::disk::Disk;
use super::failure::failed;
use super::fold::Folding;
use super::group::{Done, Group};
use super::live::Live;
use super::log::Log;
use super::recover::recover;
use super::snapshotter::Snapshotter;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::planted::is_planted;
use crate::store::rows::Stored;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// How often a closed journal is tried.
const OPEN_AGAIN: Duration = Duration::from_millis(500);

/// What the writer and the callers share.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// All that is stored, or why it cannot be used.
    live: Mutex<Stored<Arc<Live>>>,
}

#[derive(Default)]
struct Queue {
    asks: Vec<Ask>,
    is_over: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("asks", &self.asks.len()).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { queue: Mutex::default(), arrived: Condvar::new(), live: Mutex::new(Ok(live)) }
    }

    pub(super) fn live(&self) -> Stored<Arc<Live>> {
        self.live.lock().clone()
    }

    /// Asks the writer for something. Callers ask for one thing at a time, so the queue is bounded by
    /// them.
    pub(super) fn ask(&self, ask: Ask) {
        let mut queue = self.queue.lock();
        if queue.is_over {
            drop(queue);
            return refuse(ask, &ended());
        }
        queue.asks.push(ask);
        drop(queue);
        self.arrived.notify_one();
    }

    /// Lets the writer end once nothing waits any more.
    pub(super) fn end(&self) {
        self.queue.lock().is_over = true;
        self.arrived.notify_one();
    }

    /// Everything that waits, perhaps nothing after `patience`; `None` when it is over.
    fn take(&self, patience: Option<Duration>) -> Option<Vec<Ask>> {
        let mut queue = self.queue.lock();
        while queue.asks.is_empty() {
            if queue.is_over {
                return None;
            }
            match patience {
                None => self.arrived.wait(&mut queue),
                Some(patience) if self.arrived.wait_for(&mut queue, patience).timed_out() => break,
                Some(_) => {}
            }
        }
        Some(std::mem::take(&mut queue.asks))
    }
}

/// The writer's own.
pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    /// `None` while the journal is closed.
    log: Option<Log>,
    segment_bytes: u64,
    next_sale: u32,
    bytes: Vec<u8>,
    snapshotter: Snapshotter,
    beside: Beside,
    folding: Folding,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        (log, next_sale): (Log, u32),
        snapshotter: Snapshotter,
        beside: Beside,
    ) -> Self {
        let (segment_bytes, bytes) = (log.segment_bytes, Vec::new());
        let (log, folding) = (Some(log), Folding::default());
        Self { shared, disk, log, segment_bytes, next_sale, bytes, snapshotter, beside, folding }
    }

    /// Writes until it is over.
    pub(super) fn run(mut self) {
        let _mourner = Mourner(Arc::clone(&self.shared));
        self.snapshot_if_due();
        // A closed journal is opened again also when nobody asks for anything: readers wait for that. What
        // is too old to be kept goes without an ask, too.
        while let Some(asks) = self.shared.take(self.patience()) {
            let asks = self.snapshotter.take_backups(asks);
            if !asks.is_empty() || self.log.is_none() {
                self.group(asks);
            }
            self.snapshot_if_due();
            if let Ok(live) = self.shared.live() {
                self.folding.begin_if_due(&live);
            }
            if let Some(log) = &mut self.log {
                log.make_room();
            }
        }
        self.snapshotter.end();
        self.folding.end();
        if let Some(Err(error)) = self.log.map(|log| log.cut_room_off(&*self.disk)) {
            tracing::debug!(%error, "the journal's room is left for the next start to cut off");
        }
    }

    fn group(&mut self, asks: Vec<Ask>) {
        let forgets = asks.iter().any(|ask| matches!(ask, Ask::Forget(_)));
        let live = match self.open() {
            Ok(live) => live,
            Err(error) => return asks.into_iter().for_each(|ask| refuse(ask, &error)),
        };
        let log = self.log.as_mut().expect("an open journal has a log");
        log.is_over |= forgets;
        let place = match log.place(&*self.disk, &live) {
            Ok(offset) => (log.next_block, offset),
            Err(error) => {
                let error = failed(error);
                self.close(&error);
                return asks.into_iter().for_each(|ask| refuse(ask, &error));
            }
        };
        let mut group = Group::new(&live, place, self.next_sale, std::mem::take(&mut self.bytes));
        asks.into_iter().for_each(|ask| group.take(ask));
        let written = match group.seal(Clock::Wall.now()) {
            true => log.write(&group.bytes),
            false => Ok(()),
        };
        match written {
            Ok(()) => {
                self.go_on(group.done());
                if forgets {
                    self.snapshotter.wanted = Some(place.0);
                }
            }
            Err(_) if is_planted("told-before-written") => {
                self.go_on(group.done());
            }
            Err(error) => {
                let error = failed(error);
                // No reader finds the old rows any more when the first caller hears of it.
                if !is_planted("memory-not-rebuilt") {
                    self.close(&error);
                }
                group.failed(&error);
            }
        }
    }

    /// Goes on behind a group whose callers are told.
    fn go_on(&mut self, done: Done) {
        (self.next_sale, self.bytes) = (done.next_sale, done.bytes);
        for sale in done.sales {
            // Another look at the sale is no reason to keep all others waiting.
            if let Some(mut kept) = sale.kept.try_write() {
                kept.rows.make_room();
            }
        }
    }

    /// How long to wait for an ask at most.
    fn patience(&self) -> Option<Duration> {
        match self.log {
            None => Some(OPEN_AGAIN),
            Some(_) => self.snapshotter.until_due(Clock::Wall.now()),
        }
    }

    /// The sales, read again from disk if a write had failed.
    fn open(&mut self) -> Stored<Arc<Live>> {
        if self.log.is_none() {
            self.snapshotter.end();
            self.folding.end();
            let reading = "the journal is read again after a failure of the disk";
            *self.shared.live.lock() = Err(StoreError::Refused(reading.into()));
            let reopened = recover(&*self.disk, &self.beside).and_then(|recovered| {
                let segment_bytes = self.segment_bytes;
                let log = Log::begin(&*self.disk, &recovered, segment_bytes).map_err(failed)?;
                Ok((log, recovered))
            });
            let live = reopened.map(|(log, recovered)| {
                self.log = Some(log);
                self.next_sale = recovered.next_sale;
                Arc::new(recovered.live)
            });
            *self.shared.live.lock() = live;
        }
        self.shared.live()
    }

    fn close(&mut self, why: &StoreError) {
        self.log = None;
        self.snapshotter.refuse_backup(why);
        *self.shared.live.lock() = Err(why.clone());
    }

    fn snapshot_if_due(&mut self) {
        let (Some(log), Ok(live)) = (&mut self.log, self.shared.live()) else {
            let why = StoreError::Refused("the journal is closed for now".into());
            return self.snapshotter.refuse_backup(&why);
        };
        let archive = self.beside.archive.as_deref();
        self.snapshotter.begin_if_due(&self.disk, &live, log, (self.next_sale, archive));
    }
}

/// Tells every caller when the writer panics: nothing is written any more.
struct Mourner(Arc<Shared>);

impl Drop for Mourner {
    fn drop(&mut self) {
        *self.0.live.lock() = Err(ended());
        let mut queue = self.0.queue.lock();
        queue.is_over = true;
        for ask in std::mem::take(&mut queue.asks) {
            refuse(ask, &ended());
        }
    }
}
