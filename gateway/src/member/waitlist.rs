//! Waiting for units that come back.

use crate::answer::error::{ApiError, Problem};
use crate::answer::view::WaitView;
use crate::app::App;
use crate::ask::request::{self, AnyUnits, Named};
use crate::ask::session::Session;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use engine::NotWaiting;
use engine::rules::units::Units;
use engine::sale::Click;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What to wait for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// From 1 to the tier's limit.
    #[schema(value_type = u32, minimum = 1, maximum = 65_535)]
    units: AnyUnits,
}

/// Joins the waitlist of a sale that is sold out. Whoever waits already keeps their place and their
/// first wish. When units come back they are offered as an order, reserved and confirmed, with a
/// `pay_by` of its own.
#[utoipa::path(
    post, path = "/v1/sales/{sale}/waitlist", tag = "members",
    security(("member" = [])),
    params(("sale" = String, Path)),
    request_body = Wish,
    responses(
        (status = 202, description = "on the list, and on disk", body = WaitView),
        (status = 400, description = "bad_request", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "unauthenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "blocked, tier_not_admitted, not_open", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown_sale", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "body_too_slow", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "paused, not_sold_out, limit_reached, waitlist_full, history_lost", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "closed", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "body_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "bad_units", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too_many_requests", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy: it may have been done; ask again", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn join(
    State(app): State<Arc<App>>,
    Named(id): Named,
    request: Request,
) -> Result<(StatusCode, Json<WaitView>), ApiError> {
    let (parts, body) = request.into_parts();
    let wish: Wish = request::json(body).await?;
    let session = Session::of(&app, &parts)?;
    app.limits.call(session.seat)?;
    if app.engine.is_blocked(session.seat) {
        return Err(ApiError::Blocked);
    }
    let open = app.engine.sale(&id).ok_or(ApiError::UnknownSale)?;
    let Session { seat, tier, .. } = session;
    let wish = Click { seat, tier, units: Units(wish.units.0), key: None };
    let waits = app.engine.join(&open, wish).await.map_err(|why| match why {
        NotWaiting::Refused(refusal) => {
            open.sale.meter().refuse(&refusal);
            let (now, may_return) = (app.engine.now(), true);
            ApiError::Refused { refusal, tier, now, may_return }
        }
        NotWaiting::Store(error) => error.into(),
    })?;
    Ok((StatusCode::ACCEPTED, Json(WaitView::of(waits))))
}

/// Leaves the waitlist. Harmless for whoever does not wait.
#[utoipa::path(
    delete, path = "/v1/sales/{sale}/waitlist", tag = "members",
    security(("member" = [])),
    params(("sale" = String, Path)),
    responses(
        (status = 204, description = "not on the list"),
        (status = 401, description = "unauthenticated", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "unknown_sale", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "history_lost", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too_many_requests", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "busy: it may have been done; ask again", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    session: Session,
    Named(id): Named,
) -> Result<StatusCode, ApiError> {
    app.limits.call(session.seat)?;
    let open = app.engine.sale(&id).ok_or(ApiError::UnknownSale)?;
    app.engine.leave_waitlist(&open, session.seat).await?;
    Ok(StatusCode::NO_CONTENT)
}
