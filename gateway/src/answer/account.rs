//! Account: what the members' book has of a member, as callers see it.

use super::view::Time;
use super::words;
use engine::rules::time::Millis;
use membership::Tier;
use membership::account::{CouponState, Membership, Opening, StageState, Told};
use membership::birthday::{Birthday, Calendar};
use membership::event::{MemberNumber, Notice, Stage};
use membership::plan::Plan;
use membership::posting::{Account, Kind, Posting};
use membership::referral_code::ReferralCode;
use serde::Serialize;
use utoipa::ToSchema;

/// A member's account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "member": "ann", "tier": "silver", "tier_kept_until": "2027-01-02T16:00:00.000Z", "growth": 1200,
    "growth_to_next": 3800, "points": {"balance": 150, "pending": 20, "expiring": []}, "benefits": ["discount"],
    "saved_cents": 0, "currency": "CNY", "referral_code": "00000000A5", "referrals": [],
})))]
pub(crate) struct AccountView {
    member: String,
    #[schema(value_type = words::Tier)]
    tier: Tier,
    /// Until then the tier is kept at least; absent for the lowest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    tier_kept_until: Option<Time>,
    /// Growth value of the last months.
    growth: i64,
    /// What is missing to the next tier; absent for the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    growth_to_next: Option<u64>,
    points: PointsView,
    benefits: Vec<String>,
    /// What the member paid less than list prices, in the minor unit of the plan's currency.
    saved_cents: u64,
    /// The plan's, ISO 4217.
    currency: String,
    /// To be given to others.
    referral_code: String,
    /// Of each member whom this one referred, three stages.
    referrals: Vec<StageView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::GiftState>, required = false)]
    gift: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    birthday: Option<BirthdayView>,
}

/// A member's points.
#[derive(Debug, Serialize, ToSchema)]
struct PointsView {
    /// What can be spent; below 0 after more was taken back than there was.
    balance: i64,
    /// Of orders that are not paid yet.
    pending: u64,
    /// Those that expire, the next ones first.
    expiring: Vec<ExpiringView>,
}

/// Points that expire.
#[derive(Debug, Serialize, ToSchema)]
struct ExpiringView {
    points: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
}

/// A stage of a referral.
#[derive(Debug, Serialize, ToSchema)]
struct StageView {
    #[schema(value_type = words::ReferralStage)]
    stage: Stage,
    #[schema(value_type = words::StageState)]
    state: StageState,
}

/// When a member's birthday is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BirthdayView {
    #[schema(value_type = words::Calendar)]
    calendar: Calendar,
    month: u8,
    day: u8,
    /// A leap month, by the lunar calendar.
    leap: bool,
}

/// A line of the book.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "id": 7, "kind": "order", "account": "points", "amount": 199, "source": "lamp.1.7",
    "at": "2026-01-01T12:00:00.000Z", "expires_at": "2027-01-31T16:00:00.000Z",
})))]
pub(crate) struct PostingView {
    /// From 1, in the member's order. Those of the kind `opening` have one in common, that of the newest line
    /// that they stand for.
    id: u64,
    #[schema(value_type = words::PostingKind)]
    kind: Kind,
    #[schema(value_type = words::Account)]
    account: Account,
    amount: i64,
    source: String,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// Lines of the book, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PostingsView {
    postings: Vec<PostingView>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// What a member should hear of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoticesView {
    notices: Vec<ToldView>,
}

/// One thing that a member should hear of, with its number.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"id": 1, "at": "2026-01-01T12:00:00.000Z", "kind": "tier_reached", "tier": "silver"})))]
struct ToldView {
    /// From 1, in the member's order.
    id: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    #[serde(flatten)]
    notice: NoticeView,
}

/// What a member should hear of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NoticeView {
    #[schema(value_type = words::NoticeKind)]
    kind: &'static str,
    /// `tier_reached`: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Tier>, required = false)]
    tier: Option<Tier>,
    /// `points_expiring`, `referral_paid`: how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<u64>,
    /// `tier_at_risk`, `points_expiring`: when it happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
}

impl NoticesView {
    /// Those with ids over `after`.
    pub(crate) fn of(account: &Membership, after: u64) -> Self {
        let behind = account.notices.iter().filter(|told| told.id > after);
        let view = |told: &Told| ToldView {
            id: told.id,
            at: Time(told.at),
            notice: NoticeView::of(told.notice),
        };
        Self { notices: behind.map(view).collect() }
    }
}

impl NoticeView {
    pub(crate) fn of(notice: Notice) -> Self {
        let (kind, tier, points, until) = match notice {
            Notice::TierReached(tier) => ("tier_reached", Some(tier), None, None),
            Notice::TierAtRisk(until) => ("tier_at_risk", None, None, Some(until)),
            Notice::PointsExpiring { points, at } => {
                ("points_expiring", None, Some(points), Some(at))
            }
            Notice::GiftWaiting => ("gift_waiting", None, None, None),
            Notice::ReferralPaid(points) => ("referral_paid", None, Some(points), None),
        };
        Self { kind, tier, points, until: until.map(Time) }
    }
}

/// A member's coupons.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CouponsView {
    coupons: Vec<CouponView>,
}

/// A coupon.
#[derive(Debug, Serialize, ToSchema)]
struct CouponView {
    id: String,
    /// By its id in the plan.
    kind: String,
    title: String,
    #[schema(value_type = words::CouponState)]
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    until: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_cents: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    least_order_cents: u64,
    /// Sales that it is good for; empty for all.
    sales: Vec<String>,
}

impl AccountView {
    pub(crate) fn of(
        member: &str,
        number: MemberNumber,
        account: &Membership,
        plan: &Plan,
        at: Millis,
    ) -> Self {
        let standing = account.standing_at(plan, at);
        let expiring = |lot: membership::lots::Lot| ExpiringView {
            points: lot.amount,
            at: Time(lot.expires_at),
        };
        let stages = account.referred().flat_map(|referee| referee.stages);
        Self {
            member: member.to_owned(),
            tier: standing.tier,
            tier_kept_until: standing.kept_until.map(Time),
            growth: account.growth.balance(at),
            growth_to_next: account.growth_to_next(plan, at),
            points: PointsView {
                balance: account.points.balance(at),
                pending: account.pending,
                expiring: account.expiring(at).map(expiring).collect(),
            },
            benefits: account.benefits(plan, at).into_iter().map(str::to_owned).collect(),
            saved_cents: account.saved_cents,
            currency: plan.money.currency.clone(),
            referral_code: ReferralCode::of(number).to_string(),
            referrals: stages.map(|(stage, state)| StageView { stage, state }).collect(),
            gift: gift(account, plan, at),
            birthday: account.birthday.map(BirthdayView::of),
        }
    }
}

/// Whether the gift waits, or was claimed this year.
fn gift(account: &Membership, plan: &Plan, at: Millis) -> Option<&'static str> {
    if account.has_gift_waiting(plan, at) {
        return Some("waiting");
    }
    let birthday = account.birthday?;
    let is_month = birthday.is_month_of(at.day());
    (is_month && account.gift.is_some() && birthday.claim(account.gift, at).is_err())
        .then_some("claimed")
}

impl BirthdayView {
    fn of(birthday: Birthday) -> Self {
        let (month, leap) = birthday.month();
        Self { calendar: birthday.calendar(), month, day: birthday.day(), leap }
    }
}

impl PostingView {
    /// A line as members see it; `None` for those that only the book needs.
    pub(crate) fn shown(posting: Posting) -> Option<Self> {
        let is_shown = matches!(posting.account, Account::Growth | Account::Points);
        is_shown.then(|| Self {
            id: posting.number,
            kind: posting.kind,
            account: posting.account,
            amount: posting.amount,
            source: posting.source.0,
            at: Time(posting.at),
            expires_at: posting.expires_at.map(Time),
        })
    }
}

impl PostingsView {
    /// A page of the postings behind `after`, read with one more than `most`; only what members see. The
    /// last page ends with what older ones came to.
    pub(crate) fn of(
        mut postings: Vec<Posting>,
        most: usize,
        opening: &Opening,
        after: u64,
    ) -> Self {
        let is_last = postings.len() <= most;
        postings.truncate(most);
        let next = postings.last().map(|last| last.number).filter(|_| !is_last);
        if is_last && opening.number < after {
            postings.extend(Account::ALL.into_iter().filter_map(|account| opening.line(account)));
        }
        Self { postings: postings.into_iter().filter_map(PostingView::shown).collect(), next }
    }
}

impl CouponsView {
    pub(crate) fn of(account: &Membership, plan: &Plan, at: Millis) -> Self {
        let view = |coupon: &membership::account::Coupon| {
            let terms = plan.coupons.get(&coupon.kind);
            CouponView {
                id: coupon.id.to_string(),
                kind: coupon.kind.clone(),
                title: terms.map(|terms| terms.title.clone()).unwrap_or_default(),
                state: match coupon.state {
                    CouponState::Used(_) => "used",
                    CouponState::Held(_) => "held",
                    CouponState::Free if coupon.until <= at => "expired",
                    CouponState::Free => "free",
                },
                until: Time(coupon.until),
                amount_cents: terms.and_then(|terms| terms.amount_cents),
                percent: terms.and_then(|terms| terms.percent),
                least_order_cents: terms.map_or(0, |terms| terms.least_order_cents),
                sales: terms.map(|terms| terms.sales.clone()).unwrap_or_default(),
            }
        };
        Self { coupons: account.coupons.iter().map(view).collect() }
    }
}
