//! Older: rows and sections of the book as earlier versions wrote them.

use super::port::{Bucket, BucketChange, BucketHead, NameChange, NoticeEntry};
use crate::rules::time::Millis;
use membership::older::{OldMembership, OldPosting};
use membership::posting::{Account, Kind};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// More bytes than all fields that rows have got since have for zero.
const ZEROS: [u8; 32] = [0; 32];

/// Reads a row that may be of an earlier version: it ends before the newer fields, which are zero then.
pub(in crate::store) fn row<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    match postcard::from_bytes(bytes) {
        Err(postcard::Error::DeserializeUnexpectedEnd) => {
            postcard::from_bytes(&[bytes, &ZEROS[..]].concat())
        }
        read => read,
    }
}

/// A change as format 3 of the journal has it.
#[derive(Debug, Deserialize)]
pub(in crate::store) struct OldChange {
    bucket: Bucket,
    head: OldHead,
    names: Vec<NameChange>,
    accounts: Vec<(u32, OldMembership)>,
    postings: Vec<(u32, OldPosting)>,
    notices: Vec<NoticeEntry>,
}

#[derive(Debug, Deserialize)]
struct OldHead {
    version: u64,
    change: u64,
    members: u32,
    issued: BTreeMap<(Account, Kind), i64>,
    given: BTreeMap<(Millis, Kind), u64>,
    rewards: BTreeMap<String, u64>,
    seq: u64,
}

impl From<OldChange> for BucketChange {
    fn from(old: OldChange) -> Self {
        let OldHead { version, change, members, issued, given, rewards, seq } = old.head;
        let (benefits, trimmed) = (BTreeMap::new(), 0);
        Self {
            bucket: old.bucket,
            head: BucketHead {
                version,
                change,
                members,
                issued,
                given,
                rewards,
                seq,
                benefits,
                trimmed,
            },
            names: old.names,
            accounts: old.accounts.into_iter().map(|(index, old)| (index, old.into())).collect(),
            postings: old.postings.into_iter().map(|(index, old)| (index, old.into())).collect(),
            notices: old.notices,
            folded: Vec::new(),
        }
    }
}
