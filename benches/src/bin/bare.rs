//! `bare`: an axum server with no Flashlane in it. Its one route reads the body and answers with
//! given bytes, so that the gateway can be measured against it.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::post;
use benches::run::listener;
use clap::Parser;
use std::io::Write;

/// A bare axum route with a given answer; prints its address
#[derive(Debug, Parser)]
struct Options {
    /// Status of the answer
    #[arg(long)]
    status: u16,
    /// Body of the answer
    #[arg(long)]
    body: String,
    /// Content type of the answer
    #[arg(long)]
    content_type: String,
    /// `Location` of the answer
    #[arg(long)]
    location: Option<String>,
}

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let status = StatusCode::from_u16(options.status)?;
    let content_type = HeaderValue::try_from(options.content_type)?;
    let location = options.location.map(HeaderValue::try_from).transpose()?;
    let body = Bytes::from(options.body);
    let answer = move |_read: Bytes| {
        let (content_type, location, body) = (content_type.clone(), location.clone(), body.clone());
        async move {
            let location = location.map(|location| [(header::LOCATION, location)]);
            (status, [(header::CONTENT_TYPE, content_type)], location, body)
        }
    };
    let router = Router::new().route("/v1/sales/{sale}/orders", post(answer));
    let listener = listener()?;
    writeln!(std::io::stdout(), "public http://{}", listener.local_addr()?)?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, router).await?;
    Ok(())
}
