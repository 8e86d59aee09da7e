//! `bare`: an axum server with no Flashlane in it. Its one route reads the body and answers with
//! given bytes, so that the gateway can be measured against it.

use anyhow::anyhow;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::routing::post;
use benches::run::{BACKLOG, listener};
use clap::Parser;
use std::io::Write;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};

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
    /// So many threads, each with a socket (SO_REUSEPORT), a loop that accepts and a runtime of its own. Without it one
    /// loop accepts for all threads of one runtime, as in the server
    #[arg(long, value_name = "THREADS")]
    loops: Option<usize>,
}

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let loops = options.loops;
    let router = router(options)?;
    let Some(loops) = loops else {
        return tokio::runtime::Runtime::new()?.block_on(async {
            let listener = listener()?;
            writeln!(std::io::stdout(), "public http://{}", listener.local_addr()?)?;
            serve(listener, router).await
        });
    };
    // All sockets are there before anybody connects.
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut sockets = Vec::new();
    for _ in 0..loops {
        let socket = shared(address)?;
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    writeln!(std::io::stdout(), "public http://{address}")?;
    let serving = sockets.into_iter().map(|socket| {
        let router = router.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move { serve(TcpListener::from_std(socket)?, router).await })
        })
    });
    let serving: Vec<_> = serving.collect();
    for thread in serving {
        thread.join().map_err(|_| anyhow!("a thread has failed"))??;
    }
    Ok(())
}

/// A socket at an address that others of this process listen at, too.
fn shared(address: SocketAddr) -> anyhow::Result<std::net::TcpListener> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket.listen(BACKLOG)?.into_std()?)
}

fn router(options: Options) -> anyhow::Result<Router> {
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
    Ok(Router::new().route("/v1/sales/{sale}/orders", post(answer)))
}

async fn serve(listener: TcpListener, router: Router) -> anyhow::Result<()> {
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, router).await?;
    Ok(())
}
