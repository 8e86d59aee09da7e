//! Decide: what the events of one bucket come to. Nothing is read or written here.

use super::ask::Ask;
use crate::rules::seat::Seat;
use crate::rules::time::Millis;
use crate::store::{
    Bucket, BucketChange, BucketHead, Folded, Found, FoundMember, NameChange, NoticeEntry,
    PostingKey, index_of,
};
use membership::MemberId;
use membership::account::{Membership, Opening};
use membership::event::{BenefitStep, Context, Event, MemberNumber, Outcome, Refused, Tender};
use membership::plan::Plan;
use membership::posting::{Account, Key, Kind, Posted, Posting};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// What each rule gave is kept for so long: the usual of a rule is that of the last week.
const GIVEN_KEPT: Duration = Duration::from_secs(9 * 86_400);

/// By what is decided, beside the accounts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) plan: &'a Plan,
    pub(super) version: u32,
    pub(super) stopped: &'a [Kind],
    /// When it is decided, whenever it happened.
    pub(super) now: Millis,
}

/// A bucket while events are taken in it.
pub(super) struct Deciding<'a> {
    rules: Rules<'a>,
    bucket: Bucket,
    head: BucketHead,
    accounts: BTreeMap<u32, Membership>,
    posted: HashMap<(u32, PostingKey), Posted>,
    changed: BTreeMap<u32, Membership>,
    change: BucketChange,
    /// What it does to other members.
    pub(super) others: Vec<(MemberNumber, Event, Millis)>,
    /// What orders had taken of purses and is kept in the book now.
    pub(super) settled: Vec<(Seat, Tender)>,
    /// What was trimmed before.
    trimmed: u64,
}

impl<'a> Deciding<'a> {
    /// Begins with what was found for these asks.
    pub(super) fn new(bucket: Bucket, rules: Rules<'a>, head: &BucketHead) -> Self {
        let change = BucketChange::of(bucket, BucketHead::default());
        let (accounts, posted, changed) = (BTreeMap::new(), HashMap::new(), BTreeMap::new());
        let (others, settled, trimmed) = (Vec::new(), Vec::new(), head.trimmed);
        let head = head.clone();
        Self { rules, bucket, head, accounts, posted, changed, change, others, settled, trimmed }
    }

    /// Takes all asks in their order; `None` for a member who is not enrolled.
    pub(super) fn all(
        &mut self,
        found: Found,
        asks: &[Ask],
    ) -> Vec<Option<Result<Outcome, Refused>>> {
        let indexes: Vec<_> =
            found.members.iter().map(|found| Some(found.as_ref()?.index)).collect();
        for (member, ask) in found.members.into_iter().zip(asks) {
            let Some(FoundMember { index, account, posted }) = member else { continue };
            self.accounts.entry(index).or_insert(account);
            for (key, posted) in ask.event.keys().iter().zip(posted) {
                if let Some(posted) = posted {
                    self.posted.insert((index, PostingKey::from(key)), posted);
                }
            }
        }
        let take = |(index, ask): (Option<u32>, &Ask)| Some(self.take(index?, &ask.event, ask.at));
        indexes.into_iter().zip(asks).map(take).collect()
    }

    /// Enrols a member with the next index.
    pub(super) fn enrol(
        &mut self,
        member: &MemberId,
        referrer: Option<MemberNumber>,
        at: Millis,
    ) -> MemberNumber {
        let index = self.head.members;
        self.head.members += 1;
        self.change.names.push(NameChange { member: member.clone(), index, is_had: true });
        self.accounts.insert(index, Membership::new(at));
        let own = self.bucket.number(index);
        self.take(index, &Event::Enrolled { own, referrer }, at)
            .expect("enrolling is never refused");
        self.changed.insert(index, self.accounts[&index].clone());
        own
    }

    /// Gives a member another name, and takes away what only they may know.
    pub(super) fn rename(
        &mut self,
        number: MemberNumber,
        account: Membership,
        from: &MemberId,
        to: &MemberId,
    ) {
        let index = index_of(number);
        let name = |member: &MemberId, is_had| NameChange { member: member.clone(), index, is_had };
        self.change.names.extend([name(from, false), name(to, true)]);
        self.changed.insert(index, account.erased());
    }

    /// Adds a member's oldest postings to their opening balance.
    pub(super) fn fold(&mut self, found: FoundMember, oldest: &[Posting], before: Millis) {
        let FoundMember { index, mut account, .. } = found;
        let gone = account.fold(oldest, before, self.rules.now);
        for posting in gone {
            *self.head.issued.entry((posting.account, posting.kind)).or_default() += posting.amount;
            *self.head.issued.entry((posting.account, Kind::Opening)).or_default() -=
                posting.amount;
        }
        if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
            let numbers = (first.number, last.number);
            let goes = |posting: &&Posting| Opening::forgets(posting.kind);
            let keys = gone.iter().filter(goes).map(PostingKey::from).collect();
            self.change.folded.push(Folded { index, numbers, keys });
        }
        self.changed.insert(index, account);
    }

    /// Lets the notices up to this one go.
    pub(super) fn trim(&mut self, trimmed: u64) {
        self.head.trimmed = trimmed.max(self.head.trimmed);
    }

    fn take(&mut self, index: u32, event: &Event, at: Millis) -> Result<Outcome, Refused> {
        let Rules { plan, version, stopped, .. } = self.rules;
        let posted: Vec<(Key, Posted)> = event
            .keys()
            .into_iter()
            .filter_map(|key| {
                let posted = *self.posted.get(&(index, PostingKey::from(&key)))?;
                Some((key, posted))
            })
            .collect();
        let context = Context { at, plan, version, posted: &posted, stopped };
        let account = self.accounts.get_mut(&index).expect("the account was found");
        let before = account.clone();
        let outcome = account.take(event, context)?;
        if *account != before {
            self.changed.insert(index, account.clone());
        }
        self.note(index, event, &outcome, at);
        Ok(outcome)
    }

    fn note(&mut self, index: u32, event: &Event, outcome: &Outcome, at: Millis) {
        for posting in &outcome.postings {
            let posted = Posted { amount: posting.amount, expires_at: posting.expires_at };
            self.posted.insert((index, PostingKey::from(posting)), posted);
            *self.head.issued.entry((posting.account, posting.kind)).or_default() -= posting.amount;
            // What comes back was given before.
            let is_given = posting.amount > 0 && posting.kind != Kind::GivenBack;
            if posting.account == Account::Points && is_given {
                let day = Millis::start_of(at.day());
                *self.head.given.entry((day, posting.kind)).or_default() +=
                    posting.amount.unsigned_abs();
            }
        }
        let is_new = !outcome.is_known;
        if let Event::Redeem { reward, .. } = event
            && is_new
        {
            *self.head.rewards.entry(reward.clone()).or_default() += 1;
        }
        self.change
            .postings
            .extend(outcome.postings.iter().map(|posting| (index, posting.clone())));
        for notice in &outcome.notices {
            self.head.seq += 1;
            self.change.notices.push(NoticeEntry {
                seq: self.head.seq,
                index,
                at: self.rules.now,
                notice: *notice,
            });
        }
        for (benefit, step) in &outcome.benefits {
            let count = self.head.benefits.entry(benefit.clone()).or_default();
            match step {
                BenefitStep::Granted => count.granted += 1,
                BenefitStep::Seen => count.seen += 1,
                BenefitStep::Used => (count.used, count.uses) = (count.used + 1, count.uses + 1),
                BenefitStep::UsedAgain => count.uses += 1,
            }
        }
        self.others
            .extend(outcome.others.iter().map(|(member, event)| (*member, event.clone(), at)));
    }

    /// What is to be written; `None` if nothing has changed.
    pub(super) fn change(mut self) -> Option<BucketChange> {
        self.change.accounts = self.changed.into_iter().collect();
        let is_same = self.change.accounts.is_empty() && self.change.names.is_empty();
        if is_same && self.head.trimmed == self.trimmed {
            return None;
        }
        self.head.version += 1;
        self.head.change = fastrand::u64(..);
        let newest = self.head.given.keys().map(|(day, _)| *day).max().unwrap_or_default();
        self.head.given.retain(|(day, _), _| *day + GIVEN_KEPT > newest);
        self.change.head = self.head;
        Some(self.change)
    }
}
