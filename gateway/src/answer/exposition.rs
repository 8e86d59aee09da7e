//! Exposition: metrics as Prometheus text, made from counts that are kept elsewhere.

use engine::timing::Timed;
use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use std::collections::BTreeMap;

/// The labels of one time series.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Metrics to tell of, by name.
#[derive(Debug, Default)]
pub(crate) struct Exposition(BTreeMap<&'static str, MetricFamily>);

impl Exposition {
    /// Tells of a count that only rises.
    pub(crate) fn counter(
        &mut self,
        name: &'static str,
        help: &str,
        labels: Labels<'_>,
        count: u64,
    ) {
        let mut counter = Counter::default();
        counter.set_value(float(count));
        let mut metric = metric(labels);
        metric.set_counter(counter);
        self.push(name, help, MetricType::COUNTER, metric);
    }

    /// Tells of a value that rises and falls.
    pub(crate) fn gauge(&mut self, name: &'static str, help: &str, labels: Labels<'_>, value: u64) {
        let mut gauge = Gauge::default();
        gauge.set_value(float(value));
        let mut metric = metric(labels);
        metric.set_gauge(gauge);
        self.push(name, help, MetricType::GAUGE, metric);
    }

    /// Tells in seconds how long something took.
    pub(crate) fn histogram(
        &mut self,
        name: &'static str,
        help: &str,
        labels: Labels<'_>,
        timed: &Timed,
    ) {
        let buckets = timed.buckets.iter().map(|(bound_us, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(float(*bound_us) / 1e6);
            bucket.set_cumulative_count(*count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(timed.count);
        histogram.set_sample_sum(float(timed.sum_ns) / 1e9);
        let mut metric = metric(labels);
        metric.set_histogram(histogram);
        self.push(name, help, MetricType::HISTOGRAM, metric);
    }

    fn push(&mut self, name: &'static str, help: &str, kind: MetricType, metric: Metric) {
        let family = self.0.entry(name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family
        });
        family.mut_metric().push(metric);
    }

    /// Everything as text, `others` last.
    pub(crate) fn text(self, others: Vec<MetricFamily>) -> String {
        let families: Vec<_> = self.0.into_values().chain(others).collect();
        let text = TextEncoder::new().encode_to_string(&families);
        text.expect("each family has a name and metrics of one kind")
    }
}

fn metric(labels: Labels<'_>) -> Metric {
    let label = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(label).collect())
}

/// Prometheus knows only floats; counts stay exact up to 2^53.
fn float(count: u64) -> f64 {
    count as f64
}
