//! Plans: the versions of the membership plan. The newest one holds.

use crate::clock::Clock;
use crate::rules::time::Millis;
use crate::store::{BookStore, PlanVersion, StoreError};
use arc_swap::ArcSwap;
use membership::plan::{Plan, Wrong};
use std::sync::Arc;

/// The plan that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentPlan {
    /// Its number, from 1; 0 for the one inside, which holds until there is another.
    pub version: u32,
    /// Since when it holds.
    pub at: Millis,
    /// What it says.
    pub plan: Plan,
}

/// Why a plan does not hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotPlan {
    /// These fields cannot be as they are.
    #[error("the plan has faults")]
    Wrong(Vec<Wrong>),
    /// The store cannot be asked.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// The versions of the plan.
#[derive(Debug)]
pub struct Plans {
    store: Arc<dyn BookStore>,
    clock: Clock,
    current: ArcSwap<CurrentPlan>,
    /// Plans come one at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Plans {
    pub(super) async fn read(store: Arc<dyn BookStore>, clock: Clock) -> Result<Self, StoreError> {
        let current = ArcSwap::from_pointee(newest(&*store).await?);
        Ok(Self { store, clock, current, changing: tokio::sync::Mutex::default() })
    }

    /// Follows a plan that another process has let hold.
    ///
    /// # Errors
    /// [`StoreError`] when the plan cannot be read.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.changing.lock().await;
        let newest = newest(&*self.store).await?;
        if newest.version > self.current().version {
            self.current.store(Arc::new(newest));
        }
        Ok(())
    }

    /// The plan that holds.
    #[must_use]
    pub fn current(&self) -> Arc<CurrentPlan> {
        self.current.load_full()
    }

    /// Lets another plan hold from now on. One that is the same as before gets no new version.
    ///
    /// # Errors
    /// [`NotPlan`]; the one before holds.
    pub async fn change(&self, plan: Plan) -> Result<Arc<CurrentPlan>, NotPlan> {
        let faults = plan.check();
        if !faults.is_empty() {
            return Err(NotPlan::Wrong(faults));
        }
        let _one_at_a_time = self.changing.lock().await;
        let before = self.current();
        if before.plan == plan && before.version > 0 {
            return Ok(before);
        }
        let (version, at) = (before.version + 1, self.clock.now());
        let json = serde_json::to_string(&plan).expect("a plan is plain data");
        self.store.add_plan(&PlanVersion { version, at, json }).await?;
        let current = Arc::new(CurrentPlan { version, at, plan });
        self.current.store(Arc::clone(&current));
        Ok(current)
    }
}

/// The newest version of the plan, or the one inside.
async fn newest(store: &dyn BookStore) -> Result<CurrentPlan, StoreError> {
    let Some(PlanVersion { version, at, json }) = store.plans().await?.pop() else {
        return Ok(CurrentPlan { version: 0, at: Millis(0), plan: Plan::default() });
    };
    let unreadable = |error| format!("version {version} of the plan cannot be read: {error}");
    let plan =
        serde_json::from_str(&json).map_err(|error| StoreError::Damaged(unreadable(error)))?;
    Ok(CurrentPlan { version, at, plan })
}
