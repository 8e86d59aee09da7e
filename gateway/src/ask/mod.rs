//! What a request says, which member or system sent it, and whether it may be asked.

pub(crate) mod audience;
pub(crate) mod callers;
pub(crate) mod guard;
pub(crate) mod jwks;
pub(crate) mod media;
pub(crate) mod member_terms;
pub(crate) mod new_sale;
pub(crate) mod origin;
pub(crate) mod page;
pub(crate) mod rates;
pub(crate) mod request;
pub(crate) mod sale_change;
pub(crate) mod sample;
pub(crate) mod session;
pub(crate) mod signature;
pub(crate) mod tiers;
pub(crate) mod token;
mod token_keys;
pub(crate) mod verifier;
