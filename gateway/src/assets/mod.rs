//! The pages: plain files, compiled in. They use the same calls as any other client.

use crate::ask::origin::Origin;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

/// A page takes nothing from other origins and nothing inline, and only pages of these origins may
/// frame it.
pub(crate) fn policy(frame_ancestors: &[Origin]) -> HeaderValue {
    let ancestors: Vec<String> = frame_ancestors.iter().map(Origin::to_string).collect();
    let ancestors = if ancestors.is_empty() { "'none'".into() } else { ancestors.join(" ") };
    let policy = format!("default-src 'self'; frame-ancestors {ancestors}; base-uri 'none'");
    HeaderValue::try_from(policy).expect("origins are plain ASCII")
}

/// The page that lists the sales.
pub(crate) const SALES: (&str, &str) = ("text/html", include_str!("sales.html"));
/// The page of one sale: its live room.
pub(crate) const ROOM: (&str, &str) = ("text/html", include_str!("room.html"));
pub(crate) const SALES_JS: (&str, &str) = ("text/javascript", include_str!("sales.js"));
pub(crate) const ROOM_JS: (&str, &str) = ("text/javascript", include_str!("room.js"));
pub(crate) const STYLE: (&str, &str) = ("text/css", include_str!("style.css"));

/// Serves one file.
pub(crate) fn page<S: Clone + Send + Sync + 'static>(
    (kind, text): (&'static str, &'static str),
    policy: &HeaderValue,
) -> MethodRouter<S> {
    let policy = policy.clone();
    let kind = HeaderValue::try_from(format!("{kind}; charset=utf-8")).expect("a plain type");
    get(async move || {
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        std::future::ready((headers, text).into_response()).await
    })
}
