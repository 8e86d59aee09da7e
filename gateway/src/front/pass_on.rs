//! Pass on: a request that concerns a sale of another node is answered by that node. While a sale is on its way from
//! one node to another the request waits.

use super::asking::{Front, Kept, asked};
use super::between::{FOLLOW, PassedOn};
use super::listing;
use super::names::{self, Named};
use super::stream::{self, is_stream};
use crate::answer::error::ApiError;
use crate::meters::Face;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::clock::Stopwatch;
use engine::nodes::sharing::Elsewhere;
use engine::{NoSale, Place};
use std::sync::Arc;
use std::time::Duration;

/// A request that waits for a sale looks again after so long, and then after twice as long, up to the longest.
const AGAIN_FIRST: Duration = Duration::from_millis(5);
const AGAIN_MOST: Duration = Duration::from_millis(40);
/// How long a request waits for a sale beyond the lease of a node that may be gone.
const BEYOND_LEASE: Duration = Duration::from_millis(1_500);
/// What holds for all sales at every node: who is blocked, and the plan.
const OF_ALL: [&str; 2] = ["/v1/blocked/", "/v1/plan"];

/// Passes a request on to the node that it concerns, or lets this one answer it.
pub(crate) async fn pass_on(
    State((front, face)): State<(Arc<Front>, Face)>,
    request: Request,
    next: Next,
) -> Response {
    let is_passed_on = request.extensions().get::<PassedOn>().is_some();
    let answered = match named(request, face).await {
        Err(error) => Err(error),
        Ok((None, request)) if is_passed_on => return next.run(request).await,
        Ok((None, request)) => return of_no_sale(&front, face, request, next).await,
        Ok((Some(sale), request)) if is_passed_on => here(&front, &sale, request, next).await,
        Ok((Some(sale), request)) => anywhere(&front, face, &sale, request, next).await,
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// The sale that a request concerns. Of a payment the body says it.
async fn named(request: Request, face: Face) -> Result<(Option<Named>, Request), ApiError> {
    if request.uri().path() == "/v1/payments" && request.method() == Method::POST {
        let kept = Kept::read(request, face).await?;
        return Ok((names::in_payment(&kept.body), kept.request()));
    }
    Ok((names::in_address(request.uri()), request))
}

/// Answers what concerns no one sale. What is changed for all sales is changed at every node before the answer.
async fn of_no_sale(front: &Front, face: Face, request: Request, next: Next) -> Response {
    let changes = !request.method().is_safe() && request.uri().path() != listing::PASSES;
    let is_of_all = OF_ALL.iter().any(|path| request.uri().path().starts_with(path));
    let response = listing::answer(front, face, request, next).await;
    if changes && response.status().is_success() {
        front.tell_changed().await;
        if is_of_all {
            front.tell_all(FOLLOW).await;
        }
    }
    response
}

/// Where a sale is, by whatever it is named.
async fn locate(front: &Front, named: &Named) -> Result<(Place, String), ApiError> {
    let id = match named {
        Named::Id(id) => id.clone(),
        Named::Number(number) => match front.engine().id_of(*number).await? {
            Some(id) => id.to_string(),
            None => return Ok((Place::Here, String::new())),
        },
    };
    Ok((front.engine().locate(&id).await?, id))
}

/// Answers a request for a sale that was here a moment ago; `None` if it is on its way
/// to another node by now, or has come here only now.
async fn answer_here(
    front: &Front,
    sale: &Named,
    request: Request,
    next: Next,
) -> Result<Option<Response>, ApiError> {
    let epoch = || match sale {
        Named::Id(id) => front.engine().sale(id).ok().map(|open| open.sale.epoch()),
        Named::Number(_) => None,
    };
    let before = epoch();
    let response = next.run(request).await;
    let is_to_be_asked_again = match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => locate(front, sale).await?.0 != Place::Here,
        // There may have been no such sale a moment before this process took it over, or after it let it go.
        StatusCode::NOT_FOUND if before.is_none() || before != epoch() => {
            locate(front, sale).await?.0 != Place::Here || epoch().is_some()
        }
        _ => false,
    };
    Ok((!is_to_be_asked_again).then_some(response))
}

/// Answers a request that was passed on, if the sale is here.
async fn here(
    front: &Front,
    sale: &Named,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let answered = match locate(front, sale).await? {
        (Place::Here, _) => answer_here(front, sale, request, next).await?,
        (Place::Elsewhere(_), _) => None,
    };
    Ok(answered.unwrap_or_else(|| StatusCode::MISDIRECTED_REQUEST.into_response()))
}

/// Answers a request here or has it answered by another node, and waits while the sale is on its way.
async fn anywhere(
    front: &Arc<Front>,
    face: Face,
    sale: &Named,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(sharing) = front.engine().sharing() else { return Ok(next.run(request).await) };
    if let Named::Id(id) = sale
        && front.relay().is_none()
        && front.engine().sale(id).is_ok()
    {
        // No sale goes from a process that other nodes do not reach.
        return Ok(next.run(request).await);
    }
    let mut kept = Kept::read(request, face).await?;
    stream::use_pass(front, face, &mut kept).await;
    let (watch, patience) = (Stopwatch::start(), sharing.lasts() + BEYOND_LEASE);
    let mut again = AGAIN_FIRST;
    loop {
        let left = patience.saturating_sub(watch.elapsed()).max(AGAIN_FIRST);
        let located = tokio::time::timeout(left, locate(front, sale)).await;
        let why = match located.unwrap_or_else(|_| Err(NoSale::NotOpened.into())) {
            Ok((Place::Here, _)) => {
                match answer_here(front, sale, kept.request(), next.clone()).await? {
                    Some(response) => return Ok(response),
                    None => ApiError::from(NoSale::Elsewhere),
                }
            }
            Ok((Place::Elsewhere(Elsewhere::Moving), _)) => ApiError::from(NoSale::Elsewhere),
            Err(error) => error,
            Ok((Place::Elsewhere(Elsewhere::At(node)), id)) => {
                let answered = if is_stream(face, &kept.parts) {
                    stream::begin(front, sharing, &node, &id, &kept).await?
                } else {
                    kept.make_ready(front, face).await?;
                    asked(front, sharing, face, &node, &id, &mut kept).await
                };
                match answered {
                    Ok(response) => return Ok(response),
                    Err(error) => error,
                }
            }
        };
        if watch.elapsed() >= patience {
            return Err(why);
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN_MOST);
    }
}
