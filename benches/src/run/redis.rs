//! A real redis-server in a folder of its own, for tests and benches.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Errors that Redis answers every command with, so that the mark of an answer's end never comes.
const ENDS: [&[u8]; 2] = [b"-LOADING", b"-NOAUTH"];
const PATIENCE: Duration = Duration::from_secs(20);

/// A running redis-server. It ends when it is dropped.
#[derive(Debug)]
pub struct RedisServer {
    folder: PathBuf,
    address: SocketAddr,
    /// Where it talks to other nodes of a cluster.
    bus: SocketAddr,
    settings: Vec<String>,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts a server that puts every write on disk before it answers.
    pub fn start(folder: &Path) -> Self {
        Self::with(folder, &[])
    }

    /// Starts a server with settings of its own, written as on the command line.
    pub fn with(folder: &Path, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let (folder, address, bus) = (folder.to_owned(), free_address(), free_address());
        let mut server = Self { folder, address, bus, settings, process: None };
        server.start_again();
        server
    }

    /// Starts the server again, on the same port and with the same data.
    pub fn start_again(&mut self) {
        self.spawn();
        let start = Instant::now();
        // An error such as LOADING is an answer, too.
        while self.ask("PING").is_none_or(|answer| answer.is_empty()) {
            let log = || std::fs::read_to_string(self.folder.join("redis.log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "redis-server does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn spawn(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string()]);
        command.arg("--dir").arg(&self.folder).args(["--appendonly", "yes", "--save", ""]);
        command.args(["--appendfsync", "always", "--enable-debug-command", "yes"]);
        // By itself it would take the port 10,000 above, which an outgoing connection may have.
        command.args(["--cluster-port", &self.bus.port().to_string()]).args(&self.settings);
        let log = std::fs::File::create(self.folder.join("redis.log")).expect("a log");
        let process = command.stdout(log).stderr(Stdio::null()).spawn();
        self.process = Some(process.expect("redis-server is installed (Debian: redis-server)"));
    }

    /// Returns a port that no process uses at this moment, and no outgoing connection will.
    pub fn free_port() -> u16 {
        free_address().port()
    }

    /// The folder with the server's data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port at which it talks to other nodes, if it is one of a cluster.
    pub fn bus_port(&self) -> u16 {
        self.bus.port()
    }

    /// The value for `--redis`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Child::id)
    }

    /// Ends the server at once, whatever it is doing.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().ok();
            process.wait().ok();
        }
    }

    /// Whether the server has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| matches!(process.try_wait(), Ok(Some(_))))
    }

    /// Returns the raw answer to an inline command; `None` if there is none.
    pub fn ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        // The answer is complete when the answer to this second command is, too.
        stream.write_all(b"ECHO the-end\r\n").ok()?;
        let (mut answer, mut part) = (Vec::new(), [0; 4_096]);
        let is_busy = |answer: &[u8]| answer.windows(5).any(|part| part == b"-BUSY");
        while !answer.ends_with(b"the-end\r\n")
            && !is_busy(&answer)
            && !ENDS.iter().any(|word| answer.starts_with(word))
        {
            let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
            answer.extend_from_slice(&part[..n]);
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        Some(text.trim_end_matches("$7\r\nthe-end\r\n").trim_end().to_owned())
    }

    /// As `ask`; the command must succeed.
    pub fn must(&self, command: &str) -> String {
        let answer = self.ask(command).unwrap_or_else(|| panic!("no answer to {command}"));
        assert!(!answer.starts_with('-'), "{command}: {answer}");
        answer
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port below those that the kernel gives to outgoing connections, so that none of them has it when a
/// process that was ended is started again. Each call returns another one.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run side by side start far from each other.
    let first = (std::process::id() % 700) * 16;
    for _ in 0..12_000 {
        // Ordering: Relaxed, because only the number counts.
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + (first + next) % 12_000;
        let address =
            SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("below 32,000")));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port between 20,000 and 32,000 is free");
}
