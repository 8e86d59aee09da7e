//! `flashlane backup` and `flashlane restore`: a copy of a running store, and a data folder of such a copy.

use crate::ask::callers::first_key;
use anyhow::{Context, bail, ensure};
use engine::store::JournalStore;
use serde_json::json;
use std::cmp::Reverse;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How long a backup may take.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Asks a running `serve` for a copy of its store on its disk.
#[derive(Debug, clap::Args)]
pub struct BackupOptions {
    /// The operator listener of `serve`
    #[arg(
        long,
        env = "FLASHLANE_OPERATOR",
        value_name = "URL",
        default_value = "http://127.0.0.1:8081"
    )]
    operator: String,
    /// The key file of operators: the first admin's key in it is used
    #[arg(long, env = "FLASHLANE_OPERATOR_KEY", value_name = "FILE")]
    operator_key: PathBuf,
    /// The folder on the server's disk that the copy is made in; it must not be there yet
    #[arg(long, env = "FLASHLANE_TO", value_name = "PATH")]
    to: PathBuf,
}

/// Makes a data folder of a backup.
#[derive(Debug, clap::Args)]
pub struct RestoreOptions {
    /// The folder that a backup made
    #[arg(long, env = "FLASHLANE_FROM", value_name = "PATH")]
    from: PathBuf,
    /// The data folder for `serve`, which must have no store yet
    #[arg(long, env = "FLASHLANE_DATA", default_value = "./flashlane-data")]
    data: PathBuf,
}

/// Asks for a backup, and waits until it is there.
///
/// # Errors
/// One sentence that says why there is none.
pub fn backup(options: &BackupOptions) -> anyhow::Result<()> {
    let BackupOptions { operator, operator_key, to } = options;
    let shown = operator_key.display();
    let text = fs::read_to_string(operator_key);
    let text = text.with_context(|| format!("cannot read the key file {shown}"))?;
    let key = first_key(&text).with_context(|| format!("no key in {shown} is an admin's"))?;
    let to = std::path::absolute(to)?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .into();
    let url = format!("{}/v1/backup", operator.trim_end_matches('/'));
    let body = json!({"to": to}).to_string();
    let request = agent.post(&url).header("authorization", format!("Bearer {key}"));
    let sent = request.header("content-type", "application/json").send(body);
    let mut answer = sent.with_context(|| format!("{url} does not answer; is `serve` running?"))?;
    if answer.status() != 204 {
        let why = answer.body_mut().read_to_string().unwrap_or_default();
        bail!("no backup was made: {} {why}", answer.status());
    }
    Ok(())
}

/// Behind the names of files while not all of them are there.
const RESTORING: &str = ".restoring";

/// Whether a file of this name is a part of the store.
fn is_store(name: &str) -> bool {
    let ends = [".log", ".snapshot"].iter().any(|end| name.ends_with(end));
    name.starts_with("journal-") && ends || name.ends_with(".redb")
}

/// Where a file comes in the order in which files get their names, the newest segment before the older ones:
/// a start finds that some are missing, wherever that ends.
fn order(name: &str) -> u8 {
    match name.rsplit('.').next() {
        Some("snapshot") => 0,
        Some("log") => 1,
        _ => 2,
    }
}

/// Makes a data folder of a backup, after it was read whole.
///
/// # Errors
/// One sentence that says why not; the data folder is as it was.
pub async fn restore(options: &RestoreOptions) -> anyhow::Result<()> {
    let RestoreOptions { from, data } = options;
    let shown = data.display();
    fs::create_dir_all(data).with_context(|| format!("cannot make {shown}"))?;
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let (found, name) = (entry.path(), entry.file_name());
        let is_free = name.to_str().is_none_or(|name| !is_store(name));
        let found = found.display();
        ensure!(is_free, "{found} is there: restore into a folder without a store");
    }
    let stored = JournalStore::read(from).context("this is no backup that can be restored")?;
    let audit = stored.reading.audit().await.context("the backup cannot be read")?;
    ensure!(audit.is_clean(), "the backup does not add up; see `flashlane verify --data`");
    drop(stored);
    let mut names: Vec<String> = fs::read_dir(from)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_store(name))
        .collect();
    names.sort_by_key(|name| (order(name), Reverse(name.clone())));
    let restoring = |name: &str| data.join(format!("{name}{RESTORING}"));
    for name in &names {
        let to = restoring(name);
        let copied = fs::copy(from.join(name), &to).and_then(|_| fs::File::open(&to)?.sync_all());
        if let Err(error) = copied {
            names.iter().for_each(|name| drop(fs::remove_file(restoring(name))));
            return Err(error).with_context(|| format!("cannot write {}", to.display()));
        }
    }
    for name in &names {
        let to = data.join(name);
        fs::rename(restoring(name), &to).with_context(|| {
            format!("cannot name {}; restore into another folder", to.display())
        })?;
    }
    fs::File::open(data)?.sync_all()?;
    Ok(())
}
