//! `POST /v1/sales/{sale}/clicks`: a batch of clicks. Each is judged as if it had come alone, by
//! `member/click.rs`; only reading and answering are shared.

use crate::answer::error::ApiError;
use crate::answer::problem::Brief;
use crate::answer::problems::{BadBatch, BadHeaders, Unauthenticated, UnknownSale};
use crate::answer::words;
use crate::ask::request::{self, AnyUnits, Named, Object};
use crate::ask::session::Session;
use crate::member::click::{Clicks, NotAccepted, Wish};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::roster::PSEUDONYM;
use engine::rules::money::ForeignId;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::rules::seat::Seat;
use engine::rules::terms::SaleId;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::sale::Accepted;
use engine::{Found, OpenSale};
use membership::{MemberId, Tier};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Most bytes of a batch.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Most clicks of a batch.
const CLICKS_MAX: usize = 8_192;
/// After so many clicks, other tasks have their turn.
const AT_ONCE: usize = 256;
/// Room for an answer to a click.
const ANSWER_BYTES: usize = 96;

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
pub(crate) struct Answers<'a> {
    answers: Vec<AnswerOf<'a>>,
}

/// What became of one click: an order, or the first refusal in the order of checks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum AnswerOf<'a> {
    Order(OrderOf<'a>),
    Refused(Brief),
}

/// An order that a click became.
#[derive(Debug, Serialize, ToSchema)]
struct OrderOf<'a> {
    /// `{sale}.{epoch}.{number}`
    order_id: &'a str,
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
    // Before the members get seats; it may be opened anew while the book is asked about them.
    clicks.engine().any_sale(&id).await?;
    let seats = seats(&clicks, &batch).await?;
    let open = clicks.engine().any_sale(&id).await?;
    let judged = judge_all(&clicks, &open, batch, seats).await;
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
    let body = answers(&clicks, &open, judged).await;
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (StatusCode::OK, json, body).into_response();
    if let Some(seconds) = wait_s {
        let applied = HeaderValue::try_from(format!("wait={seconds}"));
        let applied = applied.expect("a number is plain ASCII");
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

/// Reads a batch whole, before any of its clicks is judged.
fn read(bytes: &[u8]) -> Result<Vec<Object<ClickOf>>, ApiError> {
    let batch: Result<Object<BatchBody>, _> = serde_json::from_slice(bytes);
    let Object(BatchBody { clicks }) = batch.map_err(|_| misfit(bytes))?;
    let many = clicks.len();
    if !(1..=CLICKS_MAX).contains(&many) {
        let why = format!("clicks: 1 to {CLICKS_MAX} of them, not {many}");
        return Err(ApiError::BadBatch { index: None, why });
    }
    Ok(clicks)
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

impl ClickOf {
    /// Why this click cannot be judged, though it can be read.
    fn fault(&self) -> Option<&'static str> {
        if self.member.as_str().starts_with(PSEUDONYM) {
            return Some("member: this one was erased");
        }
        let is_plain = |key: &str| request::plain_key(key).is_some();
        match self.key.as_deref().is_none_or(is_plain) {
            true => None,
            false => Some("key: 1 to 255 visible ASCII characters without quotes"),
        }
    }
}

/// The seats of those whose clicks can be judged; `None` where there is none. The book is asked about members
/// whom it was not asked about yet.
async fn seats(clicks: &Clicks, batch: &[Object<ClickOf>]) -> Result<Vec<Option<Seat>>, ApiError> {
    let (engine, now) = (clicks.engine(), clicks.engine().now());
    let seats = if batch.iter().any(|Object(click)| click.fault().is_some()) {
        let seat = |click: &ClickOf| match click.fault() {
            None => engine.roster().seat(click.member.as_str()),
            Some(_) => None,
        };
        batch.iter().map(|Object(click)| seat(click)).collect()
    } else {
        let names: Vec<&str> = batch.iter().map(|Object(click)| click.member.as_str()).collect();
        engine.roster().seats(&names)
    };
    let is_new = |seat: &Seat| !engine.book().is_seated(*seat, now);
    let seated = batch.iter().zip(&seats).filter_map(|(Object(click), seat)| {
        seat.filter(is_new).map(|seat| (seat, click.member.clone()))
    });
    let unknown: Vec<_> = seated.collect();
    if !unknown.is_empty() {
        engine.book().look_up_or_trust(unknown, clicks.needs_book()).await?;
    }
    Ok(seats)
}

/// Judges a batch, some clicks at a time.
async fn judge_all(
    clicks: &Clicks,
    open: &OpenSale,
    batch: Vec<Object<ClickOf>>,
    seats: Vec<Option<Seat>>,
) -> Vec<Result<Accepted, NotAccepted>> {
    let (many, mut judged) = (batch.len(), Vec::with_capacity(batch.len()));
    let mut asked = batch.into_iter().zip(seats).map(|(click, seat)| asked(clicks, click, seat));
    while judged.len() < many {
        let some = asked.by_ref().take(AT_ONCE);
        match open.is_archived() {
            false => clicks.judge_some(open, some, &mut judged),
            // Each member's keys are read from the store.
            true => {
                for asked in some {
                    judged.push(match asked {
                        Ok((session, wish)) => {
                            let sale = open.sale.terms().id.as_str();
                            clicks.judge(&session, sale, &wish).await.map(|(_, made)| made)
                        }
                        Err(why) => Err(why),
                    });
                }
            }
        }
        tokio::task::yield_now().await;
    }
    judged
}

/// The member who clicks, and for what.
fn asked(
    clicks: &Clicks,
    Object(click): Object<ClickOf>,
    seat: Option<Seat>,
) -> Result<(Session, Wish), NotAccepted> {
    if let Some(why) = click.fault() {
        return Err(NotAccepted::Bad(why));
    }
    let ClickOf { member, tier, units, minor: is_minor, points, coupon, key } = click;
    let Some(seat) = seat else {
        let (refusal, now) = (Refusal::Busy, clicks.engine().now());
        return Err(NotAccepted::Refused { refusal, tier, now, may_return: false });
    };
    let (said, expires_at) = (clicks.said(tier), Millis::MAX);
    let session = Session { member, seat, said, is_minor, expires_at };
    let key = key.as_deref().map(request::digest);
    Ok((session, Wish { units: Units(units.0), key, points, coupon }))
}

/// The answer's body: [`Answers`], written click by click.
async fn answers(
    clicks: &Clicks,
    open: &OpenSale,
    judged: Vec<Result<Accepted, NotAccepted>>,
) -> Vec<u8> {
    let mut written = Written::begin(open, judged.len());
    for judged in judged {
        match judged {
            Err(why) => written.refusal(why),
            Ok(Accepted { number, .. }) => match open.sale.board().read(number) {
                Some(order) => written.order(open.sale.epoch(), number, order.status),
                // The key stands for an order of a former process. One that the store does not tell of now
                // is found again by its key.
                None => match former(clicks, open, number).await {
                    Ok((epoch, status)) => written.order(epoch, number, status),
                    Err(error) => written.answer(&AnswerOf::Refused(error.brief())),
                },
            },
        }
    }
    written.end()
}

/// The epoch of an order that is not on this process's board, and what became of it.
async fn former(clicks: &Clicks, open: &OpenSale, number: u64) -> Result<(u64, Status), ApiError> {
    let found = clicks.engine().order_numbered(open, number).await?;
    let found = found.ok_or(ApiError::UnknownOrder)?;
    let epoch = match &found {
        Found::Here(_) => open.sale.epoch(),
        Found::Before(record) => record.epoch,
    };
    Ok((epoch, found.status()))
}

/// [`Answers`] as JSON. Clicks of a batch are mostly answered alike, so that what is the same is written once
/// and copied.
struct Written<'a> {
    sale: &'a SaleId,
    json: Vec<u8>,
    id: String,
    /// The refusal that was written last, and where.
    refused: Option<(NotAccepted, Range<usize>)>,
}

impl<'a> Written<'a> {
    fn begin(open: &'a OpenSale, many: usize) -> Self {
        let mut json = Vec::with_capacity(16 + ANSWER_BYTES * many);
        json.extend_from_slice(b"{\"answers\":[");
        Self { sale: &open.sale.terms().id, json, id: String::new(), refused: None }
    }

    fn order(&mut self, epoch: u64, number: u64, status: Status) {
        let mut id = std::mem::take(&mut self.id);
        id.clear();
        write!(id, "{}.{epoch}.{number}", self.sale).expect("a text grows");
        self.answer(&AnswerOf::Order(OrderOf { order_id: &id, number, status }));
        self.id = id;
    }

    fn refusal(&mut self, why: NotAccepted) {
        match &self.refused {
            Some((last, written)) if *last == why => {
                self.json.extend_from_within(written.clone());
                self.json.push(b',');
            }
            _ => {
                let start = self.json.len();
                self.answer(&AnswerOf::Refused(ApiError::from(why.clone()).brief()));
                self.refused = Some((why, start..self.json.len() - 1));
            }
        }
    }

    /// Writes an answer, and the comma behind it.
    fn answer(&mut self, answer: &AnswerOf<'_>) {
        serde_json::to_writer(&mut self.json, answer).expect("an answer is plain data");
        self.json.push(b',');
    }

    fn end(mut self) -> Vec<u8> {
        self.json.pop_if(|last| *last == b',');
        self.json.extend_from_slice(b"]}");
        self.json
    }
}
