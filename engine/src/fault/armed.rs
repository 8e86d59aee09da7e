//! What `--cfg flash_faults` adds: `FLASHLANE_CRASH_AT=point[:n]` ends the process when it passes the
//! point for the n-th time; `FLASHLANE_BUG=name` plants a bug.

use crate::rules::order::Status;
use crate::rules::terms::{SaleId, Terms};
use crate::rules::units::Units;
use crate::store::{
    Audit, Batch, Change, Changed, Changes, Head, Opened, OutboxEntry, Record, Store, StoreError,
    Switch, Verdict, Waiting,
};
use crate::sync::{AtomicU64, Ordering};
use async_trait::async_trait;
use membership::MemberId;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::{Arc, LazyLock};

static BUG: LazyLock<String> = LazyLock::new(|| std::env::var("FLASHLANE_BUG").unwrap_or_default());

static CRASH_AT: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
    let at = std::env::var("FLASHLANE_CRASH_AT").ok()?;
    let (point, nth) = at.split_once(':').unwrap_or((&at, "1"));
    Some((point.to_owned(), nth.parse().expect("FLASHLANE_CRASH_AT=point:number")))
});

static PASSED: AtomicU64 = AtomicU64::new(0);

/// Ends the process here if a test wants it to: as `kill -9` does, nothing is cleaned up.
pub fn crash_point(name: &str) {
    let Some((point, nth)) = &*CRASH_AT else { return };
    // Ordering: Relaxed, a count publishes nothing but itself.
    if point == name && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *nth {
        kill_process(getpid(), Signal::KILL).expect("a process may end itself");
    }
}

/// Bugs in the function library: name, what is there, what the bug makes of it.
const MUTATIONS: [(&str, &str, &str); 12] = [
    (
        "no-fence",
        "if sale.epoch > epoch then return reply('FENCED', sale) end
  return nil",
        "return nil",
    ),
    ("no-deduplication", "if known_epoch == args[1] then", "if false then"),
    ("no-limit", "holder.units + order.units <= holder.limit and", ""),
    ("no-stock", "and order.units <= sale.left", ""),
    ("no-outbox", "for _, entry in ipairs(change.entries)", "for _, entry in ipairs({})"),
    ("no-sequence", "or sale.seq < tonumber(args[2]) or sale.turns < tonumber(args[3])", ""),
    ("no-holdings", "redis.call('HSET', keys[3], unpack(holders))", ""),
    ("put-back-from-nothing", "if takes and order.units > sale.left then", "if false then"),
    (
        "refund-nothing",
        "pay = {confirmed = 'paid', cancelled = 'refund_due', expired = 'refund_due'},",
        "pay = {confirmed = 'paid', cancelled = 'paid', expired = 'paid'},",
    ),
    (
        "cancel-keeps-limit",
        "    holder.units = holder.units - record.units
    sale.left",
        "    sale.left",
    ),
    (
        "no-step-entry",
        "  for _, step in ipairs(steps) do tell",
        "  for _, step in ipairs({}) do tell",
    ),
    ("top-up-twice", "local done = redis.call('HGET', keys[5], args[4])", "local done = false"),
];

pub(crate) fn mutated(text: &str) -> String {
    let Some((name, from, to)) = MUTATIONS.iter().find(|(name, ..)| *name == *BUG) else {
        return text.to_owned();
    };
    assert_eq!(text.matches(from).count(), 1, "{name} has one place to stand in");
    text.replace(from, to)
}

/// The store, or one with the bug that is planted: what the confirmer and the engine would make of
/// an answer if they had it, the store says in their place.
#[must_use]
pub fn planted(store: Arc<dyn Store>) -> Arc<dyn Store> {
    if BUG.is_empty() { store } else { Arc::new(Planted(store)) }
}

#[derive(Debug)]
struct Planted(Arc<dyn Store>);

fn all(batch: &Batch, status: Status) -> Vec<Verdict> {
    vec![Verdict::Stored(status, batch.at); batch.orders.len()]
}

impl Planted {
    /// What is stored, with or without the steps that were to be taken.
    async fn as_if_made(
        &self,
        changes: &Changes,
        with_steps: bool,
    ) -> Result<Vec<Changed>, StoreError> {
        let mut made = Vec::new();
        for change in changes.changes.iter() {
            made.push(match change {
                Change::Order { step, number, .. } => {
                    let Some(mut record) = self.0.order(&changes.sale, *number).await? else {
                        made.push(Changed::NoOrder);
                        continue;
                    };
                    if with_steps {
                        record.status = record.status.after(*step).unwrap_or(record.status);
                    }
                    Changed::Order(record)
                }
                Change::Join(wish) => Changed::Waits(wish.clone()),
                Change::Leave(_) => Changed::DoesNotWait,
            });
        }
        Ok(made)
    }
}

#[async_trait]
impl Store for Planted {
    fn batch_orders_max(&self) -> usize {
        self.0.batch_orders_max()
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        let confirmed = || Ok(all(batch, Status::Confirmed));
        let released = || Ok(all(batch, Status::Released));
        match (BUG.as_str(), self.0.commit(batch).await) {
            ("release-on-time-out", Err(StoreError::Unknown(_)))
            | ("release-on-refusal", Err(StoreError::Refused(_))) => released(),
            // Acknowledged before the commit: the members are told so whatever became of it.
            ("confirm-on-time-out", Err(StoreError::Unknown(_)))
            | ("confirm-on-refusal", Err(StoreError::Refused(_)))
            | ("ack-before-commit", _)
            | ("sell-on-when-fenced", Ok(_)) => confirmed(),
            (_, answer) => answer,
        }
    }

    async fn open(&self, sale: &SaleId) -> Result<Opened, StoreError> {
        let mut opened = self.0.open(sale).await?;
        match BUG.as_str() {
            "forget-holdings" => opened.held.clear(),
            "forget-keys" => opened.keyed.clear(),
            "forget-sold" => opened.left = opened.stock,
            "numbers-from-one" => opened.next_number = 1,
            _ => {}
        }
        Ok(opened)
    }

    async fn change(&self, changes: &Changes) -> Result<Vec<Changed>, StoreError> {
        match (BUG.as_str(), self.0.change(changes).await) {
            // Told to be paid or cancelled, and never written down.
            ("change-on-time-out", Err(StoreError::Unknown(_) | StoreError::Refused(_))) => {
                self.as_if_made(changes, true).await
            }
            // Nothing changed, so that what these do to commits is not held up behind this.
            (
                "ack-before-commit" | "confirm-on-refusal" | "release-on-refusal",
                Err(StoreError::Refused(_)),
            ) => self.as_if_made(changes, false).await,
            ("sell-on-when-fenced", Err(StoreError::Fenced)) => {
                Err(StoreError::Refused("not noticed".into()))
            }
            (_, answer) => answer,
        }
    }

    async fn waiting(&self, sale: &SaleId) -> Result<Vec<Waiting>, StoreError> {
        self.0.waiting(sale).await
    }

    async fn blocked(&self) -> Result<Vec<MemberId>, StoreError> {
        self.0.blocked().await
    }

    async fn set_blocked(&self, member: &MemberId, is_blocked: bool) -> Result<(), StoreError> {
        self.0.set_blocked(member, is_blocked).await
    }

    async fn create(&self, terms: &Terms) -> Result<(), StoreError> {
        self.0.create(terms).await
    }

    async fn sales(&self) -> Result<Vec<SaleId>, StoreError> {
        self.0.sales().await
    }

    async fn hold(&self, sale: &SaleId, epoch: u64) -> Result<(), StoreError> {
        match (BUG.as_str(), self.0.hold(sale, epoch).await) {
            ("never-look", _) => Ok(()),
            (_, held) => held,
        }
    }

    async fn restore(
        &self,
        sale: &SaleId,
        epoch: u64,
        orders: &[Record],
    ) -> Result<Head, StoreError> {
        self.0.restore(sale, epoch, orders).await
    }

    async fn switch(&self, sale: &SaleId, epoch: u64, switch: Switch) -> Result<(), StoreError> {
        self.0.switch(sale, epoch, switch).await
    }

    async fn top_up(
        &self,
        sale: &SaleId,
        epoch: u64,
        key: &str,
        add: Units,
    ) -> Result<Units, StoreError> {
        self.0.top_up(sale, epoch, key, add).await
    }

    async fn order(&self, sale: &SaleId, number: u64) -> Result<Option<Record>, StoreError> {
        self.0.order(sale, number).await
    }

    async fn orders_of(&self, sale: &SaleId, member: &MemberId) -> Result<Vec<Record>, StoreError> {
        self.0.orders_of(sale, member).await
    }

    async fn orders_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.0.orders_after(sale, after, most).await
    }

    async fn outbox_after(
        &self,
        sale: &SaleId,
        after: u64,
        most: usize,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        self.0.outbox_after(sale, after, most).await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        self.0.audit().await
    }
}
