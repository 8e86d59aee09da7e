//! Meaning: what an error of Redis says of a call's outcome.

use crate::store::StoreError;
use redis::{ErrorKind, RedisError};

/// What an error of Redis or of the connection says of the call's outcome.
pub(super) fn meaning(error: &RedisError) -> StoreError {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::AuthenticationFailed => StoreError::Refused(format!("wrong password: {text}")),
        // An error that a function ran into may have come after its first write.
        _ if text.contains("script:") || text.contains("on @user_function") => {
            StoreError::Damaged(text)
        }
        _ if text.contains("WRONGTYPE") => StoreError::Damaged(text),
        ErrorKind::Server(_) | ErrorKind::Extension => StoreError::Refused(text),
        _ => StoreError::Unknown(text),
    }
}
