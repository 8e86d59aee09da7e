//! Book rows: what is kept of the members of some buckets, in memory. The store in memory has all of it
//! here, the journal what is not in its file yet.

use super::port::{Bucket, BucketChange, BucketHead, Folded, NameChange, NoticeEntry, PostingKey};
use membership::MemberId;
use membership::account::Membership;
use membership::posting::{Posted, Posting};
use std::collections::{BTreeMap, HashMap};

/// What is kept of one bucket, or what has changed in it.
#[derive(Debug, Default)]
pub(in crate::store) struct BucketRows {
    /// `None` if nothing has changed.
    pub(in crate::store) head: Option<BucketHead>,
    /// `None` for a name that is gone.
    pub(in crate::store) names: HashMap<MemberId, Option<u32>>,
    pub(in crate::store) named: BTreeMap<u32, Option<MemberId>>,
    pub(in crate::store) accounts: BTreeMap<u32, Membership>,
    pub(in crate::store) postings: BTreeMap<(u32, u64), Posting>,
    /// `None` for a posting that is not kept any more.
    pub(in crate::store) keys: HashMap<(u32, PostingKey), Option<Posted>>,
    /// The newest posting of a member that is not kept any more.
    pub(in crate::store) folded: BTreeMap<u32, u64>,
    pub(in crate::store) notices: BTreeMap<u64, NoticeEntry>,
}

impl BucketRows {
    /// Puts a change that was decided in place.
    pub(in crate::store) fn apply(&mut self, change: BucketChange) {
        let BucketChange { bucket: _, head, names, accounts, postings, notices, folded } = change;
        for Folded { index, numbers: (_, to), keys } in folded {
            let own = self.postings.range((index, 0)..=(index, to));
            let gone: Vec<_> = own.map(|(place, _)| *place).collect();
            gone.iter().for_each(|place| drop(self.postings.remove(place)));
            self.keys.extend(keys.into_iter().map(|key| ((index, key), None)));
            self.folded.insert(index, to);
        }
        while self.notices.first_key_value().is_some_and(|(seq, _)| *seq <= head.trimmed) {
            self.notices.pop_first();
        }
        self.head = Some(head);
        for NameChange { member, index, is_had } in names {
            self.named.insert(index, is_had.then(|| member.clone()));
            self.names.insert(member, is_had.then_some(index));
        }
        self.accounts.extend(accounts);
        for (index, posting) in postings {
            let posted = Posted { amount: posting.amount, expires_at: posting.expires_at };
            self.keys.insert((index, PostingKey::from(&posting)), Some(posted));
            self.postings.insert((index, posting.number), posting);
        }
        self.notices.extend(notices.into_iter().map(|entry| (entry.seq, entry)));
    }

    /// Forgets that what is gone was there: nothing lies below these rows.
    pub(in crate::store) fn forget_gone(&mut self) {
        if !self.folded.is_empty() {
            self.keys.retain(|_, posted| posted.is_some());
            self.folded.clear();
        }
    }

    /// A member's postings with numbers below `before`, newest first.
    pub(in crate::store) fn postings_before(
        &self,
        index: u32,
        before: u64,
    ) -> impl Iterator<Item = &Posting> {
        let own = self.postings.range((index, 0)..(index, before)).rev();
        own.map(|(_, posting)| posting)
    }
}

/// All buckets of a store in memory, or of what is not in a file yet.
#[derive(Debug, Default)]
pub(in crate::store) struct BookRows {
    pub(in crate::store) buckets: BTreeMap<Bucket, BucketRows>,
}
