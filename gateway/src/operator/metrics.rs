//! `/metrics`: the meters' counts as Prometheus text, gathered when they are asked for.

use crate::answer::problems::Unauthenticated;
use crate::member::hub::Hub;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::sync::{AtomicU64, Ordering};
use engine::{Engine, OpenSale};
use membership::Tier;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::sync::Arc;

/// Counts from outside the engine: connections, counted by the accept loops, and payments that
/// match no order.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    pub(crate) connections: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) payments_mismatched: AtomicU64,
}

/// Returns everything that is counted, as Prometheus text.
#[utoipa::path(
    get, path = "/metrics", operation_id = "readMetrics", tag = "operator",
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain"), Unauthenticated),
)]
pub(crate) async fn serve(
    State(engine): State<Arc<Engine>>,
    State(hub): State<Arc<Hub>>,
    State(gates): State<Arc<Gates>>,
) -> Response {
    // The recorder lives for this one answer: the counts themselves are kept elsewhere.
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        // A sale that is over changes no more, unless it is in trouble; its counts stand in its report.
        let now = engine.now();
        for open in engine.sales() {
            if !open.sale.is_over(now) || open.trouble().is_some() {
                sale(&open);
            }
        }
        gauge!("flashlane_members_seen").set(float(engine.roster().len() as u64));
        // Ordering: Relaxed, counts that publish nothing but themselves.
        let connections = gates.connections.load(Ordering::Relaxed);
        let turned_away = gates.turned_away.load(Ordering::Relaxed);
        counter!("flashlane_connections_total").absolute(connections);
        counter!("flashlane_connections_turned_away_total").absolute(turned_away);
        gauge!("flashlane_streams").set(float(hub.streams()));
        gauge!("flashlane_anonymous_streams").set(float(hub.anonymous_streams()));
        // Ordering: Relaxed, as above.
        let mismatched = gates.payments_mismatched.load(Ordering::Relaxed);
        counter!("flashlane_payments_mismatched_total").absolute(mismatched);
    });
    let text = HeaderValue::from_static("text/plain; version=0.0.4");
    let answer = ([(header::CONTENT_TYPE, text)], recorder.handle().render()).into_response();
    std::future::ready(answer).await
}

fn describe() {
    describe_counter!("flashlane_accepted_orders_total", "Clicks accepted by this process");
    describe_counter!("flashlane_confirmed_orders_total", "Orders ever confirmed on disk");
    describe_counter!("flashlane_released_orders_total", "Orders the store refused");
    describe_gauge!("flashlane_orders", "Stored orders by where they are in their life");
    describe_gauge!("flashlane_waiting", "Members on the waitlist");
    describe_counter!(
        "flashlane_payments_mismatched_total",
        "Alarm: payments of another amount, or of no order"
    );
    describe_counter!(
        "flashlane_refused_total",
        "Clicks and wishes to wait refused by this process, by code"
    );
    describe_gauge!("flashlane_stock_units", "Units in all");
    describe_gauge!("flashlane_left_units", "Units nobody holds");
    describe_gauge!("flashlane_reserved_orders", "Orders that wait for the store");
    describe_gauge!("flashlane_store_trouble", "1 while the store does not confirm");
    describe_gauge!("flashlane_history_lost", "Alarm: 1 while the store lacks what it had told of");
    describe_gauge!("flashlane_halted", "1 while this process sells nothing for this store");
    describe_gauge!("flashlane_confirm_ms", "Click to verdict in milliseconds, by quantile");
    describe_gauge!("flashlane_members_seen", "Members this process has given a seat");
    describe_gauge!("flashlane_streams", "Event streams that are open");
    describe_gauge!("flashlane_anonymous_streams", "Event streams that have no token");
    describe_counter!("flashlane_connections_total", "Connections accepted");
    describe_counter!("flashlane_connections_turned_away_total", "Connections over the cap");
}

fn sale(open: &OpenSale) {
    let id = open.sale.terms().id.to_string();
    let meter = open.sale.meter();
    let level = open.sale.stock().level();
    gauge!("flashlane_stock_units", "sale" => id.clone()).set(f64::from(level.total().0));
    gauge!("flashlane_left_units", "sale" => id.clone()).set(f64::from(level.left().0));
    let trouble = f64::from(u8::from(open.trouble().is_some()));
    gauge!("flashlane_store_trouble", "sale" => id.clone()).set(trouble);
    let lost = f64::from(u8::from(open.has_lost_history()));
    gauge!("flashlane_history_lost", "sale" => id.clone()).set(lost);
    gauge!("flashlane_halted", "sale" => id.clone()).set(f64::from(u8::from(level.is_halted())));
    for (tier, tally) in meter.accepted().iter() {
        let labels = [("sale", id.clone()), ("tier", tier.to_string())];
        counter!("flashlane_accepted_orders_total", &labels).absolute(tally.orders);
    }
    let stored = meter.stored();
    for tier in Tier::ALL {
        let labels = [("sale", id.clone()), ("tier", tier.to_string())];
        let released = stored.of(Status::Released)[tier].orders;
        let confirmed = stored.all()[tier].orders - released;
        counter!("flashlane_confirmed_orders_total", &labels).absolute(confirmed);
        counter!("flashlane_released_orders_total", &labels).absolute(released);
        for (status, tallies) in stored.iter() {
            let of = ("status", status.as_str().to_owned());
            let labels = [labels[0].clone(), labels[1].clone(), of];
            gauge!("flashlane_orders", &labels).set(float(tallies[tier].orders));
        }
    }
    gauge!("flashlane_waiting", "sale" => id.clone()).set(float(open.waiting() as u64));
    for (tier, tally) in open.reserved().iter() {
        let labels = [("sale", id.clone()), ("tier", tier.to_string())];
        gauge!("flashlane_reserved_orders", &labels).set(float(tally.orders));
    }
    for (code, count) in Refusal::CODES.into_iter().zip(meter.refused()) {
        let labels = [("sale", id.clone()), ("code", code.to_owned())];
        counter!("flashlane_refused_total", &labels).absolute(count);
    }
    let quantiles = [0.5, 0.9, 0.99, 0.999, 1.0];
    let (_, values) = meter.confirm_ms(quantiles);
    for (quantile, value) in quantiles.into_iter().zip(values) {
        let labels = [("sale", id.clone()), ("quantile", quantile.to_string())];
        gauge!("flashlane_confirm_ms", &labels).set(float(value));
    }
}

/// Prometheus knows only floats; counts stay exact up to 2^53.
fn float(count: u64) -> f64 {
    count as f64
}
