//! Guard: lets a request through only with the key of somebody who may make it.

use super::callers::{Caller, Callers, Role};
use crate::answer::error::ApiError;
use anyhow::Context;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::clock::Clock;
use parking_lot::RwLock;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The keys of one listener, and the file that they stand in.
#[derive(Debug, Clone)]
pub(crate) struct Guard(Arc<Keys>);

#[derive(Debug)]
struct Keys {
    file: PathBuf,
    has_roles: bool,
    callers: RwLock<Callers>,
}

impl Guard {
    /// Guards by the keys in this file; those of operators have roles.
    pub(crate) fn read(file: &Path, has_roles: bool) -> anyhow::Result<Self> {
        let callers = RwLock::new(read(file, has_roles)?);
        Ok(Self(Arc::new(Keys { file: file.to_owned(), has_roles, callers })))
    }

    /// Reads the file again; returns a line on what changed. If it cannot be used, the keys stay as they
    /// are.
    pub(crate) fn read_again(&self) -> Result<String, String> {
        let Keys { file, has_roles, callers } = &*self.0;
        let file = file.display();
        match read(&self.0.file, *has_roles) {
            Ok(now) => {
                let changes = now.changes(&callers.read());
                *callers.write() = now;
                Ok(format!("{file}: {}", changes.unwrap_or_else(|| "no key has changed".into())))
            }
            Err(error) => Err(format!("{error:#}; the keys stay as they were")),
        }
    }

    fn check(&self, method: &Method, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let callers = self.0.callers.read();
        let caller = callers.of(headers, Clock::Wall.now());
        let nobody =
            "a key of this listener is needed as a bearer token; this one is not, or has expired";
        let caller = caller.ok_or(ApiError::Unauthenticated(nobody))?;
        let needed = if method.is_safe() { Role::Viewer } else { Role::Operator };
        must_be(caller, needed).map(|()| caller.clone())
    }
}

fn read(file: &Path, has_roles: bool) -> anyhow::Result<Callers> {
    let shown = file.display();
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read the key file {shown}"))?;
    let callers = Callers::read(&text, has_roles);
    callers.with_context(|| format!("the keys in {shown} cannot be used"))
}

/// Refuses a caller who has not this role, or one that may do more.
pub(crate) fn must_be(caller: &Caller, needs: Role) -> Result<(), ApiError> {
    match caller.role >= needs {
        true => Ok(()),
        false => Err(ApiError::NotPermitted { has: caller.role, needs }),
    }
}

/// Lets a request through with its [`Caller`], or refuses it.
pub(crate) async fn guard(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    match guard.check(request.method(), request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}
