//! Loom models of what can go wrong, one model a promise, under `tests/`. Run them with
//! `scripts/loom.sh`.
//!
//! Each model runs twice: with the engine's own part, which must hold under every interleaving, and
//! with a twin that has a bug planted, which must fail. A model that passes its twin is blind.

#[cfg(flash_loom)]
pub mod world;
