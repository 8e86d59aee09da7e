//! A sale to make, as an operator or a file describes it.

use super::member_terms::{AudienceOf, ForMembers};
use super::request::{AnyUnits, Instant};
use crate::answer::problem::FieldError;
use engine::members::CurrentPlan;
use engine::rules::cents::Cents;
use engine::rules::terms::{BadTerms, Terms};
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::window::Windows;
use membership::PerTier;
use serde::Deserialize;
use utoipa::ToSchema;

/// A value for each tier that is admitted.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByTier<T> {
    regular: Option<T>,
    silver: Option<T>,
    gold: Option<T>,
    platinum: Option<T>,
    diamond: Option<T>,
}

impl<T> ByTier<T> {
    pub(super) fn of(values: PerTier<Option<T>>) -> Self {
        let PerTier([regular, silver, gold, platinum, diamond]) = values;
        Self { regular, silver, gold, platinum, diamond }
    }

    fn per_tier(self) -> PerTier<Option<T>> {
        PerTier([self.regular, self.silver, self.gold, self.platinum, self.diamond])
    }
}

/// A sale to make.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "id": "lamp", "title": "A lamp", "price_cents": 19900, "currency": "CNY", "stock": 100,
    "windows": {"gold": "2026-01-01T12:00:00Z", "diamond": "2026-01-01T11:59:00Z"},
    "limits": {"gold": 1, "diamond": 3}, "closes_at": "2999-01-01T00:00:00Z", "pay_within_s": 900,
})))]
pub(crate) struct NewSale {
    /// 1 to 40 of `a-z 0-9 -`.
    pub(super) id: String,
    pub(super) title: String,
    /// In the currency's minor unit: cents, fen; yen for JPY. 0 only with `free`.
    pub(super) price_cents: u64,
    /// The units cost nothing.
    #[serde(default)]
    pub(super) free: bool,
    /// ISO 4217.
    pub(super) currency: String,
    /// 1 to 10,000,000.
    #[schema(value_type = u32)]
    pub(super) stock: AnyUnits,
    /// When each tier's window opens. A tier without a window may not buy.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(super) windows: ByTier<Instant>,
    /// Most units that a member of each admitted tier may hold, 1 to 65,535.
    #[schema(value_type = std::collections::BTreeMap<String, u32>)]
    pub(super) limits: ByTier<AnyUnits>,
    #[schema(value_type = String, format = DateTime)]
    pub(super) closes_at: Instant,
    pub(super) pay_within_s: u32,
    /// Members whose token says that they are minors may not buy.
    #[serde(default)]
    pub(super) adults_only: bool,
    /// Where a picture of the thing is; on an origin that `--media-origins` names.
    pub(super) image_url: Option<String>,
    /// What one unit costs on a member day, a Wednesday in Shanghai, if that is the lowest price.
    pub(super) member_day_price_cents: Option<u64>,
    /// How much of what is left after a coupon points may pay, in per cent.
    #[serde(default)]
    #[schema(maximum = 100)]
    pub(super) points_share_max: u8,
    /// The kinds of coupons that it takes, by their ids in the plan.
    #[serde(default)]
    pub(super) coupons: Vec<String>,
    /// For whom it is there; for everyone if it is absent.
    #[serde(default)]
    #[schema(required = false)]
    pub(super) audience: AudienceOf,
    /// Whether it is on lists.
    #[serde(default = "listed")]
    #[schema(default = true)]
    pub(super) listed: bool,
}

const fn listed() -> bool {
    true
}

impl NewSale {
    /// Returns the terms under this plan, or everything that is wrong with them. Without a plan, what it
    /// says is left open.
    pub(crate) fn terms(self, plan: Option<&CurrentPlan>) -> Result<Terms, Vec<FieldError>> {
        let for_members = ForMembers {
            member_day_price_cents: self.member_day_price_cents,
            points_share_max: self.points_share_max,
            coupons: self.coupons,
            audience: self.audience,
            listed: self.listed,
        };
        let (members, mut errors) = for_members.terms(&self.id, &self.currency, plan);
        let mut note = |field: &str, reason: String| {
            errors.push(FieldError { field: field.into(), reason });
        };
        let id = self.id.parse().map_err(|bad| note("id", format!("{bad}"))).ok();
        let opens_at = PerTier(self.windows.per_tier().0.map(|at| at.map(|at| at.0)));
        let windows = Windows::new(opens_at, self.closes_at.0).map_err(BadTerms::from);
        let windows = windows.map_err(|bad| note(bad.field(), bad.to_string())).ok();
        let limits = self.limits.per_tier().0.map(|units| Units(units.map_or(0, |u| u.0)));
        // These windows stand in for windows that do not fit, so that the other fields are checked
        // as well.
        let any_windows = || {
            let always = PerTier([Some(Millis(0)); 5]);
            Windows::new(always, Millis::MAX).expect("open to all, for ever")
        };
        let terms = Terms {
            id: id.unwrap_or_else(|| "x".parse().expect("a sale id")),
            title: self.title,
            price: Cents(self.price_cents),
            currency: self.currency,
            stock: Units(self.stock.0),
            windows: windows.clone().unwrap_or_else(any_windows),
            limits: PerTier(limits),
            pay_within_s: self.pay_within_s,
            adults_only: self.adults_only,
            image_url: self.image_url,
            members,
        };
        for fault in terms.faults() {
            let follows = windows.is_none() && matches!(fault, BadTerms::Limit(_));
            if !follows {
                note(fault.field(), fault.to_string());
            }
        }
        if self.free != (self.price_cents == 0) {
            let why = match self.free {
                true => "a free sale has the price 0",
                false => "0 is a price only together with `free = true`",
            };
            errors.push(FieldError { field: "price_cents".into(), reason: why.into() });
        }
        if errors.is_empty() { Ok(terms) } else { Err(errors) }
    }
}
