//! Page: which part of a list of sales a client asks for.

use super::request::InQuery;
use crate::answer::error::ApiError;
use crate::answer::words;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::sale::phase::Phase;
use engine::store::StoreError;
use engine::{Engine, OpenSale};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Most sales on a page.
const SALES_MAX: usize = 100;

/// Which sales to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Only sales in this state: scheduled, open, paused, sold_out or closed.
    #[param(value_type = Option<words::SaleState>)]
    state: Option<Phase>,
    /// Only sales with ids after this one: the `next` of the page before.
    #[serde(default)]
    #[param(required = false)]
    after: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        InQuery::from_request_parts(parts, state).await.map(|InQuery(page)| page)
    }
}

/// Whether archived sales are on a list of sales in any state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithArchived {
    Always,
    /// Only on a list of closed ones.
    IfAskedFor,
}

impl Page {
    /// The sales on this page, of those that are shown, and where the next page begins, if there is one. As
    /// many archived sales are read as a page has, whether or not they are shown.
    pub(crate) async fn of(
        &self,
        engine: &Engine,
        with_archived: WithArchived,
        is_shown: impl Fn(&OpenSale) -> bool,
    ) -> Result<(Vec<Arc<OpenSale>>, Option<String>), StoreError> {
        let now = engine.now();
        let is_in_state = |open: &OpenSale| match self.state {
            None => true,
            Some(state) => open.sale.phase(now) == state,
        };
        let wanted = |open: &OpenSale| is_shown(open) && is_in_state(open);
        let mut sales = engine.sales_after(&self.after, SALES_MAX + 1, wanted);
        let archived = match self.state {
            None if with_archived == WithArchived::IfAskedFor => Vec::new(),
            None | Some(Phase::Closed) => engine.archived_after(&self.after, SALES_MAX).await?,
            // Every archived sale is closed.
            Some(_) => Vec::new(),
        };
        let id = |open: &Arc<OpenSale>| open.sale.terms().id.clone();
        let read_to = archived.last().filter(|_| archived.len() == SALES_MAX).map(id);
        if let Some(read_to) = &read_to {
            sales.retain(|open| open.sale.terms().id <= *read_to);
        }
        sales.extend(archived.into_iter().filter(|open| wanted(open)));
        sales.sort_by(|a, b| a.sale.terms().id.cmp(&b.sale.terms().id));
        // A sale may have been archived between the two looks.
        sales.dedup_by(|a, b| a.sale.terms().id == b.sale.terms().id);
        let is_full = sales.len() > SALES_MAX;
        sales.truncate(SALES_MAX);
        let next = if is_full { sales.last().map(id) } else { read_to };
        Ok((sales, next.map(|id| id.to_string())))
    }
}
