//! Audit: adds the whole book up again from its postings, and says what does not fit.

use super::pages::pages;
use crate::store::{BookStore, Bucket, BucketHead, StoreError, Wanted, Who};
use futures_util::TryStreamExt;
use membership::account::Membership;
use membership::event::MemberNumber;
use membership::posting::{Account, Kind};
use std::collections::{BTreeMap, HashSet};

/// Postings that are read at a time.
const POSTINGS: usize = 1_000;
/// Most differences that are told.
const TOLD_MAX: usize = 100;
/// A bucket is read again so often, because something was posted in it meanwhile.
const TRIES: usize = 8;

/// What the book comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookAudit {
    /// Members who were enrolled.
    pub members: u64,
    /// Lines of the book.
    pub postings: u64,
    /// What does not fit, a sentence each; the first hundred.
    pub differences: Vec<String>,
}

impl BookAudit {
    pub(super) fn add(&mut self, of: Self) {
        self.members += of.members;
        self.postings += of.postings;
        of.differences.into_iter().for_each(|difference| self.differs(|| difference));
    }

    fn differs(&mut self, what: impl FnOnce() -> String) {
        if self.differences.len() < TOLD_MAX {
            self.differences.push(what());
        }
    }
}

/// Adds the book up again: every balance is the sum of its postings, each source counts once, all postings
/// and the issuer's side come to 0, and each name leads to its account.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub async fn audit(store: &dyn BookStore) -> Result<BookAudit, StoreError> {
    let mut audit = BookAudit::default();
    for bucket in Bucket::all() {
        audit.add(of_bucket(store, bucket, None).await?);
    }
    Ok(audit)
}

/// The accounts of a bucket at one version.
struct Snapshot {
    head: BucketHead,
    accounts: Vec<(u32, Membership)>,
}

/// Reads the accounts of a bucket; `None` if something was posted in it meanwhile.
async fn snapshot(store: &dyn BookStore, bucket: Bucket) -> Result<Option<Snapshot>, StoreError> {
    let head = store.read_members(bucket, &[]).await?.head;
    let accounts = pages(store, bucket).try_concat().await?;
    let after = store.read_members(bucket, &[]).await?.head;
    Ok((after.version == head.version).then_some(Snapshot { head, accounts }))
}

/// Adds up one bucket as it was at one version. While its accounts are read for a second time, whoever has
/// the lock of its bucket waits; its lines, which never change, are read after that.
pub(super) async fn of_bucket(
    store: &dyn BookStore,
    bucket: Bucket,
    lock: Option<&tokio::sync::Mutex<()>>,
) -> Result<BookAudit, StoreError> {
    for nth in 0..TRIES {
        let guard = match lock.filter(|_| nth > 0) {
            Some(lock) => Some(lock.lock().await),
            None => None,
        };
        let accounts = snapshot(store, bucket).await?;
        drop(guard);
        if let Some(accounts) = accounts
            && let Some(audit) = of_accounts(store, bucket, accounts).await?
        {
            return Ok(audit);
        }
    }
    let mut audit = BookAudit::default();
    audit.differs(|| format!("{bucket}: something is posted all the time; add it up again"));
    Ok(audit)
}

/// Compares accounts with their lines; `None` if old lines went into an opening balance meanwhile.
async fn of_accounts(
    store: &dyn BookStore,
    bucket: Bucket,
    Snapshot { head, accounts }: Snapshot,
) -> Result<Option<BookAudit>, StoreError> {
    let mut told = BookAudit::default();
    let audit = &mut told;
    let mut issued = head.issued.clone();
    let mut next = 0;
    for (index, account) in accounts {
        if index != next {
            audit.differs(|| format!("{bucket}: there is no account {next}"));
        }
        next = index + 1;
        let number = bucket.number(index);
        if !of_member(store, number, &account, &mut issued, audit).await? {
            return Ok(None);
        }
    }
    if next != head.members {
        audit.differs(|| format!("{bucket}: {next} accounts, and {} members", head.members));
    }
    for ((account, kind), sum) in issued.into_iter().filter(|(_, sum)| *sum != 0) {
        let (account, kind) = (account.as_str(), kind.as_str());
        audit.differs(|| {
            format!("{bucket}: {account} by {kind} and the issuer's side come to {sum}")
        });
    }
    Ok(Some(told))
}

/// Compares an account with its lines; false if they went into its opening balance meanwhile.
async fn of_member(
    store: &dyn BookStore,
    number: MemberNumber,
    account: &Membership,
    issued: &mut BTreeMap<(Account, Kind), i64>,
    audit: &mut BookAudit,
) -> Result<bool, StoreError> {
    audit.members += 1;
    let (mut sums, mut seen) = (BTreeMap::<Account, i64>::new(), HashSet::new());
    for of in Account::ALL {
        let sum = account.opening.sum(of);
        sums.insert(of, sum);
        *issued.entry((of, Kind::Opening)).or_default() += sum;
    }
    let first = account.opening.number + 1;
    let mut before = account.postings + 1;
    while before > first {
        let page = store.postings(number, before, POSTINGS).await?;
        if page.is_empty() {
            break;
        }
        for posting in page {
            if posting.number + 1 != before {
                audit.differs(|| format!("member {}: posting {} is gone", number.0, before - 1));
            }
            before = posting.number;
            audit.postings += 1;
            *sums.entry(posting.account).or_default() += posting.amount;
            *issued.entry((posting.account, posting.kind)).or_default() += posting.amount;
            if !seen.insert((posting.account, posting.kind, posting.source.clone())) {
                let (kind, source) = (posting.kind.as_str(), &posting.source);
                audit.differs(|| format!("member {}: {kind} from {source} counts twice", number.0));
            }
        }
    }
    if before != first {
        if has_folded(store, number, account).await? {
            return Ok(false);
        }
        audit.differs(|| format!("member {}: posting {} is gone", number.0, before - 1));
    }
    for kept in Account::ALL {
        let (sum, has) = (sums.get(&kept).copied().unwrap_or(0), account.posted(kept));
        if sum != has {
            let kept = kept.as_str();
            audit.differs(|| {
                format!("member {}: {kept} is {has}, its postings come to {sum}", number.0)
            });
        }
    }
    check_name(store, number, audit).await?;
    Ok(true)
}

async fn has_folded(
    store: &dyn BookStore,
    number: MemberNumber,
    account: &Membership,
) -> Result<bool, StoreError> {
    let Some(bucket) = Bucket::of_number(number) else { return Ok(false) };
    let wanted = [Wanted { who: Who::Numbered(number), keys: Vec::new() }];
    let found = store.read_members(bucket, &wanted).await?.members.into_iter().next().flatten();
    Ok(found.is_some_and(|found| found.account.opening.number > account.opening.number))
}

/// A name leads to the account that has it. A pseudonym is looked for by nobody.
async fn check_name(
    store: &dyn BookStore,
    number: MemberNumber,
    audit: &mut BookAudit,
) -> Result<(), StoreError> {
    let Some(name) = store.name(number).await? else {
        audit.differs(|| format!("member {} has no name", number.0));
        return Ok(());
    };
    let bucket = Bucket::of_number(number);
    let Some(bucket) = bucket.filter(|bucket| *bucket == Bucket::of(name.as_str())) else {
        return Ok(());
    };
    let wanted = [Wanted { who: Who::Named(name), keys: Vec::new() }];
    let found = store.read_members(bucket, &wanted).await?.members.into_iter().next().flatten();
    if found.map(|found| bucket.number(found.index)) != Some(number) {
        audit.differs(|| format!("member {} is not found by name", number.0));
    }
    Ok(())
}
