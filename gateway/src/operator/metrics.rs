//! `/metrics`: everything that is counted, as Prometheus text, gathered when it is asked for.

use crate::answer::exposition::Exposition;
use crate::answer::problems::Unauthenticated;
use crate::front::asking::Front;
use crate::front::relay::{Passed, Relay};
use crate::member::hub::Hub;
use crate::meters::{Face, Meters};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use engine::nodes::sharing::Sharing;
use engine::rules::order::Status;
use engine::rules::refusal::Refusal;
use engine::sync::Ordering;
use engine::{Engine, OpenSale};
use membership::Tier;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use std::sync::Arc;

/// Returns everything that is counted, as Prometheus text.
#[utoipa::path(
    get, path = "/metrics", operation_id = "readMetrics", tag = "operator",
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain"), Unauthenticated),
)]
pub(crate) async fn serve(
    State(engine): State<Arc<Engine>>,
    State(hub): State<Arc<Hub>>,
    State(meters): State<Arc<Meters>>,
    State(front): State<Arc<Front>>,
) -> Response {
    let mut told = Exposition::default();
    build(&mut told);
    // A sale that is over changes no more, unless it is in trouble; its counts stand in its report.
    let (now, mut open_sales) = (engine.now(), 0);
    for open in engine.sales() {
        if !open.sale.is_over(now) || open.trouble().is_some() {
            open_sales += 1;
            units(&mut told, &open);
            orders(&mut told, &open);
        }
    }
    let not_opened = engine.not_opened().len() as u64;
    told.gauge("flashlane_open_sales", "Sales that are not over", &[], open_sales);
    told.gauge("flashlane_sales_not_opened", "Sales that could not be opened", &[], not_opened);
    let seen = engine.roster().len() as u64;
    told.gauge("flashlane_members_seen", "Members this process has given a seat", &[], seen);
    told.gauge("flashlane_streams", "Event streams that are open", &[], hub.streams());
    let anonymous = hub.anonymous_streams();
    told.gauge("flashlane_anonymous_streams", "Event streams without a token", &[], anonymous);
    process(&mut told, &meters);
    if let Some(sharing) = engine.sharing() {
        nodes(&mut told, sharing, front.relay());
    }
    timings(&mut told, &meters);
    let text = told.text(ProcessCollector::for_self().collect());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    std::future::ready(([(header::CONTENT_TYPE, kind)], text).into_response()).await
}

fn build(told: &mut Exposition) {
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("FLASHLANE_COMMIT"))];
    told.gauge("flashlane_build_info", "1, with what is running as its labels", &labels, 1);
}

/// What there is of a sale's units, and whether it is well.
fn units(told: &mut Exposition, open: &OpenSale) {
    let sale = &[("sale", open.sale.terms().id.as_str())];
    let level = open.sale.stock().level();
    told.gauge("flashlane_stock_units", "Units in all", sale, level.total().0.into());
    told.gauge("flashlane_left_units", "Units nobody holds", sale, level.left().0.into());
    let trouble = open.trouble().is_some().into();
    told.gauge("flashlane_store_trouble", "1 while the store does not confirm", sale, trouble);
    let lost = open.has_lost_history().into();
    let help = "Alarm: 1 while the store lacks what it had told of";
    told.gauge("flashlane_history_lost", help, sale, lost);
    let help = "1 while this process sells nothing for this store";
    told.gauge("flashlane_halted", help, sale, level.is_halted().into());
    let waiting = open.waiting() as u64;
    told.gauge("flashlane_waiting_members", "Members on the waitlist", sale, waiting);
    let refused = Refusal::CODES.into_iter().zip(open.sale.meter().refused_in_all());
    for (code, count) in refused {
        let help = "Clicks and wishes to wait refused by this process, by code";
        told.counter("flashlane_refused_total", help, &[sale[0], ("code", code)], count);
    }
}

/// What became of a sale's clicks.
fn orders(told: &mut Exposition, open: &OpenSale) {
    let sale = ("sale", open.sale.terms().id.as_str());
    let meter = open.sale.meter();
    let (accepted, reserved, stored) = (meter.accepted(), open.reserved(), meter.stored());
    for tier in Tier::ALL {
        let labels = &[sale, ("tier", tier.as_str())];
        let help = "Clicks accepted by this process";
        told.counter("flashlane_accepted_orders_total", help, labels, accepted[tier].orders);
        let help = "Orders that wait for the store";
        told.gauge("flashlane_reserved_orders", help, labels, reserved[tier].orders);
        let released = stored.of(Status::Released)[tier].orders;
        let help = "Orders ever confirmed on disk";
        let confirmed = stored.all()[tier].orders - released;
        told.counter("flashlane_confirmed_orders_total", help, labels, confirmed);
        let help = "Orders the store refused";
        told.counter("flashlane_released_orders_total", help, labels, released);
        for (status, tallies) in stored.iter() {
            let labels = &[labels[0], labels[1], ("status", status.as_str())];
            let help = "Stored orders by where they are in their life";
            told.gauge("flashlane_orders", help, labels, tallies[tier].orders);
        }
    }
    let help = "From the click to the verdict on disk";
    told.histogram("flashlane_confirm_seconds", help, &[sale], &meter.confirming().read());
}

/// Counts of this process beside its sales.
fn process(told: &mut Exposition, meters: &Meters) {
    // Ordering: Relaxed, counts that publish nothing but themselves.
    let [connections, turned_away, mismatched] =
        [&meters.connections, &meters.turned_away, &meters.payments_mismatched]
            .map(|count| count.load(Ordering::Relaxed));
    told.counter("flashlane_connections_total", "Connections accepted", &[], connections);
    let help = "Connections over the cap";
    told.counter("flashlane_connections_turned_away_total", help, &[], turned_away);
    let help = "Alarm: payments of another amount, or of no order";
    told.counter("flashlane_payments_mismatched_total", help, &[], mismatched);
}

/// This process as one of several nodes.
fn nodes(told: &mut Exposition, sharing: &Sharing, relay: Option<&Relay>) {
    let living = sharing.living().len() as u64;
    told.gauge("flashlane_nodes", "Nodes whose leases last", &[], living);
    let help = "1 while Redis tells who lives; a node that sells stops without it";
    told.gauge("flashlane_nodes_known", help, &[], sharing.is_in_touch().into());
    if sharing.me().is_some() {
        let help = "1 while this node may sell";
        told.gauge("flashlane_lease_held", help, &[], sharing.has_lease().into());
        let counts = sharing.counts();
        let help = "Sales that this node took over or made";
        told.counter("flashlane_sales_taken_over_total", help, &[], counts.taken_over());
        let help = "Sales that this node left to another one";
        told.counter("flashlane_sales_handed_over_total", help, &[], counts.handed_over());
    }
    let Some(relay) = relay else { return };
    let Passed { clicks, batches, requests, unanswered, refused } = &relay.passed;
    // Ordering: Relaxed, counts that publish nothing but themselves.
    let read = [clicks, batches, requests, unanswered, refused];
    let read = read.map(|count| count.load(Ordering::Relaxed));
    let [clicks, batches, requests, unanswered, refused] = read;
    let help = "Clicks sent to the nodes that sell their sales";
    told.counter("flashlane_passed_on_clicks_total", help, &[], clicks);
    let help = "Batches in which those clicks were sent";
    told.counter("flashlane_passed_on_batches_total", help, &[], batches);
    let help = "Requests to other nodes, batches of clicks among them";
    told.counter("flashlane_passed_on_requests_total", help, &[], requests);
    let help = "Requests to other nodes that were not answered";
    told.counter("flashlane_passed_on_unanswered_total", help, &[], unanswered);
    let help = "Clicks refused here, by what the node that sells the sale said";
    told.counter("flashlane_refused_for_another_total", help, &[], refused);
}

/// How long things took.
fn timings(told: &mut Exposition, meters: &Meters) {
    for (outcome, timing) in [("accepted", &meters.accepted), ("refused", &meters.refused)] {
        let help = "Judging a click in memory; one of a batch counts with the mean of some";
        told.histogram("flashlane_click_seconds", help, &[("outcome", outcome)], &timing.read());
    }
    for (call, done, failed) in meters.store.read() {
        for (outcome, timed) in [("done", done), ("failed", failed)] {
            let labels = &[("call", call), ("outcome", outcome)];
            told.histogram("flashlane_store_call_seconds", "A call of the store", labels, &timed);
        }
    }
    for face in Face::ALL {
        for ([route, method, status], timed) in meters.requests(face).read() {
            let labels = &[
                ("listener", face.as_str()),
                ("route", &route),
                ("method", &method),
                ("status", &status),
            ];
            let help = "A request, until the head of its answer stood";
            told.histogram("flashlane_http_request_seconds", help, labels, &timed);
        }
    }
}
