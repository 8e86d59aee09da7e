//! The book's port: members' accounts and their postings, in 1,024 buckets.
//!
//! The rules are in `membership/`, and `members/` applies them: it reads accounts, decides, and posts
//! what it decided. A bucket has a version, so nothing is posted on top of what the caller has not seen.

use crate::rules::time::Millis;
use crate::store::rows::Stored;
use async_trait::async_trait;
use membership::MemberId;
use membership::account::Membership;
use membership::event::{MemberNumber, Notice};
use membership::posting::{Account, Key, Kind, Posted, Posting};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

/// A part of all members: those whose ids have the same first 10 bits of SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bucket(u16);

impl Bucket {
    /// How many buckets there are.
    pub const COUNT: u16 = 1_024;

    /// All buckets.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The bucket of a member.
    #[must_use]
    pub fn of(member: &str) -> Self {
        let digest = Sha256::digest(member.as_bytes());
        Self(u16::from_be_bytes([digest[0], digest[1]]) >> 6)
    }

    /// The bucket of a member, by their number.
    #[must_use]
    pub fn of_number(number: MemberNumber) -> Option<Self> {
        let bucket = u16::try_from(number.0 >> 32).ok()?;
        (bucket < Self::COUNT).then_some(Self(bucket))
    }

    /// The number of the member with this index in the bucket.
    #[must_use]
    pub fn number(self, index: u32) -> MemberNumber {
        MemberNumber(u64::from(self.0) << 32 | u64::from(index))
    }

    /// Its place among all buckets.
    #[must_use]
    pub const fn place(self) -> u16 {
        self.0
    }
}

/// As it stands in keys: no sale's id begins with a dot.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".{:04}", self.0)
    }
}

/// A member by the index in their bucket.
#[must_use]
pub(crate) fn index_of(number: MemberNumber) -> u32 {
    u32::try_from(number.0 & u64::from(u32::MAX)).expect("the lower half")
}

/// What stands for one posting of a member: a part of the digest of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PostingKey(pub [u8; 16]);

impl From<&Key> for PostingKey {
    fn from(key: &Key) -> Self {
        let mut digest = Sha256::new_with_prefix([key.account as u8, key.kind as u8]);
        digest.update(key.source.0.as_bytes());
        let digest = digest.finalize();
        Self(digest[..16].try_into().expect("sixteen of thirty-two bytes"))
    }
}

impl From<&Posting> for PostingKey {
    fn from(posting: &Posting) -> Self {
        let Posting { account, kind, source, .. } = posting.clone();
        Self::from(&Key { account, kind, source })
    }
}

/// What a bucket's postings come to, and what members have taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketHead {
    /// Counted up with each change.
    pub version: u64,
    /// Which change made it: a number that its caller drew, so that it knows it again.
    pub change: u64,
    /// How many members were enrolled in it.
    pub members: u32,
    /// The issuer's side: what was posted, less of it, by account and kind.
    pub issued: BTreeMap<(Account, Kind), i64>,
    /// Points that each rule gave on the newest days, by the day's first instant.
    pub given: BTreeMap<(Millis, Kind), u64>,
    /// Rewards that were taken, by id.
    pub rewards: BTreeMap<String, u64>,
    /// The newest notice.
    pub seq: u64,
    // Rows of before have no more than this; they are read with zeros for the rest.
    /// What became of benefits, by their ids in the plan.
    pub benefits: BTreeMap<String, BenefitCount>,
    /// The newest of the notices that are not kept any more.
    pub trimmed: u64,
}

/// What became of a benefit, over all members of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenefitCount {
    /// How often it was granted.
    pub granted: u64,
    /// How many of those were shown to the member.
    pub seen: u64,
    /// How many of those the member used.
    pub used: u64,
    /// How often members used it in all.
    pub uses: u64,
}

/// Who is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// By name.
    Named(MemberId),
    /// By number.
    Numbered(MemberNumber),
}

impl Who {
    /// The bucket that they are in; `None` for a number that no member has.
    #[must_use]
    pub fn bucket(&self) -> Option<Bucket> {
        match self {
            Self::Named(member) => Some(Bucket::of(member.as_str())),
            Self::Numbered(number) => Bucket::of_number(*number),
        }
    }
}

/// A member to read, with earlier postings.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The member.
    pub who: Who,
    /// Which postings.
    pub keys: Vec<PostingKey>,
}

/// A member as the book has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMember {
    /// Their index in the bucket.
    pub index: u32,
    /// All that is kept of them.
    pub account: Membership,
    /// What was posted under each of the keys.
    pub posted: Vec<Option<Posted>>,
}

/// A bucket as far as it was asked for, of one instant.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// What its postings come to.
    pub head: BucketHead,
    /// The members in the order in which they were asked for; `None` for one who is not enrolled.
    pub members: Vec<Option<FoundMember>>,
}

/// A notice of a member, as others may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeEntry {
    /// From 1, without gaps in its bucket.
    pub seq: u64,
    /// The member, by the index in the bucket.
    pub index: u32,
    /// When it was noted.
    pub at: Millis,
    /// What it says.
    pub notice: Notice,
}

/// A name that a member has from now on, or has no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameChange {
    /// The name.
    pub member: MemberId,
    /// The member, by the index in the bucket.
    pub index: u32,
    /// Whether the member has it from now on.
    pub is_had: bool,
}

/// Postings of a member that are not kept any more: their oldest ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded {
    /// The member, by the index in the bucket.
    pub index: u32,
    /// The first and the last of them.
    pub numbers: (u64, u64),
    /// What stands for those that nothing asks for any more.
    pub keys: Vec<PostingKey>,
}

/// What is posted in one bucket, as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketChange {
    /// Which bucket.
    pub bucket: Bucket,
    /// What its postings come to with this; the version is one more than the one that was read.
    pub head: BucketHead,
    /// Names that go come first, then those that members have from now on.
    pub names: Vec<NameChange>,
    /// Accounts as they are now.
    pub accounts: Vec<(u32, Membership)>,
    /// New lines, by the members' indexes.
    pub postings: Vec<(u32, Posting)>,
    /// New notices. Those up to [`BucketHead::trimmed`] go.
    pub notices: Vec<NoticeEntry>,
    /// Postings that go.
    pub folded: Vec<Folded>,
}

impl BucketChange {
    /// A change of this bucket that changes nothing yet.
    #[must_use]
    pub fn of(bucket: Bucket, head: BucketHead) -> Self {
        let (names, accounts, postings) = (Vec::new(), Vec::new(), Vec::new());
        let (notices, folded) = (Vec::new(), Vec::new());
        Self { bucket, head, names, accounts, postings, notices, folded }
    }
}

/// Whether a change was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is on disk, or was already.
    Posted,
    /// The bucket is at another version. Nothing has changed.
    Stale,
}

/// A version of the membership plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanVersion {
    /// From 1.
    pub version: u32,
    /// Since when it holds.
    pub at: Millis,
    /// In JSON, so that a later version may add fields.
    pub json: String,
}

/// What the members' book needs of a store.
#[async_trait]
pub trait BookStore: Debug + Send + Sync + 'static {
    /// Members of one bucket, and what its postings come to.
    async fn read_members(&self, bucket: Bucket, wanted: &[Wanted]) -> Stored<Found>;

    /// Makes a change, if the bucket is at the version before it.
    async fn post(&self, change: &BucketChange) -> Stored<Made>;

    /// At most `most` of a member's postings with numbers below `before`, newest first; without those that
    /// are not kept any more.
    async fn postings(&self, who: MemberNumber, before: u64, most: usize) -> Stored<Vec<Posting>>;

    /// At most `most` accounts of a bucket with indexes from `from` on, by index.
    async fn accounts(
        &self,
        bucket: Bucket,
        from: u32,
        most: usize,
    ) -> Stored<Vec<(u32, Membership)>>;

    /// At most `most` notices of a bucket with a `seq` over `after`, by `seq`.
    async fn notices(&self, bucket: Bucket, after: u64, most: usize) -> Stored<Vec<NoticeEntry>>;

    /// The name of a member; `None` if there is none.
    async fn name(&self, who: MemberNumber) -> Stored<Option<MemberId>>;

    /// The versions of the plan, oldest first.
    async fn plans(&self) -> Stored<Vec<PlanVersion>>;

    /// Adds a version of the plan. A repeated call changes nothing.
    async fn add_plan(&self, plan: &PlanVersion) -> Stored<()>;

    /// Up to which entry the book has taken in the outbox of each sale, by the sales' numbers.
    async fn taken_in(&self) -> Stored<BTreeMap<u32, u64>>;

    /// Notes that the book has taken in a sale's outbox up to an entry; it never goes back.
    async fn take_in(&self, sale: u32, seq: u64) -> Stored<()>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use membership::posting::Source;

    #[test]
    fn members_spread_over_all_buckets_and_keep_their_place() {
        let mut counts = vec![0; usize::from(Bucket::COUNT)];
        for n in 0..100_000 {
            counts[usize::from(Bucket::of(&format!("viewer-{n}")).place())] += 1;
        }
        assert!(counts.iter().all(|count| (40..170).contains(count)), "{counts:?}");
        // SHA-256 of "abc" begins with ba78.
        assert_eq!(Bucket::of("abc").to_string(), format!(".{:04}", 0xba78 >> 6));
    }

    #[test]
    fn a_number_names_a_bucket_and_an_index() {
        let bucket = Bucket::of("abc");
        let number = bucket.number(u32::MAX);
        assert_eq!((Bucket::of_number(number), index_of(number)), (Some(bucket), u32::MAX));
        assert_eq!(Bucket::of_number(MemberNumber(1_024 << 32)), None);
    }

    #[test]
    fn keys_differ_by_account_kind_and_source() {
        let key = |account, kind, source: &str| {
            PostingKey::from(&Key { account, kind, source: Source(source.into()) })
        };
        let one = key(Account::Points, Kind::Order, "a");
        assert_ne!(one, key(Account::Growth, Kind::Order, "a"));
        assert_ne!(one, key(Account::Points, Kind::Refund, "a"));
        assert_ne!(one, key(Account::Points, Kind::Order, "b"));
    }
}
