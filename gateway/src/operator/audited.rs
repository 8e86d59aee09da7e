//! Audited: what an operator changes is done to its end, and stands in the audit log: what was asked,
//! before it is done, and what came of it, before it is answered.

use crate::answer::error::ApiError;
use crate::app::App;
use crate::ask::callers::Caller;
use crate::ask::rates::Rates;
use crate::ask::request::{Peer, REQUEST_ID};
use crate::audit::{ACTIONS, AuditLog, Entry};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use membership::MemberId;
use serde_json::Value;
use std::sync::Arc;

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Action<'a> {
    /// One of [`ACTIONS`](crate::audit::ACTIONS).
    pub(crate) action: &'static str,
    pub(crate) sale: Option<&'a str>,
    pub(crate) member: Option<&'a MemberId>,
    pub(crate) before: Value,
}

/// The caller that asks for a change, for the log.
#[derive(Debug)]
pub(crate) struct Audited {
    log: Arc<AuditLog>,
    who: Entry,
}

impl FromRequestParts<App> for Audited {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller: &Caller = parts.extensions.get().ok_or(ApiError::Internal)?;
        let Peer(peer) = *parts.extensions.get().ok_or(ApiError::Internal)?;
        let from = Arc::<Rates>::from_ref(app).client(peer, &parts.headers);
        let id = parts.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let who = Entry {
            by: caller.name.to_string(),
            role: Some(caller.role.as_str().to_owned()),
            from: Some(from.to_string()),
            request_id: id.map(str::to_owned),
            ..Entry::default()
        };
        std::future::ready(Ok(Self { log: FromRef::from_ref(app), who })).await
    }
}

impl Audited {
    /// Does the work to its end, even if the client is gone by then: otherwise the store could know of a
    /// change that this process, or the log, does not know of. `after` says how things are then.
    ///
    /// If the log cannot be written, nothing is done.
    pub(crate) async fn carry_out<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
        self,
        action: Action<'_>,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
        after: impl FnOnce(&T) -> Value + Send + 'static,
    ) -> Result<T, ApiError> {
        let Self { log, who } = self;
        let Action { action, sale, member, before } = action;
        debug_assert!(ACTIONS.contains(&action), "{action} is no word of the audit log");
        let member = member.map(MemberId::to_string);
        let asked = Entry {
            action: action.to_owned(),
            sale: sale.map(str::to_owned),
            state: "asked".to_owned(),
            before: Some(before).filter(|before| !before.is_null()),
            ..who
        };
        let to_the_end = async move {
            let asked = written(&log, asked, member).await.map_err(ApiError::NotAudited)?;
            let done: Result<T, ApiError> = work.await.map_err(Into::into);
            let (state, why, after) = match &done {
                Ok(done) => ("done", None, Some(after(done)).filter(|after| !after.is_null())),
                Err(error) => ("failed", Some(error.to_string()), None),
            };
            let of = Some(asked.id);
            let outcome = Entry { state: state.into(), of, why, before: None, after, ..asked };
            if let Err(error) = written(&log, outcome, None).await {
                tracing::error!(action, state, %error, "this does not stand in the audit log");
            }
            done
        };
        tokio::spawn(to_the_end).await.map_err(|_| ApiError::Internal)?
    }
}

/// Writes an entry down, off the threads that answer; returns it with its id.
async fn written(
    log: &Arc<AuditLog>,
    entry: Entry,
    member: Option<String>,
) -> Result<Entry, std::io::Error> {
    let log = Arc::clone(log);
    let write = move || {
        let member_number = match member {
            Some(member) => Some(log.number_of(&member)?),
            None => entry.member_number,
        };
        let entry = Entry { member_number, ..entry };
        Ok(Entry { id: log.append(entry.clone())?, ..entry })
    };
    tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other)?
}
