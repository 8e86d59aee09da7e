//! Layers: the book as it is read where newer changes lie on top of older ones: those of the last
//! blocks, those that are being folded into the file, and the file.

use super::file::FileView;
use super::port::{
    Bucket, BucketHead, Found, FoundMember, NoticeEntry, PostingKey, Wanted, Who, index_of,
};
use super::rows::{BookRows, BucketRows};
use crate::store::rows::{Stored, damaged};
use membership::MemberId;
use membership::account::Membership;
use membership::posting::{Posted, Posting};
use std::collections::BTreeMap;

/// Rows, the newest first, and the file under them.
pub(in crate::store) struct Layers<'a> {
    pub(in crate::store) rows: [Option<&'a BookRows>; 2],
    pub(in crate::store) file: Option<FileView>,
}

impl Layers<'_> {
    fn of(&self, bucket: Bucket) -> impl Iterator<Item = &BucketRows> {
        self.rows.iter().flatten().filter_map(move |rows| rows.buckets.get(&bucket))
    }

    pub(in crate::store) fn head(&self, bucket: Bucket) -> Stored<BucketHead> {
        if let Some(head) = self.of(bucket).find_map(|rows| rows.head.clone()) {
            return Ok(head);
        }
        let head = self.file.as_ref().map(|file| file.head(bucket)).transpose()?;
        Ok(head.flatten().unwrap_or_default())
    }

    pub(in crate::store) fn read(&self, bucket: Bucket, wanted: &[Wanted]) -> Stored<Found> {
        let members = wanted.iter().map(|wanted| self.member(bucket, wanted));
        Ok(Found { head: self.head(bucket)?, members: members.collect::<Stored<_>>()? })
    }

    fn member(&self, bucket: Bucket, wanted: &Wanted) -> Stored<Option<FoundMember>> {
        let Some(index) = self.index(bucket, &wanted.who)? else { return Ok(None) };
        let Some(account) = self.account(bucket, index)? else {
            return match wanted.who {
                Who::Numbered(_) => Ok(None),
                Who::Named(_) => Err(damaged(format!("member {index} of {bucket} has no account"))),
            };
        };
        let posted = wanted.keys.iter().map(|key| self.posted(bucket, index, *key));
        Ok(Some(FoundMember { index, account, posted: posted.collect::<Stored<_>>()? }))
    }

    fn index(&self, bucket: Bucket, who: &Who) -> Stored<Option<u32>> {
        match who {
            Who::Numbered(number) => Ok(Some(index_of(*number))),
            Who::Named(member) => {
                if let Some(index) = self.of(bucket).find_map(|rows| rows.names.get(member)) {
                    return Ok(*index);
                }
                let named = self.file.as_ref().map(|file| file.index(bucket, member));
                Ok(named.transpose()?.flatten())
            }
        }
    }

    fn account(&self, bucket: Bucket, index: u32) -> Stored<Option<Membership>> {
        if let Some(account) = self.of(bucket).find_map(|rows| rows.accounts.get(&index)) {
            return Ok(Some(account.clone()));
        }
        Ok(self.file.as_ref().map(|file| file.account(bucket, index)).transpose()?.flatten())
    }

    fn posted(&self, bucket: Bucket, index: u32, key: PostingKey) -> Stored<Option<Posted>> {
        if let Some(posted) = self.of(bucket).find_map(|rows| rows.keys.get(&(index, key))) {
            return Ok(*posted);
        }
        Ok(self.file.as_ref().map(|file| file.posted(bucket, index, key)).transpose()?.flatten())
    }

    pub(in crate::store) fn name(&self, bucket: Bucket, index: u32) -> Stored<Option<MemberId>> {
        if let Some(name) = self.of(bucket).find_map(|rows| rows.named.get(&index)) {
            return Ok(name.clone());
        }
        Ok(self.file.as_ref().map(|file| file.name(bucket, index)).transpose()?.flatten())
    }

    /// At most `most` of a member's postings with numbers below `before`, newest first.
    pub(in crate::store) fn postings(
        &self,
        bucket: Bucket,
        index: u32,
        before: u64,
        most: usize,
    ) -> Stored<Vec<Posting>> {
        let mut postings: Vec<Posting> = Vec::new();
        // What newer rows say is gone may still stand in those below.
        let folded = self.of(bucket).filter_map(|rows| rows.folded.get(&index));
        let gone = folded.max().copied().unwrap_or(0);
        for rows in self.of(bucket) {
            let lowest = postings.last().map_or(before, |posting| posting.number);
            let room = most - postings.len();
            let own = rows.postings_before(index, lowest).take(room);
            postings.extend(own.take_while(|posting| posting.number > gone).cloned());
        }
        if let Some(file) = &self.file {
            let lowest = postings.last().map_or(before, |posting| posting.number);
            let own = file.postings(bucket, index, lowest, most - postings.len())?;
            postings.extend(own.into_iter().take_while(|posting| posting.number > gone));
        }
        Ok(postings)
    }

    /// At most `most` accounts with indexes from `from` on, by index.
    pub(in crate::store) fn accounts(
        &self,
        bucket: Bucket,
        from: u32,
        most: usize,
    ) -> Stored<Vec<(u32, Membership)>> {
        let mut accounts = BTreeMap::new();
        if let Some(file) = &self.file {
            accounts.extend(file.accounts(bucket, from, most)?);
        }
        let layers: Vec<_> = self.of(bucket).collect();
        // The newest are put in last.
        for rows in layers.into_iter().rev() {
            let newer = rows.accounts.range(from..).take(most);
            accounts.extend(newer.map(|(index, account)| (*index, account.clone())));
        }
        Ok(accounts.into_iter().take(most).collect())
    }

    /// At most `most` notices over `after`.
    pub(in crate::store) fn notices(
        &self,
        bucket: Bucket,
        after: u64,
        most: usize,
    ) -> Stored<Vec<NoticeEntry>> {
        let after = after.max(self.head(bucket)?.trimmed);
        let mut notices = BTreeMap::new();
        if let Some(file) = &self.file {
            notices.extend(
                file.notices(bucket, after, most)?.into_iter().map(|entry| (entry.seq, entry)),
            );
        }
        for rows in self.of(bucket) {
            let newer = rows.notices.range(after.saturating_add(1)..).take(most);
            notices.extend(newer.map(|(seq, entry)| (*seq, entry.clone())));
        }
        Ok(notices.into_values().take(most).collect())
    }
}
