//! Rates: how often members and addresses may ask, and how many connections an address may have.

use arc_swap::ArcSwap;
use axum::http::HeaderMap;
use engine::rules::seat::Seat;
use engine::sale::table::Table;
use foldhash::fast::RandomState;
use governor::clock::{Clock, DefaultClock};
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use ipnet::IpNet;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

/// How often members and addresses may ask, and how many connections an address may have.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RateArgs {
    /// Calls a second that one member may make: clicks, cancellations, waits, streams; twice as many in a
    /// burst. 0: any number
    #[arg(long, env = "FLASHLANE_MEMBER_RATE", default_value_t = 20, value_name = "CALLS")]
    pub member_rate: u32,
    /// Reads a second that one member may make: sales, orders; twice as many in a burst. 0: any number
    #[arg(long, env = "FLASHLANE_READ_RATE", default_value_t = 100, value_name = "READS")]
    pub read_rate: u32,
    /// Requests a second from one address; twice as many in a burst. 0: any number
    #[arg(long, env = "FLASHLANE_ADDRESS_RATE", default_value_t = 0, value_name = "REQUESTS")]
    pub address_rate: u32,
    /// Connections that one address may have at once. 0: any number
    #[arg(long, env = "FLASHLANE_ADDRESS_CONNECTIONS", default_value_t = 0, value_name = "NUMBER")]
    pub address_connections: usize,
    /// Trusted proxies, as 10.0.0.1 or 10.0.0.0/8, with commas between; `X-Forwarded-For` is believed only from these
    #[arg(long, env = "FLASHLANE_TRUSTED_PROXIES", value_delimiter = ',', value_parser = trusted, value_name = "NETWORKS")]
    pub trusted_proxies: Vec<IpNet>,
}

/// Reads a network, or one address.
fn trusted(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<IpAddr>().map(IpNet::from).ok();
    let network = text.parse().ok().or_else(one);
    network
        .ok_or_else(|| format!("`{text}` is no address or network; write 10.0.0.1 or 10.0.0.0/8"))
}

/// A call or a request too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooOften {
    /// After this many seconds another one may come.
    pub(crate) wait_s: u64,
}

/// A bound on how often each key may ask.
#[derive(Debug)]
struct Rate<S: StateStore<Key: Hash + Eq + Clone>> {
    limiter: RateLimiter<S::Key, S, DefaultClock>,
    clock: DefaultClock,
}

impl<S: StateStore<Key: Hash + Eq + Clone>> Rate<S> {
    /// Returns `None`, which is no bound, for a rate of 0.
    fn new(per_second: u32, states: S) -> Option<Self> {
        let burst = NonZeroU32::new(per_second.saturating_mul(2))?;
        let quota = Quota::per_second(NonZeroU32::new(per_second)?).allow_burst(burst);
        let clock = DefaultClock::default();
        Some(Self { limiter: RateLimiter::new(quota, states, clock.clone()), clock })
    }

    fn check(&self, key: &S::Key) -> Result<(), TooOften> {
        self.limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            TooOften { wait_s: wait.as_secs() + 1 }
        })
    }
}

/// How often each seat has asked lately. Seats are dense, so that a look is an index: in a map of those that
/// asked lately it took a tenth of a click that comes in a batch.
#[derive(Debug, Default)]
struct SeatStates(Table<InMemoryState>);

impl StateStore for SeatStates {
    type Key = Seat;

    fn measure_and_replace<T, F, E>(&self, seat: &Seat, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.get_or_grow(seat.index()).measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

/// How often each address has asked lately; others are forgotten. The hasher is random in each process.
type AddressStates = DashMapStateStore<IpAddr, RandomState>;

/// How many connections each address has.
type Connections = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The rates of one listener.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    bounds: ArcSwap<Bounds>,
    connections: Connections,
}

/// What is allowed at present.
#[derive(Debug, Default)]
struct Bounds {
    members: Option<Rate<SeatStates>>,
    reads: Option<Rate<SeatStates>>,
    addresses: Option<Rate<AddressStates>>,
    connections_max: Option<usize>,
    trusted: Vec<IpNet>,
}

impl Bounds {
    fn new(args: &RateArgs) -> Self {
        Self {
            members: Rate::new(args.member_rate, SeatStates::default()),
            reads: Rate::new(args.read_rate, SeatStates::default()),
            addresses: Rate::new(args.address_rate, AddressStates::default()),
            connections_max: Some(args.address_connections).filter(|most| *most > 0),
            trusted: args.trusted_proxies.clone(),
        }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Returns the client's address. That is the peer, or, if the peer is a trusted proxy, the last
    /// address before it that is not a trusted proxy.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let forwarded = headers.get_all("x-forwarded-for").iter();
        let hops: Vec<&str> =
            forwarded.flat_map(|line| line.to_str().unwrap_or_default().split(',')).collect();
        for hop in hops.into_iter().rev() {
            if !self.is_trusted(client) {
                break;
            }
            // A trusted proxy has written something that is no address: the request counts as the
            // proxy's own.
            let Some(address) = address(hop.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }
}

impl Rates {
    pub(crate) fn new(args: &RateArgs) -> Self {
        let bounds = ArcSwap::from_pointee(Bounds::new(args));
        Self { bounds, connections: Arc::default() }
    }

    /// Allows as much as this from now on. Each member and each address begins anew.
    pub(crate) fn set(&self, args: &RateArgs) {
        self.bounds.store(Arc::new(Bounds::new(args)));
    }

    /// As [`Bounds::client`].
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.bounds.load().client(peer, headers)
    }

    /// Counts a member's read. Reads have a rate of their own, so that a page that looks often does not
    /// keep its member from clicking.
    pub(crate) fn read(&self, seat: Seat) -> Result<(), TooOften> {
        self.bounds.load().reads.as_ref().map_or(Ok(()), |rate| rate.check(&seat))
    }

    /// Counts a member's call that changes something, or opens a stream.
    #[inline]
    pub(crate) fn call(&self, seat: Seat) -> Result<(), TooOften> {
        self.bounds.load().members.as_ref().map_or(Ok(()), |rate| rate.check(&seat))
    }

    /// Counts a request from an address.
    pub(crate) fn request(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), TooOften> {
        let bounds = self.bounds.load();
        let Some(rate) = &bounds.addresses else { return Ok(()) };
        rate.check(&network(bounds.client(peer, headers)))
    }

    /// Takes one of an address's connections. Returns `None` if the address has as many as it may
    /// have; trusted proxies may have any number.
    pub(crate) fn connect(&self, peer: IpAddr) -> Option<Connected> {
        let bounds = self.bounds.load();
        let most = bounds.connections_max.filter(|_| !bounds.is_trusted(peer.to_canonical()));
        let Some(most) = most else {
            return Some(Connected { of: None });
        };
        let address = network(peer.to_canonical());
        let mut connections = self.connections.lock();
        let count = connections.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Connected { of: Some((Arc::clone(&self.connections), address)) })
    }

    /// Forgets addresses that have not asked lately. The process calls this now and then.
    pub(crate) fn forget_the_calm(&self) {
        if let Some(rate) = &self.bounds.load().addresses {
            rate.limiter.retain_recent();
            rate.limiter.shrink_to_fit();
        }
    }
}

/// One connection of an address, given back when dropped.
#[derive(Debug)]
pub(crate) struct Connected {
    of: Option<(Connections, IpAddr)>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let Some((connections, address)) = &self.of else { return };
        let mut connections = connections.lock();
        if let Some(count) = connections.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                connections.remove(address);
            }
        }
    }
}

/// Reads an address, or an address with a port, as proxies write them.
fn address(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    hop.trim_matches(['[', ']']).parse().ok().or_else(with_port)
}

/// Returns the network that counts as one address. In IPv6 a subscriber has a whole /64 and could
/// ask from each address of it.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(rate: u32, connections: usize, trusted: &[&str]) -> Rates {
        Rates::new(&RateArgs {
            member_rate: rate,
            read_rate: rate,
            address_rate: rate,
            address_connections: connections,
            trusted_proxies: trusted.iter().map(|network| network.parse().unwrap()).collect(),
        })
    }

    fn headers(forwarded: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_header_is_trusted_unless_told_which_proxies_to_trust() {
        let spoofed = headers(&["9.9.9.9"]);
        assert_eq!(rates(1, 0, &[]).client(ip("1.2.3.4"), &spoofed), ip("1.2.3.4"));
        let behind = rates(1, 0, &["10.0.0.0/8"]);
        assert_eq!(behind.client(ip("1.2.3.4"), &spoofed), ip("1.2.3.4"), "not from a proxy");
        // What the client wrote stands before what the proxies wrote.
        let chain = headers(&["8.8.8.8, 9.9.9.9", "10.0.0.7"]);
        assert_eq!(behind.client(ip("10.0.0.1"), &chain), ip("9.9.9.9"));
        assert_eq!(behind.client(ip("::ffff:10.0.0.1"), &chain), ip("9.9.9.9"));
        assert_eq!(behind.client(ip("10.0.0.1"), &headers(&["9.9.9.9:1234"])), ip("9.9.9.9"));
        assert_eq!(
            behind.client(ip("10.0.0.1"), &headers(&["[2001:db8::1]:80"])),
            ip("2001:db8::1")
        );
        assert_eq!(behind.client(ip("10.0.0.1"), &headers(&["nonsense"])), ip("10.0.0.1"));
        assert_eq!(behind.client(ip("10.0.0.1"), &headers(&[])), ip("10.0.0.1"));
    }

    #[test]
    fn an_address_is_a_whole_network_in_version_6() {
        let rates = rates(1, 0, &[]);
        let ask = |from: &str| rates.request(ip(from), &HeaderMap::new()).is_ok();
        assert!(ask("2001:db8::1") && ask("2001:db8::2"));
        assert!(!ask("2001:db8::3"), "a burst of two, from one /64");
        assert!(ask("2001:db8:0:1::1") && ask("1.2.3.4"));
    }

    #[test]
    fn an_address_holds_no_more_connections_than_it_may_and_proxies_any_number() {
        let rates = rates(0, 2, &["10.0.0.0/8"]);
        let all: Vec<_> = (0..2).map(|_| rates.connect(ip("1.2.3.4")).unwrap()).collect();
        assert!(rates.connect(ip("1.2.3.4")).is_none());
        assert!(rates.connect(ip("1.2.3.5")).is_some());
        let proxied: Vec<_> = (0..9).map(|_| rates.connect(ip("10.1.1.1"))).collect();
        assert!(proxied.iter().all(Option::is_some));
        drop(all);
        assert!(rates.connect(ip("1.2.3.4")).is_some());
        assert!(rates.connections.lock().is_empty());
    }

    #[test]
    fn a_rate_of_0_is_no_bound() {
        let rates = rates(0, 0, &[]);
        assert!((0..1_000).all(|_| rates.call(Seat::new(1)).is_ok()));
    }

    #[test]
    fn who_asks_too_often_is_told_when_to_come_back_and_nobody_else_is() {
        let rates = rates(2, 0, &[]);
        let refused = (0..6).filter_map(|_| rates.call(Seat::new(1)).err()).count();
        assert!((1..=2).contains(&refused), "a burst of four of six: {refused} refused");
        assert!(matches!(rates.call(Seat::new(1)), Err(TooOften { wait_s: 1 })));
        assert!(rates.call(Seat::new(2)).is_ok());
        rates.forget_the_calm();
    }
}
