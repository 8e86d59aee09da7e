//! A real PostgreSQL in a folder of its own, for the peers.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running server with the defaults of Debian's package. It ends when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    process: Child,
}

impl Postgres {
    /// Makes a database in this folder, which is not there yet, and starts a server on it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not start.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let programs = programs()?;
        let is_root = rustix::process::getuid().is_root();
        std::fs::create_dir(folder)?;
        if is_root {
            // It refuses to run as root; Debian's package brings a user for it.
            let owned = Command::new("chown").arg("postgres").arg(folder).status()?;
            ensure!(owned.success(), "cannot give {} to the user postgres", folder.display());
        }
        let run = |program: &str| {
            let path = programs.join(program);
            if !is_root {
                return Command::new(path);
            }
            let mut run = Command::new("setpriv");
            run.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
            // It ends with this program, however that ends.
            run.args(["--pdeathsig", "INT", "--"]);
            run.arg(path);
            run
        };
        let data = folder.join("data");
        let mut make = run("initdb");
        make.args(["--username", "shop", "--auth", "trust", "-D"]).arg(&data);
        let made = make.stdin(Stdio::null()).output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut serve = run("postgres");
        serve.arg("-D").arg(&data).arg("-k").arg(folder).args(["-h", ""]);
        let log = folder.with_extension("log");
        let process = serve.stdout(Stdio::null()).stderr(std::fs::File::create(&log)?).spawn()?;
        let mut server = Self { folder: folder.to_owned(), process };
        let start = Instant::now();
        let is_ready = || Command::new(programs.join("pg_isready")).arg("-qh").arg(folder).status();
        while !is_ready()?.success() {
            if server.process.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                anyhow::bail!("PostgreSQL does not start: {}", std::fs::read_to_string(log)?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// How to connect to it.
    pub fn connection(&self) -> String {
        format!("host={} user=shop dbname=postgres", self.folder.display())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT ends its connections and then itself, with its shared memory; it may have ended before.
        if let Some(pid) =
            rustix::process::Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(0))
        {
            rustix::process::kill_process(pid, rustix::process::Signal::INT).ok();
        }
        self.process.wait().ok();
    }
}

/// The folder with the programs of the newest version that Debian's package installed.
fn programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let mut programs: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    programs.retain(|folder| folder.join("initdb").exists());
    programs.sort();
    programs.pop().context("PostgreSQL is missing; on Debian: apt-get install postgresql")
}
