//! What a decision costs as units, members, sales and threads grow, beside its primitives in as many and as large
//! sales, and the slowest decisions with both cores busy.
//!
//! Not criterion's: a case is rounds of fresh sales, each timed as a whole; the figures are medians over them. With
//! `--once CASE judged|primitives` one round of one case is made and nothing is timed, for a tool that counts from outside.

use benches::primitives::Primitives;
use benches::world::{Lamps, NOW, click, sale};
use engine::rules::seat::Seat;
use engine::sale::{Click, Sale};
use hdrhistogram::Histogram;
use std::hint::black_box;
use std::io::Write;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Most clicks in one round, over all threads.
const ROUND: usize = 1_000_000;
/// Rounds of the largest cases; small ones have more, until they have been timed for `LEAST`.
const ROUNDS_MIN: usize = 7;
const LEAST: Duration = Duration::from_millis(200);

#[derive(Clone, Copy)]
struct Case {
    units: u32,
    members: u32,
    sales: usize,
    threads: usize,
}

const BASE: Case = Case { units: 1_000, members: 10_000, sales: 1, threads: 1 };

const CASES: [(&str, Case); 12] = [
    ("1,000 units, 10,000 members, 1 sale, 1 thread", BASE),
    ("100,000 units", Case { units: 100_000, ..BASE }),
    ("1,000,000 units", Case { units: 1_000_000, ..BASE }),
    ("10,000,000 units", Case { units: 10_000_000, ..BASE }),
    ("1,000,000 members", Case { members: 1_000_000, ..BASE }),
    ("8,000,000 members", Case { members: 8_000_000, ..BASE }),
    ("1,000,000 units, 8,000,000 members", Case { units: 1_000_000, members: 8_000_000, ..BASE }),
    ("10,000,000 units, 8,000,000 members", Case { units: 10_000_000, members: 8_000_000, ..BASE }),
    ("100 sales", Case { sales: 100, ..BASE }),
    ("1,000 sales", Case { sales: 1_000, ..BASE }),
    ("2 threads", Case { threads: 2, ..BASE }),
    (
        "2 threads, 1,000,000 units, 8,000,000 members",
        Case { units: 1_000_000, members: 8_000_000, sales: 1, threads: 2 },
    ),
];

/// What is clicked.
trait Sells: Sync + Sized {
    fn open(units: u32) -> Self;
    /// Makes a click, and says what the member holds then.
    fn click(&self, click: Click) -> u64;
}

impl Sells for Sale {
    fn open(units: u32) -> Self {
        sale(Lamps { stock: units, limit: 65_535 })
    }

    #[inline]
    fn click(&self, click: Click) -> u64 {
        let judged = self.buy(black_box(NOW), black_box(click));
        judged.map_or(0, |_| u64::from(self.held(click.seat).0))
    }
}

impl Sells for Primitives {
    fn open(units: u32) -> Self {
        Self::new(units)
    }

    #[inline]
    fn click(&self, click: Click) -> u64 {
        self.all(black_box(click.seat.number()))
    }
}

/// Makes each click once it is known what the one before came to, as clicks come: a processor that looks ahead from
/// one click into the next ones would wait for the memory of many at once. It has a name that is found from outside.
#[inline(never)]
fn all_clicks<S: Sells>(sales: &[S], clicks: &[(usize, Click)]) {
    let (nothing, mut answer) = (black_box(0), 0);
    for (at, click) in clicks {
        let behind = u32::try_from(answer & nothing).expect("0");
        let seat = Seat::new(click.seat.number() + behind);
        answer = sales[*at + behind as usize].click(Click { seat, ..*click });
    }
    black_box(answer);
}

impl Case {
    fn sales<S: Sells>(self) -> Vec<S> {
        (0..self.sales).map(|_| S::open(self.units)).collect()
    }

    /// As many clicks as all sales have units, each at a sale and of a member at random.
    fn clicks(self, rng: &mut fastrand::Rng) -> Vec<(usize, Click)> {
        let units = self.units as usize * self.sales;
        let count = units.min(ROUND);
        // A sale is asked as often as it has units.
        let mut clicks: Vec<_> =
            (0..count).map(|i| (i % self.sales, click(rng.u32(..self.members)))).collect();
        rng.shuffle(&mut clicks);
        clicks
    }

    /// The time of one round, summed over threads: each makes its share of the clicks.
    fn round<S: Sells>(self, sales: &[S], clicks: &[(usize, Click)]) -> Duration {
        let timed = |clicks: &[(usize, Click)], gate: &Barrier| {
            gate.wait();
            let start = Instant::now();
            all_clicks(sales, clicks);
            start.elapsed()
        };
        let (gate, each) = (Barrier::new(self.threads), clicks.len().div_ceil(self.threads));
        let sum: Duration = std::thread::scope(|scope| {
            let (first, others) = clicks.split_at(each);
            let others: Vec<_> =
                others.chunks(each).map(|part| scope.spawn(|| timed(part, &gate))).collect();
            let own = timed(first, &gate);
            let others = others.into_iter().map(|thread| thread.join().expect("a thread"));
            own + others.sum::<Duration>()
        });
        sum
    }

    /// Rounds that alternate, of sales and of their primitives.
    fn measured(self) -> Measured {
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut of, mut spent) = (Measured::default(), Duration::ZERO);
        while of.accepted.len() < ROUNDS_MIN || spent < LEAST {
            let clicks = self.clicks(&mut rng);
            let each = |all: Duration| all.as_nanos() as f64 / clicks.len() as f64;
            let primitives = self.round(&self.sales::<Primitives>(), &clicks);
            of.primitives.push(each(primitives));
            let sales = self.sales::<Sale>();
            let taken = self.round(&sales, &clicks);
            of.accepted.push(each(taken));
            if self.units as usize * self.sales <= ROUND {
                of.sold_out.push(each(self.round(&sales, &clicks)));
            }
            spent += taken;
        }
        of
    }

    /// One round, not timed.
    fn once(self, of_primitives: bool) -> usize {
        let clicks = self.clicks(&mut fastrand::Rng::with_seed(5));
        match of_primitives {
            true => all_clicks(&self.sales::<Primitives>(), &clicks),
            false => all_clicks(&self.sales::<Sale>(), &clicks),
        }
        clicks.len()
    }
}

/// Nanoseconds of a thread a click, in each round.
#[derive(Default)]
struct Measured {
    accepted: Vec<f64>,
    primitives: Vec<f64>,
    /// Of clicks behind those that were accepted.
    sold_out: Vec<f64>,
}

/// The median, and the first and the last quarter's bounds.
fn quarters(mut of: Vec<f64>) -> [f64; 3] {
    of.sort_by(f64::total_cmp);
    [of.len() / 4, of.len() / 2, of.len() * 3 / 4].map(|at| of[at])
}

/// How long each single decision takes with both cores busy, in nanoseconds.
fn slowest() -> Histogram<u64> {
    let case = Case { units: 1_000_000, members: 8_000_000, sales: 1, threads: 2 };
    let mut all = Histogram::new(3).expect("a precision");
    for seed in 0..5 {
        let (sales, clicks) =
            (case.sales::<Sale>(), case.clicks(&mut fastrand::Rng::with_seed(seed)));
        let timed = |part: &[(usize, Click)]| {
            let mut times = Histogram::<u64>::new(3).expect("a precision");
            for (at, click) in part {
                let start = Instant::now();
                black_box(sales[*at].buy(NOW, *click).is_ok());
                let taken = u64::try_from(start.elapsed().as_nanos()).expect("a short time");
                times.record(taken).expect("it grows");
            }
            times
        };
        std::thread::scope(|scope| {
            let parts =
                clicks.chunks(clicks.len() / 2).map(|part| scope.spawn(move || timed(part)));
            for thread in parts.collect::<Vec<_>>() {
                all.add(thread.join().expect("a thread")).expect("it grows");
            }
        });
    }
    all
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--once") {
        let case = args[at + 1].parse().ok().and_then(|case: usize| CASES.get(case));
        let (_, case) = case.expect("--once takes a case's place, from 0");
        let of_primitives = match args[at + 2].as_str() {
            "primitives" => true,
            "judged" => false,
            other => panic!("--once CASE judged or primitives, not {other}"),
        };
        return writeln!(out, "{}", case.once(of_primitives));
    }
    writeln!(
        out,
        "| | accepted | half of the rounds | beside the first | primitives | beside the first | accepted beside them | sold out |"
    )?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
    let mut first = None;
    for (words, case) in CASES {
        let Measured { accepted, primitives, sold_out } = case.measured();
        let ([low, median, high], [_, base, _]) = (quarters(accepted), quarters(primitives));
        let (first, first_base) = *first.get_or_insert((median, base));
        let refused = match sold_out.is_empty() {
            true => String::new(),
            false => format!("{:.1} ns", quarters(sold_out)[1]),
        };
        writeln!(
            out,
            "| {words} | {median:.1} ns | {low:.1} to {high:.1} ns | {:.2} | {base:.1} ns | {:.2} | {:.2} | {refused} |",
            median / first,
            base / first_base,
            median / base,
        )?;
    }
    let times = slowest();
    let at = |quantile| times.value_at_quantile(quantile);
    let words = "the single decision, both cores busy, with two readings of the clock";
    writeln!(
        out,
        "| {words} | median {} ns | p99 {} ns, p99.9 {} ns, p99.99 {} ns | max {:.0} us | | | | |",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        times.max() as f64 / 1_000.0,
    )
}
