//! One flashlane process of a site: started, asked how it is, and ended.

use super::patience::{CONFIRM_WITHIN, patience};
use crate::run::client::Client;
use crate::run::operator::Operator;
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
    /// Its data folder, with its keys.
    pub data: PathBuf,
    /// Where members connect.
    pub public: SocketAddr,
    /// Where operators connect.
    pub operator: SocketAddr,
}

impl Process {
    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Stops it for now, or lets it go on.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        signal_to(self.child.id(), signal)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Whether it was ended by a signal that no process can catch.
    pub fn was_killed(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(status)) if status.signal() == Some(9))
    }

    /// The operator's side.
    ///
    /// # Errors
    /// When its key cannot be read.
    pub fn as_operator(&self) -> anyhow::Result<Operator> {
        let key = std::fs::read_to_string(self.data.join("operator.key"))?;
        Operator::new(self.operator, &key)
    }

    /// Whether it answers at all. It listens before it does.
    async fn is_alive(&self) -> bool {
        let request = Request::get("/healthz").header(header::HOST, "flashlane");
        let Ok(request) = request.body(Full::new(Bytes::new())) else { return false };
        let mut client = Client::new(self.public);
        let answer = tokio::time::timeout(Duration::from_millis(100), client.send(request)).await;
        matches!(answer, Ok(Ok((status, _))) if status.is_success())
    }

    /// What the operator is told of a sale's trouble, if there is some.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn trouble(&self, sale: &str) -> anyhow::Result<Option<String>> {
        Ok(self.as_operator()?.report(sale).await?.trouble)
    }

    /// What `/readyz` says: well, or why not.
    ///
    /// # Errors
    /// When it does not answer.
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

/// Starts a process at free addresses; gives how often it ended by itself before it answered.
pub(super) async fn start(
    binary: &Path,
    data: &Path,
    redis: SocketAddr,
    variables: &[(&str, &str)],
) -> anyhow::Result<(Process, u64)> {
    let free = || SocketAddr::from(([127, 0, 0, 1], RedisServer::free_port()));
    start_at(binary, data, redis, variables, free(), free()).await
}

/// As `start`, at these addresses.
pub(super) async fn start_at(
    binary: &Path,
    data: &Path,
    redis: SocketAddr,
    variables: &[(&str, &str)],
    public: SocketAddr,
    operator: SocketAddr,
) -> anyhow::Result<(Process, u64)> {
    let start = Instant::now();
    let mut crashes = 0;
    std::fs::create_dir_all(data)?;
    // Once only: a process that ended at a point is started again without it.
    for variables in std::iter::once(variables).chain(std::iter::repeat(&[][..])) {
        let log = std::fs::File::options().create(true).append(true).open(data.join("log"))?;
        let child = Command::new(binary)
            .arg("serve")
            .args(["--listen", &public.to_string(), "--operator-listen", &operator.to_string()])
            .arg("--data")
            .arg(data)
            .args(["--confirm-within", &format!("{}s", CONFIRM_WITHIN.as_secs())])
            // Shoppers click far more often than members may.
            .args(["--member-rate", "0"])
            .env("FLASHLANE_REDIS", format!("redis://{redis}"))
            .env("FLASHLANE_LOG", "warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let data = data.to_owned();
        let mut process = Process { child, data, public, operator };
        while !process.has_ended() && start.elapsed() < patience() {
            if process.is_alive().await {
                return Ok((process, crashes));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        crashes += u64::from(process.was_killed());
        // Redis may not be ready for it yet: whoever runs it starts it again.
        if start.elapsed() > patience() {
            let log = std::fs::read_to_string(process.data.join("log")).unwrap_or_default();
            bail!("it ends again and again: {}", log.lines().last().unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("it is started again and again")
}
