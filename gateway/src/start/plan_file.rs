//! The membership plan that `--plan` names: read before the store is opened, and it holds if it is another
//! one than the newest.

use anyhow::{Context, bail};
use engine::Engine;
use membership::plan::Plan;
use std::path::Path;

/// Reads the plan that a file describes.
pub(super) fn read(path: &Path) -> anyhow::Result<Plan> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let plan: Plan =
        toml::from_str(&text).with_context(|| format!("{shown} does not describe a plan"))?;
    let faults: Vec<_> = plan.check().iter().map(ToString::to_string).collect();
    if !faults.is_empty() {
        bail!("the plan in {shown} cannot be like this: {}", faults.join("; "));
    }
    Ok(plan)
}

/// Lets the plan hold, if there is one.
pub(super) async fn hold(engine: &Engine, plan: Option<Plan>) -> anyhow::Result<()> {
    let Some(plan) = plan else { return Ok(()) };
    let before = engine.book().plans.current().version;
    let current = engine.book().plans.change(plan).await?;
    if current.version != before {
        tracing::info!(
            version = current.version,
            "the membership plan of --plan holds from now on"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_cannot_be_is_refused_by_field_and_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        let good = toml::to_string(&Plan::default()).unwrap();
        std::fs::write(&path, &good).unwrap();
        assert_eq!(read(&path).unwrap(), Plan::default());
        for (from, to, said) in [
            ("growth = 5000", "growth = 900", "tiers.gold.growth: over that of silver"),
            (
                "invite = 100",
                "invite = 1000",
                "growth.invite: an order of the reference counts more",
            ),
            ("minor = 100", "miner = 100", "unknown field `miner`"),
        ] {
            assert_eq!(good.matches(from).count(), 1, "{from}");
            std::fs::write(&path, good.replace(from, to)).unwrap();
            let refused = format!("{:#}", read(&path).unwrap_err());
            assert!(refused.contains(said), "{refused}");
        }
    }
}
