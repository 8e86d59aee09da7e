//! Cluster: each call goes to the primary that serves its slot, by a map that is read anew when it was wrong.

use super::address::Address;
use super::primary::{Failure, Manner, Place, Primary};
use super::slots::{self, Slots};
use crate::store::StoreError;
use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::{Cmd, FromRedisValue, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often one call is sent on. Slots that move on send a call on twice at most.
const SENT_ON: usize = 3;
/// How long a Redis may take to say which primaries there are.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A cluster.
pub(super) struct Cluster {
    manner: Manner,
    /// The addresses that were named, for when no other one is known.
    named: Vec<Address>,
    map: Mutex<Map>,
}

#[derive(Default)]
struct Map {
    slots: Slots,
    primaries: BTreeMap<Address, Arc<Primary>>,
    /// Somebody looks which primaries there are.
    is_looking: bool,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("named", &self.named).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Finds the primaries of the cluster that has these addresses.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] if slots are served by none of them.
    pub(super) async fn find(manner: Manner, named: Vec<Address>) -> Result<Arc<Self>, StoreError> {
        let cluster = Self { manner, named, map: Mutex::default() };
        cluster.look().await;
        let unserved = cluster.map.lock().slots.unserved();
        match unserved {
            None => Ok(Arc::new(cluster)),
            Some(slot) => Err(StoreError::Unusable(format!(
                "no primary of the cluster serves slot {slot}, and maybe others; `redis-cli --cluster check` \
                 says which, `--cluster fix` mends it, and `cluster|shards` must be among the user's rights"
            ))),
        }
    }

    /// The primaries, as far as they are known.
    pub(super) fn primaries(&self) -> Vec<Arc<Primary>> {
        self.map.lock().primaries.values().map(Arc::clone).collect()
    }

    /// Sends one command to the primary that serves its key, and on to where that one says. No call waits for a look
    /// at who serves what: one that fails by that is made again by its caller.
    pub(super) async fn ask<T: FromRedisValue>(
        self: &Arc<Self>,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        let slot = slots::key(command).map_or(0, slots::slot);
        let (mut at, mut primary) = self.serving(slot)?;
        let mut is_asking = false;
        for _ in 0..=SENT_ON {
            match primary.ask(command, is_asking).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::MovedTo { at: told, is_asking: once }) => {
                    if !once {
                        self.look_soon();
                    }
                    let unread = || StoreError::Refused(format!("{at} sends a call on to {told}"));
                    at = Address::told(&told, &at).ok_or_else(unread)?;
                    primary = self.primary(&at);
                    is_asking = once;
                }
                Err(Failure::Store(error)) => {
                    if error.is_transient() {
                        self.look_soon();
                    }
                    return Err(error);
                }
            }
        }
        Err(StoreError::Refused(format!("slot {slot} is on its way")))
    }

    fn serving(self: &Arc<Self>, slot: u16) -> Result<(Address, Arc<Primary>), StoreError> {
        let at = self.map.lock().slots.serving(slot).cloned();
        if let Some(at) = at {
            let primary = self.primary(&at);
            return Ok((at, primary));
        }
        self.look_soon();
        Err(StoreError::Refused(format!("no primary of the cluster serves slot {slot}")))
    }

    fn primary(&self, at: &Address) -> Arc<Primary> {
        let mut map = self.map.lock();
        let new = || Arc::new(Primary::new(Place::At(at.clone()), self.manner.clone()));
        Arc::clone(map.primaries.entry(at.clone()).or_insert_with(new))
    }

    /// Has the map read anew, if that is not being done.
    fn look_soon(self: &Arc<Self>) {
        if std::mem::replace(&mut self.map.lock().is_looking, true) {
            return;
        }
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            cluster.look().await;
            tokio::time::sleep(PAUSE).await;
            cluster.map.lock().is_looking = false;
        });
    }

    /// Reads which primaries there are.
    async fn look(&self) {
        let mut known: Vec<Address> = self.map.lock().primaries.keys().cloned().collect();
        known.extend(self.named.iter().cloned());
        known.sort_unstable();
        known.dedup();
        let answers = join_all(known.iter().map(|at| self.slots_by(at))).await;
        let Some(slots) = Slots::agreed(answers.into_iter().flatten()) else { return };
        let mut map = self.map.lock();
        let serving = slots.primaries();
        map.primaries.retain(|at, _| serving.contains(&at));
        for at in serving {
            if !map.primaries.contains_key(at) {
                let primary = Primary::new(Place::At(at.clone()), self.manner.clone());
                map.primaries.insert(at.clone(), Arc::new(primary));
            }
        }
        map.slots = slots;
    }

    async fn slots_by(&self, at: &Address) -> Option<Slots> {
        let primary = Primary::new(Place::At(at.clone()), self.manner.clone());
        let asked = tokio::time::timeout(LOOK.min(self.manner.deadline()), async {
            let mut connection = primary.unchecked().await.ok()?;
            redis::cmd("CLUSTER").arg("SHARDS").query_async::<Value>(&mut connection).await.ok()
        });
        Slots::read(&asked.await.ok()??, at, self.manner.way().is_secret())
    }
}
