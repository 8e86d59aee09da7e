//! The pages: plain files, compiled in. They use the same calls as any other client.

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};

/// A page takes nothing from other origins and nothing inline, and no other page may frame it.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

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
) -> MethodRouter<S> {
    let kind = HeaderValue::try_from(format!("{kind}; charset=utf-8")).expect("a plain type");
    get(async move || {
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        std::future::ready((headers, text).into_response()).await
    })
}
