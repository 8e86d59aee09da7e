//! Audience: whether a sale is there for the member that asks.

use super::session::Session;
use engine::{Engine, NoSale, OpenSale};
use std::sync::Arc;

/// Whether the sale is there for this member, or for somebody without a token.
pub(crate) fn sees(engine: &Engine, open: &OpenSale, session: Option<&Session>) -> bool {
    let audience = &open.sale.terms().members.audience;
    let has = |session: &Session| {
        let is_enrolled = engine.book().tier(session.seat).is_some();
        audience.has(session.said.tier(engine, session.seat), is_enrolled)
    };
    audience.is_everyone() || session.is_some_and(has)
}

/// The sale with this id, open or archived, if it is there for this member.
pub(crate) async fn any_sale_for(
    engine: &Engine,
    id: &str,
    session: Option<&Session>,
) -> Result<Arc<OpenSale>, NoSale> {
    let open = match session {
        Some(session) => engine.any_sale_of(id, session.seat).await?,
        None => engine.any_sale(id).await?,
    };
    if sees(engine, &open, session) { Ok(open) } else { Err(NoSale::Unknown) }
}

/// The open sale with this id, if it is there for this member.
pub(crate) fn sale_for(
    engine: &Engine,
    id: &str,
    session: Option<&Session>,
) -> Result<Arc<OpenSale>, NoSale> {
    let open = engine.sale(id)?;
    if sees(engine, &open, session) { Ok(open) } else { Err(NoSale::Unknown) }
}
