//! Event: what happens to a member's account, and what comes of it.

mod keys;

use crate::birthday::{Birthday, NoGift};
use crate::plan::Plan;
use crate::posting::{Account, Key, Kind, Posted, Posting, Source};
use crate::tier::Tier;
use crate::time::Millis;
use serde::{Deserialize, Serialize};

/// A member by the number that the book gave them. It names them where their name must not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberNumber(pub u64);

/// What happens to a member's account. Each is taken once, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The member is enrolled, perhaps by a referral.
    Enrolled {
        /// Their own number.
        own: MemberNumber,
        /// The member whose code they gave.
        referrer: Option<MemberNumber>,
    },
    /// An order was confirmed: its points are pending.
    Confirmed(Order),
    /// An order was released, was cancelled, or expired.
    Ended {
        /// Its id.
        order: Source,
        /// What it was to be paid with beside money, which goes back.
        with: Tender,
    },
    /// An order was paid.
    Paid(Order),
    /// Money of a paid order went back.
    Refunded(Refund),
    /// The member did something in a live room.
    Act {
        /// Its own id.
        id: Source,
        /// What it was.
        act: Act,
    },
    /// A referral of this member has come to a stage.
    Referral {
        /// Whom they referred.
        referee: MemberNumber,
        /// What has happened.
        stage: Stage,
    },
    /// Points and a coupon are kept for an order until an instant.
    Hold {
        /// The order.
        order: Source,
        /// What is kept, not nothing.
        with: Tender,
        /// Then it goes back by itself.
        until: Millis,
    },
    /// Points are given for a reward.
    Redeem {
        /// The call's own id.
        id: Source,
        /// Which one, by its id in the plan.
        reward: String,
        /// How many of it members have taken.
        taken: u64,
    },
    /// A coupon is issued by hand.
    Issue {
        /// The call's own id.
        id: Source,
        /// Which kind, by its id in the plan.
        kind: String,
    },
    /// An operator corrects an account.
    Adjust {
        /// The call's own id.
        id: Source,
        /// Growth or points.
        account: Account,
        /// What is added; less than 0 for what is taken.
        amount: i64,
    },
    /// The member says when their birthday is.
    SetBirthday(Birthday),
    /// The member claims the gift of their birthday.
    ClaimGift,
    /// The member says whether they may be addressed by what they do.
    SetTargeting(bool),
    /// The member was shown the benefits that they have.
    SeeBenefits,
    /// The member used a benefit.
    UseBenefit {
        /// The use's own id.
        id: Source,
        /// Which one, by its id in the plan.
        benefit: String,
    },
    /// What is over is posted: lots, holds, a tier's year.
    Sweep,
}

/// What an order is paid with beside money.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tender {
    /// Points; 0 for none.
    pub points: u64,
    /// A coupon, by its own id.
    pub coupon: Option<Source>,
}

impl Tender {
    /// Whether the order is paid with money alone.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.points == 0 && self.coupon.is_none()
    }
}

/// An order, as far as it earns and spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: Source,
    /// What is paid for it, in the currency's minor unit.
    pub due: u64,
    /// ISO 4217.
    pub currency: String,
    /// What it is paid with besides.
    pub with: Tender,
    /// How much less than its list price it costs, without what points pay, in the currency's minor unit.
    pub saved: u64,
}

/// Money of an order that went back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The order's id.
    pub order: Source,
    /// The refund's own id.
    pub id: String,
    /// What was paid for the order, in the currency's minor unit.
    pub due: u64,
    /// What had gone back before.
    pub before: u64,
    /// What went back now.
    pub amount: u64,
    /// What the order was paid with besides. It goes back when nothing is left of the money.
    pub with: Tender,
    /// ISO 4217.
    pub currency: String,
    /// As [`Order::saved`].
    pub saved: u64,
}

impl Refund {
    /// What the postings of this refund come from.
    #[must_use]
    pub fn source(&self) -> Source {
        Source(format!("{}/{}", self.order, self.id))
    }

    /// What is to be taken back of `earned`: as much as the part of the money. All refunds of an order
    /// together take back exactly what was earned.
    #[must_use]
    pub fn share_of(&self, earned: u64) -> u64 {
        let kept = |refunded: u64| {
            let left = u128::from(self.due.saturating_sub(refunded));
            let kept = u128::from(earned) * left / u128::from(self.due.max(1));
            u64::try_from(kept).unwrap_or(earned)
        };
        kept(self.before) - kept(self.before.saturating_add(self.amount))
    }

    /// Whether nothing is left of what was paid.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.before.saturating_add(self.amount) >= self.due
    }
}

/// What a member did in a live room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Watched, for so many seconds.
    Watch(u32),
    /// Shared.
    Share,
    /// Took part.
    Interact,
    /// Invited somebody.
    Invite,
}

impl Act {
    /// The kind of its postings.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Watch(_) => Kind::Watch,
            Self::Share => Kind::Share,
            Self::Interact => Kind::Interact,
            Self::Invite => Kind::Invite,
        }
    }
}

/// A stage of a referral, as the referrer's account hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The referee has registered. It earns nothing yet.
    Registered,
    /// The referee has shown to be a member.
    Registration,
    /// The referee's first order was paid.
    FirstOrder,
    /// The referee has reached silver.
    Silver,
    /// Nothing is left of the referee's first order.
    FirstOrderTakenBack,
    /// The referee was one more than count in a month: they earn the referrer nothing.
    NotCounted,
}

/// What a member should hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A tier is reached.
    TierReached(Tier),
    /// Without more growth the tier falls at this instant.
    TierAtRisk(Millis),
    /// So many points expire.
    PointsExpiring {
        /// Points.
        points: u64,
        /// When.
        at: Millis,
    },
    /// The gift of the birthday waits until the end of the month.
    GiftWaiting,
    /// A referral earned so many points.
    ReferralPaid(u64),
}

/// How far a benefit has come with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenefitStep {
    /// The member has it from now on.
    Granted,
    /// The member was shown it for the first time.
    Seen,
    /// The member used it for the first time.
    Used,
    /// The member used it once more.
    UsedAgain,
}

/// What an event meets beside the account itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// When it happened, by which it earns and expires.
    pub at: Millis,
    /// The plan that holds.
    pub plan: &'a Plan,
    /// Its version.
    pub version: u32,
    /// What was posted under the keys of [`Event::keys`].
    pub posted: &'a [(Key, Posted)],
    /// The rules that have given as much today as they may.
    pub stopped: &'a [Kind],
}

impl Context<'_> {
    /// What was posted under a key, if it was.
    #[must_use]
    pub fn posted(&self, account: Account, kind: Kind, source: &Source) -> Option<Posted> {
        let is = |key: &Key| (key.account, key.kind, &key.source) == (account, kind, source);
        self.posted.iter().find(|(key, _)| is(key)).map(|(_, posted)| *posted)
    }
}

/// What comes of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The lines that it adds.
    pub postings: Vec<Posting>,
    /// What it does to other members' accounts. They are to be taken before this outcome is kept, so
    /// that a crash in between repeats them and loses none.
    pub others: Vec<(MemberNumber, Event)>,
    /// What the member should hear of.
    pub notices: Vec<Notice>,
    /// What became of benefits, by their ids in the plan.
    pub benefits: Vec<(String, BenefitStep)>,
    /// The event was taken before; nothing has changed.
    pub is_known: bool,
    /// What it would have earned, if its rule had not given enough today.
    pub braked: Option<Kind>,
}

/// Why an event is not taken. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The member has fewer points.
    #[error("the member has {has} points")]
    NotEnoughPoints {
        /// What there is.
        has: u64,
    },
    /// No reward, coupon or benefit has this id.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// The member does not have this benefit.
    #[error("the member does not have this benefit")]
    NotEntitled,
    /// The member's tier is too low.
    #[error("this is for {0} and up")]
    TierNotAdmitted(Tier),
    /// There are no more of it.
    #[error("there are no more of this reward")]
    RewardGone,
    /// The member has had as many as one may have.
    #[error("a member may have {0} of this")]
    LimitReached(u32),
    /// The same id stands for another reward.
    #[error("this id stands for another reward")]
    OtherReward,
    /// The gift cannot be claimed.
    #[error("{0}")]
    NoGift(#[from] NoGift),
    /// The member has not said when their birthday is.
    #[error("the member has set no birthday")]
    NoBirthday,
    /// It is out of range.
    #[error("an amount is 1 to 1,000,000,000,000, or as much less than 0")]
    BadAmount,
    /// The member does not have this coupon, has used it, or it is good no more.
    #[error("this coupon is not valid")]
    CouponNotValid,
    /// What was kept for this order went back already.
    #[error("what was kept for this order went back already")]
    HoldIsOver,
    /// More is kept for the member than may be.
    #[error("at most {0} at a time")]
    TooMany(usize),
}

impl MemberNumber {
    /// What the postings of a referral of this member come from.
    #[must_use]
    pub fn source(self) -> Source {
        Source(self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_refunds_take_back_their_part_and_together_all_of_it() {
        let refund = |before, amount| Refund {
            order: Source("o".into()),
            id: "r".into(),
            due: 999,
            before,
            amount,
            with: Tender::default(),
            currency: "CNY".into(),
            saved: 0,
        };
        let parts = [(0, 333), (333, 333), (666, 332), (998, 1)];
        let taken = parts.map(|(before, amount)| refund(before, amount).share_of(10));
        assert_eq!(taken.iter().sum::<u64>(), 10);
        assert_eq!(taken, [4, 3, 3, 0]);
        assert_eq!(refund(0, 999).share_of(10), 10);
        assert_eq!(refund(0, u64::MAX).share_of(u64::MAX), u64::MAX);
    }
}
