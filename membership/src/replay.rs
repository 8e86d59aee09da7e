//! Replay: what lines of the book would have been under another plan. The same rules take the same events
//! again; what does not depend on the plan's rules, as a correction by hand, is left out.

use crate::account::Membership;
use crate::event::{Act, Context, Event, MemberNumber, Order, Refund, Stage, Tender};
use crate::plan::Plan;
use crate::posting::{Account, Basis, Key, Kind, Posted, Posting, Source};
use crate::tier::Tier;
use crate::time::Millis;
use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

/// What a rule gave, less what it took back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// Growth value.
    pub growth: i64,
    /// Points.
    pub points: i64,
}

impl AddAssign for Given {
    fn add_assign(&mut self, more: Self) {
        self.growth += more.growth;
        self.points += more.points;
    }
}

impl Given {
    fn of(account: Account, amount: i64) -> Self {
        match account {
            Account::Growth => Self { growth: amount, points: 0 },
            Account::Points => Self { growth: 0, points: amount },
            Account::Pending | Account::Held => Self::default(),
        }
    }
}

/// What rules gave, and what they would have given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// By rule: as it was, and as it would have been.
    pub rules: BTreeMap<Kind, (Given, Given)>,
    /// How much more growth would count now.
    pub growth: i64,
}

/// Whether a rule of the plan says how much a line of this kind is.
const fn is_rule(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Order
            | Kind::Refund
            | Kind::ReferralRegistration
            | Kind::ReferralFirstOrder
            | Kind::ReferralSilver
            | Kind::ReferralTakenBack
            | Kind::Share
            | Kind::Watch
            | Kind::Birthday
    )
}

/// Compares what a member's lines gave with what they would have given under `plan`, if the member had
/// had the tier `tier`. The lines come in their order.
#[must_use]
pub fn compare(lines: &[Posting], plan: &Plan, tier: Tier, now: Millis) -> Compared {
    let start = lines.first().map_or(Millis(0), |line| line.at);
    let account = Membership::new(start);
    let (posted, would) = (HashMap::new(), BTreeMap::new());
    let mut replay = Replay { plan, tier, now, account, posted, would, growth: 0 };
    let mut compared = Compared::default();
    for line in lines {
        if is_rule(line.kind) {
            let (was, _) = compared.rules.entry(line.kind).or_default();
            let given = Given::of(line.account, line.amount);
            *was += given;
            if counts(line.expires_at, now) {
                compared.growth -= given.growth;
            }
        }
        replay.line(line);
    }
    compared.growth += replay.growth;
    for (kind, given) in replay.would {
        compared.rules.entry(kind).or_default().1 += given;
    }
    compared
}

struct Replay<'a> {
    plan: &'a Plan,
    tier: Tier,
    now: Millis,
    account: Membership,
    posted: HashMap<Key, Posted>,
    would: BTreeMap<Kind, Given>,
    growth: i64,
}

/// Whether what expires then still counts; what is taken back has no expiry of its own.
fn counts(expires_at: Option<Millis>, now: Millis) -> bool {
    expires_at.is_none_or(|expires_at| expires_at > now)
}

impl Replay<'_> {
    fn line(&mut self, line: &Posting) {
        let Posting { account, kind, source, .. } = line;
        let event = match (account, kind, &line.basis) {
            (Account::Growth, Kind::Order, Some(Basis::Paid { minor, currency })) => {
                let (id, currency) = (source.clone(), currency.clone());
                let (with, saved) = (Tender::default(), 0);
                Event::Paid(Order { id, due: *minor, currency, with, saved })
            }
            (Account::Growth, Kind::Refund, Some(basis)) => match refund(source, basis) {
                Some(refund) if self.is_paid(&refund.order) => Event::Refunded(refund),
                _ => return self.as_it_was(line),
            },
            (Account::Points, Kind::Refund, _) => {
                let of = source.0.split_once('/').map(|(order, _)| Source(order.to_owned()));
                match of.is_some_and(|order| self.is_paid(&order)) {
                    true => return,
                    false => return self.as_it_was(line),
                }
            }
            (Account::Growth, Kind::Share, _) => act(source, Act::Share),
            (Account::Growth, Kind::Watch, Some(Basis::Watched(seconds))) => {
                act(source, Act::Watch(*seconds))
            }
            (Account::Points, Kind::ReferralRegistration, _) if source.0 == "own" => {
                return self.points(line.kind, self.plan.referral.registration);
            }
            (Account::Points, Kind::Birthday, _) => {
                let is_admitted = self.tier >= self.plan.birthday.from;
                let points = if is_admitted { self.plan.birthday.points } else { 0 };
                return self.points(line.kind, points);
            }
            (Account::Points, Kind::ReferralTakenBack, _) if !self.has_first_order(source) => {
                return self.as_it_was(line);
            }
            (Account::Points, kind, _) => match referral(source, *kind) {
                Some(event) => event,
                None => return,
            },
            _ => return,
        };
        self.take(&event, line.at);
    }

    fn take(&mut self, event: &Event, at: Millis) {
        let known = |key: Key| self.posted.get(&key).map(|posted| (key, *posted));
        let posted: Vec<_> = event.keys().into_iter().filter_map(known).collect();
        let context = Context { at, plan: self.plan, version: 0, posted: &posted, stopped: &[] };
        // None of these events is ever refused.
        let Ok(outcome) = self.account.take(event, context) else { return };
        for Posting { account, kind, source, amount, expires_at, .. } in outcome.postings {
            if is_rule(kind) {
                self.gives(kind, Given::of(account, amount), expires_at);
            }
            self.posted.insert(Key { account, kind, source }, Posted { amount, expires_at });
        }
    }

    fn is_paid(&self, order: &Source) -> bool {
        let (account, kind, source) = (Account::Growth, Kind::Order, order.clone());
        self.posted.contains_key(&Key { account, kind, source })
    }

    fn has_first_order(&self, referee: &Source) -> bool {
        let (account, kind) = (Account::Points, Kind::ReferralFirstOrder);
        self.posted.contains_key(&Key { account, kind, source: referee.clone() })
    }

    /// An order of before the first line earned what it earned.
    fn as_it_was(&mut self, line: &Posting) {
        self.gives(line.kind, Given::of(line.account, line.amount), line.expires_at);
    }

    fn gives(&mut self, kind: Kind, given: Given, expires_at: Option<Millis>) {
        *self.would.entry(kind).or_default() += given;
        if counts(expires_at, self.now) {
            self.growth += given.growth;
        }
    }

    fn points(&mut self, kind: Kind, points: u32) {
        self.gives(kind, Given { growth: 0, points: points.into() }, None);
    }
}

fn act(id: &Source, act: Act) -> Event {
    Event::Act { id: id.clone(), act }
}

fn refund(source: &Source, basis: &Basis) -> Option<Refund> {
    let (order, id) = source.0.split_once('/')?;
    let Basis::Refunded { due, before, amount } = *basis else { return None };
    let (order, id) = (Source(order.to_owned()), id.to_owned());
    let (with, currency) = (Tender::default(), String::new());
    Some(Refund { order, id, due, before, amount, with, currency, saved: 0 })
}

fn referral(source: &Source, kind: Kind) -> Option<Event> {
    let stage = match kind {
        Kind::ReferralRegistration | Kind::ReferralNotCounted => Stage::Registration,
        Kind::ReferralFirstOrder => Stage::FirstOrder,
        Kind::ReferralSilver => Stage::Silver,
        Kind::ReferralTakenBack => Stage::FirstOrderTakenBack,
        _ => return None,
    };
    Some(Event::Referral { referee: MemberNumber(source.0.parse().ok()?), stage })
}
