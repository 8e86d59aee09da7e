//! `flashlane`: serves member drops, makes tokens to try them with, and verifies what it stored.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use engine::members::{BookAudit, audit as audit_book};
use engine::rules::order::Status;
use engine::store::Audit;
use gateway::{
    Algorithm, BackupOptions, Configuration, LogFormat, RedisArgs, RestoreOptions, ServeOptions,
    duration, issue_token,
};
use membership::{MemberId, Tier};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// The allocator is mimalloc because each click allocates and frees a dozen small blocks of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads on which the embedded store is read, at most. As many members as click for the first time within a
/// moment are looked up in the book; more threads than this only take memory.
const READERS: usize = 32;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("FLASHLANE_COMMIT"), ")");

/// A flash-sale engine for live commerce
#[derive(Debug, Parser)]
#[command(name = "flashlane", version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve sales to members and operators
    Serve(Box<ServeOptions>),
    /// Print a member's token, for trying things out
    Token(TokenOptions),
    /// Add every order in the store up again; exit 1 and say what differs
    Verify(VerifyOptions),
    /// Ask a running `serve` for a copy of its embedded store on its disk
    Backup(BackupOptions),
    /// Make a data folder of a backup
    Restore(RestoreOptions),
    /// Take over what an older version stored in Redis; stop its `serve` first
    Upgrade(RedisArgs),
}

#[derive(Debug, Args)]
struct TokenOptions {
    /// The member whose token it is
    #[arg(long, env = "FLASHLANE_MEMBER")]
    member: MemberId,
    /// regular, silver, gold, platinum or diamond
    #[arg(long, env = "FLASHLANE_TIER")]
    tier: Tier,
    /// How long it is valid: a number and s, m, h or d
    #[arg(long, env = "FLASHLANE_TTL", default_value = "1h", value_parser = duration)]
    ttl: Duration,
    /// The data folder of `serve`, where it made the key
    #[arg(long, env = "FLASHLANE_DATA", default_value = "./flashlane-data")]
    data: PathBuf,
    /// The key that signs the token, in PEM a private one; usually the one that `serve` made
    #[arg(long, env = "FLASHLANE_TOKEN_KEY", value_name = "FILE")]
    token_key: Option<PathBuf>,
    /// The same as for `serve`
    #[arg(long, env = "FLASHLANE_TOKEN_ALG", value_enum, default_value = "HS256")]
    token_alg: Algorithm,
    /// The same as for `serve`
    #[arg(long, env = "FLASHLANE_TOKEN_ISSUER")]
    token_issuer: Option<String>,
}

#[derive(Debug, Args)]
struct VerifyOptions {
    /// Folder of the embedded store; stop `serve` first
    #[arg(long, env = "FLASHLANE_DATA", default_value = "./flashlane-data")]
    data: PathBuf,
    #[command(flatten)]
    redis: RedisArgs,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(_) => serve(),
        Command::Token(options) => {
            log(LogFormat::Text);
            token(&options)
        }
        Command::Verify(options) => {
            log(LogFormat::Text);
            run(verify(options))
        }
        Command::Backup(options) => {
            log(LogFormat::Text);
            gateway::backup(&options).map(|()| ExitCode::SUCCESS)
        }
        Command::Restore(options) => {
            log(LogFormat::Text);
            run(gateway::restore(&options)).map(|()| ExitCode::SUCCESS)
        }
        Command::Upgrade(redis) => {
            log(LogFormat::Text);
            run(upgrade(redis))
        }
    };
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Serves as the arguments, the environment and the configuration say together.
fn serve() -> anyhow::Result<ExitCode> {
    let args = std::env::args_os().skip_while(|arg| arg != "serve").skip(1);
    let configuration = Configuration::read(args);
    let format = |it: &Configuration| it.options.log_format;
    log(configuration.as_ref().map_or(LogFormat::Text, format));
    run(gateway::serve(configuration?)).map(|()| ExitCode::SUCCESS)
}

/// Begins to write log lines.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("FLASHLANE_LOG").unwrap_or_else(|_| "info".into());
    // A line that cannot be written, because the disk of the log is full, ends nothing.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().max_blocking_threads(READERS).build();
    let runtime = runtime.context("cannot start the runtime")?;
    let done = runtime.block_on(work);
    // A disk that hangs must not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

fn token(options: &TokenOptions) -> anyhow::Result<ExitCode> {
    let path = options.token_key.clone().unwrap_or_else(|| options.data.join("token.key"));
    let key = std::fs::read(&path).with_context(|| {
        let path = path.display();
        format!("cannot read the key file {path}; `serve` makes one, or give --token-key FILE")
    })?;
    let issuer = options.token_issuer.as_deref();
    let (member, tier, ttl) = (&options.member, options.tier, options.ttl);
    // In a folder of keys, a key's name is its kid.
    let kid = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let path = path.display();
    let token = issue_token(options.token_alg, &key, issuer, kid.as_deref(), member, tier, ttl)
        .with_context(|| format!("the key in {path} cannot sign tokens"))?;
    writeln!(std::io::stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}

async fn verify(options: VerifyOptions) -> anyhow::Result<ExitCode> {
    let stored = gateway::stored(&options.data, &options.redis).await?;
    let audit = stored.reading.audit().await.context("cannot read the store")?;
    let book = audit_book(&*stored.book).await.context("cannot read the members' book")?;
    report(&audit, &book)?;
    let is_clean = audit.is_clean() && book.differences.is_empty();
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn upgrade(redis: RedisArgs) -> anyhow::Result<ExitCode> {
    let lines = gateway::upgrade(&redis).await.context("not everything was taken over")?;
    let mut out = std::io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "{} sales taken over, nothing is left to do", lines.len())?;
    Ok(ExitCode::SUCCESS)
}

fn report(audit: &Audit, book: &BookAudit) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for sale in &audit.sales {
        let of = |status: Status| sale.tallies.sum(status);
        writeln!(
            out,
            "{}: {} units = {} left + {} held in {} orders of {} members; {} members wait",
            sale.sale,
            sale.stock,
            sale.left,
            sale.tallies.held_units(),
            of(Status::Confirmed).orders + of(Status::Paid).orders,
            sale.holders,
            sale.waiting,
        )?;
        let orders =
            Status::STORED.map(|status| format!("{} {}", of(status).orders, status.as_str()));
        writeln!(out, "{}: orders: {}", sale.sale, orders.join(", "))?;
        if sale.trimmed_to > 0 {
            writeln!(out, "{}: outbox entries up to {} were trimmed", sale.sale, sale.trimmed_to)?;
        }
        for difference in &sale.differences {
            writeln!(out, "{}: DIFFERS: {difference}", sale.sale)?;
        }
    }
    if book.members > 0 {
        writeln!(out, "members' book: {} members, {} postings", book.members, book.postings)?;
    }
    for difference in &book.differences {
        writeln!(out, "members' book: DIFFERS: {difference}")?;
    }
    let is_clean = audit.is_clean() && book.differences.is_empty();
    let outcome = if is_clean { "everything adds up" } else { "the store does not add up" };
    writeln!(out, "{} sales, {outcome}", audit.sales.len())
}
