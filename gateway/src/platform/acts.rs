//! `POST /v1/events`: what members did in live rooms, as the platform's own servers saw it. A member's
//! own client cannot tell of it.

use crate::answer::error::ApiError;
use crate::answer::problems::{BadBody, Busy, Unauthenticated};
use crate::answer::words;
use crate::ask::request::{self, Instant, Object};
use crate::member::me::to_the_end;
use axum::Json;
use axum::extract::{Request, State};
use engine::Engine;
use engine::members::{Ask, NotTaken};
use engine::rules::terms::SaleId;
use engine::rules::time::Millis;
use engine::store::Who;
use membership::MemberId;
use membership::event::{Act, Event};
use membership::posting::Source;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Most acts in a call.
const ACTS_MAX: usize = 1_000;
/// Most bytes of a call.
const BODY_BYTES_MAX: usize = 4 << 20;
/// An act is told of within so long.
const TOLD_WITHIN: Duration = Duration::from_secs(31 * 86_400);
/// How far the platform's clock may be ahead.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// What a member did.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"id": "e-17", "member": "ann", "kind": "watch", "at": "2026-01-01T12:00:00Z", "seconds": 600})))]
pub(crate) struct ActBody {
    /// Its own id, 1 to 64 visible characters: an act counts once.
    id: String,
    member: String,
    #[schema(value_type = words::Act)]
    kind: ActKind,
    #[schema(value_type = String, format = DateTime)]
    at: Instant,
    /// Of a watch: how long, from 1 to 86,400.
    #[serde(default)]
    #[schema(required = false, minimum = 1, maximum = 86_400)]
    seconds: Option<u32>,
    /// Of a benefit: which one, by its id in the plan.
    #[serde(default)]
    #[schema(required = false)]
    benefit: Option<String>,
    /// In the room of which sale.
    #[serde(default)]
    #[schema(required = false)]
    sale: Option<String>,
    /// What the platform knows of the picture that was watched.
    #[serde(default)]
    #[schema(required = false)]
    quality: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActKind {
    Watch,
    Share,
    Interact,
    Invite,
    Benefit,
}

/// How many acts were taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"new": 998, "known": 1, "refused": [{"index": 3, "why": "at: in the future"}]})))]
pub(crate) struct ActsView {
    new: usize,
    /// They were told of before.
    known: usize,
    refused: Vec<RefusedView>,
}

/// An act that does not count.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedView {
    /// Which one, from 0.
    index: usize,
    why: String,
}

/// Takes what members did in live rooms, and which benefits they used elsewhere, each act once by its id. At most 1,000 in a call; one that does not fit is
/// refused alone.
#[utoipa::path(
    post, path = "/v1/events", operation_id = "tellActs", tag = "membership",
    request_body = Vec<ActBody>,
    responses((status = 200, description = "how many counted", body = ActsView), BadBody, Unauthenticated, Busy),
)]
pub(crate) async fn take(
    State(engine): State<Arc<Engine>>,
    request: Request,
) -> Result<Json<ActsView>, ApiError> {
    let bytes = request::bytes_up_to(request.into_body(), BODY_BYTES_MAX).await?;
    let acts: Vec<Object<ActBody>> =
        serde_json::from_slice(&bytes).map_err(|error| ApiError::BadRequest(error.to_string()))?;
    if acts.is_empty() || acts.len() > ACTS_MAX {
        return Err(ApiError::BadRequest("a call has 1 to 1,000 events".into()));
    }
    let now = engine.now();
    let (mut asks, mut places, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (index, Object(act)) in acts.into_iter().enumerate() {
        match ask(act, now) {
            Ok(ask) => {
                asks.push(ask);
                places.push(index);
            }
            Err(why) => refused.push(RefusedView { index, why }),
        }
    }
    let taken = to_the_end(async move { engine.book().take_all(asks).await }).await??;
    let (mut new, mut known) = (0, 0);
    for (index, taken) in places.into_iter().zip(taken) {
        match taken {
            Ok(outcome) if outcome.is_known => known += 1,
            Ok(_) => new += 1,
            Err(why @ (NotTaken::NotEnrolled | NotTaken::Refused(_))) => {
                refused.push(RefusedView { index, why: format!("member: {why}") });
            }
        }
    }
    refused.sort_by_key(|refused| refused.index);
    Ok(Json(ActsView { new, known, refused }))
}

fn ask(act: ActBody, now: Millis) -> Result<Ask, String> {
    let ActBody { id, member, kind, at: Instant(at), seconds, benefit, sale, quality } = act;
    let id = request::plain_key(&id).filter(|id| id.len() <= 64);
    let id = id.ok_or("id: 1 to 64 visible characters")?.to_owned();
    let member: MemberId = member.parse().map_err(|bad| format!("member: {bad}"))?;
    if at > now + AHEAD_MAX {
        return Err("at: in the future".into());
    }
    if now.since(at) > TOLD_WITHIN {
        return Err("at: more than a month ago".into());
    }
    if sale.is_some_and(|sale| sale.parse::<SaleId>().is_err()) {
        return Err("sale: not a sale's id".into());
    }
    if quality.is_some_and(|quality| quality.len() > 64) {
        return Err("quality: at most 64 bytes".into());
    }
    let id = Source(id);
    let act = match (kind, seconds, benefit) {
        (ActKind::Benefit, None, Some(benefit)) => {
            let (who, event) = (Who::Named(member), Event::UseBenefit { id, benefit });
            return Ok(Ask { who, event, at });
        }
        (ActKind::Benefit, ..) => return Err("benefit: its id in the plan, and no seconds".into()),
        (_, _, Some(_)) => return Err("benefit: of the kind `benefit` alone".into()),
        (ActKind::Watch, Some(seconds @ 1..=86_400), None) => Act::Watch(seconds),
        (ActKind::Watch, ..) => return Err("seconds: 1 to 86,400 of a watch".into()),
        (_, Some(_), None) => return Err("seconds: of a watch alone".into()),
        (ActKind::Share, None, None) => Act::Share,
        (ActKind::Interact, None, None) => Act::Interact,
        (ActKind::Invite, None, None) => Act::Invite,
    };
    Ok(Ask { who: Who::Named(member), event: Event::Act { id, act }, at })
}
