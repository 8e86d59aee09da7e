//! The pages: plain files, compiled in. They use the same calls as any other client.

use crate::ask::origin::Origin;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The page that lists the sales.
pub(crate) const SALES: &str = include_str!("web/sales.html");
/// The page of one sale: its live room.
pub(crate) const ROOM: &str = include_str!("web/room.html");
/// The member's centre.
pub(crate) const ME: &str = include_str!("web/me.html");

/// What pages load: name, media type, content.
const FILES: [(&str, &str, &str); 9] = [
    ("cards.js", "text/javascript", include_str!("web/cards.js")),
    ("face.js", "text/javascript", include_str!("web/face.js")),
    ("icon.svg", "image/svg+xml", include_str!("web/icon.svg")),
    ("me.js", "text/javascript", include_str!("web/me.js")),
    ("orders.js", "text/javascript", include_str!("web/orders.js")),
    ("room.js", "text/javascript", include_str!("web/room.js")),
    ("server.js", "text/javascript", include_str!("web/server.js")),
    ("style.css", "text/css", include_str!("web/style.css")),
    ("words.js", "text/javascript", include_str!("web/words.js")),
];

/// Stands in the address of every file: with other contents the address is another one, so that a browser may
/// keep what it has for good.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut all = Sha256::new();
    FILES.iter().for_each(|(_, _, text)| all.update(text));
    all.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// The path of the files, for a router.
pub(crate) const FILES_PATH: &str = "/assets/{version}/{file}";

/// A page takes nothing from other origins and nothing inline, and only pages of these origins may
/// frame it.
pub(crate) fn policy(frame_ancestors: &[Origin]) -> HeaderValue {
    let ancestors = listed(frame_ancestors);
    let ancestors = if ancestors.is_empty() { "'none'" } else { &ancestors };
    let policy = format!("default-src 'self'; frame-ancestors {ancestors}; base-uri 'none'");
    HeaderValue::try_from(policy).expect("origins are plain ASCII")
}

fn listed(origins: &[Origin]) -> String {
    origins.iter().map(Origin::to_string).collect::<Vec<_>>().join(" ")
}

/// Serves one page. It knows whose pages may frame it: those may hand it a member's token.
pub(crate) fn page<S: Clone + Send + Sync + 'static>(
    text: &'static str,
    frame_ancestors: &[Origin],
) -> MethodRouter<S> {
    let text = text.replace("{assets}", &format!("/assets/{}", *VERSION));
    let text = text.replace("{parents}", &listed(frame_ancestors));
    let policy = policy(frame_ancestors);
    get(async move || {
        let headers = [(header::CONTENT_SECURITY_POLICY, policy)];
        std::future::ready((headers, kept("text/html", "no-cache"), text).into_response()).await
    })
}

/// Serves what pages load. A file of another version is not there.
pub(crate) fn files<S: Clone + Send + Sync + 'static>() -> MethodRouter<S> {
    get(file)
}

async fn file(Path((version, name)): Path<(String, String)>) -> Response {
    let found = FILES.iter().find(|(of, ..)| *of == name).filter(|_| version == *VERSION);
    match found {
        Some((_, kind, text)) => {
            (kept(kind, "public, max-age=31536000, immutable"), *text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn kept(kind: &str, how_long: &'static str) -> [(HeaderName, HeaderValue); 3] {
    let kind = HeaderValue::try_from(format!("{kind}; charset=utf-8")).expect("a plain type");
    [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static(how_long)),
    ]
}
