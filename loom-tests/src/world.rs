//! Small sales for models.

use engine::rules::cents::Cents;
use engine::rules::member_terms::{CouponTerms, MemberTerms, Off};
use engine::rules::seat::Seat;
use engine::rules::terms::Terms;
use engine::rules::time::Millis;
use engine::rules::units::Units;
use engine::rules::window::Windows;
use engine::sale::{Click, Sale};
use loom::model::Builder;
use membership::{PerTier, Tier};
use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Which of the two a model is run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// The engine's own part, which must hold.
    Real,
    /// A twin with a bug planted, which must fail.
    Twin,
}

impl Model {
    /// Whether it is the engine's own part.
    #[must_use]
    pub fn is_real(self) -> bool {
        self == Self::Real
    }
}

/// An instant at which every window is open.
pub const NOW: Millis = Millis(10);

/// When every sale of a model closes.
pub const CLOSES_AT: Millis = Millis(100);

/// How many lamps a sale has, and how many of them one member may hold.
#[derive(Debug, Clone, Copy)]
pub struct Lamps {
    /// In all.
    pub stock: u32,
    /// For each tier.
    pub limit: u32,
}

/// A sale open to all tiers.
#[must_use]
pub fn sale(Lamps { stock, limit }: Lamps) -> Sale {
    sale_of(stock, PerTier([Some(Millis(1)); 5]), PerTier([limit; 5]))
}

/// A sale open to all tiers whose lamps cost 100, of which points and the coupon `welcome` may pay all.
#[must_use]
pub fn paid_with_points(Lamps { stock, limit }: Lamps) -> Sale {
    let coupon = CouponTerms { off: Off::Percent(100), least_order: Cents(0) };
    let members = MemberTerms {
        points_share_max: 100,
        coupons: [("welcome".to_owned(), coupon)].into(),
        ..MemberTerms::default()
    };
    let terms = terms_of(stock, PerTier([Some(Millis(1)); 5]), PerTier([limit; 5]));
    Sale::new(Terms { price: Cents(100), members, ..terms })
}

/// A sale with a window and a limit for each tier. It closes at [`CLOSES_AT`].
#[must_use]
pub fn sale_of(stock: u32, opens_at: PerTier<Option<Millis>>, limits: PerTier<u32>) -> Sale {
    Sale::new(terms_of(stock, opens_at, limits))
}

fn terms_of(stock: u32, opens_at: PerTier<Option<Millis>>, limits: PerTier<u32>) -> Terms {
    Terms {
        id: "model".parse().expect("a sale id"),
        title: "A lamp".into(),
        price: Cents(1),
        currency: "CNY".into(),
        stock: Units(stock),
        windows: Windows::new(opens_at, CLOSES_AT).expect("windows"),
        limits: PerTier(limits.0.map(Units)),
        pay_within_s: 1,
        adults_only: false,
        image_url: None,
        members: MemberTerms::default(),
    }
}

/// A click of a gold member.
#[must_use]
pub fn click(seat: u32, units: Units) -> Click {
    Click { seat: Seat::new(seat), tier: Tier::Gold, units, key: None, is_minor: false }
}

thread_local! {
    /// Threads of the model that runs on this thread of the system: loom switches between them itself.
    static THREADS: Cell<usize> = const { Cell::new(1) };
}

/// Starts another thread of a model.
pub fn spawn<T: 'static>(run: impl FnOnce() -> T + 'static) -> loom::thread::JoinHandle<T> {
    THREADS.set(THREADS.get() + 1);
    loom::thread::spawn(run)
}

/// Most preemptions of an interleaving that is tried; `LOOM_MAX_PREEMPTIONS` is another number.
const PREEMPTIONS: usize = 3;

/// Runs a model under every interleaving with at most so many preemptions. With `LOOM_TABLE=1` it tells how many
/// threads the model has and how many interleavings were tried.
///
/// loom looks for other interleavings where an access meets the *last* one to the same word. A
/// thread that first reads a word and then writes it therefore hides an earlier read by the first
/// thread: let the first thread of a model be the one that writes.
///
/// # Panics
/// When the model fails, or when loom found one interleaving only and so has tried nothing.
pub fn every_way(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    let bound = *builder.preemption_bound.get_or_insert(PREEMPTIONS);
    let (ways, threads) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, seen) = (Arc::clone(&ways), Arc::clone(&threads));
    builder.check(move || {
        // Ordering: Relaxed, a count that loom does not see.
        counted.fetch_add(1, Ordering::Relaxed);
        THREADS.set(1);
        model();
        // Ordering: Relaxed, as above.
        seen.fetch_max(THREADS.get(), Ordering::Relaxed);
    });
    // Ordering: Relaxed, as above.
    let (ways, threads) = (ways.load(Ordering::Relaxed), threads.load(Ordering::Relaxed));
    assert!(ways > 1, "the model was run in one way only");
    if std::env::var_os("LOOM_TABLE").is_some() {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a model").replace("::", ": ").replace('_', " ");
        // Past what the harness captures of a test that passes.
        writeln!(std::io::stdout(), "| {name} | {threads} | {bound} | {ways} |")
            .expect("an output");
    }
}
