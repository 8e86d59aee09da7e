//! What a sale gives its members, as an operator or a file describes it.

use crate::answer::problem::FieldError;
use crate::answer::words;
use engine::members::CurrentPlan;
use engine::rules::cents::Cents;
use engine::rules::member_terms::{Audience, CouponTerms, MemberTerms, Off};
use membership::{PerTier, Tier};
use serde::Deserialize;
use utoipa::ToSchema;

/// Most kinds of coupons that one sale takes.
const COUPONS_MAX: usize = 100;

/// For whom a sale is there. To everyone else it does not exist.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AudienceBody)]
pub(crate) struct AudienceOf {
    /// Members of these tiers; all if it is absent.
    #[schema(value_type = Option<Vec<words::Tier>>)]
    tiers: Option<Vec<Tier>>,
    /// Only members who are enrolled.
    #[serde(default)]
    enrolled: bool,
}

impl AudienceOf {
    pub(super) fn of(audience: Audience) -> Self {
        let has = |tier: &Tier| audience.tiers[*tier];
        Self {
            tiers: Some(Tier::ALL.into_iter().filter(has).collect()),
            enrolled: audience.is_enrolled,
        }
    }

    fn audience(self) -> Audience {
        let has = |tier| self.tiers.as_ref().is_none_or(|tiers| tiers.contains(&tier));
        Audience { tiers: PerTier(Tier::ALL.map(has)), is_enrolled: self.enrolled }
    }
}

/// What a sale gives its members.
#[derive(Debug, Clone, Default)]
pub(super) struct ForMembers {
    pub(super) member_day_price_cents: Option<u64>,
    pub(super) points_share_max: u8,
    pub(super) coupons: Vec<String>,
    pub(super) audience: AudienceOf,
    pub(super) listed: bool,
}

impl ForMembers {
    /// As these terms have it.
    pub(super) fn of(terms: &MemberTerms) -> Self {
        Self {
            member_day_price_cents: terms.member_day_price.map(|price| price.0),
            points_share_max: terms.points_share_max,
            coupons: terms.coupons.keys().cloned().collect(),
            audience: AudienceOf::of(terms.audience),
            listed: !terms.is_unlisted,
        }
    }

    /// The terms under this plan, and what is wrong with them. Without a plan, what it says is left open.
    pub(super) fn terms(
        self,
        sale: &str,
        currency: &str,
        plan: Option<&CurrentPlan>,
    ) -> (MemberTerms, Vec<FieldError>) {
        let mut errors = Vec::new();
        let mut note = |field: &str, reason: String| {
            errors.push(FieldError { field: field.into(), reason });
        };
        if self.coupons.len() > COUPONS_MAX {
            note("coupons", format!("at most {COUPONS_MAX} kinds"));
        }
        let open = CouponTerms { off: Off::Percent(0), least_order: Cents(0) };
        let wanted = self.coupons.clone();
        let terms = MemberTerms {
            member_day_price: self.member_day_price_cents.map(Cents),
            points_share_max: self.points_share_max,
            coupons: self.coupons.into_iter().map(|kind| (kind, open)).collect(),
            audience: self.audience.audience(),
            is_unlisted: !self.listed,
            ..MemberTerms::default()
        };
        let Some(CurrentPlan { version, plan, .. }) = plan else { return (terms, errors) };
        let is_plans_currency = plan.money.currency == currency;
        if !is_plans_currency && (terms.points_share_max > 0 || !wanted.is_empty()) {
            let field = if wanted.is_empty() { "points_share_max" } else { "coupons" };
            let theirs = &plan.money.currency;
            note(field, format!("points and coupons pay in {theirs}, the plan's currency"));
        }
        let terms = terms.under(plan, *version, sale);
        for kind in wanted.iter().filter(|kind| !terms.coupons.contains_key(*kind)) {
            note("coupons", format!("the plan has no coupon `{kind}` for this sale"));
        }
        (terms, errors)
    }
}
