//! What is answered: sales and orders in JSON, and problems.

pub(crate) mod account;
pub(crate) mod csv;
pub(crate) mod cursor;
pub(crate) mod error;
pub(crate) mod exposition;
pub(crate) mod fresh;
pub(crate) mod problem;
pub(crate) mod problems;
pub(crate) mod refusals;
pub(crate) mod report;
pub(crate) mod sse;
pub(crate) mod view;
pub(crate) mod words;
