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
    /// Whether it watches others, as `sentinel.conf` in its folder says.
    is_sentinel: bool,
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
        Self::new(folder, settings, false)
    }

    /// Starts a Sentinel that watches what `sentinel.conf` in the folder says.
    pub fn sentinel(folder: &Path) -> Self {
        Self::new(folder, Vec::new(), true)
    }

    fn new(folder: &Path, settings: Vec<String>, is_sentinel: bool) -> Self {
        let (folder, address, bus) = (folder.to_owned(), free_address(), free_address());
        let mut server = Self { folder, address, bus, settings, is_sentinel, process: None };
        server.start_again();
        server
    }

    /// Starts the server again, on the same port and with the same data.
    pub fn start_again(&mut self) {
        self.spawn();
        let start = Instant::now();
        // An error such as LOADING is an answer, too.
        while self.ask("ROLE").is_none_or(|answer| answer.is_empty()) {
            let log = || std::fs::read_to_string(self.folder.join("redis.log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "redis-server does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn spawn(&mut self) {
        let mut command = Command::new("redis-server");
        if self.is_sentinel {
            command.arg(self.folder.join("sentinel.conf")).arg("--sentinel");
        }
        command.args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string()]);
        command.arg("--dir").arg(&self.folder);
        if !self.is_sentinel {
            command.args(["--appendonly", "yes", "--save", "", "--appendfsync", "always"]);
            command.args(["--enable-debug-command", "yes"]);
            // By itself it would take the port 10,000 above, which an outgoing connection may have.
            command.args(["--cluster-port", &self.bus.port().to_string()]).args(&self.settings);
        }
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
        let (mark, end) = if self.is_sentinel {
            ("PING\r\n", "+PONG\r\n")
        } else {
            ("ECHO the-end\r\n", "$7\r\nthe-end\r\n")
        };
        stream.write_all(mark.as_bytes()).ok()?;
        let (mut answer, mut part) = (Vec::new(), [0; 4_096]);
        let is_busy = |answer: &[u8]| answer.windows(5).any(|part| part == b"-BUSY");
        while !answer.ends_with(end.as_bytes())
            && !is_busy(&answer)
            && !ENDS.iter().any(|word| answer.starts_with(word))
        {
            let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
            answer.extend_from_slice(&part[..n]);
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        Some(text.strip_suffix(end).unwrap_or(&text).trim_end().to_owned())
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

/// A real cluster: primaries that share the slots evenly, each with a replica. It ends when it is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    /// The primaries, then their replicas in the same order.
    pub nodes: Vec<RedisServer>,
    primaries: usize,
}

impl RedisCluster {
    /// Starts so many primaries and as many replicas, and waits until all know of all.
    pub fn start(folder: &Path, primaries: usize) -> Self {
        let settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        // A replica that lags or was cut off for long takes over all the same: what it lost is to be noticed.
        let more = ["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"];
        let settings = [&settings[..], &more].concat();
        let nodes = (0..2 * primaries).map(|n| {
            let folder = folder.join(format!("redis-{n}"));
            std::fs::create_dir_all(&folder).expect("a folder");
            RedisServer::with(&folder, &settings)
        });
        let cluster = Self { nodes: nodes.collect(), primaries };
        let slots = |n: usize| n * 16_384 / primaries;
        for (n, node) in cluster.primaries().iter().enumerate() {
            node.must(&format!("CLUSTER ADDSLOTSRANGE {} {}", slots(n), slots(n + 1) - 1));
            // Each has an epoch of its own at once, as after a fail-over.
            node.must(&format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1));
        }
        let [first, others @ ..] = &cluster.nodes[..] else { panic!("a cluster has nodes") };
        for other in others {
            first.must(&format!(
                "CLUSTER MEET 127.0.0.1 {} {}",
                other.address().port(),
                other.bus_port()
            ));
        }
        let all_know = |known: usize| cluster.nodes.iter().all(|node| node.knows() == known);
        until("all nodes know of all", || all_know(2 * primaries));
        for n in 0..primaries {
            let id = cluster.nodes[n].id();
            cluster.nodes[primaries + n].must(&format!("CLUSTER REPLICATE {id}"));
        }
        cluster.until_well();
        cluster
    }

    /// The nodes that began as primaries.
    pub fn primaries(&self) -> &[RedisServer] {
        &self.nodes[..self.primaries]
    }

    /// The value for `--redis`: the address of one node.
    pub fn url(&self) -> String {
        self.nodes[0].url()
    }

    /// The value for `--redis`: the addresses of all nodes.
    pub fn urls(&self) -> String {
        let addresses: Vec<String> =
            self.nodes.iter().map(|node| node.address().to_string()).collect();
        format!("redis://{}", addresses.join(","))
    }

    /// Waits until every node finds all slots served, and every primary has its replica.
    pub fn until_well(&self) {
        until("the cluster is well", || {
            self.nodes.iter().all(|node| {
                let is_linked = node.ask("INFO replication").is_some_and(|about| {
                    about.contains("master_link_status:up") || about.contains("state=online")
                });
                is_linked && node.must("CLUSTER INFO").contains("cluster_state:ok")
            })
        });
    }

    /// The other one of a primary and its replica, whichever is which by now.
    pub fn partner_of(&self, nth: usize) -> &RedisServer {
        &self.nodes[(nth + self.primaries) % self.nodes.len()]
    }

    /// Which node serves a key, as its number.
    pub fn serving(&self, key: &str) -> usize {
        self.serving_beside(key, usize::MAX).expect("a node serves the key")
    }

    /// Which node serves a key, if it is another one than this, which is not asked.
    pub fn serving_beside(&self, key: &str, this: usize) -> Option<usize> {
        let is_serving = |node: &RedisServer| {
            node.ask(&format!("EXISTS {key}")).is_some_and(|answer| answer.starts_with(':'))
                && node.ask("ROLE").is_some_and(|role| role.contains("master"))
        };
        (0..self.nodes.len()).filter(|nth| *nth != this).find(|nth| is_serving(&self.nodes[*nth]))
    }
}

impl RedisServer {
    /// The name by which the nodes of a cluster know this one.
    pub fn id(&self) -> String {
        self.must("CLUSTER MYID").lines().last().unwrap_or_default().to_owned()
    }

    /// How many nodes of its cluster it knows, itself among them.
    fn knows(&self) -> usize {
        let nodes = self.must("CLUSTER NODES");
        nodes.lines().filter(|line| line.contains("connected")).count()
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
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
