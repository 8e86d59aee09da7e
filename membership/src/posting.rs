//! Posting: one signed line of the book.

use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most that one posting may credit or debit, so that no sum of a member's postings overflows.
pub const AMOUNT_MAX: u64 = 1_000_000_000_000;

/// What a posting changes. Each posting has its opposite on the issuer's side, so the sum over all
/// accounts is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// Growth value: it decides the tier, and is never spent.
    Growth,
    /// Points that can be spent.
    Points,
    /// Points of orders that are not paid yet.
    Pending,
    /// Points that are kept for one order or redemption.
    Held,
}

impl Account {
    /// All accounts of a member.
    pub const ALL: [Self; 4] = [Self::Growth, Self::Points, Self::Pending, Self::Held];

    /// The account's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Growth => "growth",
            Self::Points => "points",
            Self::Pending => "pending",
            Self::Held => "held",
        }
    }
}

/// Why something was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An order: its points are pending when it is confirmed, and growth and points count when it is
    /// paid.
    Order,
    /// An order was cancelled or expired: nothing of it is pending any more.
    OrderEnded,
    /// Money of an order went back.
    Refund,
    /// A member came by a referral, and has shown to be one.
    ReferralRegistration,
    /// The referee's first order was paid.
    ReferralFirstOrder,
    /// The referee has reached silver.
    ReferralSilver,
    /// A referee more than count in a month.
    ReferralNotCounted,
    /// Nothing is left of the referee's first order.
    ReferralTakenBack,
    /// Something was shared.
    Share,
    /// A show was watched.
    Watch,
    /// The member took part in a show: it earns nothing.
    Interact,
    /// Somebody was invited: it earns nothing by itself.
    Invite,
    /// Points are kept for an order.
    Hold,
    /// Points that were kept are spent.
    Spent,
    /// Points that were kept go back.
    GivenBack,
    /// Points were given for a reward.
    Redemption,
    /// The gift of a birthday.
    Birthday,
    /// An operator's correction.
    Adjustment,
    /// What was earned long ago counts no more.
    Expiry,
    /// A benefit was used: it earns nothing.
    Benefit,
    /// What older lines came to, which are not kept any more.
    Opening,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 21] = [
        Self::Order,
        Self::OrderEnded,
        Self::Refund,
        Self::ReferralRegistration,
        Self::ReferralFirstOrder,
        Self::ReferralSilver,
        Self::ReferralNotCounted,
        Self::ReferralTakenBack,
        Self::Share,
        Self::Watch,
        Self::Interact,
        Self::Invite,
        Self::Hold,
        Self::Spent,
        Self::GivenBack,
        Self::Redemption,
        Self::Birthday,
        Self::Adjustment,
        Self::Expiry,
        Self::Benefit,
        Self::Opening,
    ];

    /// The kind's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::OrderEnded => "order_ended",
            Self::Refund => "refund",
            Self::ReferralRegistration => "referral_registration",
            Self::ReferralFirstOrder => "referral_first_order",
            Self::ReferralSilver => "referral_silver",
            Self::ReferralNotCounted => "referral_not_counted",
            Self::ReferralTakenBack => "referral_taken_back",
            Self::Share => "share",
            Self::Watch => "watch",
            Self::Interact => "interact",
            Self::Invite => "invite",
            Self::Hold => "hold",
            Self::Spent => "spent",
            Self::GivenBack => "given_back",
            Self::Redemption => "redemption",
            Self::Birthday => "birthday",
            Self::Adjustment => "adjustment",
            Self::Expiry => "expiry",
            Self::Benefit => "benefit",
            Self::Opening => "opening",
        }
    }
}

/// What a posting comes from, by its own id: an order, a refund, an act. A member's account has one
/// posting of one kind from one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source(pub String);

impl Source {
    /// Of an order: what comes back of it once it was paid. What was kept for it may have gone back before,
    /// and was taken once more.
    #[must_use]
    pub(crate) fn returned(&self) -> Self {
        Self(format!("{self}/returned"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an amount was computed from, so that another plan can be asked about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// Money that was paid.
    Paid {
        /// In the currency's minor unit.
        minor: u64,
        /// ISO 4217.
        currency: String,
    },
    /// Money that went back.
    Refunded {
        /// What was paid for the order, in the currency's minor unit.
        due: u64,
        /// What had gone back before.
        before: u64,
        /// What went back then.
        amount: u64,
    },
    /// A show that was watched for so many seconds.
    Watched(u32),
}

/// One signed line of the book; never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Its place among the member's postings, from 1.
    pub number: u64,
    /// What it changes.
    pub account: Account,
    /// Why.
    pub kind: Kind,
    /// What it comes from.
    pub source: Source,
    /// What is added; less than 0 for what is taken. 0 for an act that counts no more that day.
    pub amount: i64,
    /// When it was posted.
    pub at: Millis,
    /// When what was added expires.
    pub expires_at: Option<Millis>,
    /// The version of the plan by which it was posted.
    pub plan: u32,
    /// What the amount was computed from: of growth for orders, refunds and watching.
    pub basis: Option<Basis>,
}

/// What makes a posting of a member one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Which account.
    pub account: Account,
    /// Why.
    pub kind: Kind,
    /// What it comes from.
    pub source: Source,
}

/// A posting, as far as later ones ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// What was added.
    pub amount: i64,
    /// When it expires.
    pub expires_at: Option<Millis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_serialised_forms() {
        for kind in Kind::ALL {
            assert_eq!(format!("\"{}\"", kind.as_str()), serde_json::to_string(&kind).unwrap());
        }
        for account in Account::ALL {
            let word = serde_json::to_string(&account).unwrap();
            assert_eq!(format!("\"{}\"", account.as_str()), word);
        }
    }
}
