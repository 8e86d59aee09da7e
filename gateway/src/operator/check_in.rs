//! `POST /v1/orders/{order}/check-in`: a place in a free sale is used, as at an offline event.

use super::audited::{Action, Audited};
use crate::answer::error::ApiError;
use crate::answer::problems::{
    BadRequest, Busy, NotPaid, NotPermitted, Unauthenticated, UnknownOrder,
};
use crate::ask::request::Named;
use crate::member::me::take;
use axum::Json;
use axum::extract::State;
use engine::members::NotTaken;
use engine::rules::cents::Cents;
use engine::rules::order::Status;
use engine::{Engine, Found, NoSale};
use membership::MemberId;
use membership::event::{Event, Outcome, Refused};
use membership::posting::Source;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// The benefit that is used by a place, by its id in the plan.
const PLACES: &str = "offline_events";

/// A place that is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(examples(json!({"order_id": "party.1767225600000.17", "member": "ann", "units": 1, "is_first": true})))]
pub(crate) struct CheckInView {
    order_id: String,
    member: String,
    units: u32,
    /// Whether it is used for the first time; absent if the member does not have the benefit
    /// `offline_events`, for which it is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_first: Option<bool>,
}

/// Lets a member in with a place of a free sale. It counts as a use of the benefit `offline_events`; a
/// repetition counts nothing and says that it is one.
#[utoipa::path(
    post, path = "/v1/orders/{order}/check-in", operation_id = "checkIn", tag = "operator",
    params(("order" = String, Path, description = "its id or its payment ref")),
    responses(
        (status = 200, description = "used, now or before", body = CheckInView),
        BadRequest, UnknownOrder, NotPaid, Busy, Unauthenticated, NotPermitted,
    ),
)]
pub(crate) async fn check_in(
    State(engine): State<Arc<Engine>>,
    audited: Audited,
    Named(name): Named,
) -> Result<Json<CheckInView>, ApiError> {
    let (open, id) = engine.order_named(&name).await.map_err(|none| match none {
        NoSale::Unknown => ApiError::UnknownOrder,
        none => none.into(),
    })?;
    let found = engine.order(&open, &id).await?.ok_or(ApiError::UnknownOrder)?;
    if open.sale.terms().price > Cents(0) {
        let why = "this order is of a sale that is not free, and no place";
        return Err(ApiError::BadRequest(why.into()));
    }
    if found.status() != Status::Paid {
        return Err(ApiError::NotPaid);
    }
    let member: MemberId = match &found {
        Found::Here(order) => engine.roster().member(order.seat),
        Found::Before(record) => record.member.clone(),
    };
    let action = Action {
        action: "check_in",
        sale: Some(id.sale.as_str()),
        member: Some(&member),
        before: json!({"order_id": id.to_string()}),
    };
    let event = Event::UseBenefit { id: Source(id.to_string()), benefit: PLACES.into() };
    let (using, whom) = (Arc::clone(&engine), member.clone());
    let work = async move { used(take(&using, whom.as_str(), event).await) };
    let is_first = audited.carry_out(action, work, |first| json!({"is_first": first})).await?;
    let (order_id, units) = (id.to_string(), found.units().0);
    Ok(Json(CheckInView { order_id, member: member.to_string(), units, is_first }))
}

/// Whether the benefit is used for the first time by this order; `None` for a member without it.
fn used(taken: Result<Outcome, ApiError>) -> Result<Option<bool>, ApiError> {
    match taken {
        Ok(outcome) => Ok(Some(!outcome.is_known)),
        Err(ApiError::Book(
            NotTaken::NotEnrolled | NotTaken::Refused(Refused::Unknown(_) | Refused::NotEntitled),
        )) => Ok(None),
        Err(error) => Err(error),
    }
}
