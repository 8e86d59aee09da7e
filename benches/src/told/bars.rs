//! Bars: figures of one kind side by side, as SVG text.

use anyhow::anyhow;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Display;

/// A figure and what it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What is written beside it.
    pub name: String,
    /// How long the bar is.
    pub value: f64,
    /// Bars of one kind have one colour.
    pub kind: usize,
}

const BAR: i32 = 24;
const WIDTH: i32 = 860;
const NAMES: i32 = 400;
const ABOVE: i32 = 40;
/// As those of lines: apart for colour-blind eyes.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(230, 159, 0), RGBColor(0, 158, 115), RGBColor(213, 94, 0)];

fn failed(error: impl Display) -> anyhow::Error {
    anyhow!("a plot could not be drawn: {error}")
}

/// Draws the bars beneath one another, each with its figure; `what` says what they measure.
///
/// # Errors
/// When the plotting library fails, or there is no bar.
pub fn bars(bars: &[Bar], what: &str) -> anyhow::Result<String> {
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN, f64::max);
    anyhow::ensure!(most > 0.0, "there is nothing to plot of {what}");
    let rows = i32::try_from(bars.len())?;
    let height = ABOVE + rows * BAR + 12;
    let mut svg = String::new();
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let text = |pos| TextStyle::from(("sans-serif", 14).into_font()).pos(pos);
        let (to_the_left, to_the_right) =
            (text(Pos::new(HPos::Right, VPos::Center)), text(Pos::new(HPos::Left, VPos::Center)));
        area.draw(&Text::new(what.to_owned(), (NAMES, ABOVE / 2), to_the_right.clone()))
            .map_err(failed)?;
        for (bar, top) in bars.iter().zip((ABOVE..).step_by(BAR.unsigned_abs() as usize)) {
            let middle = top + BAR / 2;
            let longest = WIDTH - NAMES - 100;
            // The most whole pixels that the bar fills.
            let fills = |px: &i32| f64::from(*px) <= bar.value / most * f64::from(longest);
            let long = (0..=longest).rev().find(fills).unwrap_or(0);
            let colour = COLOURS[bar.kind % COLOURS.len()];
            let of =
                Rectangle::new([(NAMES, top + 4), (NAMES + long, top + BAR - 4)], colour.filled());
            area.draw(&of).map_err(failed)?;
            let name = Text::new(bar.name.clone(), (NAMES - 8, middle), to_the_left.clone());
            area.draw(&name).map_err(failed)?;
            let digits = if bar.value < 10.0 { 2 } else { usize::from(bar.value < 100.0) };
            let figure = format!("{:.digits$}", bar.value);
            let figure = Text::new(figure, (NAMES + long + 6, middle), to_the_right.clone());
            area.draw(&figure).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}
