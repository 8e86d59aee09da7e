//! Read: an account as its member sees it.

use super::membership::Membership;
use crate::event::{MemberNumber, Stage};
use crate::lots::Lot;
use crate::plan::Plan;
use crate::time::Millis;
use serde::Serialize;

/// A stage of a referral, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// It has not come yet.
    Waiting,
    /// It was paid.
    Paid,
    /// Nothing is left of the order that it was paid for.
    TakenBack,
    /// It earns nothing: the referee was one more than count in a month.
    NotCounted,
}

/// A member whom this one referred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Referee {
    /// By number: whom one referred is nobody's to see.
    pub number: MemberNumber,
    /// Registration, first order, silver.
    pub stages: [(Stage, StageState); 3],
}

impl Membership {
    /// The benefits that the member has at an instant.
    #[must_use]
    pub fn benefits<'a>(&self, plan: &'a Plan, at: Millis) -> Vec<&'a str> {
        let tier = self.standing_at(plan, at).tier;
        plan.benefits.iter().filter(|(_, from)| **from <= tier).map(|(id, _)| id.as_str()).collect()
    }

    /// Points that expire, the next ones first.
    pub fn expiring(&self, at: Millis) -> impl Iterator<Item = Lot> {
        self.points.iter().filter(move |lot| lot.expires_at > at)
    }

    /// Whether the gift of the birthday can be claimed.
    #[must_use]
    pub fn has_gift_waiting(&self, plan: &Plan, at: Millis) -> bool {
        let is_admitted = self.standing_at(plan, at).tier >= plan.birthday.from;
        is_admitted && self.birthday.is_some_and(|birthday| birthday.claim(self.gift, at).is_ok())
    }

    /// The members whom this one referred lately.
    pub fn referred(&self) -> impl Iterator<Item = Referee> {
        self.referees.newest.iter().map(|(number, stages)| {
            let state = |stage: Stage| match stages.contains(&stage) {
                true if stage == Stage::FirstOrder
                    && stages.contains(&Stage::FirstOrderTakenBack) =>
                {
                    StageState::TakenBack
                }
                true => StageState::Paid,
                false if stages.contains(&Stage::NotCounted) => StageState::NotCounted,
                false => StageState::Waiting,
            };
            let stages = [Stage::Registration, Stage::FirstOrder, Stage::Silver];
            Referee { number: *number, stages: stages.map(|stage| (stage, state(stage))) }
        })
    }
}
