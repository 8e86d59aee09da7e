//! One person: everything that is kept about them, and taking their name out of it.

use super::audit::EntryView;
use super::audited::{Action, Audited};
use crate::answer::account::{AccountView, PostingView};
use crate::answer::error::ApiError;
use crate::answer::problems::{BadRequest, Busy, HistoryLost, NotPermitted, Unauthenticated};
use crate::answer::view::{OrderView, Time, WaitView};
use crate::ask::callers::{Caller, Role};
use crate::ask::guard::must_be;
use crate::ask::request::{Named, member_id, nobodys_pseudonym};
use crate::ask::session::Sessions;
use crate::audit::AuditLog;
use crate::front::asking::Front;
use crate::front::between::{ERASE, ERASED};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use engine::roster::PSEUDONYM;
use engine::store::{Bucket, StoreError, Who};
use engine::{Engine, NoSale};
use membership::MemberId;
use membership::posting::Account;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Orders that are read at a time.
const PIECE: usize = 1_000;

/// Everything that is kept about one person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "member": "ann", "exported_at": "2026-01-01T12:00:00.000Z", "is_blocked": false, "orders": [],
    "waits": [], "audit": [], "postings": [],
})))]
pub(crate) struct ExportView {
    member: String,
    #[schema(value_type = String, format = DateTime)]
    exported_at: Time,
    /// Whether an operator keeps the member from buying.
    is_blocked: bool,
    /// In every sale, the newest of each first.
    orders: Vec<OrderView>,
    /// The waitlists that the member is on.
    waits: Vec<WaitOf>,
    /// What operators did with the member.
    audit: Vec<EntryView>,
    /// What the members' book has of them; absent if they are not enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountView>,
    /// All lines of the book, newest first; what those came to that are older than 13 months comes last.
    postings: Vec<PostingView>,
}

/// How the member waits in one sale.
#[derive(Debug, Serialize, ToSchema)]
struct WaitOf {
    sale: String,
    #[serde(flatten)]
    waits: WaitView,
}

/// Returns everything that is kept about one person; it needs an agent's key. Of somebody who is not
/// known here, that is nothing.
#[utoipa::path(
    get, path = "/v1/members/{member}/export", operation_id = "exportMember", tag = "operator", params(("member" = String, Path)),
    responses((status = 200, description = "all of it", body = ExportView), BadRequest, Busy, Unauthenticated, NotPermitted),
)]
pub(crate) async fn export(
    State(engine): State<Arc<Engine>>,
    State(log): State<Arc<AuditLog>>,
    Extension(caller): Extension<Caller>,
    audited: Audited,
    Named(member): Named,
) -> Result<Json<ExportView>, ApiError> {
    must_be(&caller, Role::Agent)?;
    let member = member_id(&member)?;
    // Of somebody who is not known, the log must not become the one place that knows them.
    let enrolled = engine.book().account(Who::Named(member.clone())).await?;
    let is_known = enrolled.is_some()
        || engine.roster().find(member.as_str()).is_some()
        || log.knows(member.as_str()).map_err(ApiError::NotAudited)?;
    let named = is_known.then_some(&member);
    let action = Action { action: "export_member", member: named, ..Action::default() };
    let of = member.clone();
    let gather = async move {
        let audit = tokio::task::spawn_blocking({
            let name = of.to_string();
            move || log.about(&name)
        });
        let audit = audit.await.map_err(|_| ApiError::Internal)?.map_err(|error| {
            tracing::error!(%error, "the audit log cannot be read");
            ApiError::Internal
        })?;
        let (orders, waits) = in_sales(&engine, &of).await?;
        let (account, postings) = in_book(&engine, &of).await?;
        let names = audit.iter().filter_map(|entry| Some((entry.member_number?, of.to_string())));
        let names = names.collect();
        Ok::<_, ApiError>(ExportView {
            exported_at: Time(engine.now()),
            is_blocked: engine.is_blocked(&of),
            orders,
            waits,
            audit: audit.into_iter().map(|entry| EntryView::of(entry, &names)).collect(),
            account,
            postings,
            member: of.to_string(),
        })
    };
    audited.carry_out(action, gather, |_| Value::Null).await.map(Json)
}

/// What the members' book has of a member.
async fn in_book(
    engine: &Engine,
    member: &MemberId,
) -> Result<(Option<AccountView>, Vec<PostingView>), ApiError> {
    let book = engine.book();
    let Some((number, account)) = book.account(Who::Named(member.clone())).await? else {
        return Ok((None, Vec::new()));
    };
    let (mut postings, mut before) = (Vec::new(), u64::MAX);
    loop {
        let page = book.postings(number, before, PIECE).await?;
        let Some(last) = page.last() else { break };
        before = last.number;
        postings.extend(page.into_iter().filter_map(PostingView::shown));
    }
    let older = Account::ALL.into_iter().filter_map(|of| account.opening.line(of));
    postings.extend(older.filter_map(PostingView::shown));
    let current = book.plans.current();
    let view = AccountView::of(member.as_str(), number, &account, &current.plan, engine.now());
    Ok((Some(view), postings))
}

async fn in_sales(
    engine: &Engine,
    member: &MemberId,
) -> Result<(Vec<OrderView>, Vec<WaitOf>), ApiError> {
    engine.all_open()?;
    let (mut orders, mut waits) = (Vec::new(), Vec::new());
    let archived = engine.archived_of(member).await?;
    let is_known = !archived.is_empty() || engine.roster().find(member.as_str()).is_some();
    let seat = is_known.then(|| engine.roster().seat(member.as_str())).flatten();
    let Some(seat) = seat else { return Ok((orders, waits)) };
    let mut sales = engine.everywhere().await?;
    for id in &archived {
        match engine.any_sale(id.as_str()).await {
            Ok(open) => sales.push(open),
            // It was deleted in between.
            Err(NoSale::Unknown) => {}
            Err(none) => return Err(none.into()),
        }
    }
    engine.all_open()?;
    if engine.archived_of(member).await? != archived {
        return Err(StoreError::Refused("a sale was archived meanwhile".into()).into());
    }
    for open in sales {
        let mut before = u64::MAX;
        loop {
            let page = engine.orders_of(&open, seat, before, PIECE).await?;
            orders.extend(page.iter().map(|found| OrderView::found(engine, &open, found)));
            match page.last() {
                Some(last) if page.len() == PIECE => before = last.number(),
                _ => break,
            }
        }
        let sale = || open.sale.terms().id.to_string();
        let waiting = open.position(seat).map(WaitView::of);
        waits.extend(waiting.map(|waits| WaitOf { sale: sale(), waits }));
    }
    Ok((orders, waits))
}

/// How often sales are looked for that are between two nodes.
const LOOKS: u32 = 50;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Erases a person; it needs an admin's key.
///
/// Their orders stay, under a pseudonym. Nothing else names them any more, but outbox entries, until those
/// are older than `--outbox-keep`. They leave every waitlist and are not blocked any more. A member who
/// comes by the name later is somebody else here.
#[utoipa::path(
    delete, path = "/v1/members/{member}", operation_id = "eraseMember", tag = "operator", params(("member" = String, Path)),
    responses((status = 204, description = "nothing but outbox entries names them"), BadRequest, HistoryLost, Busy, Unauthenticated, NotPermitted),
)]
pub(crate) async fn erase(
    State(engine): State<Arc<Engine>>,
    State(log): State<Arc<AuditLog>>,
    State(sessions): State<Arc<Sessions>>,
    State(front): State<Arc<Front>>,
    Extension(caller): Extension<Caller>,
    audited: Audited,
    Named(member): Named,
) -> Result<StatusCode, ApiError> {
    must_be(&caller, Role::Admin)?;
    let member = nobodys_pseudonym(&member)?;
    let action = Action { action: "erase_member", member: Some(&member), ..Action::default() };
    let whom = member.clone();
    let erase = async move { erase_everywhere(&engine, &log, &sessions, &front, &whom).await };
    audited.carry_out(action, erase, |()| Value::Null).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a member's name out of the sales, then out of the audit log, here and at every node that is reached. Whatever breaks off
/// is gone on with by [`go_on_erasing`].
async fn erase_everywhere(
    engine: &Engine,
    log: &Arc<AuditLog>,
    sessions: &Sessions,
    front: &Front,
    member: &MemberId,
) -> Result<(), ApiError> {
    engine.erase(member, &pseudonym(member)?).await?;
    erase_at_others(engine, front, member).await?;
    log.forget_member(member).await.map_err(ApiError::NotAudited)?;
    engine.erased(member).await?;
    // Tokens that were verified before have the old seat.
    sessions.forget_all();
    if let Err(node) = front.have_all(ERASED, member).await {
        tracing::warn!(%node, "a node has the name of a member who is erased in memory until it ends");
    }
    Ok(())
}

/// Has every node that is reached take the name out of its sales. One that goes from one node to another meanwhile is looked for
/// again.
async fn erase_at_others(
    engine: &Engine,
    front: &Front,
    member: &MemberId,
) -> Result<(), ApiError> {
    if !front.is_one_of_many() {
        return Ok(());
    }
    for _ in 0..LOOKS {
        let not_yet = |node| ApiError::NoNode(format!("node {node} still has the name; ask again"));
        front.have_all(ERASE, member).await.map_err(not_yet)?;
        engine.erase_here(member).await?;
        if !engine.is_named(member).await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(ApiError::NoNode("a sale between two nodes still has the name; ask again".into()))
}

/// Goes on with erasing that a crash or a store that was away has broken off. Returns how many are left.
pub(crate) async fn go_on_erasing(
    engine: &Engine,
    log: &Arc<AuditLog>,
    sessions: &Sessions,
    front: &Front,
) -> Result<usize, StoreError> {
    let mut left = 0;
    for (member, _) in engine.erasing().await? {
        if let Err(error) = erase_everywhere(engine, log, sessions, front, &member).await {
            left += 1;
            tracing::warn!(%error, "a member is not erased everywhere yet; it is tried again");
        }
    }
    Ok(left)
}

/// A name that nobody has and nobody can guess. It is of the member's bucket of the book, so that what becomes
/// of their orders still finds their account; one draw in a thousand is.
fn pseudonym(member: &MemberId) -> Result<MemberId, ApiError> {
    let bucket = Bucket::of(member.as_str());
    loop {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| {
            tracing::error!(%error, "the system gives no random bytes");
            ApiError::Internal
        })?;
        let name = format!("{PSEUDONYM}{:032x}", u128::from_be_bytes(random));
        if Bucket::of(&name) == bucket {
            return Ok(name.parse().expect("it has only characters of member ids"));
        }
    }
}
