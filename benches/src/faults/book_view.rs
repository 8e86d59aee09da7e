//! The members' book after a scenario: what it has of each order is what became of the order.

use anyhow::ensure;
use engine::members::audit;
use engine::rules::order::Status;
use engine::rules::terms::SaleId;
use engine::store::{Record, Store, Who};
use membership::MemberId;
use membership::account::{Coupon, CouponState};
use membership::posting::{Account, Kind, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Most sentences of one comparison.
const SENTENCES_MAX: usize = 5;
/// More lines than any member has in a scenario.
const LINES_MAX: usize = 1_000_000;

/// What paid and unpaid orders of one member come to, in whole units of money, and the points that paid and
/// unpaid ones are paid with.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    paid: i64,
    unpaid: i64,
    spent: i64,
    held: i64,
    /// Orders that used a coupon.
    coupons: Vec<String>,
}

impl Sums {
    fn of(sale: &SaleId, record: &Record) -> anyhow::Result<Self> {
        let due = i64::try_from(record.money.due.0 / 100)?;
        let points = i64::try_from(record.money.points)?;
        let id = || record.id(sale).to_string();
        let coupons = record.money.coupon.iter().map(|_| id()).collect();
        Ok(match record.status {
            Status::Paid => Self { paid: due, spent: points, coupons, ..Self::default() },
            Status::Confirmed => Self { unpaid: due, held: points, coupons, ..Self::default() },
            _ => Self::default(),
        })
    }

    fn add(&mut self, more: Self) {
        self.paid += more.paid;
        self.unpaid += more.unpaid;
        self.spent += more.spent;
        self.held += more.held;
        self.coupons.extend(more.coupons);
    }
}

/// Compares the book with the orders of those who have an account. Returns a sentence for each difference.
/// With `is_lost`, the book has lost a part of its history, and the same points and coupon may have paid twice.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn book_view(store: &Store, is_lost: bool) -> anyhow::Result<Vec<String>> {
    let (mut bought, mut stored) = (BTreeMap::<MemberId, Sums>::new(), BTreeSet::new());
    let sales = store.reading.sales().await?;
    for sale in sales {
        for record in store.reading.orders_after(&sale, 0, usize::MAX).await? {
            let sums = Sums::of(&sale, &record)?;
            bought.entry(record.member.clone()).or_default().add(sums);
            stored.insert(record.id(&sale).to_string());
        }
    }
    let (mut problems, mut compared) = (Vec::new(), 0);
    for (member, sums) in bought {
        let who = Who::Named(member.clone());
        let Some(bucket) = who.bucket() else { continue };
        let wanted = [engine::store::Wanted { who, keys: Vec::new() }];
        let found = store.book.read_members(bucket, &wanted).await?;
        let Some(found) = found.members.into_iter().next().flatten() else { continue };
        compared += 1;
        let lines = store.book.postings(bucket.number(found.index), u64::MAX, LINES_MAX).await?;
        let sum = |account, kind| {
            let own = lines.iter().filter(|line| (line.account, line.kind) == (account, kind));
            own.map(|line| line.amount).sum::<i64>()
        };
        let account = &found.account;
        // What was kept for an order that a crash took from memory goes back when its time is over.
        let is_of_stored = |order: &&Source| stored.contains(&order.0);
        let holds = account.holds.iter().filter(|hold| is_of_stored(&&hold.order));
        let held: u64 = holds.flat_map(|hold| &hold.lots).map(|lot| lot.amount).sum();
        let of_coupon = |coupon: &Coupon| match &coupon.state {
            CouponState::Held(order) | CouponState::Used(order) => Some(order.clone()),
            CouponState::Free => None,
        };
        let coupons = account.coupons.iter().filter_map(of_coupon);
        let has = Sums {
            paid: sum(Account::Growth, Kind::Order),
            unpaid: i64::try_from(account.pending)?,
            spent: -sum(Account::Held, Kind::Spent) - sum(Account::Points, Kind::Spent),
            held: i64::try_from(held)?,
            coupons: coupons.filter(|order| is_of_stored(&order)).map(|order| order.0).collect(),
        };
        let earned = |sums: &Sums| (sums.paid, sums.unpaid);
        let is_same = has == sums || is_lost && earned(&has) == earned(&sums);
        if !is_same && problems.len() < SENTENCES_MAX {
            problems.push(format!("book: {member} has {has:?}, their orders come to {sums:?}"));
        }
    }
    let audit = audit(&*store.book).await?;
    ensure!(compared > 0 || audit.members == 0, "nobody who has an account has ordered");
    let differences = audit.differences.into_iter();
    problems.extend(differences.take(SENTENCES_MAX).map(|told| format!("book: {told}")));
    Ok(problems)
}
