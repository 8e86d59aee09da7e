//! The sales that `--sales` names: read before the store is opened, made once.

use crate::answer::problem::FieldError;
use crate::ask::media::MediaOrigins;
use crate::ask::new_sale::NewSale;
use anyhow::{Context, bail};
use engine::members::CurrentPlan;
use engine::rules::terms::Terms;
use engine::{Engine, NoSale};
use serde::Deserialize;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SalesFile {
    #[serde(default)]
    sale: Vec<NewSale>,
}

/// Reads the sales that a file describes. What the plan says of them is left open: the store has the plan.
pub(crate) fn read(path: &Path, media: &MediaOrigins) -> anyhow::Result<Vec<NewSale>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let file: SalesFile =
        toml::from_str(&text).with_context(|| format!("{shown} does not describe sales"))?;
    let mut ids = HashSet::new();
    for new in &file.sale {
        let terms = terms(new, None).with_context(|| format!("cannot take {shown}"))?;
        media
            .check(terms.image_url.as_deref())
            .map_err(|errors| refused(&errors))
            .with_context(|| format!("cannot take {shown}"))?;
        if !ids.insert(terms.id.clone()) {
            bail!("sale {} stands twice in {shown}; take one of the two out", terms.id);
        }
    }
    Ok(file.sale)
}

fn terms(new: &NewSale, plan: Option<&CurrentPlan>) -> anyhow::Result<Terms> {
    new.clone().terms(plan).map_err(|errors| refused(&errors))
}

fn refused(errors: &[FieldError]) -> anyhow::Error {
    let say = |error: &FieldError| format!("{}: {}", error.field, error.reason);
    let errors: Vec<String> = errors.iter().map(say).collect();
    anyhow::anyhow!("a sale of the file cannot be made: {}", errors.join("; "))
}

/// Makes the sales that are not there yet; sales that are there go on as they are. The file `made`
/// lists the sales that were made from here before. A store that has lost one of them must not get
/// it anew.
pub(crate) async fn make(engine: &Engine, sales: &[NewSale], made: &Path) -> anyhow::Result<()> {
    let before = std::fs::read_to_string(made).unwrap_or_default();
    for new in sales {
        // Of a sale that is there already the plan of then counts.
        let described = &terms(new, None)?;
        let id = &described.id;
        match engine.any_sale(id.as_str()).await {
            Ok(open) => {
                goes_on(open.sale.terms(), described);
                continue;
            }
            Err(NoSale::NotOpened | NoSale::Elsewhere) => continue,
            Err(none @ (NoSale::Archived | NoSale::Store(_))) => return Err(none.into()),
            Err(NoSale::Unknown) if engine.is_taken(id).await? => {
                tracing::warn!(sale = %id, "not made: it was deleted; take it out of the file");
                continue;
            }
            Err(NoSale::Unknown) => {}
        }
        if described.windows.is_over(engine.now()) {
            tracing::warn!(sale = %id, "not made: its closes_at is over already; take it out of the file");
            continue;
        }
        if before.lines().any(|line| line == id.as_str()) {
            let made = made.display();
            bail!(
                "sale {id} was made before, and the store has lost it; restore the store, or take \
                 the name out of {made} to sell it anew"
            );
        }
        let terms = terms(new, Some(&engine.book().plans.current()))?;
        engine.create(&terms).await.with_context(|| format!("sale {id}"))?;
        let mut file = std::fs::File::options().create(true).append(true).open(made)?;
        writeln!(file, "{id}").with_context(|| format!("cannot write {}", made.display()))?;
        tracing::info!(sale = %id, "sale made");
    }
    Ok(())
}

fn goes_on(sold: &Terms, described: &Terms) {
    let (sale, differs) = (&sold.id, sold.differences(described).join(", "));
    if differs.is_empty() {
        tracing::info!(%sale, "sale goes on");
    } else {
        tracing::warn!(
            %sale,
            "sale goes on as it was made; the file says something else of its {differs}, and that is \
             not taken over"
        );
    }
}
