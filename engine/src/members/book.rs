//! Book: takes events of members and posts what comes of them, each source once, whatever breaks off in
//! between: what was asked for may be asked for again.

use super::ask::{Ask, NotTaken};
use super::audit::{BookAudit, of_bucket};
use super::decide::{Deciding, Rules};
use super::plans::Plans;
use super::tiers::Tiers;
use super::totals::Totals;
use crate::clock::Clock;
use crate::roster::Roster;
use crate::rules::time::Millis;
use crate::store::{
    BookStore, Bucket, Found, FoundMember, Made, PostingKey, StoreError, Wanted, Who,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use membership::MemberId;
use membership::account::Membership;
use membership::event::{Event, MemberNumber, Outcome, Refused};
use membership::posting::Posting;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Buckets in which events are taken at once.
const AT_ONCE: usize = 512;
/// How often a change is decided anew when another process was faster.
const TRIES: usize = 16;

/// The members' book.
#[derive(Debug)]
pub struct Book {
    pub(super) store: Arc<dyn BookStore>,
    pub(super) clock: Clock,
    /// The versions of the plan.
    pub plans: Plans,
    pub(super) totals: Totals,
    pub(super) tiers: Tiers,
    /// What is decided in one bucket is posted before anything else is decided in it.
    pub(super) buckets: Box<[tokio::sync::Mutex<()>]>,
    /// Calls that read all of it come one at a time.
    reading: tokio::sync::Mutex<()>,
}

/// What became of one event.
type Taken = Result<Outcome, Refused>;

/// What was decided, before it is posted.
type Decided<T> = (T, Vec<(MemberNumber, Event, Millis)>);

impl Book {
    /// The book of this store, for the members whose seats this roster gives out.
    ///
    /// # Errors
    /// [`StoreError`] when the plan cannot be read.
    pub async fn open(
        store: Arc<dyn BookStore>,
        clock: Clock,
        roster: Arc<Roster>,
    ) -> Result<Self, StoreError> {
        let plans = Plans::read(Arc::clone(&store), clock.clone()).await?;
        let totals = Totals::new(Arc::clone(&store), clock.clone());
        let buckets = Bucket::all().map(|_| tokio::sync::Mutex::default()).collect();
        let (tiers, reading) = (Tiers::new(roster), tokio::sync::Mutex::default());
        Ok(Self { store, clock, plans, totals, tiers, buckets, reading })
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`StoreError`]; ask again. Inside, [`NotTaken`].
    pub async fn take(&self, ask: Ask) -> Result<Result<Outcome, NotTaken>, StoreError> {
        let mut taken = self.take_all(vec![ask]).await?;
        Ok(taken.pop().expect("one answer for one ask"))
    }

    /// Takes events, each as if it had come alone; those of one member in their order. Returns one answer
    /// each, in the order of the asks.
    ///
    /// # Errors
    /// [`StoreError`]; some may be taken. Ask for all of them again.
    pub async fn take_all(
        &self,
        asks: Vec<Ask>,
    ) -> Result<Vec<Result<Outcome, NotTaken>>, StoreError> {
        let mut answers: Vec<_> = asks.iter().map(|_| Err(NotTaken::NotEnrolled)).collect();
        let mut by_bucket = BTreeMap::<Bucket, (Vec<usize>, Vec<Ask>)>::new();
        for (place, ask) in asks.into_iter().enumerate() {
            let Some(bucket) = ask.who.bucket() else { continue };
            let (places, asks) = by_bucket.entry(bucket).or_default();
            places.push(place);
            asks.push(ask);
        }
        let taking = by_bucket.into_iter().map(|(bucket, (places, asks))| async move {
            Ok::<_, StoreError>((places, self.take_in(bucket, asks).await?))
        });
        let mut taking = stream::iter(taking).buffer_unordered(AT_ONCE);
        while let Some((places, taken)) = taking.try_next().await? {
            for (place, answer) in places.into_iter().zip(taken) {
                answers[place] = match answer {
                    None => Err(NotTaken::NotEnrolled),
                    Some(outcome) => outcome.map_err(NotTaken::Refused),
                };
            }
        }
        Ok(answers)
    }

    /// Takes events of one bucket.
    fn take_in(
        &self,
        bucket: Bucket,
        asks: Vec<Ask>,
    ) -> BoxFuture<'_, Result<Vec<Option<Taken>>, StoreError>> {
        Box::pin(async move {
            let wanted: Vec<_> = asks
                .iter()
                .map(|ask| Wanted {
                    who: ask.who.clone(),
                    keys: ask.event.keys().iter().map(PostingKey::from).collect(),
                })
                .collect();
            let taken =
                self.decide_in(bucket, &wanted, |deciding, found| deciding.all(found, &asks));
            taken.await
        })
    }

    /// Decides something in one bucket and posts it. What it does to other members comes first, so that a
    /// crash in between repeats it; then it is decided anew.
    pub(super) async fn decide_in<T>(
        &self,
        bucket: Bucket,
        wanted: &[Wanted],
        decide: impl Fn(&mut Deciding<'_>, Found) -> T,
    ) -> Result<T, StoreError> {
        let mut done = Vec::new();
        let current = self.plans.current();
        let stopped = self.totals.stopped(&current.plan).await?;
        let (plan, version, now) = (&current.plan, current.version, self.clock.now());
        let rules = Rules { plan, version, stopped: &stopped, now };
        for _ in 0..TRIES {
            let lock = self.buckets[usize::from(bucket.place())].lock().await;
            let found = self.store.read_members(bucket, wanted).await?;
            self.totals.note(bucket, &found.head);
            let mut deciding = Deciding::new(bucket, rules, &found.head);
            let decided = decide(&mut deciding, found);
            let (decided, others): Decided<T> = (decided, std::mem::take(&mut deciding.others));
            let to_come: Vec<_> =
                others.into_iter().filter(|other| !done.contains(other)).collect();
            if !to_come.is_empty() {
                drop(lock);
                self.tell_others(&to_come).await?;
                done.extend(to_come);
                continue;
            }
            let settled = std::mem::take(&mut deciding.settled);
            let Some(change) = deciding.change() else {
                self.tiers.settle(&settled);
                return Ok(decided);
            };
            // Whatever is not known to be posted may be: the totals are read again before they count.
            let made = self.store.post(&change).await.inspect_err(|_| {
                self.totals.forget();
                self.tiers.forget(&change);
            })?;
            if made == Made::Posted {
                self.totals.note(change.bucket, &change.head);
                self.tiers.follow(&change, &settled, &current.plan, self.clock.now());
                return Ok(decided);
            }
            // Another process has posted in this bucket: what it comes to is read now.
            drop(lock);
            tokio::task::yield_now().await;
        }
        Err(StoreError::Refused("another process posts in this bucket all the time".into()))
    }

    pub(super) async fn tell_others(
        &self,
        others: &[(MemberNumber, Event, Millis)],
    ) -> Result<(), StoreError> {
        for (member, event, at) in others {
            let who = Who::Numbered(*member);
            let Some(bucket) = who.bucket() else { continue };
            // A member who is not there any more is told nothing.
            self.take_in(bucket, vec![Ask { who, event: event.clone(), at: *at }]).await?;
        }
        Ok(())
    }

    /// A member's number and account; `None` for one who is not enrolled.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn account(
        &self,
        who: Who,
    ) -> Result<Option<(MemberNumber, Membership)>, StoreError> {
        let Some(bucket) = who.bucket() else { return Ok(None) };
        let wanted = [Wanted { who, keys: Vec::new() }];
        let found = self.store.read_members(bucket, &wanted).await?;
        let member = found.members.into_iter().next().flatten();
        Ok(member.map(|FoundMember { index, account, .. }| (bucket.number(index), account)))
    }

    /// Keeps others from reading all of the book.
    pub(super) fn reading_all(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, StoreError> {
        let busy = |_| StoreError::Refused("all of the book is being read for another call".into());
        self.reading.try_lock().map_err(busy)
    }

    /// Adds the whole book up again, while it goes on.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn audit(&self) -> Result<BookAudit, StoreError> {
        let _one_at_a_time = self.reading_all()?;
        let mut audit = BookAudit::default();
        for bucket in Bucket::all() {
            let lock = &self.buckets[usize::from(bucket.place())];
            audit.add(of_bucket(&*self.store, bucket, Some(lock)).await?);
        }
        Ok(audit)
    }

    /// At most `most` of a member's postings with numbers below `before`, newest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn postings(
        &self,
        member: MemberNumber,
        before: u64,
        most: usize,
    ) -> Result<Vec<Posting>, StoreError> {
        self.store.postings(member, before, most).await
    }

    /// Of each bucket with notices: the newest one that is not kept any more, and the newest of all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn notice_ends(&self) -> Result<Vec<(Bucket, u64, u64)>, StoreError> {
        self.totals.notices().await
    }

    /// How many notices this process knows of.
    #[must_use]
    pub fn notices_known(&self) -> u64 {
        self.totals.notices_known()
    }

    /// Takes a member's name out of the book: their account goes on under a pseudonym, without what only they
    /// may know. It changes nothing for one who is not enrolled. One who came back while being erased has a
    /// second account, which takes the `other` pseudonym: the orders of the first one are told by its own.
    ///
    /// # Errors
    /// [`StoreError`]; ask again.
    pub async fn erase(
        &self,
        member: &MemberId,
        pseudonym: &MemberId,
        other: &MemberId,
    ) -> Result<(), StoreError> {
        let bucket = Bucket::of(member.as_str());
        let wanted = |name: &MemberId| Wanted { who: Who::Named(name.clone()), keys: Vec::new() };
        let erase = |deciding: &mut Deciding<'_>, found: Found| {
            let [found, first] = found.members.try_into().unwrap_or_default();
            if let Some(FoundMember { index, account, .. }) = found {
                let to = if first.is_some() { other } else { pseudonym };
                deciding.rename(bucket.number(index), account, member, to);
            }
        };
        self.decide_in(bucket, &[wanted(member), wanted(pseudonym)], erase).await
    }
}
