//! Plots as SVG text.

use crate::told::tally::Latency;
use anyhow::anyhow;
use plotters::prelude::*;
use std::fmt::Display;

/// A named line through points.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// The points, each an x and a y, sorted by x.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A latency in ms at 0, 90, 99, 99.9, 99.99 % and at some points between.
    #[must_use]
    pub fn by_nines(name: &str, latency: &Latency) -> Self {
        let nines = (0..=50).map(|step| f64::from(step) / 10.0);
        // No more nines than this number of clicks can tell apart.
        let known = (latency.0.len().max(1) as f64).log10();
        let points = nines.filter(|nines| *nines <= known).map(|nines| {
            let quantile = 1.0 - 10_f64.powf(-nines);
            (nines, latency.0.value_at_quantile(quantile) as f64 / 1_000.0)
        });
        Self { name: name.to_owned(), points: points.collect() }
    }
}

/// The percentiles of the x axis. The index of each is the number of its nines.
const PERCENTILES: [&str; 6] = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
const SIZE: (u32, u32) = (860, 380);
/// Colours that stay apart for colour-blind eyes (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 120),
    RGBColor(0, 0, 0),
];

fn failed(error: impl Display) -> anyhow::Error {
    anyhow!("a plot could not be drawn: {error}")
}

/// Plots latency by percentile: x is the number of nines, y is logarithmic.
///
/// # Errors
/// When the plotting library fails.
pub fn latencies(lines: &[Line]) -> anyhow::Result<String> {
    let top = lines.iter().flat_map(|line| &line.points).map(|(_, ms)| *ms).fold(1.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(32)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..5.0, (0.01..top * 1.5).log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("percentile")
            .y_desc("ms from when the click was due")
            .x_labels(6)
            .x_label_formatter(&|nines: &f64| {
                let is_at = |i: &usize| (*i as f64 - nines).abs() < 0.01;
                let label = (0..PERCENTILES.len()).find(is_at).map(|i| PERCENTILES[i]);
                label.unwrap_or_default().to_owned()
            })
            .light_line_style(WHITE)
            .draw()
            .map_err(failed)?;
        paint(&mut chart, lines)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Plots values, `what`, over time in a unit.
///
/// # Errors
/// When the plotting library fails.
pub fn over_time(lines: &[Line], unit: &str, what: &str) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let end = points().map(|(x, _)| *x).fold(0.1, f64::max);
    let top = points().map(|(_, y)| *y).fold(1.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(32)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..top * 1.4)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(format!("{unit} from the first click"))
            .y_desc(what)
            .x_label_formatter(&|s| format!("{s:.1}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .light_line_style(WHITE)
            .draw()
            .map_err(failed)?;
        paint(&mut chart, lines)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Plots values, `what`, by a size of which each is a multiple of the one before: both axes are logarithmic.
///
/// # Errors
/// When the plotting library fails.
pub fn by_size(lines: &[Line], size: &str, what: &str) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((left, right), (low, top)) = (range(|(x, _)| *x), range(|(_, y)| *y));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(32)
            .x_label_area_size(44)
            .y_label_area_size(84)
            .build_cartesian_2d((left..right).log_scale(), (low * 0.7..top * 3.0).log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(size)
            .y_desc(what)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .light_line_style(WHITE)
            .draw()
            .map_err(failed)?;
        paint(&mut chart, lines)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn paint<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    lines: &[Line],
) -> anyhow::Result<()>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), style))
            .map_err(failed)?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .draw()
        .map_err(failed)
}
