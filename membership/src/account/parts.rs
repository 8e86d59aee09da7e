//! Parts: the values that an account is made of.

use crate::event::{MemberNumber, Notice, Stage};
use crate::lots::Lot;
use crate::posting::{Account, Kind, Posting, Source};
use crate::tier::Tier;
use crate::time::Millis;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A member's tier, and since when they have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The tier.
    pub tier: Tier,
    /// When it was reached, or computed last.
    pub since: Millis,
    /// Until then it is kept at least; `None` for the lowest, which never falls.
    pub kept_until: Option<Millis>,
}

impl Standing {
    pub(super) const fn new(since: Millis) -> Self {
        Self { tier: Tier::Regular, since, kept_until: None }
    }
}

/// What a member did on one day in Shanghai.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActDay {
    pub(super) day: Date,
    pub(super) shares: u8,
    pub(super) watched_s: u32,
}

/// By whom a member was referred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// The member who referred them.
    pub referrer: MemberNumber,
    /// The member's own number.
    pub own: MemberNumber,
    /// Whether they have shown to be a member.
    pub is_qualified: bool,
    /// Their first order that was paid.
    pub first_order: Option<Source>,
    /// Whether the referrer has heard that they reached silver.
    pub(crate) has_told_silver: bool,
}

/// Whom a member referred.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referees {
    /// The newest ones, and how far each is.
    pub newest: Vec<(MemberNumber, Vec<Stage>)>,
    /// The month in which referees were counted last, by its first day, and how many.
    pub(super) counted: Option<(Date, u16)>,
}

/// Most referees that an account shows.
const SHOWN_MAX: usize = 100;

impl Referees {
    pub(super) fn note(&mut self, referee: MemberNumber, stage: Stage) {
        match self.newest.iter_mut().find(|(known, _)| *known == referee) {
            Some((_, stages)) if stages.contains(&stage) => {}
            Some((_, stages)) => stages.push(stage),
            None => {
                if self.newest.len() == SHOWN_MAX {
                    self.newest.remove(0);
                }
                self.newest.push((referee, vec![stage]));
            }
        }
    }

    /// Counts a referee of a month, unless enough were counted.
    pub(super) fn count(&mut self, month: Date, most: u16) -> bool {
        let (counted, before) = self.counted.unwrap_or((month, 0));
        // What is told late counts in the newest month that was counted.
        let (month, before) = if month > counted { (month, 0) } else { (counted, before) };
        let counts = before < most;
        if counts {
            self.counted = Some((month, before + 1));
        }
        counts
    }
}

/// Points that are kept for one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The order.
    pub order: Source,
    /// The lots that they were taken from: they go back into them.
    pub lots: Vec<Lot>,
    /// Then they go back by themselves.
    pub until: Millis,
}

/// A reward that a member took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redemption {
    /// The call's own id.
    pub id: Source,
    /// Which one, by its id in the plan.
    pub reward: String,
    /// When.
    pub at: Millis,
}

/// What a member should hear of, with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// From 1, in the member's order.
    pub id: u64,
    /// When.
    pub at: Millis,
    /// What.
    pub notice: Notice,
}

/// A coupon that was issued to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// Its own id.
    pub id: Source,
    /// Its kind in the plan.
    pub kind: String,
    /// Until then it is good.
    pub until: Millis,
    /// Where it is.
    pub state: CouponState,
}

impl Coupon {
    /// Whether it can be used at an instant.
    #[must_use]
    pub fn is_good(&self, at: Millis) -> bool {
        self.state == CouponState::Free && self.until > at
    }
}

/// Where a coupon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CouponState {
    /// The member has it.
    Free,
    /// It is kept for this order.
    Held(Source),
    /// It was used with this order.
    Used(Source),
}

/// What a member was told of, so that it is told once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Noticed {
    /// The end of the year of which they heard that the tier is at risk.
    pub(super) at_risk: Millis,
    /// The expiries of which they heard 30 and 7 days before.
    pub(super) expiring: [Millis; 2],
    /// The month of which they heard that the gift waits, by its first day.
    pub(super) gift: Millis,
}

/// A benefit that a member has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// Whether the member was shown it.
    pub is_seen: bool,
    /// How often they used it since they have it.
    pub used: u32,
}

/// What a member's oldest postings came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The newest posting that is in it; 0 if none is.
    pub number: u64,
    /// What is older than this instant is in it, as far as it was looked for.
    pub until: Millis,
    /// By account, in the order of [`Account::ALL`].
    pub(super) sums: [i64; 4],
}

impl Opening {
    pub(crate) const fn new(until: Millis) -> Self {
        Self { number: 0, until, sums: [0; 4] }
    }

    /// Whether the key of a posting goes with it. That a referee was not counted is asked for as long as
    /// they may come to another stage.
    #[must_use]
    pub const fn forgets(kind: Kind) -> bool {
        !matches!(kind, Kind::ReferralNotCounted)
    }

    /// What the postings of an account came to.
    #[must_use]
    pub fn sum(&self, account: Account) -> i64 {
        self.sums[account as usize]
    }

    /// The line that stands for the older ones of an account; `None` if there are none.
    #[must_use]
    pub fn line(&self, account: Account) -> Option<Posting> {
        (self.number > 0).then(|| Posting {
            number: self.number,
            account,
            kind: Kind::Opening,
            source: Source(format!("1-{}", self.number)),
            amount: self.sum(account),
            at: self.until,
            expires_at: None,
            plan: 0,
            basis: None,
        })
    }
}
