//! The waitlist: members join it for units that come back, and leave it.

use super::click::{Clicks, NotAccepted};
use crate::answer::error::ApiError;
use crate::answer::problems::{
    BadBody, HistoryLost, PerhapsDone, TooMany, Unauthenticated, UnknownSale, WaitRefused,
};
use crate::answer::view::WaitView;
use crate::ask::audience::{any_sale_for, sees};
use crate::ask::rates::Rates;
use crate::ask::request::{self, AnyUnits, Named};
use crate::ask::session::{Session, Sessions};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use engine::rules::units::Units;
use engine::sale::Click;
use engine::{Engine, NoSale, NotWaiting};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What a member waits for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"units": 1})))]
pub(crate) struct WaitBody {
    /// Units to wait for, from 1 to the tier's limit.
    #[schema(value_type = u32, minimum = 1, maximum = 65_535)]
    units: AnyUnits,
}

/// Joins the waitlist of a sale that is sold out.
///
/// A member who waits already keeps their place and their first wish. When units come back, they
/// are offered to the member as an order, reserved and then confirmed, with a `pay_by` of its own.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/waitlist", operation_id = "joinWaitlist", tag = "members",
    security(("member" = [])),
    params(("sale" = String, Path)),
    request_body = WaitBody,
    responses(
        (status = 202, description = "on the list, and on disk", body = WaitView),
        BadBody, Unauthenticated, WaitRefused, UnknownSale, TooMany, PerhapsDone,
    ),
)]
pub(crate) async fn join(
    State(sessions): State<Arc<Sessions>>,
    State(clicks): State<Arc<Clicks>>,
    State(engine): State<Arc<Engine>>,
    Named(id): Named,
    request: Request,
) -> Result<(StatusCode, Json<WaitView>), ApiError> {
    let (parts, body) = request.into_parts();
    let wish: WaitBody = request::json(body).await?;
    let session = sessions.of(&parts).await?;
    let open = match clicks.enter(&session, &id) {
        Ok((open, _)) => open,
        // It may be archived.
        Err(NotAccepted::NoSale(NoSale::Unknown)) => {
            any_sale_for(&engine, &id, Some(&session)).await?
        }
        Err(why) => return Err(why.into()),
    };
    let Session { seat, said, is_minor, .. } = session;
    let tier = said.tier(&engine, seat);
    let wish = Click { seat, tier, units: Units(wish.units.0), key: None, is_minor };
    let waits = engine.join(&open, wish).await.map_err(|why| match why {
        NotWaiting::Refused(refusal) => {
            open.sale.meter().refuse(tier, &refusal);
            let (now, may_return) = (engine.now(), true);
            ApiError::Refused { refusal, tier, now, may_return }
        }
        NotWaiting::Store(error) => error.into(),
    })?;
    Ok((StatusCode::ACCEPTED, Json(WaitView::of(waits))))
}

/// Leaves the waitlist. For a member who does not wait this changes nothing.
#[utoipa::path(
    delete, path = "/v1/sales/{sale}/waitlist", operation_id = "leaveWaitlist", tag = "members",
    security(("member" = [])),
    params(("sale" = String, Path)),
    responses(
        (status = 204, description = "not on the list"),
        Unauthenticated, UnknownSale, HistoryLost, TooMany, PerhapsDone,
    ),
)]
pub(crate) async fn leave(
    State(engine): State<Arc<Engine>>,
    State(rates): State<Arc<Rates>>,
    session: Session,
    Named(id): Named,
) -> Result<StatusCode, ApiError> {
    rates.call(session.seat)?;
    let open = engine.any_sale(&id).await?;
    if !sees(&engine, &open, Some(&session)) && open.position(session.seat).is_none() {
        return Err(NoSale::Unknown.into());
    }
    engine.leave_waitlist(&open, session.seat).await?;
    Ok(StatusCode::NO_CONTENT)
}
