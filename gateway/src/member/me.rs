//! `/v1/me`: a member's own account: growth, points, coupons, rewards, birthday.

use crate::answer::account::{AccountView, CouponsView, NoticesView, PostingsView};
use crate::answer::error::ApiError;
use crate::answer::problems::{
    BadBody, BadRequest, Busy, NoGift, NotRedeemed, TooMany, Unauthenticated, UnknownMember,
};
use crate::answer::words;
use crate::ask::rates::Rates;
use crate::ask::request::{self, InQuery};
use crate::ask::session::Session;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use engine::Engine;
use engine::members::{Ask, NotTaken};
use engine::store::Who;
use membership::MemberId;
use membership::Tier;
use membership::account::Membership;
use membership::birthday::{Birthday, Calendar};
use membership::event::{Event, MemberNumber};
use membership::plan::{Reward, RewardKind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// Most postings on a page.
pub(crate) const POSTINGS_MAX: usize = 100;

/// From where on to list postings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    /// The `next` of the page before.
    #[serde(default = "After::newest")]
    pub(crate) after: u64,
}

impl After {
    const fn newest() -> u64 {
        u64::MAX
    }
}

/// The account of a member by name.
pub(crate) async fn account(
    engine: &Engine,
    member: &str,
) -> Result<(MemberNumber, Membership), ApiError> {
    let who = Who::Named(member.parse::<MemberId>().map_err(|_| NotTaken::NotEnrolled)?);
    Ok(engine.book().account(who).await?.ok_or(NotTaken::NotEnrolled)?)
}

/// A member's account, as they see it.
pub(crate) async fn view(engine: &Engine, member: &str) -> Result<Json<AccountView>, ApiError> {
    let (number, of) = account(engine, member).await?;
    Ok(shown(engine, member, number, &of))
}

fn shown(
    engine: &Engine,
    member: &str,
    number: MemberNumber,
    of: &Membership,
) -> Json<AccountView> {
    let current = engine.book().plans.current();
    Json(AccountView::of(member, number, of, &current.plan, engine.now()))
}

/// Takes an event of a member.
pub(crate) async fn take(
    engine: &Arc<Engine>,
    member: &str,
    event: Event,
) -> Result<membership::event::Outcome, ApiError> {
    let who = Who::Named(member.parse::<MemberId>().map_err(|_| NotTaken::NotEnrolled)?);
    let (engine, ask) = (Arc::clone(engine), Ask { who, event, at: engine.now() });
    Ok(to_the_end(async move { engine.book().take(ask).await }).await???)
}

/// Goes on with a change of the book when the caller goes away: what this process knows of the book follows
/// what was posted.
pub(crate) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(change).await.map_err(|_| ApiError::Internal)
}

/// A page of a member's postings.
pub(crate) async fn postings_of(
    engine: &Engine,
    member: &str,
    after: u64,
) -> Result<Json<PostingsView>, ApiError> {
    let (number, of) = account(engine, member).await?;
    let page = engine.book().postings(number, after, POSTINGS_MAX + 1).await?;
    Ok(Json(PostingsView::of(page, POSTINGS_MAX, &of.opening, after)))
}

/// Returns the member's account. Benefits that are in it for the first time are noted as seen.
#[utoipa::path(
    get, path = "/v1/me", operation_id = "readMe", tag = "membership", security(("member" = [])),
    responses((status = 200, description = "the account as it is now", body = AccountView), Unauthenticated, UnknownMember, TooMany, Busy),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
) -> Result<Json<AccountView>, ApiError> {
    rates.read(session.seat)?;
    let (number, of) = account(&engine, session.member.as_str()).await?;
    if of.has_unseen_benefits() {
        // It is noted the next time: the account can be shown all the same.
        let seen = take(&engine, session.member.as_str(), Event::SeeBenefits).await;
        seen.inspect_err(|error| tracing::warn!(%error, "benefits are not noted as seen")).ok();
    }
    Ok(shown(&engine, session.member.as_str(), number, &of))
}

/// Returns the member's postings, newest first, about 100 on a page.
#[utoipa::path(
    get, path = "/v1/me/postings", operation_id = "listMyPostings", tag = "membership", security(("member" = [])),
    params(("after" = Option<u64>, Query, description = "`next` of the page before")),
    responses((status = 200, description = "a page of them", body = PostingsView), BadRequest, Unauthenticated, UnknownMember, TooMany, Busy),
)]
pub(crate) async fn postings(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    InQuery(After { after }): InQuery<After>,
) -> Result<Json<PostingsView>, ApiError> {
    rates.read(session.seat)?;
    postings_of(&engine, session.member.as_str(), after).await
}

/// Returns the member's coupons with their terms.
#[utoipa::path(
    get, path = "/v1/me/coupons", operation_id = "listMyCoupons", tag = "membership", security(("member" = [])),
    responses((status = 200, description = "all of them", body = CouponsView), Unauthenticated, UnknownMember, TooMany, Busy),
)]
pub(crate) async fn coupons(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
) -> Result<Json<CouponsView>, ApiError> {
    rates.read(session.seat)?;
    let (_, of) = account(&engine, session.member.as_str()).await?;
    let current = engine.book().plans.current();
    Ok(Json(CouponsView::of(&of, &current.plan, engine.now())))
}

/// From where on to list notices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AfterNotice {
    /// The newest that the caller has.
    #[serde(default)]
    after: u64,
}

/// Returns what the member should hear of, oldest first: the newest 50 are kept.
#[utoipa::path(
    get, path = "/v1/me/notices", operation_id = "listMyNotices", tag = "membership", security(("member" = [])),
    params(("after" = Option<u64>, Query, description = "only those with higher ids")),
    responses((status = 200, description = "those behind it", body = NoticesView), BadRequest, Unauthenticated, UnknownMember, TooMany, Busy),
)]
pub(crate) async fn notices(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    InQuery(AfterNotice { after }): InQuery<AfterNotice>,
) -> Result<Json<NoticesView>, ApiError> {
    rates.read(session.seat)?;
    let (_, of) = account(&engine, session.member.as_str()).await?;
    Ok(Json(NoticesView::of(&of, after)))
}

/// Rewards that a member may have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RewardsView {
    rewards: Vec<RewardView>,
}

/// A reward.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"id": "coupon-10", "title": "10 off", "kind": "coupon", "points": 1000})))]
struct RewardView {
    id: String,
    title: String,
    #[schema(value_type = words::RewardKind)]
    kind: RewardKind,
    /// Its price.
    points: u32,
    /// How many one member may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

/// Returns the rewards for the member's tier.
#[utoipa::path(
    get, path = "/v1/rewards", operation_id = "listRewards", tag = "membership", security(("member" = [])),
    responses((status = 200, description = "all of them", body = RewardsView), Unauthenticated, UnknownMember, TooMany, Busy),
)]
pub(crate) async fn rewards(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
) -> Result<Json<RewardsView>, ApiError> {
    rates.read(session.seat)?;
    let (_, of) = account(&engine, session.member.as_str()).await?;
    let current = engine.book().plans.current();
    let tier: Tier = of.standing_at(&current.plan, engine.now()).tier;
    let view = |(id, reward): (&String, &Reward)| RewardView {
        id: id.clone(),
        title: reward.title.clone(),
        kind: reward.kind,
        points: reward.points,
        limit: reward.limit,
    };
    let rewards = current.plan.rewards.iter().filter(|(_, reward)| reward.from <= tier);
    Ok(Json(RewardsView { rewards: rewards.map(view).collect() }))
}

/// Which reward to take.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"reward": "coupon-10"})))]
pub(crate) struct RedemptionBody {
    /// By its id.
    reward: String,
}

/// A reward that was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"reward": "coupon-10", "points": {"balance": 20}})))]
pub(crate) struct RedemptionView {
    reward: String,
    points: BalanceView,
}

/// Points that are left.
#[derive(Debug, Serialize, ToSchema)]
struct BalanceView {
    balance: i64,
}

/// Takes a reward for points. A repetition with the same `Idempotency-Key` takes nothing more.
#[utoipa::path(
    post, path = "/v1/me/redemptions", operation_id = "redeem", tag = "membership", security(("member" = [])),
    params(("Idempotency-Key" = String, Header)),
    request_body = RedemptionBody,
    responses((status = 201, description = "taken, now or before", body = RedemptionView), BadBody, Unauthenticated, NotRedeemed, TooMany, Busy),
)]
pub(crate) async fn redeem(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    request: Request,
) -> Result<(StatusCode, Json<RedemptionView>), ApiError> {
    rates.call(session.seat)?;
    let (parts, body) = request.into_parts();
    let RedemptionBody { reward } = request::json(body).await?;
    let missing = || ApiError::BadRequest("Idempotency-Key: needed for a redemption".into());
    let key = request::idempotency_key(&parts.headers)?.ok_or_else(missing)?;
    let member = session.member.clone();
    let (redeeming, key, wanted) = (Arc::clone(&engine), key.to_owned(), reward.clone());
    let redeem = async move { redeeming.redeem(&member, &key, &wanted).await };
    to_the_end(redeem).await???;
    let (_, of) = account(&engine, session.member.as_str()).await?;
    let points = BalanceView { balance: of.points.balance(engine.now()) };
    Ok((StatusCode::CREATED, Json(RedemptionView { reward, points })))
}

/// When the member's birthday is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"calendar": "lunar", "month": 8, "day": 15})))]
pub(crate) struct BirthdayBody {
    #[schema(value_type = words::Calendar)]
    calendar: Calendar,
    #[schema(minimum = 1, maximum = 12)]
    month: u8,
    #[schema(minimum = 1, maximum = 31)]
    day: u8,
    /// A leap month, by the lunar calendar.
    #[serde(default)]
    leap: bool,
}

/// Sets the member's birthday, by either calendar.
#[utoipa::path(
    put, path = "/v1/me/birthday", operation_id = "setBirthday", tag = "membership", security(("member" = [])),
    request_body = BirthdayBody,
    responses((status = 200, description = "the account as it is now", body = AccountView), BadBody, Unauthenticated, UnknownMember, TooMany, Busy),
)]
pub(crate) async fn set_birthday(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    request: Request,
) -> Result<Json<AccountView>, ApiError> {
    rates.call(session.seat)?;
    let BirthdayBody { calendar, month, day, leap } = request::json(request.into_body()).await?;
    let birthday = Birthday::new(calendar, month, day, leap)
        .map_err(|bad| ApiError::BadRequest(format!("month, day: {bad}")))?;
    take(&engine, session.member.as_str(), Event::SetBirthday(birthday)).await?;
    view(&engine, session.member.as_str()).await
}

/// Claims the gift of the birthday, once a year, in its month.
#[utoipa::path(
    post, path = "/v1/me/birthday-gift", operation_id = "claimBirthdayGift", tag = "membership", security(("member" = [])),
    responses((status = 201, description = "the account with the gift", body = AccountView), Unauthenticated, NoGift, TooMany, Busy),
)]
pub(crate) async fn claim_gift(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
) -> Result<(StatusCode, Json<AccountView>), ApiError> {
    rates.call(session.seat)?;
    take(&engine, session.member.as_str(), Event::ClaimGift).await?;
    Ok((StatusCode::CREATED, view(&engine, session.member.as_str()).await?))
}

/// What the member wishes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"targeting": false})))]
pub(crate) struct Preferences {
    /// Whether they may be addressed by what they do.
    targeting: bool,
}

/// Sets what the member wishes.
#[utoipa::path(
    put, path = "/v1/me/preferences", operation_id = "setPreferences", tag = "membership", security(("member" = [])),
    request_body = Preferences,
    responses((status = 200, description = "as they are now", body = Preferences), BadBody, Unauthenticated, UnknownMember, TooMany, Busy),
)]
pub(crate) async fn set_preferences(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    request: Request,
) -> Result<Json<Preferences>, ApiError> {
    rates.call(session.seat)?;
    let wished: Preferences = request::json(request.into_body()).await?;
    take(&engine, session.member.as_str(), Event::SetTargeting(wished.targeting)).await?;
    Ok(Json(wished))
}
