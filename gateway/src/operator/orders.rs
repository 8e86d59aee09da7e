//! A sale's orders, as its operator reads them: one, a page, or all of them as a stream.

use crate::answer::csv;
use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, Unauthenticated, UnknownOrder, UnknownSale};
use crate::answer::view::{OrderView, OrdersView};
use crate::answer::words;
use crate::ask::request::{InQuery, Named};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::rules::order::Status;
use engine::store::StoreError;
use engine::{Engine, Found, NoSale, OpenSale};
use futures_util::stream;
use membership::{MemberId, Tier};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Orders that are read at a time.
const PIECE: usize = 1_000;
/// How long an order that has its number takes to be written at most, unless something is wrong.
const WRITTEN_WITHIN_MS: u32 = 5_000;
/// Most orders that are looked at for one page.
const LOOKED_AT_MAX: usize = 100_000;

/// Which orders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    after: u64,
    #[serde(default = "Wanted::usual", rename = "limit")]
    most: usize,
    status: Option<Status>,
    tier: Option<Tier>,
    member: Option<MemberId>,
}

impl Wanted {
    const fn usual() -> usize {
        1_000
    }

    fn has(&self, engine: &Engine, found: &Found) -> bool {
        let (tier, is_members) = match (found, &self.member) {
            (Found::Here(order), None) => (order.tier, true),
            (Found::Here(order), Some(member)) => {
                (order.tier, engine.roster().find(member.as_str()) == Some(order.seat))
            }
            (Found::Before(record), member) => {
                (record.tier, member.as_ref().is_none_or(|member| record.member == *member))
            }
        };
        let is = |status: &Status| found.status() == *status;
        is_members && self.tier.is_none_or(|t| t == tier) && self.status.as_ref().is_none_or(is)
    }
}

/// A place in a sale's orders, from which they are read on.
struct Reader {
    engine: Arc<Engine>,
    open: Arc<OpenSale>,
    wanted: Wanted,
    /// The last order that was looked at.
    after: u64,
    /// The last order that there was at the beginning.
    last: u64,
}

impl Reader {
    /// Looks at the next piece of the orders, and returns those that are wanted; `None` if there is none
    /// that can be read now.
    async fn next(&mut self) -> Result<Option<Vec<Found>>, StoreError> {
        let Self { engine, open, wanted, after, .. } = self;
        let mut found = engine.orders_after(open, *after, PIECE).await?;
        let Some(last) = found.last() else { return Ok(None) };
        *after = last.number();
        found.retain(|found| wanted.has(engine, found));
        Ok(Some(found))
    }

    /// As [`Reader::next`]; waits for an order that is being written at this instant.
    async fn next_or_wait(&mut self) -> Result<Vec<Found>, StoreError> {
        for _ in 0..WRITTEN_WITHIN_MS {
            if let Some(found) = self.next().await? {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let missing = self.after + 1;
        Err(StoreError::Refused(format!("order {missing} cannot be read now")))
    }

    /// Whether all orders were looked at that there were at the beginning.
    fn is_at_end(&self) -> bool {
        self.after >= self.last
    }

    fn view(&self, found: &Found) -> OrderView {
        OrderView::found(&self.engine, &self.open, found)
    }
}

/// Returns the orders by number, in pages, or all of them.
///
/// A page may have fewer orders than its limit, also none, and more pages behind it: `next` says so.
/// With `Accept: text/csv` or `application/x-ndjson` all of the wanted orders over `after` are streamed,
/// one a line; a stream that breaks off in the middle has no proper end.
#[utoipa::path(
    get, path = "/v1/sales/{sale}/orders", operation_id = "listOrders", tag = "operator",
    params(
        ("sale" = String, Path),
        ("after" = Option<u64>, Query, description = "orders with numbers over this; `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "orders a page, 1 to 10,000; usually 1,000"),
        ("status" = Option<words::OrderStatus>, Query, description = "only orders with this status"),
        ("tier" = Option<words::Tier>, Query, description = "only orders of this tier"),
        ("member" = Option<String>, Query, description = "only orders of this member"),
    ),
    responses(
        (status = 200, description = "a page of them, by number", content(
            (OrdersView = "application/json"), (String = "text/csv"), (String = "application/x-ndjson"),
        )),
        BadRequest, UnknownSale, Busy, Unauthenticated,
    ),
)]
pub(crate) async fn list(
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
    InQuery(wanted): InQuery<Wanted>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !(1..=10_000).contains(&wanted.most) {
        return Err(ApiError::BadRequest("limit: 1 to 10,000 orders a page".into()));
    }
    let open = engine.any_sale(&id).await?;
    let last = open.sale.next_number() - 1;
    let reader = Reader { after: wanted.after, engine, open, wanted, last };
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let accepts = |kind: &str| accepts.is_some_and(|accept| accept.contains(kind));
    if accepts("text/csv") {
        Ok(streamed(reader, "text/csv; charset=utf-8", csv::HEAD.to_owned(), csv::line))
    } else if accepts("application/x-ndjson") {
        Ok(streamed(reader, "application/x-ndjson", String::new(), ndjson))
    } else {
        page(reader).await
    }
}

async fn page(mut reader: Reader) -> Result<Response, ApiError> {
    let most = reader.wanted.most;
    let (mut found, mut looked_at) = (Vec::new(), 0);
    while found.len() < most && looked_at < LOOKED_AT_MAX && !reader.is_at_end() {
        // An order that is being written at this instant ends the page; the next page has it.
        let Some(piece) = reader.next().await? else { break };
        found.extend(piece);
        looked_at += PIECE;
    }
    if found.len() > most {
        // The orders behind the page are looked at again for the next one.
        found.truncate(most);
        reader.after = found.last().map_or(reader.after, Found::number);
    }
    let next = (!reader.is_at_end()).then_some(reader.after);
    let orders = found.iter().map(|found| reader.view(found)).collect();
    Ok(Json(OrdersView { orders, next }).into_response())
}

fn ndjson(order: &OrderView) -> String {
    let mut line = serde_json::to_string(order).expect("an order is plain data");
    line.push('\n');
    line
}

/// Answers with all orders, a line each; this process has a piece of them in memory at a time.
fn streamed(
    reader: Reader,
    kind: &'static str,
    head: String,
    line: fn(&OrderView) -> String,
) -> Response {
    let pieces = stream::try_unfold((reader, Some(head)), move |(mut reader, head)| async move {
        if let Some(head) = head {
            return Ok(Some((head, (reader, None))));
        }
        if reader.is_at_end() {
            return Ok(None);
        }
        match reader.next_or_wait().await {
            Ok(found) => {
                let lines: String = found.iter().map(|found| line(&reader.view(found))).collect();
                Ok(Some((lines, (reader, None))))
            }
            Err(error) => {
                tracing::warn!(sale = %reader.open.sale.terms().id, %error, "an export broke off");
                Err(error)
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
    (headers, Body::from_stream(pieces)).into_response()
}

/// Returns one order, named by its id or its payment ref.
#[utoipa::path(
    get, path = "/v1/orders/{order}", operation_id = "readOrder", tag = "operator",
    params(("order" = String, Path, description = "its id or its payment ref")),
    responses(
        (status = 200, description = "the order as it is now", body = OrderView),
        UnknownOrder, Busy, Unauthenticated,
    ),
)]
pub(crate) async fn read(
    State(engine): State<Arc<Engine>>,
    Named(name): Named,
) -> Result<Json<OrderView>, ApiError> {
    let (open, id) = engine.order_named(&name).await.map_err(|none| match none {
        NoSale::Unknown => ApiError::UnknownOrder,
        none => none.into(),
    })?;
    let found = engine.order(&open, &id).await?.ok_or(ApiError::UnknownOrder)?;
    Ok(Json(OrderView::found(&engine, &open, &found)))
}
