//! Latch: what only one process may do at a time, of all that share a store.

use crate::clock::Stopwatch;
use crate::rules::node::NodeId;
use crate::store::{Leasing, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// A process that ends in the middle keeps others waiting for so long.
const LASTS: Duration = Duration::from_secs(10);
/// What is done by who holds the latch takes at most so long, so that it is over long before the latch is.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// How often a latch that another process holds is asked for, and for how long.
const ASK_EVERY: Duration = Duration::from_millis(20);
const ASK_WITHIN: Duration = Duration::from_secs(12);

/// A latch by its name.
#[derive(Debug)]
pub(crate) struct Latch {
    leasing: Arc<dyn Leasing>,
    name: NodeId,
    /// Of the tasks of this process, too, one at a time.
    own: tokio::sync::Mutex<()>,
}

impl Latch {
    pub(crate) fn new(leasing: Arc<dyn Leasing>, name: &str) -> Self {
        let name = name.parse().expect("the names of latches are written in this program");
        Self { leasing, name, own: tokio::sync::Mutex::default() }
    }

    /// Does something that no other process does meanwhile, nor another task of this one.
    ///
    /// # Errors
    /// [`StoreError`]; what became of it is not known then, and nobody else does it until it would be over.
    pub(crate) async fn alone<T>(
        &self,
        done: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let busy =
            || StoreError::Refused("another one is at it; ask again with the same id".into());
        let own = tokio::time::timeout(ASK_WITHIN, self.own.lock()).await;
        let _own = own.map_err(|_| busy())?;
        // A holder of its own: what an earlier call may still have on its way keeps this one out, too.
        let (by, watch) = (fastrand::u64(..), Stopwatch::start());
        while !self.leasing.latch(&self.name, by, LASTS).await? {
            if watch.elapsed() > ASK_WITHIN {
                return Err(busy());
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        // Without an answer it may still be done: the latch stays until that is over for certain.
        let unknown =
            |_| StoreError::Unknown("it takes too long; ask again with the same id".into());
        let done = tokio::time::timeout(DONE_WITHIN, done).await.map_err(unknown)??;
        if let Err(error) = self.leasing.unlatch(&self.name, by).await {
            tracing::debug!(%error, "a latch is let go by itself");
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use futures_util::future::join_all;
    use parking_lot::Mutex;

    fn processes(store: &Arc<MemoryStore>) -> [Latch; 2] {
        std::array::from_fn(|_| Latch::new(Arc::clone(store) as Arc<dyn Leasing>, "rewards"))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_latched_is_done_by_one_task_of_one_process_at_a_time() {
        let store = Arc::new(MemoryStore::default());
        let (processes, at_it) = (&processes(&store), &Mutex::new(0));
        let done = (0..12).map(|n| {
            processes[n % 2].alone(async move {
                *at_it.lock() += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
                assert_eq!(*at_it.lock(), 1, "nobody else is at it");
                *at_it.lock() -= 1;
                Ok(n)
            })
        });
        let done: Vec<_> = join_all(done).await.into_iter().flatten().collect();
        assert_eq!(done, (0..12).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_still_be_done_keeps_everybody_out() {
        let store = Arc::new(MemoryStore::default());
        let processes = processes(&store);
        let broken = Err::<(), _>(StoreError::Unknown("no answer".into()));
        assert!(processes[0].alone(std::future::ready(broken)).await.is_err());
        assert_nobody_gets_in(&processes).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_its_caller_has_left_keeps_everybody_out() {
        let store = Arc::new(MemoryStore::default());
        let processes = processes(&store);
        let late = processes[0].alone(std::future::pending::<Result<(), _>>());
        assert!(tokio::time::timeout(Duration::from_secs(4), late).await.is_err());
        assert_nobody_gets_in(&processes).await;
    }

    async fn assert_nobody_gets_in(processes: &[Latch; 2]) {
        for process in processes {
            let other = process.alone(async { Ok(()) });
            // The clock of the store goes on with the wall, and this one stands still meanwhile.
            assert!(tokio::time::timeout(Duration::from_secs(4), other).await.is_err());
        }
    }
}
