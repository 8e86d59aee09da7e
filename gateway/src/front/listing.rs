//! Listing: what concerns no one sale. The list of sales is put together from those of all nodes; what only a node that
//! others reach can make is made by one.

use super::asking::{Front, Kept};
use crate::answer::error::ApiError;
use crate::meters::Face;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::members::Hears;
use engine::rules::node::Node;
use futures_util::future::join_all;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most bytes of one node's page.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Where passes are made: what is asked for by POST and posts nothing.
pub(super) const PASSES: &str = "/v1/stream-passes";
/// Most sales on a page, as on one node's.
const SALES_MAX: usize = 100;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    sales: Vec<Value>,
    next: Option<String>,
}

/// Answers a request that concerns no one sale: a list of sales with those of all nodes, anything else as it is.
pub(super) async fn answer(front: &Front, face: Face, request: Request, next: Next) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    let is_list = method == Method::GET && path == "/v1/sales";
    let is_front = front.engine().sharing().is_some_and(|sharing| sharing.me().is_none());
    let others = front.others();
    // A front owns no sale, and nobody can ask it for a pass.
    let is_made_elsewhere = match path {
        "/v1/sales" => is_front,
        PASSES => front.hears() == Some(Hears::ByItself) && !others.is_empty(),
        _ => false,
    };
    if is_made_elsewhere && method == Method::POST {
        let made = made_elsewhere(front, &others, face, request).await;
        return made.unwrap_or_else(IntoResponse::into_response);
    }
    let (Some(relay), true) = (front.relay(), is_list && !others.is_empty()) else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let here = next.run(Request::from_parts(parts.clone(), body)).await;
    if here.status() != StatusCode::OK {
        return here;
    }
    let asked = others.iter().map(|node| relay.ask(node, face, &parts, Bytes::new()));
    let mut pages = vec![page(here).await];
    for (node, answer) in others.iter().zip(join_all(asked).await) {
        match answer {
            Ok(answer) if answer.status() == StatusCode::OK => pages.push(page(answer).await),
            // A list that lacks a node's sales would say that there are none.
            Ok(answer) => return answer,
            Err(error) => {
                error.say(node);
                return not_whole();
            }
        }
    }
    match pages.into_iter().collect::<Option<Vec<_>>>() {
        Some(pages) => Json(merged(pages)).into_response(),
        None => not_whole(),
    }
}

/// Has one of the nodes make what a request asks for.
async fn made_elsewhere(
    front: &Front,
    others: &[Node],
    face: Face,
    request: Request,
) -> Result<Response, ApiError> {
    let kept = Kept::read(request, face).await?;
    let is_sale = kept.parts.uri.path() != PASSES;
    if !is_sale {
        // Nodes are not asked for those who are nobody.
        front.sessions.of_token(&kept.parts).await?;
    }
    let what = if is_sale { "sale" } else { "pass" };
    let mut why = ApiError::NoNode(format!("no node lives that could make the {what}"));
    let Some(relay) = front.relay() else { return Err(why) };
    let mut nodes: Vec<&Node> = others.iter().filter(|node| !node.is_leaving()).collect();
    fastrand::shuffle(&mut nodes);
    for node in nodes {
        match relay.ask(node, face, &kept.parts, kept.body.clone()).await {
            Ok(made) => return Ok(made),
            Err(error) => error.say(node),
        }
        let id = &node.id;
        why = ApiError::NoNode(format!("node {id}, which was to make the {what}, gave no answer"));
        if is_sale {
            // It may be made.
            break;
        }
    }
    Err(why)
}

fn not_whole() -> Response {
    let why = "a node cannot be reached, and the list would lack its sales";
    ApiError::NoNode(why.into()).into_response()
}

async fn page(response: Response) -> Option<Page> {
    let bytes = to_bytes(response.into_body(), PAGE_BYTES_MAX).await.ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// One page of several nodes' pages. Archived sales stand on each of them.
fn merged(pages: Vec<Page>) -> Page {
    // A page that is not the last says nothing of the sales behind its end.
    let read_to = pages.iter().filter_map(|page| page.next.clone()).min();
    let id = |sale: &Value| sale.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = pages.into_iter().flat_map(|page| page.sales).map(|sale| (id(&sale), sale));
    let mut sales: BTreeMap<String, Value> = all.collect();
    if let Some(read_to) = &read_to {
        sales.retain(|id, _| id <= read_to);
    }
    let is_full = sales.len() > SALES_MAX;
    let page: Vec<_> = sales.into_iter().take(SALES_MAX).collect();
    let last = page.last().map(|(id, _)| id.clone()).filter(|_| is_full);
    Page { next: last.or(read_to), sales: page.into_iter().map(|(_, sale)| sale).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(ids: impl IntoIterator<Item = u32>, next: Option<u32>) -> Page {
        let name = |id: u32| format!("{id:04}");
        let sales = ids.into_iter().map(|id| json!({"id": name(id)})).collect();
        Page { sales, next: next.map(name) }
    }

    #[test]
    fn no_sale_is_left_out_between_the_pages_of_several_nodes() {
        let merged = merged(vec![page(0..100, Some(99)), page([7, 150], None)]);
        assert_eq!((merged.sales.len(), merged.next.as_deref()), (100, Some("0099")));
        let both = super::merged(vec![page((0..160).step_by(2), None), page(1..90, None)]);
        assert_eq!((both.sales.len(), both.next.as_deref()), (100, Some("0108")));
        let last = super::merged(vec![page([1, 3], None), page([2], None)]);
        assert_eq!((last.sales.len(), last.next), (3, None));
    }
}
