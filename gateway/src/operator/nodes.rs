//! The nodes that share the store, and what each of them sells.

use crate::answer::problems::Unauthenticated;
use crate::front::asking::Front;
use crate::front::between::PassedOn;
use crate::meters::Face;
use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use engine::Engine;
use engine::nodes::sharing::Sharing;
use engine::rules::node::Node;
use futures_util::future::join_all;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// A node that does not answer for so long cannot be reached.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most bytes of what a node says of itself.
const ROW_BYTES_MAX: usize = 64 << 10;

/// The nodes that live, by name.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({"nodes": [
    {"node": "a", "address": "10.0.0.1:8090", "is_here": true, "is_leaving": false, "is_reached": true, "has_lease": true, "sales": 12, "version": "0.1.0"},
    {"node": "b", "address": "10.0.0.2:8090", "is_here": false, "is_leaving": false, "is_reached": false, "has_lease": true},
]})))]
pub(crate) struct NodesView {
    nodes: Vec<NodeView>,
}

/// A node that lives.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct NodeView {
    /// Its name.
    node: String,
    /// How other nodes reach it; absent if they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// It is the node that answers this call.
    is_here: bool,
    /// It hands its sales over and then ends.
    is_leaving: bool,
    /// Whether the node that answers this call reaches it, and it is the one that it is taken for.
    is_reached: bool,
    /// Whether it may sell: it holds its lease, as it counts it itself.
    has_lease: bool,
    /// The sales that it sells now; absent if it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    sales: Option<u64>,
    /// The version that it runs; absent if it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    version: Option<String>,
}

/// Returns the nodes whose leases last, and what each of them sells. Without other nodes the list is empty.
#[utoipa::path(
    get, path = "/v1/nodes", operation_id = "listNodes", tag = "operator",
    responses((status = 200, description = "those that live, by name", body = NodesView), Unauthenticated),
)]
pub(crate) async fn list(
    State(engine): State<Arc<Engine>>,
    State(front): State<Arc<Front>>,
    request: Request,
) -> Response {
    let Some(sharing) = engine.sharing() else {
        return Json(NodesView { nodes: Vec::new() }).into_response();
    };
    let here = sharing.me().map(|_| here(&engine, sharing));
    // A node that another one asks speaks for itself.
    if request.extensions().get::<PassedOn>().is_some() {
        return Json(NodesView { nodes: here.into_iter().collect() }).into_response();
    }
    let (parts, _) = request.into_parts();
    let living = sharing.living();
    let others = living.iter().filter(|node| Some(&node.id) != sharing.me());
    let asked = others.map(async |node| row(&front, node, &parts).await);
    let mut nodes = join_all(asked).await;
    nodes.extend(here);
    nodes.sort_unstable_by(|a, b| a.node.cmp(&b.node));
    Json(NodesView { nodes }).into_response()
}

/// What another node says of itself.
async fn row(front: &Front, node: &Node, parts: &Parts) -> NodeView {
    let unreached = unreached(node);
    let Some(relay) = front.relay().filter(|_| node.reached_at().is_some()) else {
        return unreached;
    };
    let asked = relay.ask_within(PATIENCE, node, Face::Operator, parts, Bytes::new());
    let Ok(answer) = asked.await else { return unreached };
    let bytes = to_bytes(answer.into_body(), ROW_BYTES_MAX).await.unwrap_or_default();
    let said = serde_json::from_slice::<NodesView>(&bytes)
        .ok()
        .and_then(|view| view.nodes.into_iter().next());
    match said {
        Some(row) if row.node == unreached.node => NodeView { is_here: false, ..row },
        // At this address is another node.
        Some(_) => unreached,
        // One of a version that knows of no such call.
        None => NodeView { is_reached: true, ..unreached },
    }
}

fn here(engine: &Engine, sharing: &Sharing) -> NodeView {
    let now = engine.now();
    let sells = engine.sales().iter().filter(|open| !open.sale.is_over(now)).count();
    let living = sharing.living();
    let me = living.iter().find(|node| Some(&node.id) == sharing.me());
    NodeView {
        node: sharing.me().map(ToString::to_string).unwrap_or_default(),
        address: me.and_then(Node::reached_at).map(str::to_owned),
        is_here: true,
        is_leaving: me.is_some_and(Node::is_leaving),
        is_reached: true,
        has_lease: sharing.has_lease(),
        sales: Some(sells as u64),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    }
}

fn unreached(node: &Node) -> NodeView {
    NodeView {
        node: node.id.to_string(),
        address: node.reached_at().map(str::to_owned),
        is_here: false,
        is_leaving: node.is_leaving(),
        is_reached: false,
        has_lease: true,
        sales: None,
        version: None,
    }
}
