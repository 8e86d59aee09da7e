//! Meters: what is counted outside the engine: connections, requests by route, clicks, payments that
//! match no order. `operator/metrics.rs` tells of them.

use axum::http::{Method, StatusCode};
use engine::store::Calls;
use engine::sync::AtomicU64;
use engine::timing::{IN_MEMORY, OUTSIDE, Timed, Timing};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Which listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    Public,
    Operator,
    Platform,
    Metrics,
    /// Other nodes.
    Node,
}

impl Face {
    pub(crate) const ALL: [Self; 5] =
        [Self::Public, Self::Operator, Self::Platform, Self::Metrics, Self::Node];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Operator => "operator",
            Self::Platform => "platform",
            Self::Metrics => "metrics",
            Self::Node => "node",
        }
    }
}

/// Counts of this process.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) connections: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) payments_mismatched: AtomicU64,
    /// How long it took to judge the clicks that were accepted.
    pub(crate) accepted: Timing,
    /// How long it took to judge the clicks that were refused.
    pub(crate) refused: Timing,
    pub(crate) store: Arc<Calls>,
    requests: [Requests; Face::ALL.len()],
}

impl Meters {
    /// Counts the store's calls, and requests for these paths of each listener.
    pub(crate) fn new(store: Arc<Calls>, paths: [Vec<String>; Face::ALL.len()]) -> Self {
        Self {
            connections: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            payments_mismatched: AtomicU64::new(0),
            accepted: Timing::new(IN_MEMORY),
            refused: Timing::new(IN_MEMORY),
            store,
            requests: paths.map(Requests::new),
        }
    }

    pub(crate) fn requests(&self, face: Face) -> &Requests {
        &self.requests[face as usize]
    }
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "other"];
/// The statuses that are answered, in rising order; 0 for any other.
const STATUSES: [u16; 27] = [
    0, 200, 201, 202, 204, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 415,
    421, 422, 429, 431, 500, 501, 503, 504,
];

/// The name of a route that there is not.
const NO_ROUTE: &str = "none";

/// How long requests took, by route, method and status: until the head of the answer stood.
pub(crate) struct Requests {
    table: matchit::Router<Route>,
    paths: Vec<String>,
    /// By route, method and status; each comes to be when it is first needed.
    timings: Vec<OnceLock<Box<Timing>>>,
}

/// Which path of a listener; the last one is that of no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route(usize);

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl Requests {
    /// Counts requests for these paths, as `/v1/sales/{sale}`.
    fn new(mut paths: Vec<String>) -> Self {
        let mut table = matchit::Router::new();
        for (nth, path) in paths.iter().enumerate() {
            table.insert(path, Route(nth)).expect("no two routes are the same");
        }
        paths.push(NO_ROUTE.into());
        let many = paths.len() * METHODS.len() * STATUSES.len();
        Self { table, paths, timings: (0..many).map(|_| OnceLock::new()).collect() }
    }

    /// The route of a request for this path.
    pub(crate) fn route(&self, path: &str) -> Route {
        self.table.at(path).map_or(Route(self.paths.len() - 1), |found| *found.value)
    }

    /// Counts an answer.
    pub(crate) fn note(&self, route: Route, method: &Method, status: StatusCode, took: Duration) {
        let method = METHODS.iter().position(|known| method == known);
        let method = method.unwrap_or(METHODS.len() - 1);
        let status = STATUSES.binary_search(&status.as_u16()).unwrap_or(0);
        let at = (route.0 * METHODS.len() + method) * STATUSES.len() + status;
        self.timings[at].get_or_init(|| Box::new(Timing::new(OUTSIDE))).record(took);
    }

    /// What was counted, by route, method and status.
    pub(crate) fn read(&self) -> impl Iterator<Item = ([String; 3], Timed)> {
        self.timings.iter().enumerate().filter_map(|(at, timing)| {
            let (of_route, status) = (at / STATUSES.len(), STATUSES[at % STATUSES.len()]);
            let method = METHODS[of_route % METHODS.len()].to_owned();
            let status = if status == 0 { "other".to_owned() } else { status.to_string() };
            let route = self.paths[of_route / METHODS.len()].clone();
            Some(([route, method, status], timing.get()?.read()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_method_and_status_whatever_they_are() {
        let paths = ["/v1/sales", "/v1/sales/{sale}"].map(str::to_owned).to_vec();
        let requests = Requests::new(paths);
        let note = |path: &str, method: &str, status: u16| {
            let (method, status) = (method.parse().unwrap(), StatusCode::from_u16(status).unwrap());
            requests.note(requests.route(path), &method, status, Duration::from_millis(1));
        };
        note("/v1/sales/lamp", "GET", 200);
        note("/v1/sales/chair", "GET", 200);
        note("/v1/sales", "POST", 422);
        note("/v1/sales/lamp/odd", "BREW", 418);
        let read: Vec<_> = requests.read().map(|(labels, timed)| (labels, timed.count)).collect();
        let labels =
            |route: &str, method: &str, status: &str| [route, method, status].map(str::to_owned);
        let told = [
            (labels("/v1/sales", "POST", "422"), 1),
            (labels("/v1/sales/{sale}", "GET", "200"), 2),
            (labels("none", "other", "other"), 1),
        ];
        assert_eq!(read, told);
        assert!(STATUSES.is_sorted());
    }
}
