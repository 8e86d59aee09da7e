//! `plots`: draws the tables of docs/measured.md that one would rather look at than read, as they stand there.

use anyhow::{Context, ensure};
use benches::told::bars::{Bar, bars};
use clap::Parser;
use std::path::PathBuf;

/// Draws tables of docs/measured.md
#[derive(Debug, Parser)]
struct Options {
    /// The page with the tables; plots go beside it
    #[arg(long, default_value = "docs/measured.md")]
    page: PathBuf,
}

/// A plot: the table's name, the column, the table's rows that it has, and what it measures.
struct Plot {
    table: &'static str,
    column: usize,
    /// Rows with only these words in their first column have no part in it.
    without: &'static [&'static str],
    what: &'static str,
}

const PLOTS: [Plot; 3] = [
    Plot {
        table: "growth",
        column: 1,
        without: &["the single decision"],
        what: "ns an accepted click, as units, members, sales and threads grow",
    },
    Plot {
        table: "peers",
        column: 1,
        without: &[],
        what: "accepted clicks/s; blue: answered when judged, orange: when on disk",
    },
    Plot {
        table: "crowd",
        column: 2,
        without: &[],
        what: "what is left of the rate, beside a server that is left in peace",
    },
];

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let page = std::fs::read_to_string(&options.page)
        .with_context(|| format!("cannot read {}", options.page.display()))?;
    for plot in &PLOTS {
        let bars_of = rows(&page, plot);
        ensure!(!bars_of.is_empty(), "the page has no figures of {}", plot.table);
        let path = options.page.with_file_name(format!("{}.svg", plot.table));
        std::fs::write(path, bars(&bars_of, plot.what)?)?;
    }
    Ok(())
}

/// The figures of a table. A row without a figure begins a new kind.
fn rows(page: &str, plot: &Plot) -> Vec<Bar> {
    let begins = format!("<!-- {} -->", plot.table);
    let table = page.split(&begins).nth(1).unwrap_or_default();
    let table = table.split("<!-- end -->").next().unwrap_or_default();
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let (mut bars, mut kind) = (Vec::new(), 0);
    for line in lines {
        let cells: Vec<&str> = line.split('|').skip(1).map(str::trim).collect();
        let name = cells.first().copied().unwrap_or_default();
        if plot.without.iter().any(|without| name.starts_with(without)) {
            continue;
        }
        let figure = cells.get(plot.column).and_then(|cell| cell.split(' ').next()?.parse().ok());
        match figure {
            Some(value) => bars.push(Bar { name: name.to_owned(), value, kind }),
            None => kind += usize::from(!bars.is_empty()),
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_table_are_plotted_and_those_of_others_are_not() {
        let page = "<!-- peers -->\nsaid\n\n| head | rate |\n| --- | --- |\n| **one promise** | |\n| a | 12 ns | 3 |\n\
                    | **another** | |\n| b | 34.5 (30 to 40) |\n<!-- end -->\n| c | 9 |\n";
        let bar = |name: &str, value, kind| Bar { name: name.into(), value, kind };
        assert_eq!(rows(page, &PLOTS[1]), [bar("a", 12.0, 0), bar("b", 34.5, 1)]);
    }
}
