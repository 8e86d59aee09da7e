//! Asks: changes that a caller wants made, on their way to the confirmer, and the answers back.

use crate::store::{Change, Changed, StoreError};
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// Where an answer goes; `None` where no caller waits for it.
pub(crate) type Answer = Option<oneshot::Sender<Result<Changed, StoreError>>>;

/// Changes that wait for the confirmer, first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    waiting: Mutex<VecDeque<(Change, Answer)>>,
}

impl Asks {
    /// The most asks of clients that may wait; further ones are refused. The engine's own asks come
    /// on top: each of them concerns a stored order or a member who waits.
    const MAX: usize = 65_536;

    /// Asks for a change; the answer comes when the store has it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when too many wait.
    pub(crate) fn ask(
        &self,
        change: Change,
    ) -> Result<oneshot::Receiver<Result<Changed, StoreError>>, StoreError> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= Self::MAX {
            return Err(StoreError::Refused("too many changes wait for the store".into()));
        }
        waiting.push_back((change, Some(tell)));
        Ok(told)
    }

    /// Asks for a change whose outcome only the confirmer looks at.
    pub(crate) fn push(&self, change: Change) {
        self.waiting.lock().push_back((change, None));
    }

    /// Takes at most `most` asks, those that have waited longest.
    pub(crate) fn take(&self, most: usize) -> Vec<(Change, Answer)> {
        let mut waiting = self.waiting.lock();
        let most = most.min(waiting.len());
        waiting.drain(..most).collect()
    }
}
