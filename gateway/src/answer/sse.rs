//! SSE: server-sent events as text. An event is made once, and every stream that tells it shares its bytes.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use futures_util::stream::{Stream, StreamExt};
use hyper::body::Bytes;
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;

/// A comment, for a stream on which nothing happens: proxies and clients give up silent streams.
pub(crate) const BEAT: Bytes = Bytes::from_static(b":\n\n");
/// How often it is sent.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(15);

/// An event with this name and with `data` as JSON, which has no line break.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("events are plain data");
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// The event with this id.
pub(crate) fn with_id(event: &Bytes, id: u64) -> Bytes {
    let mut text = event.strip_suffix(b"\n").unwrap_or(event).to_vec();
    text.extend_from_slice(format!("id: {id}\n\n").as_bytes());
    text.into()
}

/// The id that an event has.
pub(crate) fn id_of(event: &[u8]) -> Option<u64> {
    let id = event.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"id: "))?;
    str::from_utf8(id).ok()?.parse().ok()
}

/// The time of the state that a `sale` event tells; later ones compare as greater.
pub(crate) fn server_time(event: &[u8]) -> Option<&[u8]> {
    const BEFORE: &[u8] = b"\"server_time\":\"";
    let from = event.windows(BEFORE.len()).position(|bytes| bytes == BEFORE)? + BEFORE.len();
    let length = event[from..].iter().position(|byte| *byte == b'"')?;
    event.starts_with(b"event: sale\n").then(|| &event[from..from + length])
}

/// Answers with events as they come.
pub(crate) fn response(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(events.map(Ok::<_, Infallible>)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // A proxy that buffers answers would delay the events.
    let buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(buffering, HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_json_whatever_its_texts_have_and_keeps_the_id_that_it_got() {
        let plain = event("sale", &serde_json::json!({"title": "two\nlines, id: 3"}));
        assert_eq!(plain, "event: sale\ndata: {\"title\":\"two\\nlines, id: 3\"}\n\n");
        assert_eq!(id_of(&plain), None);
        let named = with_id(&plain, 17);
        assert_eq!(named, "event: sale\ndata: {\"title\":\"two\\nlines, id: 3\"}\nid: 17\n\n");
        assert_eq!(id_of(&named), Some(17));
        let sale = |at: &str| event("sale", &serde_json::json!({"left": 1, "server_time": at}));
        let (early, late) = (sale("2026-01-01T12:00:00.009Z"), sale("2026-01-01T12:00:00.010Z"));
        assert_eq!(server_time(&early), Some(&b"2026-01-01T12:00:00.009Z"[..]));
        assert!(server_time(&early) < server_time(&late));
        assert_eq!(server_time(&event("order", &serde_json::json!({"server_time": "x"}))), None);
    }
}
