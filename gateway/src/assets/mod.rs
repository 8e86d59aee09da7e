//! The pages: plain files, compiled in. They use the same calls as any other client.

use crate::ask::origin::Origin;
use crate::start::options::Origins;
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

/// The operator's desk.
pub(crate) const DESK: &str = include_str!("web/desk.html");

/// What a page loads: name, media type, content.
type File = (&'static str, &'static str, &'static str);

/// What members' pages load, and the desk as far as it is the same.
pub(crate) const OF_ROOMS: &[File] = &[
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

/// What the desk alone loads. uPlot is a library's, fetched by `scripts/assets.sh`.
pub(crate) const OF_DESK: &[File] = &[
    ("desk.css", "text/css", include_str!("web/desk.css")),
    ("desk.js", "text/javascript", include_str!("web/desk.js")),
    ("desk_actions.js", "text/javascript", include_str!("web/desk_actions.js")),
    ("desk_charts.js", "text/javascript", include_str!("web/desk_charts.js")),
    ("desk_form.js", "text/javascript", include_str!("web/desk_form.js")),
    ("desk_live.js", "text/javascript", include_str!("web/desk_live.js")),
    ("desk_log.js", "text/javascript", include_str!("web/desk_log.js")),
    ("desk_members.js", "text/javascript", include_str!("web/desk_members.js")),
    ("desk_nodes.js", "text/javascript", include_str!("web/desk_nodes.js")),
    ("desk_plan.js", "text/javascript", include_str!("web/desk_plan.js")),
    ("desk_reports.js", "text/javascript", include_str!("web/desk_reports.js")),
    ("desk_sales.js", "text/javascript", include_str!("web/desk_sales.js")),
    ("desk_samples.js", "text/javascript", include_str!("web/desk_samples.js")),
    ("desk_words.js", "text/javascript", include_str!("web/desk_words.js")),
    ("dom.js", "text/javascript", include_str!("web/dom.js")),
    ("uplot.css", "text/css", include_str!("lib/uplot.css")),
    ("uplot.js", "text/javascript", include_str!("lib/uplot.js")),
    ("uplot.LICENSE.txt", "text/plain", include_str!("lib/uplot.LICENSE.txt")),
];

/// Stands in the address of every file: with other contents the address is another one, so that a browser may
/// keep what it has for good.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut all = Sha256::new();
    OF_ROOMS.iter().chain(OF_DESK).for_each(|(_, _, text)| all.update(text));
    all.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// The path of the files, for a router.
pub(crate) const FILES_PATH: &str = "/assets/{version}/{file}";

/// A page takes nothing from other origins but pictures from those that are named, and nothing inline; only pages of
/// the origins that may frame it do.
fn policy(origins: &Origins) -> HeaderValue {
    let (ancestors, media) = (listed(&origins.frame_ancestors), listed(&origins.media));
    let ancestors = if ancestors.is_empty() { "'none'" } else { &ancestors };
    let policy = format!(
        "default-src 'self'; img-src 'self' {media}; frame-ancestors {ancestors}; base-uri 'none'"
    );
    HeaderValue::try_from(policy).expect("origins are plain ASCII")
}

fn listed(origins: &[Origin]) -> String {
    origins.iter().map(Origin::to_string).collect::<Vec<_>>().join(" ")
}

/// Serves one page. It knows whose pages may frame it: those may hand it a member's token.
pub(crate) fn page<S: Clone + Send + Sync + 'static>(
    text: &'static str,
    origins: &Origins,
) -> MethodRouter<S> {
    let text = text.replace("{assets}", &format!("/assets/{}", *VERSION));
    let text = text.replace("{parents}", &listed(&origins.frame_ancestors));
    let policy = policy(origins);
    get(async move || {
        let headers = [(header::CONTENT_SECURITY_POLICY, policy)];
        std::future::ready((headers, kept("text/html", "no-cache"), text).into_response()).await
    })
}

/// Serves what pages load. A file of another version is not there.
pub(crate) fn files<S: Clone + Send + Sync + 'static>(
    shelves: &'static [&'static [File]],
) -> MethodRouter<S> {
    get(async move |Path((version, name)): Path<(String, String)>| {
        std::future::ready(file(shelves, &version, &name)).await
    })
}

fn file(shelves: &[&[File]], version: &str, name: &str) -> Response {
    let files = shelves.iter().copied().flatten();
    match files.into_iter().find(|(of, ..)| *of == name).filter(|_| version == *VERSION) {
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
