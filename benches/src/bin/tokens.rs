//! `tokens`: what a member's token costs the server at the first click and at later ones, by algorithm, and what a
//! remembered token takes of memory.

use anyhow::{Context, ensure};
use benches::load::drive::drive;
use benches::load::members::Clicker;
use benches::load::plan::{Plan, SoFar};
use benches::run::operator::Operator;
use benches::run::server::Server;
use benches::run::usage::Usage;
use benches::world::{Lamps, open_to_all};
use clap::Parser;
use gateway::{Algorithm, issue_token};
use hyper::header::HeaderValue;
use membership::Tier;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Measures clicks by members' tokens: the first of each, the next ones, and the memory of remembered tokens
#[derive(Debug, Parser)]
struct Options {
    /// Members whose tokens are measured, by each algorithm
    #[arg(long, default_value_t = 40_000)]
    members: u32,
    /// Members whose tokens are remembered at once
    #[arg(long, default_value_t = 1_000_000)]
    remembered: u32,
    /// Rounds of later clicks; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

const SALE: &str = "gone";
/// Members whose tokens are made and sent at once.
const PART: u32 = 100_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| {} members, sold out | first click, us of CPU | later clicks | more at the first |",
        options.members
    )?;
    writeln!(out, "| --- | --- | --- | --- |")?;
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
        let folder = tempfile::tempdir()?;
        let site = Site::start(folder.path(), algorithm).await?;
        let members = site.members(0..options.members)?;
        let first = site.clicks(&members).await?;
        let mut later = Vec::new();
        for _ in 0..options.rounds {
            later.push(site.clicks(&members).await?);
        }
        later.sort_by(f64::total_cmp);
        let later = later[later.len() / 2];
        let name = name(algorithm);
        writeln!(out, "| {name} | {first:.1} | {later:.1} | {:.1} |", first - later)?;
    }
    let folder = tempfile::tempdir()?;
    let site = Site::start(folder.path(), Algorithm::Hs256).await?;
    let before = site.server.resident_bytes()?;
    for from in (0..options.remembered).step_by(PART as usize) {
        site.clicks(&site.members(from..options.remembered.min(from + PART))?).await?;
    }
    let bytes = (site.server.resident_bytes()? - before) as f64 / f64::from(options.remembered);
    writeln!(
        out,
        "| memory of a member whose token is remembered, with the seat, {} of them | {bytes:.0} bytes | | |",
        options.remembered
    )?;
    Ok(())
}

struct Site {
    server: Server,
    algorithm: Algorithm,
    /// The key by which the platform signs.
    key: Vec<u8>,
}

impl Site {
    /// A server that knows tokens of this algorithm, with a sale that is sold out.
    async fn start(folder: &Path, algorithm: Algorithm) -> anyhow::Result<Self> {
        let path = |name: &str| folder.join(name).to_str().map(str::to_owned);
        let path = |name| path(name).context("a plain folder name");
        let (public, data) = (path("public.pem")?, path("data")?);
        let pair: &[&str] = match algorithm {
            Algorithm::Hs256 => &[],
            Algorithm::EdDsa => &["-algorithm", "ed25519"],
            Algorithm::Es256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Algorithm::Rs256 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        };
        let (server, key) = if pair.is_empty() {
            let server = Server::flashlane(data.as_ref(), &[])?;
            (server, std::fs::read(Path::new(&data).join("token.key"))?)
        } else {
            let private = path("private.pem")?;
            openssl(&[&["genpkey", "-out", &private], pair].concat())?;
            openssl(&["pkey", "-in", &private, "-pubout", "-out", &public])?;
            let args = ["--token-alg", name(algorithm), "--token-key", &public];
            (Server::flashlane(data.as_ref(), &args)?, std::fs::read(private)?)
        };
        let operator_key = std::fs::read_to_string(Path::new(&data).join("operator.key"))?;
        let address = server.operator.context("an operator listener")?;
        let mut operator = Operator::new(address, &operator_key)?;
        operator.make_sale(&open_to_all(SALE, Lamps { stock: 1, limit: 1 })).await?;
        let site = Self { server, algorithm, key };
        let last = site.members(u32::MAX - 1..u32::MAX)?;
        site.clicks(&last).await?;
        operator.settled(SALE, Duration::from_secs(10)).await?;
        Ok(site)
    }

    fn members(&self, numbers: std::ops::Range<u32>) -> anyhow::Result<Arc<[Clicker]>> {
        let clicker = |number: u32| -> anyhow::Result<Clicker> {
            let member = format!("viewer-{number:07}").parse()?;
            let ttl = Duration::from_secs(3_600);
            let token =
                issue_token(self.algorithm, &self.key, None, None, &member, Tier::Gold, ttl)?;
            let authorization = HeaderValue::try_from(format!("Bearer {token}"))?;
            let member = member.to_string();
            Ok(Clicker { member, tier: Tier::Gold, authorization, is_enrolled: false })
        };
        let mut members = numbers.map(clicker).collect::<anyhow::Result<Vec<_>>>()?;
        fastrand::shuffle(&mut members);
        Ok(members.into())
    }

    /// Each of these members clicks once. Returns the server's time on a core, in us a click.
    async fn clicks(&self, members: &Arc<[Clicker]>) -> anyhow::Result<f64> {
        let clicks = u64::try_from(members.len())?;
        let plan = Plan {
            // All are due within a second, and sent as fast as they are answered.
            rate: Some(clicks),
            ..Plan::new(self.server.public, SALE, members)
        };
        let before = Usage::of(self.server.pid())?;
        let tally = drive(plan, Arc::new(SoFar::default())).await;
        ensure!(tally.unanswered == 0, "{:?}", tally.first_error);
        let told: Vec<_> = tally.latencies.keys().map(String::as_str).collect();
        ensure!(matches!(told[..], ["sold_out"] | ["accepted"] | ["confirmed"]), "{told:?}");
        let used = Usage::of(self.server.pid())? - before;
        Ok(used.cpu.as_secs_f64() * 1e6 / clicks as f64)
    }
}

/// As `--token-alg` has it.
fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hs256 => "HS256",
        Algorithm::EdDsa => "EdDSA",
        Algorithm::Es256 => "ES256",
        Algorithm::Rs256 => "RS256",
    }
}

fn openssl(args: &[&str]) -> anyhow::Result<()> {
    let made = Command::new("openssl").args(args).output().context("openssl is missing")?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}
