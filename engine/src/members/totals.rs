//! Totals: what all buckets together have given and handed out, as far as rules ask for it. They are read
//! when they are first needed and followed from then on; now and then they are read again, because another
//! process may post, too.

use crate::clock::{Clock, Stopwatch};
use crate::rules::time::Millis;
use crate::store::{BookStore, Bucket, BucketHead, StoreError};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use membership::plan::Plan;
use membership::posting::Kind;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Buckets that are read at once.
const AT_ONCE: usize = 64;
/// What is known is read again when it is so old.
const READ_EVERY: Duration = Duration::from_secs(30);
/// A rule that gives so many times its usual is braked.
const BRAKED_AT: u64 = 10;
/// A rule that gives less than this in a day is never braked: a small platform's days differ.
const NEVER_BRAKED_BELOW: u64 = 10_000;
const DAY: Duration = Duration::from_secs(86_400);
/// The usual of a rule is the mean of so many days before today.
const USUAL_DAYS: u64 = 7;

/// By rule and by reward.
#[derive(Debug)]
pub(super) struct Totals {
    store: Arc<dyn BookStore>,
    clock: Clock,
    known: Mutex<Known>,
    /// Rewards are handed out one at a time, so that the last one is had once.
    pub(super) rewards: tokio::sync::Mutex<()>,
    loading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// `None` until they are read.
    sums: Option<Sums>,
    /// What is posted while they are read.
    meanwhile: Option<Vec<(Bucket, BucketHead)>>,
    /// How often they were forgotten.
    forgotten: u64,
    /// Rules that were braked, and on which day that was told last.
    alarmed: BTreeMap<Kind, Millis>,
}

#[derive(Debug)]
struct Sums {
    read: Stopwatch,
    /// What of each bucket is in them.
    heads: BTreeMap<Bucket, BucketHead>,
    given: BTreeMap<(Millis, Kind), u64>,
    rewards: BTreeMap<String, u64>,
    members: u64,
    notices: u64,
}

/// As much of a head as the sums are made of.
fn slim(head: &BucketHead) -> BucketHead {
    BucketHead {
        version: head.version,
        given: head.given.clone(),
        rewards: head.rewards.clone(),
        members: head.members,
        seq: head.seq,
        trimmed: head.trimmed,
        ..BucketHead::default()
    }
}

impl Sums {
    fn of(heads: Vec<(Bucket, BucketHead)>) -> Self {
        let (given, rewards) = (BTreeMap::new(), BTreeMap::new());
        let (read, members, notices) = (Stopwatch::start(), 0, 0);
        let mut sums = Self { read, heads: BTreeMap::new(), given, rewards, members, notices };
        heads.into_iter().for_each(|(bucket, head)| sums.add(bucket, head));
        sums
    }

    fn add(&mut self, bucket: Bucket, head: BucketHead) {
        let before = self.heads.get(&bucket).cloned().unwrap_or_default();
        // What was read may be older than what was posted meanwhile.
        if before.version > head.version {
            return;
        }
        self.members += u64::from(head.members.saturating_sub(before.members));
        self.notices += head.seq.saturating_sub(before.seq);
        for (of, points) in &head.given {
            let known = before.given.get(of).copied().unwrap_or(0);
            *self.given.entry(*of).or_default() += points.saturating_sub(known);
        }
        for (reward, taken) in &head.rewards {
            let known = before.rewards.get(reward).copied().unwrap_or(0);
            *self.rewards.entry(reward.clone()).or_default() += taken.saturating_sub(known);
        }
        self.heads.insert(bucket, head);
    }

    /// Whether a rule has given enough today.
    fn has_given_enough(&self, kind: Kind, plan: &Plan, today: Millis) -> bool {
        let given = self.given.get(&(today, kind)).copied().unwrap_or(0);
        if plan.budgets.get(&kind).is_some_and(|budget| given >= *budget) {
            return true;
        }
        let days = self
            .given
            .iter()
            .filter(|((day, of), _)| *of == kind && *day < today && *day + DAY * 8 > today);
        let usual = days.map(|(_, points)| *points).sum::<u64>() / USUAL_DAYS;
        usual > 0 && given >= NEVER_BRAKED_BELOW && given >= usual.saturating_mul(BRAKED_AT)
    }
}

impl Totals {
    pub(super) fn new(store: Arc<dyn BookStore>, clock: Clock) -> Self {
        let (rewards, loading) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
        Self { store, clock, known: Mutex::default(), rewards, loading }
    }

    /// The rules that have given as much today as they may.
    pub(super) async fn stopped(&self, plan: &Plan) -> Result<Vec<Kind>, StoreError> {
        let today = Millis::start_of(self.clock.now().day());
        let enough = |sums: &Sums| {
            let kinds = Kind::ALL.into_iter();
            kinds.filter(|kind| sums.has_given_enough(*kind, plan, today)).collect::<Vec<_>>()
        };
        let stopped = self.sum(enough).await?;
        for kind in &stopped {
            if self.known.lock().alarmed.insert(*kind, today) != Some(today) {
                tracing::error!(
                    rule = kind.as_str(),
                    "this rule has given enough points today and gives no more"
                );
            }
        }
        Ok(stopped)
    }

    /// What `read` finds in the sums.
    async fn sum<T>(&self, read: impl Fn(&Sums) -> T) -> Result<T, StoreError> {
        loop {
            self.load().await?;
            // They may be forgotten again by now.
            if let Some(sums) = &self.known.lock().sums {
                return Ok(read(sums));
            }
        }
    }

    /// How many members the book has.
    pub(super) async fn members(&self) -> Result<u64, StoreError> {
        self.sum(|sums| sums.members).await
    }

    /// How many of a reward members have taken.
    pub(super) async fn rewards_taken(&self, reward: &str) -> Result<u64, StoreError> {
        self.sum(|sums| sums.rewards.get(reward).copied().unwrap_or(0)).await
    }

    /// Of each bucket with notices: the newest one that is not kept any more, and the newest of all.
    pub(super) async fn notices(&self) -> Result<Vec<(Bucket, u64, u64)>, StoreError> {
        let ends = |sums: &Sums| {
            let told = sums.heads.iter().filter(|(_, head)| head.seq > 0);
            told.map(|(bucket, head)| (*bucket, head.trimmed, head.seq)).collect()
        };
        self.sum(ends).await
    }

    /// How many notices this process knows of.
    pub(super) fn notices_known(&self) -> u64 {
        self.known.lock().sums.as_ref().map_or(0, |sums| sums.notices)
    }

    /// Follows what a bucket comes to: after a change, or as another process has left it.
    pub(super) fn note(&self, bucket: Bucket, head: &BucketHead) {
        let mut known = self.known.lock();
        let is_known = |sums: &Sums| {
            sums.heads.get(&bucket).is_some_and(|known| known.version >= head.version)
        };
        let is_here = known.sums.as_ref().is_some_and(is_known);
        if (is_here || known.sums.is_none()) && known.meanwhile.is_none() {
            return;
        }
        let head = slim(head);
        if let Some(meanwhile) = &mut known.meanwhile {
            meanwhile.push((bucket, head.clone()));
        }
        if let Some(sums) = &mut known.sums {
            sums.add(bucket, head);
        }
    }

    /// Follows what other processes have posted by now.
    pub(super) async fn count_anew(&self) -> Result<(), StoreError> {
        self.load().await?;
        for (bucket, head) in self.heads().await? {
            self.note(bucket, &head);
        }
        Ok(())
    }

    async fn heads(&self) -> Result<Vec<(Bucket, BucketHead)>, StoreError> {
        let heads = stream::iter(Bucket::all()).map(|bucket| async move {
            let head = self.store.read_members(bucket, &[]).await?.head;
            Ok::<_, StoreError>((bucket, slim(&head)))
        });
        heads.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// What is known may be less than what is stored.
    pub(super) fn forget(&self) {
        let mut known = self.known.lock();
        (known.sums, known.forgotten) = (None, known.forgotten + 1);
    }

    async fn load(&self) -> Result<(), StoreError> {
        let known = |of: &Known| of.sums.as_ref().map(|sums| sums.read.elapsed() < READ_EVERY);
        let is_new = |known: Option<bool>| known == Some(true);
        let before = known(&self.known.lock());
        if is_new(before) {
            return Ok(());
        }
        let _one_at_a_time = match before {
            // What is known is good until somebody else has read it again.
            Some(_) => match self.loading.try_lock() {
                Ok(lock) => lock,
                Err(_) => return Ok(()),
            },
            None => self.loading.lock().await,
        };
        if is_new(known(&self.known.lock())) {
            return Ok(());
        }
        let forgotten = {
            let mut known = self.known.lock();
            known.meanwhile = Some(Vec::new());
            known.forgotten
        };
        let heads = self.heads().await;
        let mut known = self.known.lock();
        let meanwhile = known.meanwhile.take().unwrap_or_default();
        let heads = match heads {
            // What this process knows is good until the store can be asked again.
            Err(_) if known.sums.is_some() => return Ok(()),
            heads => heads?,
        };
        if known.forgotten != forgotten {
            // What was read may be of before what made them to be forgotten: they are read once more.
            return Ok(());
        }
        let mut sums = Sums::of(heads);
        meanwhile.into_iter().for_each(|(bucket, head)| sums.add(bucket, head));
        known.sums = Some(sums);
        Ok(())
    }
}
