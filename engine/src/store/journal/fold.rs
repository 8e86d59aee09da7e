//! Fold: writes what has changed in the book into its file when much has, on a thread of its own.

use super::live::Live;
use crate::store::rows::Stored;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Rows that may change before they are folded: some 100 MB of memory, and a few hundred in each bucket, so
/// that what lies together in the file is written together.
const CHANGED_MAX: usize = 262_144;

/// Folds, one at a time.
#[derive(Debug, Default)]
pub(super) struct Folding {
    running: Option<JoinHandle<Stored<bool>>>,
}

impl Folding {
    pub(super) fn begin_if_due(&mut self, live: &Arc<Live>) {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.end();
        }
        if self.running.is_some() || live.book.changed() < CHANGED_MAX {
            return;
        }
        let live = Arc::clone(live);
        match thread::Builder::new().name("fold".into()).spawn(move || live.book.fold()) {
            Ok(running) => self.running = Some(running),
            Err(error) => tracing::warn!(%error, "no thread to fold the members' book"),
        }
    }

    /// Waits for one that is running.
    pub(super) fn end(&mut self) {
        let Some(running) = self.running.take() else { return };
        match running.join() {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the members' book could not be folded; it takes more memory");
            }
            Err(_) => tracing::error!("folding the members' book failed"),
        }
    }
}
