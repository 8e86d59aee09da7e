//! Terms: what an operator sets when a sale is made, and may change as long as nobody relies on it.

use crate::rules::cents::Cents;
use crate::rules::member_terms::MemberTerms;
use crate::rules::refusal::Refusal;
use crate::rules::time::Millis;
use crate::rules::units::Units;
use crate::rules::window::{BadWindows, Windows};
use membership::{PerTier, Tier};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// A sale's name: 1 to 40 of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SaleId(Box<str>);

/// A text that is no sale id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sale id is 1 to 40 characters of a-z 0-9 -")]
pub struct BadSaleId;

impl SaleId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SaleId {
    type Err = BadSaleId;

    fn from_str(text: &str) -> Result<Self, BadSaleId> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=40).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(BadSaleId)
        }
    }
}

impl TryFrom<String> for SaleId {
    type Error = BadSaleId;

    fn try_from(text: String) -> Result<Self, BadSaleId> {
        text.parse()
    }
}

impl From<SaleId> for String {
    fn from(sale: SaleId) -> Self {
        sale.0.into()
    }
}

impl Borrow<str> for SaleId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SaleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a sale sells, to whom, how many and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The sale's name.
    pub id: SaleId,
    /// The title that members see, 1 to 200 characters.
    pub title: String,
    /// Price of one unit.
    pub price: Cents,
    /// ISO 4217 code, three capital letters.
    pub currency: String,
    /// Units that the sale starts with, 1 to 10,000,000.
    pub stock: Units,
    /// When each tier may enter, and when the sale is over.
    pub windows: Windows,
    /// Most units that a member of each tier may hold: 1 to 65,535 where the tier has a window.
    pub limits: PerTier<Units>,
    /// How long a confirmed order may stay unpaid, in seconds.
    pub pay_within_s: u32,
    /// Whether minors are not admitted.
    #[serde(default)]
    pub adults_only: bool,
    /// Where pages find a picture of the thing: an `http` or `https` address of at most 500 visible ASCII characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// What it gives its members.
    #[serde(default)]
    pub members: MemberTerms,
}

/// Whether a text is an address that a page may show a picture from. Quotes and backslashes are written in per cent.
fn is_address(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"\"'<>\\`{}|^".contains(&b);
    url.len() <= 500 && host.is_some_and(|host| !host.is_empty()) && url.bytes().all(is_plain)
}

/// One reason why terms do not make a sale.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTerms {
    /// The title is empty or over 200 characters.
    #[error("1 to 200 characters, no control characters")]
    Title,
    /// The currency is not three capital letters.
    #[error("three capital letters, as in ISO 4217")]
    Currency,
    /// The price is over what a payment could carry.
    #[error("0 to 1,000,000,000,000")]
    Price,
    /// The stock is zero, or over 10,000,000.
    #[error("1 to 10,000,000 units")]
    Stock,
    /// The windows do not fit each other.
    #[error("{0}")]
    Windows(#[from] BadWindows),
    /// A tier with a window has no limit, or one over 65,535.
    #[error("{0} has a window and needs a limit of 1 to 65,535 units")]
    Limit(Tier),
    /// The time to pay is zero, or over 30 days.
    #[error("1 to 2,592,000 seconds")]
    PayWithin,
    /// The price on a member day is over the price of the sale.
    #[error("1 to the price of the sale; 0 for a free one")]
    MemberDayPrice,
    /// Points cannot pay more than all of it.
    #[error("0 to 100 per cent")]
    PointsShare,
    /// The picture's address is none.
    #[error("an http or https address, at most 500 visible ASCII characters")]
    ImageUrl,
    /// The sale would be there for nobody who has a window.
    #[error("at least one tier that has a window")]
    Audience,
}

impl BadTerms {
    /// The field to correct, as the API names it.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Currency => "currency",
            Self::Price => "price_cents",
            Self::Stock => "stock",
            Self::Windows(_) => "windows",
            Self::Limit(_) => "limits",
            Self::PayWithin => "pay_within_s",
            Self::MemberDayPrice => "member_day_price_cents",
            Self::PointsShare => "points_share_max",
            Self::ImageUrl => "image_url",
            Self::Audience => "audience",
        }
    }
}

impl Terms {
    /// The most units that a sale may have, top-ups included.
    pub const STOCK_MAX: Units = Units(10_000_000);

    /// The most units that one member may ever hold in a sale.
    pub const LIMIT_MAX: Units = Units(65_535);

    /// Everything that is wrong with the terms; empty for terms that make a sale.
    #[must_use]
    pub fn faults(&self) -> Vec<BadTerms> {
        let mut faults = Vec::new();
        let title_chars = self.title.chars().count();
        if !(1..=200).contains(&title_chars) || self.title.chars().any(char::is_control) {
            faults.push(BadTerms::Title);
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            faults.push(BadTerms::Currency);
        }
        if self.price.0 > 1_000_000_000_000 {
            faults.push(BadTerms::Price);
        }
        if !(Units(1)..=Self::STOCK_MAX).contains(&self.stock) {
            faults.push(BadTerms::Stock);
        }
        if !(1..=2_592_000).contains(&self.pay_within_s) {
            faults.push(BadTerms::PayWithin);
        }
        for (tier, limit) in self.limits.iter() {
            let admitted = self.windows.opens_at(tier).is_some();
            if admitted && !(Units(1)..=Self::LIMIT_MAX).contains(limit) {
                faults.push(BadTerms::Limit(tier));
            }
        }
        let MemberTerms { member_day_price, points_share_max, audience, .. } = &self.members;
        let least = Cents(1).min(self.price);
        if member_day_price.is_some_and(|price| !(least..=self.price).contains(&price)) {
            faults.push(BadTerms::MemberDayPrice);
        }
        if *points_share_max > 100 {
            faults.push(BadTerms::PointsShare);
        }
        if self.image_url.as_deref().is_some_and(|url| !is_address(url)) {
            faults.push(BadTerms::ImageUrl);
        }
        if !Tier::ALL
            .iter()
            .any(|tier| audience.tiers[*tier] && self.windows.opens_at(*tier).is_some())
        {
            faults.push(BadTerms::Audience);
        }
        faults
    }

    /// The fields, as the API names them, in which these terms differ from others. What the plan says of them
    /// is not compared.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let Self { id, title, price, currency, stock, windows, limits, pay_within_s, .. } = self;
        let (members, others) = (self.members.of_the_sale(), other.members.of_the_sale());
        [
            ("id", *id == other.id),
            ("title", *title == other.title),
            ("price_cents", *price == other.price),
            ("currency", *currency == other.currency),
            ("stock", *stock == other.stock),
            ("windows", windows.closing_at(Millis::MAX) == other.windows.closing_at(Millis::MAX)),
            ("closes_at", windows.closes_at() == other.windows.closes_at()),
            ("limits", *limits == other.limits),
            ("pay_within_s", *pay_within_s == other.pay_within_s),
            ("adults_only", self.adults_only == other.adults_only),
            ("image_url", self.image_url == other.image_url),
            ("member_day_price_cents", members.member_day_price == others.member_day_price),
            ("points_share_max", members.points_share_max == others.points_share_max),
            ("coupons", members.coupons == others.coupons),
            ("audience", members.audience == others.audience),
            ("listed", members.is_unlisted == others.is_unlisted),
        ]
        .into_iter()
        .filter_map(|(field, is_same)| (!is_same).then_some(field))
        .collect()
    }

    /// Checks that members of this tier are admitted at all, and minors if this member is one.
    ///
    /// # Errors
    /// [`Refusal::TierNotAdmitted`] or [`Refusal::NotForMinors`].
    #[inline]
    pub fn admits(&self, tier: Tier, is_minor: bool) -> Result<(), Refusal> {
        if self.windows.opens_at(tier).is_none() {
            return Err(Refusal::TierNotAdmitted);
        }
        if is_minor && self.adults_only {
            return Err(Refusal::NotForMinors);
        }
        Ok(())
    }

    /// Most units that one click of this tier may ask for. A tier that is not admitted has no limit
    /// of its own: its clicks are to be refused as not admitted, and not for their units.
    #[inline]
    #[must_use]
    pub fn click_units_max(&self, tier: Tier) -> Units {
        match self.windows.opens_at(tier) {
            Some(_) => self.limits[tier],
            None => Self::LIMIT_MAX,
        }
    }

    /// When a payment for an order confirmed at `at` is due.
    #[must_use]
    pub fn pay_by(&self, at: Millis) -> Millis {
        at + std::time::Duration::from_secs(u64::from(self.pay_within_s))
    }
}
