//! A server run as a child process: started on free ports, ended when dropped.

use anyhow::Context;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Kept open, so that the server can go on writing to its standard output.
    _stdout: Lines<BufReader<ChildStdout>>,
    /// Where members connect.
    pub public: SocketAddr,
    /// Where operators connect, if the server says so.
    pub operator: Option<SocketAddr>,
    /// Where the platform's servers connect, if they may.
    pub platform: Option<SocketAddr>,
    /// Where other nodes connect, if they may.
    pub node: Option<SocketAddr>,
}

impl Server {
    /// Starts a binary that lies beside this one and waits until it says where it listens.
    ///
    /// # Errors
    /// When the binary cannot be started or ends before it listens.
    pub fn start(binary: &str, args: &[&str]) -> anyhow::Result<Self> {
        let path = beside(binary)?;
        let mut child = Command::new(&path)
            .args(args)
            .env("FLASHLANE_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}; build it first", path.display()))?;
        let stdout = child.stdout.take().context("its standard output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut address = |name: &str| -> anyhow::Result<SocketAddr> {
            let line = lines.next().with_context(|| format!("{binary} ended at once"))??;
            let address = line.strip_prefix(name).with_context(|| format!("{binary}: {line}"))?;
            Ok(address.parse()?)
        };
        let public = address("public http://")?;
        let operator = (binary == "flashlane").then(|| address("operator http://")).transpose()?;
        let platform = args.contains(&"--platform-listen");
        let platform = platform.then(|| address("platform http://")).transpose()?;
        let node = args.contains(&"--node-listen");
        let node = node.then(|| address("node http://")).transpose()?;
        Ok(Self { child, _stdout: lines, public, operator, platform, node })
    }
}

impl Server {
    /// Starts `flashlane serve` on a data folder and free ports, with further arguments.
    ///
    /// # Errors
    /// When the binary cannot be started or ends before it listens.
    pub fn flashlane(data: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let (data, free) = (data.to_str().context("a plain folder name")?, "127.0.0.1:0");
        let args = ["serve", "--listen", free, "--operator-listen", free, "--data", data];
        Self::start("flashlane", &[&args, more].concat())
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the memory that the process has now, in bytes.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let told = self.status("VmRSS:")?;
        let kib = told.strip_suffix("kB").context("VmRSS is told in kB")?;
        Ok(kib.trim().parse::<u64>()? * 1_024)
    }

    /// Returns how many threads the process has now.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn threads(&self) -> anyhow::Result<u64> {
        Ok(self.status("Threads:")?.parse()?)
    }

    /// Returns how many files and sockets the process has open now.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn descriptors(&self) -> anyhow::Result<u64> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count() as u64)
    }

    fn status(&self, name: &str) -> anyhow::Result<String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let told = status.lines().find_map(|line| line.strip_prefix(name));
        Ok(told.with_context(|| format!("the system does not tell {name}"))?.trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server may have ended by itself, so an error of these calls means nothing here.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn beside(binary: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let folder = own.parent().context("a program lies in a folder")?;
    Ok(folder.join(binary))
}
