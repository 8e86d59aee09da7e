//! Membership: all that the book keeps of one member, and how it takes an event.

use super::parts::{
    ActDay, Coupon, Entitlement, Hold, Noticed, Opening, Redemption, Referees, Referral, Standing,
    Told,
};
use crate::birthday::{Birthday, Gift};
use crate::event::{Context, Event, Notice, Outcome, Refused};
use crate::lots::{Lot, Lots};
use crate::posting::{AMOUNT_MAX, Account, Basis, Kind, Posting, Source};
use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that the book keeps of one member, but for their name and their postings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// When the member was enrolled.
    pub enrolled_at: Millis,
    /// Their tier.
    pub standing: Standing,
    /// What they earned in the last months.
    pub growth: Lots,
    /// What they can spend.
    pub points: Lots,
    /// Points of orders that are not paid yet.
    pub pending: u64,
    /// Points that are kept for orders.
    pub holds: Vec<Hold>,
    /// What they did on each of the last days.
    pub(crate) acts: Vec<ActDay>,
    /// By whom they were referred.
    pub referral: Option<Referral>,
    /// Whom they referred.
    pub referees: Referees,
    /// When their birthday is.
    pub birthday: Option<Birthday>,
    /// The gift that they had last.
    pub gift: Option<Gift>,
    /// Coupons that were issued to them.
    pub coupons: Vec<Coupon>,
    /// Rewards that they took, by id.
    pub rewards: BTreeMap<String, u32>,
    /// The newest of them, the newest last.
    pub redemptions: Vec<Redemption>,
    /// Whether they may be addressed by what they do.
    pub targeting: bool,
    /// What they paid less than list prices, in the plan's minor unit.
    pub saved_cents: u64,
    /// How many postings they have had.
    pub postings: u64,
    /// What they should hear of: the newest, the newest last.
    pub notices: Vec<Told>,
    /// What they were warned of.
    pub(crate) noticed: Noticed,
    // Rows of before have no more than this; stores read the rest of them as zeros.
    /// What the oldest postings came to, which are not kept any more.
    pub opening: Opening,
    /// The benefits that they have, by their ids in the plan.
    pub entitled: BTreeMap<String, Entitlement>,
}

/// Most notices that an account shows.
const NOTICES_MAX: usize = 50;

/// What one event does, while it is taken.
pub(super) struct Taking<'a> {
    pub(super) context: Context<'a>,
    pub(super) outcome: Outcome,
}

impl Membership {
    /// The account of a member who was enrolled just now.
    #[must_use]
    pub fn new(at: Millis) -> Self {
        Self {
            enrolled_at: at,
            standing: Standing::new(at),
            growth: Lots::default(),
            points: Lots::default(),
            pending: 0,
            holds: Vec::new(),
            acts: Vec::new(),
            referral: None,
            referees: Referees::default(),
            birthday: None,
            gift: None,
            coupons: Vec::new(),
            rewards: BTreeMap::new(),
            redemptions: Vec::new(),
            targeting: true,
            saved_cents: 0,
            postings: 0,
            notices: Vec::new(),
            noticed: Noticed::default(),
            opening: Opening::new(at),
            entitled: BTreeMap::new(),
        }
    }

    /// Takes an event: changes the account and returns what is to be posted.
    ///
    /// # Errors
    /// [`Refused`]; nothing has changed.
    pub fn take(&mut self, event: &Event, context: Context<'_>) -> Result<Outcome, Refused> {
        let mut next = self.clone();
        let mut taking = Taking { context, outcome: Outcome::default() };
        // What is over is posted first, so that nothing counts that has expired.
        next.expire(&mut taking);
        next.roll(&mut taking);
        let swept = taking.outcome.postings.len();
        next.judge(event, &mut taking)?;
        next.rise(&mut taking);
        next.grant(&mut taking);
        next.keep_notices(&taking);
        let is_known = taking.outcome.is_known;
        debug_assert!(!is_known || taking.outcome.postings.len() == swept, "known and posted");
        *self = next;
        Ok(taking.outcome)
    }

    fn judge(&mut self, event: &Event, taking: &mut Taking<'_>) -> Result<(), Refused> {
        match event {
            Event::Enrolled { own, referrer } => self.enrolled(*own, *referrer),
            Event::Confirmed(order) => self.confirmed(order, taking),
            Event::Ended { order, with } => self.ended(order, with, taking),
            Event::Paid(order) => self.paid(order, taking),
            Event::Refunded(refund) => self.refunded(refund, taking),
            Event::Act { id, act } => self.acted(id, *act, taking),
            Event::Referral { referee, stage } => self.referral_at(*referee, *stage, taking),
            Event::Hold { order, with, until } => self.hold(order, with, *until, taking)?,
            Event::Redeem { id, reward, taken } => self.redeem(id, reward, *taken, taking)?,
            Event::Issue { id, kind } => self.issue(id, kind, taking)?,
            Event::Adjust { id, account, amount } => self.adjust(id, *account, *amount, taking)?,
            Event::SetBirthday(birthday) => self.birthday = Some(*birthday),
            Event::ClaimGift => self.claim_gift(taking)?,
            Event::SetTargeting(targeting) => self.targeting = *targeting,
            Event::SeeBenefits => self.see_benefits(taking),
            Event::UseBenefit { id, benefit } => self.use_benefit(id, benefit, taking)?,
            Event::Sweep => self.sweep(taking),
        }
        Ok(())
    }

    fn keep_notices(&mut self, taking: &Taking<'_>) {
        let last = self.notices.last().map_or(0, |told| told.id);
        let at = taking.context.at;
        let told = |(id, notice): (u64, &Notice)| Told { id, at, notice: *notice };
        self.notices.extend((last + 1..).zip(&taking.outcome.notices).map(told));
        let over = self.notices.len().saturating_sub(NOTICES_MAX);
        self.notices.drain(..over);
    }

    /// Corrects growth or points by hand. What is taken may be more than there is.
    fn adjust(
        &mut self,
        id: &Source,
        account: Account,
        amount: i64,
        taking: &mut Taking<'_>,
    ) -> Result<(), Refused> {
        let is_amount = (1..=AMOUNT_MAX).contains(&amount.unsigned_abs());
        if !is_amount || !matches!(account, Account::Growth | Account::Points) {
            return Err(Refused::BadAmount);
        }
        if taking.is_posted(account, Kind::Adjustment, id) {
            return Ok(());
        }
        if amount > 0 {
            self.credit(account, Kind::Adjustment, id, amount.unsigned_abs(), taking);
        } else {
            let at = taking.context.at;
            let lots = if account == Account::Growth { &mut self.growth } else { &mut self.points };
            lots.claw_back(amount.unsigned_abs(), at);
            self.post(account, Kind::Adjustment, id, amount, None, taking);
        }
        Ok(())
    }

    /// Adds growth or points that count from now on until they expire.
    pub(super) fn credit(
        &mut self,
        account: Account,
        kind: Kind,
        source: &Source,
        amount: u64,
        taking: &mut Taking<'_>,
    ) {
        let (at, plan) = (taking.context.at, taking.context.plan);
        let amount = amount.min(AMOUNT_MAX);
        let (lots, expires_at) = match account {
            // Lots of one day are one lot, so that a member has no more of them than a year has days.
            Account::Growth => (&mut self.growth, at.end_of_day_later(plan.growth.months)),
            _ => (&mut self.points, at.end_of_month_later(plan.points.months)),
        };
        if amount > 0 {
            lots.credit(Lot { expires_at, amount });
        }
        self.post(account, kind, source, signed(amount), Some(expires_at), taking);
    }

    pub(super) fn post(
        &mut self,
        account: Account,
        kind: Kind,
        source: &Source,
        amount: i64,
        expires_at: Option<Millis>,
        taking: &mut Taking<'_>,
    ) {
        self.postings += 1;
        taking.outcome.postings.push(Posting {
            number: self.postings,
            account,
            kind,
            source: source.clone(),
            amount,
            at: taking.context.at,
            expires_at,
            plan: taking.context.version,
            basis: None,
        });
    }

    /// The account of a member who was erased: what it has stays, what only they may know goes.
    #[must_use]
    pub fn erased(self) -> Self {
        Self { birthday: None, targeting: false, ..self }
    }

    /// What the member's postings of an account come to.
    #[must_use]
    pub fn posted(&self, account: Account) -> i64 {
        match account {
            Account::Growth => self.growth.posted(),
            Account::Points => self.points.posted(),
            Account::Pending => signed(self.pending),
            Account::Held => {
                signed(self.holds.iter().flat_map(|hold| &hold.lots).map(|lot| lot.amount).sum())
            }
        }
    }
}

impl Taking<'_> {
    /// Whether this was posted before; notes that the event is known then.
    pub(super) fn is_posted(&mut self, account: Account, kind: Kind, source: &Source) -> bool {
        let is_posted = self.context.posted(account, kind, source).is_some();
        self.outcome.is_known |= is_posted;
        is_posted
    }

    /// Notes what the newest posting was computed from.
    pub(super) fn base(&mut self, basis: Basis) {
        if let Some(posting) = self.outcome.postings.last_mut() {
            posting.basis = Some(basis);
        }
    }
}

/// Amounts are far below 2^62.
pub(super) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
