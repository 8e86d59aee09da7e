//! A change of a sale's terms, as an operator describes it.

use super::member_terms::{AudienceOf, ForMembers};
use super::new_sale::{ByTier, NewSale};
use super::request::{AnyUnits, Instant};
use crate::answer::problem::FieldError;
use engine::members::CurrentPlan;
use engine::rules::member_terms::MemberTerms;
use engine::rules::terms::Terms;
use engine::rules::units::Units;
use membership::{PerTier, Tier};
use serde::Deserialize;
use utoipa::ToSchema;

/// What is to change of a sale; what is absent stays. Once a window has opened, only the title, the picture, a later
/// `closes_at`, and `pay_within_s` for orders to come may change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(
    json!({"title": "Another lamp", "closes_at": "2999-02-01T00:00:00Z"}),
    json!({"windows": {"diamond": "2026-01-01T11:00:00Z"}, "limits": {"diamond": 2}}),
))]
pub(crate) struct SaleChange {
    title: Option<String>,
    /// In the currency's minor unit. 0 only with `free`.
    price_cents: Option<u64>,
    free: Option<bool>,
    /// ISO 4217.
    currency: Option<String>,
    /// Units in all, those that were added included.
    #[schema(value_type = Option<u32>)]
    stock: Option<AnyUnits>,
    /// All of them: a tier that is absent may not buy.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    windows: Option<ByTier<Instant>>,
    /// All of them.
    #[schema(value_type = Option<std::collections::BTreeMap<String, u32>>)]
    limits: Option<ByTier<AnyUnits>>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closes_at: Option<Instant>,
    pay_within_s: Option<u32>,
    adults_only: Option<bool>,
    /// Where a picture of the thing is; empty for none.
    image_url: Option<String>,
    /// What one unit costs on a member day.
    member_day_price_cents: Option<u64>,
    /// How much of what is left after a coupon points may pay, in per cent.
    #[schema(maximum = 100)]
    points_share_max: Option<u8>,
    /// All kinds of coupons that it takes.
    coupons: Option<Vec<String>>,
    /// For whom it is there.
    audience: Option<AudienceOf>,
    listed: Option<bool>,
}

impl SaleChange {
    /// The terms with this change, or everything that is wrong with them. `added` units were added to the
    /// sale's stock.
    pub(crate) fn terms(
        self,
        now: &Terms,
        added: Units,
        plan: &CurrentPlan,
    ) -> Result<Terms, Vec<FieldError>> {
        let stock = match self.stock {
            None => now.stock.0,
            Some(AnyUnits(all)) => {
                all.checked_sub(added.0).filter(|rest| *rest > 0).ok_or_else(|| {
                    let reason = format!("more than the {} units that were added", added.0);
                    vec![FieldError { field: "stock".into(), reason }]
                })?
            }
        };
        let members = ForMembers::of(&now.members);
        let follows_plan = self.price_cents.is_some_and(|price| price != now.price.0)
            || self.currency.as_ref().is_some_and(|currency| *currency != now.currency)
            || self
                .member_day_price_cents
                .is_some_and(|price| members.member_day_price_cents != Some(price))
            || self.points_share_max.is_some_and(|share| share != members.points_share_max)
            || self.coupons.as_ref().is_some_and(|coupons| *coupons != members.coupons);
        let price_cents = self.price_cents.unwrap_or(now.price.0);
        let was_free = self.price_cents.is_none() && now.price.0 == 0;
        let windows = self
            .windows
            .unwrap_or_else(|| ByTier::of(by_tier(|tier| now.windows.opens_at(tier).map(Instant))));
        let limits = self.limits.unwrap_or_else(|| {
            let admitted = |tier| now.windows.opens_at(tier).map(|_| AnyUnits(now.limits[tier].0));
            ByTier::of(by_tier(admitted))
        });
        let new = NewSale {
            id: now.id.to_string(),
            title: self.title.unwrap_or_else(|| now.title.clone()),
            price_cents,
            free: self.free.unwrap_or(was_free),
            currency: self.currency.unwrap_or_else(|| now.currency.clone()),
            stock: AnyUnits(stock),
            windows,
            limits,
            closes_at: self.closes_at.unwrap_or(Instant(now.windows.closes_at())),
            pay_within_s: self.pay_within_s.unwrap_or(now.pay_within_s),
            adults_only: self.adults_only.unwrap_or(now.adults_only),
            image_url: changed_image(self.image_url, now),
            member_day_price_cents: self.member_day_price_cents.or(members.member_day_price_cents),
            points_share_max: self.points_share_max.unwrap_or(members.points_share_max),
            coupons: self.coupons.unwrap_or(members.coupons),
            audience: self.audience.unwrap_or(members.audience),
            listed: self.listed.unwrap_or(members.listed),
        };
        // What members were told of prices stays, whatever the plan says by now, until prices are changed.
        let mut changed = new.terms(follows_plan.then_some(plan))?;
        if !follows_plan {
            changed.members = MemberTerms {
                audience: changed.members.audience,
                is_unlisted: changed.members.is_unlisted,
                ..now.members.clone()
            };
        }
        // A limit of a tier that may not buy means nothing; it stays as it was, so that nothing seems
        // to change.
        let limits = by_tier(|tier| match changed.windows.opens_at(tier) {
            Some(_) => changed.limits[tier],
            None => now.limits[tier],
        });
        Ok(Terms { limits, ..changed })
    }
}

/// The picture's address: as it was, another one, or none where an empty one is asked for.
fn changed_image(asked: Option<String>, now: &Terms) -> Option<String> {
    asked.map_or_else(|| now.image_url.clone(), |url| Some(url).filter(|url| !url.is_empty()))
}

fn by_tier<T>(of: impl FnMut(Tier) -> T) -> PerTier<T> {
    PerTier(Tier::ALL.map(of))
}
