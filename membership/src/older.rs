//! Older: what earlier versions wrote of accounts and postings where one stands behind the other, so that
//! what a version lacks cannot be told by where a row ends.

use crate::account::{
    ActDay, Coupon, Hold, Membership, Noticed, Opening, Redemption, Referees, Referral, Standing,
    Told,
};
use crate::birthday::{Birthday, Gift};
use crate::lots::Lots;
use crate::posting::{Account, Kind, Posting, Source};
use crate::time::Millis;
use serde::Deserialize;
use std::collections::BTreeMap;

/// An account without an opening balance and benefits.
#[derive(Debug, Deserialize)]
pub struct OldMembership {
    enrolled_at: Millis,
    standing: Standing,
    growth: Lots,
    points: Lots,
    pending: u64,
    holds: Vec<Hold>,
    acts: Vec<ActDay>,
    referral: Option<Referral>,
    referees: Referees,
    birthday: Option<Birthday>,
    gift: Option<Gift>,
    coupons: Vec<Coupon>,
    rewards: BTreeMap<String, u32>,
    redemptions: Vec<Redemption>,
    targeting: bool,
    saved_cents: u64,
    postings: u64,
    notices: Vec<Told>,
    noticed: Noticed,
}

impl From<OldMembership> for Membership {
    fn from(old: OldMembership) -> Self {
        Self {
            enrolled_at: old.enrolled_at,
            standing: old.standing,
            growth: old.growth,
            points: old.points,
            pending: old.pending,
            holds: old.holds,
            acts: old.acts,
            referral: old.referral,
            referees: old.referees,
            birthday: old.birthday,
            gift: old.gift,
            coupons: old.coupons,
            rewards: old.rewards,
            redemptions: old.redemptions,
            targeting: old.targeting,
            saved_cents: old.saved_cents,
            postings: old.postings,
            notices: old.notices,
            noticed: old.noticed,
            opening: Opening::new(Millis(0)),
            entitled: BTreeMap::new(),
        }
    }
}

/// A posting that does not say what its amount was computed from.
#[derive(Debug, Deserialize)]
pub struct OldPosting {
    number: u64,
    account: Account,
    kind: Kind,
    source: Source,
    amount: i64,
    at: Millis,
    expires_at: Option<Millis>,
    plan: u32,
}

impl From<OldPosting> for Posting {
    fn from(old: OldPosting) -> Self {
        let OldPosting { number, account, kind, source, amount, at, expires_at, plan } = old;
        Self { number, account, kind, source, amount, at, expires_at, plan, basis: None }
    }
}
