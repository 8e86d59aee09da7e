//! The function library: its text, and the name that goes with exactly this text.
//!
//! Two versions of Flashlane that share a Redis each call their own.

use redis::Cmd;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const TEXT: &str = concat!(include_str!("rows.lua"), include_str!("transactions.lua"));

/// `flashlane_` and the beginning of the text's SHA-256.
pub(super) static NAME: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(crate::fault::mutated(TEXT).as_bytes());
    digest[..6].iter().fold("flashlane_".to_owned(), |name, byte| name + &format!("{byte:02x}"))
});

/// What `FUNCTION LOAD` is given.
pub(super) static SOURCE: LazyLock<String> =
    LazyLock::new(|| crate::fault::mutated(TEXT).replace("@LIBRARY@", &NAME));

/// A call of one of the library's functions on a sale's keys, without its arguments.
pub(super) fn call(function: &str, keys: &[String]) -> Cmd {
    let mut call = redis::cmd("FCALL");
    call.arg(format!("{}_{function}", *NAME)).arg(keys.len()).arg(keys);
    call
}

/// Whether this refusal says that the library is not there.
pub(super) fn is_missing(why: &str) -> bool {
    why.contains("Function not found")
}
