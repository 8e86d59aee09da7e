//! Page: which part of a list of sales a client asks for.

use super::request::InQuery;
use crate::answer::error::ApiError;
use crate::answer::words;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine::sale::phase::Phase;
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

impl Page {
    /// The sales on this page, and where the next page begins, if there is one.
    pub(crate) fn of(&self, engine: &Engine) -> (Vec<Arc<OpenSale>>, Option<String>) {
        let now = engine.now();
        let wanted = |open: &OpenSale| self.state.is_none_or(|state| open.sale.phase(now) == state);
        let mut sales = engine.sales_after(&self.after, SALES_MAX + 1, wanted);
        let is_last = sales.len() <= SALES_MAX;
        sales.truncate(SALES_MAX);
        let last = sales.last().map(|open| open.sale.terms().id.to_string());
        (sales, last.filter(|_| !is_last))
    }
}
