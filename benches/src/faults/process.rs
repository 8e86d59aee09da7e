//! One flashlane process of a site: how it is started, asked for its state, and ended.

use super::patience::{CONFIRM_WITHIN, patience};
use crate::run::client::Client;
use crate::run::operator::Operator;
use crate::run::platform::Platform;
use crate::run::redis::RedisServer;
use anyhow::{Context, bail};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, header};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// One flashlane process of a site.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The data folder of the process, with its keys.
    pub data: PathBuf,
    /// Where members connect.
    pub public: SocketAddr,
    /// Where operators connect.
    pub operator: SocketAddr,
    /// Where the platform's servers connect.
    pub platform: SocketAddr,
}

impl Process {
    /// Ends the process at once.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Sends the process a signal, which may stop it for now or let it go on.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        signal_to(self.child.id(), signal)
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Whether the process was ended by a signal that no process can catch.
    pub fn was_killed(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(status)) if status.signal() == Some(9))
    }

    /// Returns a connection to the operator's side of the process.
    ///
    /// # Errors
    /// When the operator's key cannot be read.
    pub fn as_operator(&self) -> anyhow::Result<Operator> {
        let key = std::fs::read_to_string(self.data.join("operator.key"))?;
        Operator::new(self.operator, &key)
    }

    /// Returns a connection to the platform's side of the process.
    ///
    /// # Errors
    /// When the platform's key cannot be read.
    pub fn as_platform(&self) -> anyhow::Result<Platform> {
        let key = std::fs::read_to_string(self.data.join("platform.key"))?;
        Platform::new(self.platform, &key)
    }

    /// Whether the process answers at all. It listens before it can answer.
    async fn is_alive(&self) -> bool {
        let request = Request::get("/healthz").header(header::HOST, "flashlane");
        let Ok(request) = request.body(Full::new(Bytes::new())) else { return false };
        let mut client = Client::new(self.public);
        let answer = tokio::time::timeout(Duration::from_millis(100), client.send(request)).await;
        matches!(answer, Ok(Ok((status, _))) if status.is_success())
    }

    /// Returns what the operator is told of a sale's trouble, if the sale has any.
    ///
    /// # Errors
    /// When the process does not answer.
    pub async fn trouble(&self, sale: &str) -> anyhow::Result<Option<String>> {
        Ok(self.as_operator()?.report(sale).await?.trouble)
    }

    /// Returns what `/readyz` says: that the process is ready, or why it is not.
    ///
    /// # Errors
    /// When the process does not answer.
    pub async fn ready(&self) -> anyhow::Result<Result<(), String>> {
        let request = Request::get("/readyz").header(header::HOST, "flashlane");
        let request = request.body(Full::new(Bytes::new()))?;
        let (status, body) = Client::new(self.public).send(request).await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(if status.is_success() { Ok(()) } else { Err(text) })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process that this one started.
///
/// # Errors
/// When there is no such process.
pub fn signal_to(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("a process id")?;
    kill_process(pid, signal).context("a process that this one started")
}

/// Starts a process at free addresses. Returns it, and how often it had ended itself as `kill -9`
/// does before it answered.
pub(super) async fn start(
    binary: &Path,
    data: &Path,
    redis: Option<SocketAddr>,
    variables: &[(&str, &str)],
) -> anyhow::Result<(Process, u64)> {
    start_at(binary, data, variables, Addresses::free(redis.map(url))).await
}

/// The value of `--redis`.
pub(super) fn url(redis: SocketAddr) -> String {
    format!("redis://{redis}")
}

/// Where a process listens, where its Redis does, if it has one, and what else it is told.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    pub(super) redis: Option<String>,
    pub(super) public: SocketAddr,
    pub(super) operator: SocketAddr,
    pub(super) platform: SocketAddr,
    /// Further arguments.
    pub(super) more: Vec<String>,
}

impl Addresses {
    /// Addresses that no process has.
    pub(super) fn free(redis: Option<String>) -> Self {
        let free = || SocketAddr::from(([127, 0, 0, 1], RedisServer::free_port()));
        Self { redis, public: free(), operator: free(), platform: free(), more: Vec::new() }
    }
}

/// As `start`, at these addresses.
pub(super) async fn start_at(
    binary: &Path,
    data: &Path,
    variables: &[(&str, &str)],
    Addresses { redis, public, operator, platform, more }: Addresses,
) -> anyhow::Result<(Process, u64)> {
    let start = Instant::now();
    let mut crashes = 0;
    std::fs::create_dir_all(data)?;
    // Only the first start has the variables: a process that ended at a point does not end again.
    for variables in std::iter::once(variables).chain(std::iter::repeat(&[][..])) {
        let log = std::fs::File::options().create(true).append(true).open(data.join("log"))?;
        let child = Command::new(binary)
            .arg("serve")
            .args(["--listen", &public.to_string(), "--operator-listen", &operator.to_string()])
            .args(["--platform-listen", &platform.to_string()])
            .arg("--data")
            .arg(data)
            .args(["--confirm-within", &format!("{}s", CONFIRM_WITHIN.as_secs())])
            // Shoppers click far more often than members may, and make more orders.
            .args(["--member-rate", "0", "--orders-per-member", "65535"])
            .args(["--archive-after", "1s"])
            .args(&more)
            .envs(redis.as_ref().map(|redis| ("FLASHLANE_REDIS", redis)))
            // Processes on one machine need names of their own.
            .envs(redis.as_ref().and(data.file_name()).map(|name| ("FLASHLANE_NODE_ID", name)))
            .env("FLASHLANE_LOG", "warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let data = data.to_owned();
        let mut process = Process { child, data, public, operator, platform };
        while !process.has_ended() && start.elapsed() < patience() {
            if process.is_alive().await {
                return Ok((process, crashes));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        crashes += u64::from(process.was_killed());
        // The process may have ended because its store is not ready yet, so it is started again.
        if start.elapsed() > patience() {
            let log = std::fs::read_to_string(process.data.join("log")).unwrap_or_default();
            bail!("it ends again and again: {}", log.lines().last().unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("it is started again and again")
}
