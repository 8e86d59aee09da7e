//! Referrals: three stages, each once. What a registration earns waits until the referee has shown to
//! be a member, so registrations alone are worth nothing.

use super::membership::{Membership, Taking, signed};
use super::parts::Referral;
use crate::event::{Event, MemberNumber, Notice, Stage};
use crate::posting::{Account, Kind, Source};

impl Membership {
    /// The referrer hears of it once this is kept: it earns nothing, so it need not come first.
    pub(super) fn enrolled(&mut self, own: MemberNumber, referrer: Option<MemberNumber>) {
        let Some(referrer) = referrer else { return };
        if self.referral.is_some() || referrer == own {
            return;
        }
        self.referral = Some(Referral {
            referrer,
            own,
            is_qualified: false,
            first_order: None,
            has_told_silver: false,
        });
    }

    /// The member has shown to be one.
    pub(super) fn qualify(&mut self, taking: &mut Taking<'_>) {
        let Some(referral) = self.referral.as_mut().filter(|referral| !referral.is_qualified)
        else {
            return;
        };
        referral.is_qualified = true;
        let (referrer, own) = (referral.referrer, referral.own);
        let event = Event::Referral { referee: own, stage: Stage::Registration };
        taking.outcome.others.push((referrer, event));
        let points = taking.context.plan.referral.registration.into();
        let kind = Kind::ReferralRegistration;
        let points = if taking.stops(kind) { 0 } else { points };
        self.credit(Account::Points, kind, &Source("own".into()), points, taking);
    }

    /// A referee of this member has come to a stage.
    pub(super) fn referral_at(
        &mut self,
        referee: MemberNumber,
        stage: Stage,
        taking: &mut Taking<'_>,
    ) {
        let (source, plan) = (referee.source(), taking.context.plan);
        let (kind, points) = match stage {
            Stage::Registered | Stage::NotCounted => return self.referees.note(referee, stage),
            Stage::Registration => (Kind::ReferralRegistration, plan.referral.registration),
            Stage::FirstOrder => (Kind::ReferralFirstOrder, plan.referral.first_order),
            Stage::Silver => (Kind::ReferralSilver, plan.referral.silver),
            Stage::FirstOrderTakenBack => {
                self.referees.note(referee, stage);
                return self.take_back(&source, taking);
            }
        };
        let is_counted =
            taking.context.posted(Account::Points, Kind::ReferralNotCounted, &source).is_none();
        if !is_counted || taking.is_posted(Account::Points, kind, &source) {
            return;
        }
        if stage == Stage::Registration {
            let month = taking.context.at.day().first_of_month();
            if !self.referees.count(month, plan.referral.referees_a_month) {
                self.referees.note(referee, Stage::NotCounted);
                return self.post(
                    Account::Points,
                    Kind::ReferralNotCounted,
                    &source,
                    0,
                    None,
                    taking,
                );
            }
            self.credit(Account::Growth, kind, &source, plan.growth.invite.into(), taking);
        }
        self.referees.note(referee, stage);
        let points = if taking.stops(kind) { 0 } else { points.into() };
        self.credit(Account::Points, kind, &source, points, taking);
        if points > 0 {
            taking.outcome.notices.push(Notice::ReferralPaid(points));
        }
    }

    /// Takes back what the referee's first order earned.
    fn take_back(&mut self, source: &Source, taking: &mut Taking<'_>) {
        let earned = taking.context.posted(Account::Points, Kind::ReferralFirstOrder, source);
        let Some(earned) = earned.filter(|earned| earned.amount > 0) else { return };
        if taking.is_posted(Account::Points, Kind::ReferralTakenBack, source) {
            return;
        }
        let at = taking.context.at;
        if earned.expires_at.is_some_and(|expires_at| expires_at > at) {
            self.points.claw_back(earned.amount.unsigned_abs(), at);
            let back = -signed(earned.amount.unsigned_abs());
            self.post(Account::Points, Kind::ReferralTakenBack, source, back, None, taking);
        }
    }
}
