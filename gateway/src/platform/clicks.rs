//! `POST /v1/sales/{sale}/clicks`: a batch of clicks. Each is judged as if it had come alone, by
//! `member/click.rs`; only reading and answering are shared.

use crate::answer::error::ApiError;
use crate::answer::problem::Brief;
use crate::answer::problems::{BadBatch, BadHeaders, Unauthenticated, UnknownSale};
use crate::answer::words;
use crate::ask::request::{self, AnyUnits, Named, Object};
use crate::ask::session::Session;
use crate::member::click::{Clicks, NotAccepted, Wish};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use engine::roster::PSEUDONYM;
use engine::rules::key::IdempotencyKey;
use engine::rules::money::ForeignId;
use engine::rules::order::{OrderId, Status};
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Accepted;
use engine::{Found, OpenSale};
use membership::{MemberId, Tier};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Most bytes of a batch.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Most clicks of a batch.
const CLICKS_MAX: usize = 8_192;
/// After so many clicks, other tasks have their turn.
const TURN: usize = 256;

/// Clicks, to be judged in this order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"clicks": [
    {"member": "ann", "tier": "gold", "units": 1, "key": "ann-7"},
    {"member": "bob", "tier": "regular", "units": 1, "points": 500, "coupon": "welcome-1"},
]})))]
pub(crate) struct BatchBody {
    /// 1 to 8,192.
    #[schema(value_type = Vec<ClickOf>)]
    clicks: Vec<Object<ClickOf>>,
}

/// One member's click.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClickOf {
    /// 1 to 64 of `A-Z a-z 0-9 . _ : - @ | + = ~`.
    #[schema(value_type = String)]
    member: MemberId,
    #[schema(value_type = words::Tier)]
    tier: Tier,
    /// Units to buy, from 1 to the tier's limit.
    #[schema(value_type = u32, minimum = 1, maximum = 65_535)]
    units: AnyUnits,
    /// As in a token: the member is a minor.
    #[serde(default)]
    minor: bool,
    /// Points to pay a part with, at most as many as the sale takes for such an order.
    #[serde(default)]
    points: u64,
    /// A coupon of the member's, by its id.
    #[schema(value_type = Option<String>)]
    coupon: Option<ForeignId>,
    /// Makes a retry safe, as the header `Idempotency-Key` does; 1 to 255 visible characters.
    key: Option<String>,
}

/// What became of each click, in the order of the clicks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"answers": [
    {"order_id": "lamp.1767225600000.17", "number": 17, "status": "reserved"},
    {"code": "not_open", "opens_at": "2026-01-01T12:00:00.000Z", "server_time": "2026-01-01T11:59:59.998Z"},
]})))]
pub(crate) struct Answers {
    answers: Vec<AnswerOf>,
}

/// What became of one click: an order, or the first refusal in the order of checks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum AnswerOf {
    Order(OrderOf),
    Refused(Box<Brief>),
}

/// An order that a click became.
#[derive(Debug, Serialize, ToSchema)]
struct OrderOf {
    /// `{sale}.{epoch}.{number}`
    order_id: String,
    number: u64,
    #[schema(value_type = words::OrderStatus)]
    status: Status,
}

/// Judges many members' clicks, each as if it had come alone.
///
/// Whatever becomes of a click, also that it came too often, is an answer of its own. A batch that
/// cannot be read is refused as a whole, and none of its clicks is judged. With `Prefer: wait=N` the
/// answer comes when all orders of the batch are settled, or after N seconds.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/clicks", operation_id = "clickAll", tag = "platform",
    params(
        ("sale" = String, Path),
        ("Prefer" = Option<String>, Header, description = "`wait=N`, 1 to 10 s: answer when all are settled"),
    ),
    request_body = BatchBody,
    responses(
        (status = 200, description = "an answer for each click", body = Answers),
        BadBatch, Unauthenticated, UnknownSale, BadHeaders,
    ),
)]
pub(crate) async fn judge(
    State(clicks): State<Arc<Clicks>>,
    Named(id): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let wait_s = request::wait(&parts.headers)?;
    let batch = read(&request::bytes_up_to(body, BATCH_BYTES_MAX).await?)?;
    let open = clicks.engine().any_sale(&id).await?;
    let seats = seats(&clicks, &batch).await?;
    let mut judged = Vec::with_capacity(batch.len());
    for (nth, ((click, key), seat)) in batch.into_iter().zip(seats).enumerate() {
        if nth % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        judged.push(match key {
            Ok(key) => {
                let (points, coupon) = (click.points, click.coupon.clone());
                let wish = Wish { units: Units(click.units.0), key, points, coupon };
                one(&clicks, &id, &click, seat, &wish).await.map_err(ApiError::from)
            }
            Err(bad) => Err(bad),
        });
    }
    if let Some(seconds) = wait_s {
        let patience = Duration::from_secs(seconds);
        let all = async {
            for accepted in judged.iter().flatten() {
                open.settled(accepted.number, patience).await;
            }
        };
        // Err: the time is over; each order is told as it stands.
        tokio::time::timeout(patience, all).await.ok();
    }
    let mut answers = Vec::with_capacity(judged.len());
    for judged in judged {
        answers.push(match judged {
            // An order that the store does not tell of now is found again by its key.
            Ok(accepted) => match order(&clicks, &open, accepted).await {
                Ok(order) => AnswerOf::Order(order),
                Err(error) => AnswerOf::Refused(Box::new(error.brief())),
            },
            Err(why) => AnswerOf::Refused(Box::new(why.brief())),
        });
    }
    let mut response = (StatusCode::OK, Json(Answers { answers })).into_response();
    if let Some(seconds) = wait_s {
        let applied = HeaderValue::try_from(format!("wait={seconds}"));
        let applied = applied.expect("a number is plain ASCII");
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

/// A click and its key, or what is wrong with the click.
type Click = (ClickOf, Result<Option<IdempotencyKey>, ApiError>);

/// Reads a batch whole, before any of its clicks is judged.
fn read(bytes: &[u8]) -> Result<Vec<Click>, ApiError> {
    let batch: Result<Object<BatchBody>, _> = serde_json::from_slice(bytes);
    let Object(batch) = batch.map_err(|_| misfit(bytes))?;
    let many = batch.clicks.len();
    if !(1..=CLICKS_MAX).contains(&many) {
        let why = format!("clicks: 1 to {CLICKS_MAX} of them, not {many}");
        return Err(ApiError::BadBatch { index: None, why });
    }
    let keyed = |Object(click): Object<ClickOf>| {
        let key = match click.key.as_deref().map(request::plain_key) {
            _ if click.member.as_str().starts_with(PSEUDONYM) => {
                Err(ApiError::BadRequest("member: this one was erased".into()))
            }
            None => Ok(None),
            Some(Some(key)) => Ok(Some(request::digest(key))),
            Some(None) => {
                let why = "key: 1 to 255 visible ASCII characters without quotes";
                Err(ApiError::BadRequest(why.into()))
            }
        };
        (click, key)
    };
    Ok(batch.clicks.into_iter().map(keyed).collect())
}

/// Says where a batch cannot be read. It is read once more for that: to know the place all the time would
/// cost every batch.
fn misfit(bytes: &[u8]) -> ApiError {
    let json = &mut serde_json::Deserializer::from_slice(bytes);
    let batch: Result<Object<BatchBody>, _> = serde_path_to_error::deserialize(json);
    let Err(error) = batch else {
        let why = "the body has something after its JSON value".into();
        return ApiError::BadBatch { index: None, why };
    };
    let index = error.path().iter().find_map(|segment| match segment {
        serde_path_to_error::Segment::Seq { index } => Some(*index),
        _ => None,
    });
    ApiError::BadBatch { index, why: format!("{}: {}", error.path(), error.inner()) }
}

/// The seats of those whose clicks can be judged; `None` where there is none. The book is asked about members
/// whom it was not asked about yet.
async fn seats(clicks: &Clicks, batch: &[Click]) -> Result<Vec<Option<Seat>>, ApiError> {
    let engine = clicks.engine();
    let (mut seats, mut unknown) = (Vec::with_capacity(batch.len()), Vec::new());
    for (click, key) in batch {
        let seat = match key {
            Ok(_) => engine.roster().seat(click.member.as_str()),
            Err(_) => None,
        };
        if let Some(seat) = seat
            && !engine.book().is_seated(seat)
        {
            unknown.push((seat, click.member.clone()));
        }
        seats.push(seat);
    }
    if !unknown.is_empty() {
        engine.book().look_up_or_trust(unknown, clicks.needs_book()).await?;
    }
    Ok(seats)
}

async fn one(
    clicks: &Clicks,
    sale: &str,
    click: &ClickOf,
    seat: Option<Seat>,
    wish: &Wish,
) -> Result<Accepted, NotAccepted> {
    let (tier, said) = (click.tier, clicks.said(click.tier));
    let Some(seat) = seat else {
        let (refusal, now) = (Refusal::Busy, clicks.engine().now());
        return Err(NotAccepted::Refused { refusal, tier, now, may_return: false });
    };
    let member = click.member.as_str().into();
    let session = Session { member, seat, said, is_minor: click.minor, expires_at: Millis::MAX };
    clicks.judge(&session, sale, wish).await.map(|(_, accepted)| accepted)
}

async fn order(clicks: &Clicks, open: &OpenSale, accepted: Accepted) -> Result<OrderOf, ApiError> {
    let (sale, number) = (open.sale.terms().id.clone(), accepted.number);
    let (epoch, status) = match open.sale.board().read(number) {
        Some(order) => (open.sale.epoch(), order.status),
        None => {
            // The key stands for an order of a former process.
            let found = clicks.engine().order_numbered(open, number).await?;
            let found = found.ok_or(ApiError::UnknownOrder)?;
            let epoch = match &found {
                Found::Here(_) => open.sale.epoch(),
                Found::Before(record) => record.epoch,
            };
            (epoch, found.status())
        }
    };
    Ok(OrderOf { order_id: OrderId { sale, epoch, number }.to_string(), number, status })
}
