//! A keeper of accounts, as a book is one: it keeps postings by their keys, and checks after each event
//! that every balance is the sum of its postings.

use jiff::civil::Date;
use membership::account::Membership;
use membership::event::{
    Act, Context, Event, MemberNumber, Notice, Order, Outcome, Refund, Refused, Stage, Tender,
};
use membership::plan::Plan;
use membership::posting::{Account, Key, Kind, Posted, Posting, Source};
use membership::time::Millis;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) account: Membership,
    pub(crate) postings: Vec<Posting>,
    pub(crate) notices: Vec<Notice>,
    keys: BTreeMap<Key, Posted>,
}

#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    pub(crate) plan: Plan,
    pub(crate) members: BTreeMap<MemberNumber, Kept>,
    pub(crate) stopped: Vec<Kind>,
}

pub(crate) const ANN: MemberNumber = MemberNumber(1);
pub(crate) const BOB: MemberNumber = MemberNumber(2);

pub(crate) fn on(year: i16, month: i8, day: i8) -> Millis {
    Millis(Millis::start_of(Date::new(year, month, day).expect("a day")).0 + 36_000_000)
}

pub(crate) fn source(text: &str) -> Source {
    Source(text.to_owned())
}

pub(crate) fn order(id: &str, yuan: u64) -> Order {
    let (id, currency, with) = (source(id), "CNY".into(), Tender::default());
    Order { id, due: yuan * 100, currency, with, saved: 0 }
}

/// So many points, and a coupon by its id.
pub(crate) fn tender(points: u64, coupon: Option<&str>) -> Tender {
    Tender { points, coupon: coupon.map(source) }
}

/// An order that is paid with points and a coupon in part.
pub(crate) fn order_with(id: &str, yuan: u64, with: &Tender) -> Order {
    Order { with: with.clone(), ..order(id, yuan) }
}

/// The end of an order that was to be paid in part with points and a coupon.
pub(crate) fn ended(id: &str, with: &Tender) -> Event {
    Event::Ended { order: source(id), with: with.clone() }
}

pub(crate) fn refund(order: &str, id: &str, due: u64, before: u64, amount: u64) -> Event {
    refund_with(order, id, [due, before, amount], &Tender::default())
}

/// A refund of an order that was paid with points and a coupon in part: `due`, `before`, `amount`.
pub(crate) fn refund_with(order: &str, id: &str, money: [u64; 3], with: &Tender) -> Event {
    let ([due, before, amount], order, with) = (money, source(order), with.clone());
    let (id, currency) = (id.into(), "CNY".into());
    Event::Refunded(Refund { order, id, due, before, amount, with, currency, saved: 0 })
}

pub(crate) fn act(id: &str, act: Act) -> Event {
    Event::Act { id: source(id), act }
}

impl Keeper {
    pub(crate) fn new() -> Self {
        Self { plan: Plan::default(), members: BTreeMap::new(), stopped: Vec::new() }
    }

    /// A keeper with Ann, who was enrolled on the first day of 2026.
    pub(crate) fn with_ann() -> Self {
        let mut keeper = Self::new();
        keeper.enrol(ANN, None, on(2026, 1, 1));
        keeper
    }

    pub(crate) fn enrol(&mut self, own: MemberNumber, referrer: Option<MemberNumber>, at: Millis) {
        let account = Membership::new(at);
        let (postings, notices, keys) = (Vec::new(), Vec::new(), BTreeMap::new());
        self.members.entry(own).or_insert(Kept { account, postings, notices, keys });
        self.take(own, &Event::Enrolled { own, referrer }, at).expect("enrolling is never refused");
        if let Some(referrer) = referrer.filter(|referrer| *referrer != own) {
            let stage = Stage::Registered;
            self.take(referrer, &Event::Referral { referee: own, stage }, at)
                .expect("never refused");
        }
    }

    /// Takes an event and what it does to others, who come first.
    pub(crate) fn take(
        &mut self,
        member: MemberNumber,
        event: &Event,
        at: Millis,
    ) -> Result<Outcome, Refused> {
        let Some(kept) = self.members.get(&member) else { return Ok(Outcome::default()) };
        let find = |key: Key| kept.keys.get(&key).map(|posted| (key, *posted));
        let posted: Vec<_> = event.keys().into_iter().filter_map(find).collect();
        let context =
            Context { at, plan: &self.plan, version: 1, posted: &posted, stopped: &self.stopped };
        let mut account = kept.account.clone();
        let outcome = account.take(event, context)?;
        for (other, event) in &outcome.others {
            self.take(*other, event, at)?;
        }
        let kept = self.members.get_mut(&member).expect("a member who was found");
        kept.account = account;
        for posting in &outcome.postings {
            let Posting { account, kind, source, amount, expires_at, .. } = posting.clone();
            let posted = Posted { amount, expires_at };
            let key = Key { account, kind, source };
            assert_eq!(kept.keys.insert(key.clone(), posted), None, "{key:?} was posted before");
            kept.postings.push(posting.clone());
        }
        kept.notices.extend(&outcome.notices);
        kept.check();
        Ok(outcome)
    }

    /// Folds a member's oldest postings, as a sweep of the book does.
    pub(crate) fn fold(&mut self, member: MemberNumber, before: Millis, at: Millis) {
        let kept = self.members.get_mut(&member).expect("a member");
        let gone = kept.account.fold(&kept.postings, before, at).to_vec();
        kept.postings.drain(..gone.len());
        let goes = |posting: &Posting| membership::account::Opening::forgets(posting.kind);
        for Posting { account, kind, source, .. } in gone.into_iter().filter(goes) {
            kept.keys.remove(&Key { account, kind, source });
        }
        kept.check();
    }

    pub(crate) fn ann(&self) -> &Kept {
        &self.members[&ANN]
    }

    pub(crate) fn points(&self, member: MemberNumber, at: Millis) -> i64 {
        self.members[&member].account.points.balance(at)
    }

    pub(crate) fn growth(&self, member: MemberNumber, at: Millis) -> i64 {
        self.members[&member].account.growth.balance(at)
    }
}

impl Kept {
    /// Each balance is the sum of its postings, which are numbered without a gap.
    pub(crate) fn check(&self) {
        for account in Account::ALL {
            let own = self.postings.iter().filter(|posting| posting.account == account);
            let kept: i64 = own.map(|posting| posting.amount).sum();
            let sum = self.account.opening.sum(account) + kept;
            assert_eq!(sum, self.account.posted(account), "{account:?} of {:?}", self.postings);
        }
        let numbers = self.postings.iter().map(|posting| posting.number);
        assert!(
            numbers.eq(self.account.opening.number + 1..=self.account.postings),
            "{:?}",
            self.postings
        );
    }
}
