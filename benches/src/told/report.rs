//! What a run ends with: figures as text and JSON, and a page of its own with plots.

use crate::run::operator::{ListedOrder, SaleReport};
use crate::told::audit::Audit;
use crate::told::plot::{self, Line};
use crate::told::tally::{PERCENTILES, Summary, Tally};
use jiff::Timestamp;
use membership::Tier;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How the sale stood at one instant of the run.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// Seconds from the first click.
    pub at_s: f64,
    /// Units nobody held.
    pub left: u64,
    /// Units of orders that waited for the store.
    pub reserved: u64,
    /// Units of orders on disk.
    pub confirmed: u64,
}

/// What became of one tier.
#[derive(Debug, Clone, Serialize)]
pub struct TierStory {
    /// The tier.
    pub tier: Tier,
    /// Members of the tier who took part.
    pub members: u64,
    /// Their clicks.
    pub clicks: u64,
    /// When its window opened, in seconds from the first click.
    pub opens_s: f64,
    /// Its first order, in seconds from the first click.
    pub first_order_s: Option<f64>,
    /// Its last order, in seconds from the first click.
    pub last_order_s: Option<f64>,
    /// Orders confirmed.
    pub orders: u64,
    /// Units confirmed.
    pub units: u64,
    /// Refused clicks by code.
    pub refused: BTreeMap<String, u64>,
}

/// Everything that a run reports.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The command line of the run.
    pub command: String,
    /// When the first click was due.
    pub started_at: Timestamp,
    /// Clicks that were due a second; `None`: as fast as answers came.
    pub rate: Option<u64>,
    /// Clicks answered with an order, confirmed within the answer or not.
    pub accepted: u64,
    /// Orders on disk at the end.
    pub confirmed: u64,
    /// Clicks refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Clicks without an answer.
    pub unanswered: u64,
    /// Latency by outcome.
    pub latency: BTreeMap<String, Summary>,
    /// What was done after the clicks, and how often.
    pub lives: BTreeMap<&'static str, u64>,
    /// Tier by tier, highest first.
    pub tiers: Vec<TierStory>,
    /// The sale at its end.
    pub sale: SaleReport,
    /// The sale over time.
    pub samples: Vec<Sample>,
    /// What was compared.
    pub audit: Audit,
}

impl Report {
    /// Returns the story of each tier, from the operator's list.
    #[must_use]
    pub fn stories(
        tally: &Tally,
        members: &BTreeMap<Tier, u64>,
        listed: &[ListedOrder],
        sale: &SaleReport,
        started_at: Timestamp,
    ) -> Vec<TierStory> {
        let since = |at: Timestamp| at.duration_since(started_at).as_secs_f64();
        let story = |tier: Tier| {
            let of_tier = || listed.iter().filter(move |o| o.tier == tier && o.was_confirmed());
            TierStory {
                tier,
                members: members.get(&tier).copied().unwrap_or(0),
                clicks: tally.clicks.get(&tier).copied().unwrap_or(0),
                opens_s: sale.windows.get(&tier).map_or(f64::NAN, |at| since(*at)),
                first_order_s: of_tier().map(|order| since(order.reserved_at)).reduce(f64::min),
                last_order_s: of_tier().map(|order| since(order.reserved_at)).reduce(f64::max),
                orders: of_tier().count() as u64,
                units: of_tier().map(|order| u64::from(order.units)).sum(),
                refused: tally.refused.get(&tier).cloned().unwrap_or_default(),
            }
        };
        Tier::ALL.into_iter().rev().map(story).collect()
    }

    /// Returns the report as a terminal shows it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.tiers_text();
        let refused: u64 = self.refused.values().sum();
        writeln!(text, "\naccepted   {:>9}", self.accepted).expect("a string takes all");
        writeln!(text, "confirmed  {:>9}   on disk", self.confirmed).expect("a string takes all");
        writeln!(text, "refused    {refused:>9}").expect("a string takes all");
        if self.unanswered > 0 {
            writeln!(text, "unanswered {:>9}", self.unanswered).expect("a string takes all");
        }
        if !self.lives.is_empty() {
            text.push_str("\nafter the clicks\n");
            for (what, times) in &self.lives {
                writeln!(text, "  {what:<20} {times:>7}").expect("a string takes all");
            }
        }
        text.push_str(&self.latency_text());
        text.push_str("\naudit\n");
        for check in &self.audit.checks {
            let mark = if check.broken == 0 { "ok  " } else { "FAIL" };
            writeln!(text, "  {mark} {}", check.promise).expect("a string takes all");
            for broken in &check.broken_by {
                writeln!(text, "         {broken}").expect("a string takes all");
            }
        }
        text
    }

    fn tiers_text(&self) -> String {
        let mut text = String::from(
            "\ntier      members      opens  first order  last order  orders  units  too early  sold out  at limit\n",
        );
        for story in &self.tiers {
            let refused = |code| story.refused.get(code).copied().unwrap_or(0);
            let seconds = |s: Option<f64>| s.map_or("-".into(), |s| format!("{s:.3} s"));
            writeln!(
                text,
                "{:<9} {:>7}  {:>7.3} s  {:>11}  {:>10}  {:>6} {:>6}  {:>9} {:>9} {:>9}",
                story.tier.as_str(),
                story.members,
                story.opens_s,
                seconds(story.first_order_s),
                seconds(story.last_order_s),
                story.orders,
                story.units,
                refused("not_open"),
                refused("sold_out"),
                refused("limit_reached"),
            )
            .expect("a string takes all");
        }
        text
    }

    fn latency_text(&self) -> String {
        let mut text = String::from("\nms from when the click was due");
        for (name, _) in PERCENTILES {
            write!(text, "{name:>9}").expect("a string takes all");
        }
        text.push('\n');
        for (outcome, summary) in &self.latency {
            write!(text, "{outcome:<18} {:>10} ", summary.count).expect("a string takes all");
            for (name, _) in PERCENTILES {
                let ms = summary.us[name] as f64 / 1_000.0;
                write!(text, "{ms:>9.3}").expect("a string takes all");
            }
            text.push('\n');
        }
        text
    }

    /// Returns the report as a page that needs no other file.
    ///
    /// # Errors
    /// When a plot cannot be drawn.
    pub fn html(&self, tally: &Tally, listed: &[ListedOrder]) -> anyhow::Result<String> {
        let latency = plot::latencies(&latency_lines(tally))?;
        let stock = plot::over_time(&self.stock_lines(), "seconds", "units")?;
        let tiers = plot::over_time(&self.tier_lines(listed), "seconds", "units sold")?;
        let outcome = if self.audit.is_clean() { "passed" } else { "FAILED" };
        let text = escape(&self.text());
        let command = escape(&self.command);
        let at = self.started_at.strftime("%Y-%m-%d %H:%M:%S UTC");
        Ok(format!(
            "<!doctype html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width\"><title>A member drop</title>\
             <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;\
             padding:0 1rem;color:#222}}pre{{overflow-x:auto;background:#f6f6f4;padding:1rem;\
             font-size:13px}}svg{{max-width:100%;height:auto}}h2{{margin-top:2.5rem}}</style>\
             <h1>A member drop, audit {outcome}</h1><p>{at}, <code>{command}</code></p>\
             <h2>Sold by tier</h2>{tiers}<h2>Stock over time</h2>{stock}\
             <h2>Latency by percentile</h2>{latency}<h2>Figures</h2><pre>{text}</pre></html>\n"
        ))
    }

    fn stock_lines(&self) -> Vec<Line> {
        let line = |name: &str, of: fn(&Sample) -> u64| Line {
            name: name.into(),
            points: self.samples.iter().map(|sample| (sample.at_s, of(sample) as f64)).collect(),
        };
        vec![
            line("left", |s| s.left),
            line("reserved", |s| s.reserved),
            line("confirmed", |s| s.confirmed),
        ]
    }

    fn tier_lines(&self, listed: &[ListedOrder]) -> Vec<Line> {
        let end_s = self.samples.last().map_or(0.0, |sample| sample.at_s);
        let line = |tier: Tier| {
            let (mut units, mut points) = (0.0, vec![(0.0, 0.0)]);
            for order in listed.iter().filter(|o| o.tier == tier && o.was_confirmed()) {
                let at_s = order.reserved_at.duration_since(self.started_at).as_secs_f64();
                points.push((at_s.max(0.0), units));
                units += f64::from(order.units);
                points.push((at_s.max(0.0), units));
            }
            points.push((end_s, units));
            Line { name: tier.to_string(), points }
        };
        Tier::ALL.into_iter().rev().map(line).collect()
    }
}

/// Returns each outcome's latency.
fn latency_lines(tally: &Tally) -> Vec<Line> {
    tally.latencies.iter().map(|(outcome, latency)| Line::by_nines(outcome, latency)).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
