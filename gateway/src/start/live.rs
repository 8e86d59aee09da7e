//! Live: what is read again at SIGHUP while this process serves: key files and the configuration. No
//! connection is dropped, and nothing that cannot be read changes anything.

use super::configuration::Configuration;
use super::secrets::Guards;
use crate::ask::rates::Rates;
use crate::ask::sample::Sample;
use crate::audit::{AuditLog, Entry};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Options that take effect at once; all others do at the next start.
const AT_ONCE: [&str; 7] = [
    "member-rate",
    "read-rate",
    "address-rate",
    "address-connections",
    "trusted-proxies",
    "access-log",
    "drain-delay",
];

/// What SIGHUP reads again.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) guards: Guards,
    pub(super) rates: Arc<Rates>,
    pub(super) access_log: Arc<Sample>,
    pub(super) configuration: Mutex<Configuration>,
    pub(super) audit: Arc<AuditLog>,
}

impl Live {
    /// How long `/readyz` says that this process stops before it does.
    pub(super) fn drain_delay(&self) -> Duration {
        self.configuration.lock().options.drain_delay
    }

    /// Reads everything again, and says what changed.
    pub(super) fn read_again(&self) {
        let mut said = self.guards.read_again();
        said.extend(self.options());
        for line in &said {
            match line {
                Ok(line) => tracing::info!("{line}"),
                Err(line) => tracing::error!("{line}"),
            }
        }
        let said: Vec<String> =
            said.into_iter().map(|line| line.unwrap_or_else(|why| why)).collect();
        let entry = Entry {
            by: "SIGHUP".into(),
            action: "read_again".into(),
            state: "done".into(),
            after: Some(json!(said)),
            ..Entry::default()
        };
        if let Err(error) = self.audit.append(entry) {
            tracing::error!(%error, "this does not stand in the audit log");
        }
    }

    /// Reads the options again; returns a line for each that changed, or why they could not be read.
    fn options(&self) -> Vec<Result<String, String>> {
        let mut configuration = self.configuration.lock();
        let changed = match configuration.read_again() {
            Ok(changed) => changed,
            Err(error) => return vec![Err(format!("{error:#}; the options stay as they were"))],
        };
        let options = &configuration.options;
        if changed.iter().any(|(flag, _)| AT_ONCE[..5].contains(&flag.as_str())) {
            self.rates.set(&options.rates);
        }
        self.access_log.set(options.access_log);
        let line = |(flag, how): &(String, String)| {
            let is_at_once = AT_ONCE.contains(&flag.as_str());
            let when = if is_at_once { "now" } else { "at the next start" };
            Ok(format!("--{flag}: {how} ({when})"))
        };
        changed.iter().map(line).collect()
    }
}
