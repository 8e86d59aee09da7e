//! Judged: clicks that another node has gathered are judged here, and what became of each is told as its client would
//! have been told.

use super::gather::{Answered, CLICKS_MAX, PassedClick};
use crate::answer::error::ApiError;
use crate::answer::view::OrderView;
use crate::ask::session::Session;
use crate::ask::tiers::Said;
use crate::member::click::{Clicks, NotAccepted, Wish};
use axum::body::to_bytes;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::sale::Accepted;
use engine::{NoSale, OpenSale};
use membership::Tier;
use std::sync::Arc;

/// After so many clicks, other tasks have their turn.
const AT_ONCE: usize = 256;
/// Most bytes of a problem.
const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// Judges clicks of one sale in their order; `None` if the sale is not here.
pub(super) async fn judge(
    clicks: &Clicks,
    sale: &str,
    passed: Vec<PassedClick>,
) -> Result<Option<Vec<Answered>>, ApiError> {
    let engine = clicks.engine();
    if passed.len() > CLICKS_MAX {
        return Err(ApiError::BadBatch { index: None, why: "too many clicks".into() });
    }
    let open = match engine.sale(sale) {
        Ok(open) => open,
        Err(NoSale::NotOpened | NoSale::Elsewhere) => return Ok(None),
        // One that is archived, or none: each click is answered as if it had come alone.
        Err(_) => return alone(clicks, sale, passed).await.map(Some),
    };
    let mut judged = Vec::with_capacity(passed.len());
    let mut passed = passed.into_iter();
    loop {
        // What is looked up of these members is still near the processor when they are judged.
        let some: Vec<PassedClick> = passed.by_ref().take(AT_ONCE).collect();
        let seats = match seated(clicks, &some).await {
            Ok(seats) => seats,
            // Nothing is judged yet: the whole batch is asked for again.
            Err(error) if judged.is_empty() => return Err(error),
            Err(_) => {
                let rest = some.into_iter().chain(passed.by_ref());
                judged.extend(rest.map(|click| Err(busy(engine.now(), &click))));
                break;
            }
        };
        let asked = some.into_iter().zip(seats).map(|(click, seat)| match seat {
            Some(seat) => Ok(wished(clicks, click, seat)),
            None => Err(busy(engine.now(), &click)),
        });
        clicks.judge_some(&open, asked, &mut judged);
        if passed.len() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    if open.is_retired() || engine.sale(sale).is_err() {
        // What was refused because the sale was about to go is judged by the next node; what was accepted is found
        // there by its key.
        return Ok(None);
    }
    answers(clicks, &open, judged).await.map(Some)
}

/// The seats of those who click; the book was asked about them.
async fn seated(clicks: &Clicks, some: &[PassedClick]) -> Result<Vec<Option<Seat>>, ApiError> {
    let engine = clicks.engine();
    let names: Vec<&str> = some.iter().map(|click| click.member.as_str()).collect();
    let (seats, now) = (engine.roster().seats(&names), engine.now());
    let unknown: Vec<_> = some
        .iter()
        .zip(&seats)
        .filter_map(|(click, seat)| Some(((*seat)?, click.member.clone())))
        .filter(|(seat, _)| !engine.book().is_seated(*seat, now))
        .collect();
    if !unknown.is_empty() {
        engine.book().look_up_or_trust(unknown, clicks.needs_book()).await?;
    }
    Ok(seats)
}

/// The roster is full, or the book cannot be asked: the client comes again.
fn busy(now: Millis, click: &PassedClick) -> NotAccepted {
    let (refusal, tier) = (Refusal::Busy, click.tier.unwrap_or(Tier::Regular));
    NotAccepted::Refused { refusal, tier, now, may_return: false }
}

fn wished(clicks: &Clicks, click: PassedClick, seat: Seat) -> (Session, Wish) {
    let PassedClick { member, tier, is_minor, units, key, points, coupon } = click;
    let said = Said { tier, ..clicks.said(Tier::Regular) };
    let session = Session { member, seat, said, is_minor, expires_at: Millis::MAX };
    (session, Wish { units, key: Some(key), points, coupon })
}

async fn answers(
    clicks: &Clicks,
    open: &Arc<OpenSale>,
    judged: Vec<Result<Accepted, NotAccepted>>,
) -> Result<Vec<Answered>, ApiError> {
    let mut answers = Vec::with_capacity(judged.len());
    let mut last: Option<NotAccepted> = None;
    for judged in judged {
        answers.push(match judged {
            Ok(accepted) => {
                last = None;
                order(clicks, open, accepted.number).await?
            }
            Err(why) if last.as_ref() == Some(&why) => Answered::Same,
            Err(why) => {
                last = Some(why.clone());
                problem(ApiError::from(why).into_response()).await
            }
        });
    }
    Ok(answers)
}

async fn order(clicks: &Clicks, open: &OpenSale, number: u64) -> Result<Answered, ApiError> {
    let found = clicks.engine().order_numbered(open, number).await?;
    let found = found.ok_or(ApiError::UnknownOrder)?;
    let view = OrderView::found(clicks.engine(), open, &found);
    let body = serde_json::to_vec(&view).expect("an order is plain data");
    Ok(Answered::Order(view.order_id, body))
}

pub(super) async fn problem(response: Response) -> Answered {
    let status = response.status().as_u16();
    let after = response.headers().get(header::RETRY_AFTER);
    let after = after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
    let body = to_bytes(response.into_body(), PROBLEM_BYTES_MAX).await.unwrap_or_default();
    Answered::Problem(status, after, body.to_vec())
}

/// Judges clicks one by one.
async fn alone(
    clicks: &Clicks,
    sale: &str,
    passed: Vec<PassedClick>,
) -> Result<Vec<Answered>, ApiError> {
    let mut answers = Vec::with_capacity(passed.len());
    for click in passed {
        let Some(seat) = clicks.engine().roster().seat(click.member.as_str()) else {
            answers.push(problem(ApiError::Internal.into_response()).await);
            continue;
        };
        let (session, wish) = wished(clicks, click, seat);
        answers.push(match clicks.judge(&session, sale, &wish).await {
            Ok((open, accepted)) => order(clicks, &open, accepted.number).await?,
            Err(why) => problem(ApiError::from(why).into_response()).await,
        });
    }
    Ok(answers)
}
