//! How fast the members' book is: postings a second that are on disk when they count, of members at random
//! among many, and how long the first read of a session takes. `BOOK_MEMBERS` says among how many.

use benches::run::redis::RedisServer;
use engine::clock::Clock;
use engine::members::{Ask, Book};
use engine::roster::Roster;
use engine::rules::time::Millis;
use engine::store::{
    Bucket, BucketChange, BucketHead, JournalOptions, JournalStore, Made, NameChange, RedisOptions,
    RedisStore, Store, Who,
};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use membership::MemberId;
use membership::account::Membership;
use membership::event::{Act, Event};
use membership::posting::Source;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The allocator of the server, because each event takes and frees many small blocks of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LASTS: Duration = Duration::from_secs(6);
/// Acts in a call, as the platform sends them.
const BATCH: usize = 1_000;
/// Calls that are on their way at once.
const AT_ONCE: usize = 4;
const READS: usize = 20_000;

fn name(n: u64) -> MemberId {
    format!("viewer-{n:07}").parse().expect("a member id")
}

/// Enrols members, a bucket at a time.
async fn fill(store: &Store, members: u64) {
    let mut buckets: Vec<Vec<u64>> = Bucket::all().map(|_| Vec::new()).collect();
    for n in 0..members {
        buckets[usize::from(Bucket::of(name(n).as_str()).place())].push(n);
    }
    for (bucket, of) in Bucket::all().zip(buckets) {
        let at = Clock::Wall.now();
        let mut head = BucketHead::default();
        for part in of.chunks(1_000) {
            let first = head.members;
            head.members += u32::try_from(part.len()).expect("few members");
            head.version += 1;
            let indexes = first..head.members;
            let names = indexes.clone().zip(part).map(|(index, n)| NameChange {
                member: name(*n),
                index,
                is_had: true,
            });
            let change = BucketChange {
                names: names.collect(),
                accounts: indexes.map(|index| (index, Membership::new(at))).collect(),
                ..BucketChange::of(bucket, head.clone())
            };
            assert_eq!(store.book.post(&change).await, Ok(Made::Posted));
        }
    }
}

/// Posts acts of members at random, and returns the postings a second.
async fn posted(book: &Arc<Book>, members: u64) -> f64 {
    let start = Instant::now();
    let poster = |task: usize| {
        let book = Arc::clone(book);
        tokio::spawn(async move {
            let (mut rng, mut posted, mut n) = (fastrand::Rng::with_seed(task as u64), 0, 0_u64);
            while start.elapsed() < LASTS {
                let at: Millis = Clock::Wall.now();
                let ask = |rng: &mut fastrand::Rng, n: &mut u64| {
                    *n += 1;
                    let id = Source(format!("{task}-{n}"));
                    let event = Event::Act { id, act: Act::Watch(600) };
                    Ask { who: Who::Named(name(rng.u64(..members))), event, at }
                };
                let asks = (0..BATCH).map(|_| ask(&mut rng, &mut n)).collect();
                let taken = book.take_all(asks).await.expect("a store that answers");
                posted += taken.iter().flatten().map(|taken| taken.postings.len()).sum::<usize>();
            }
            posted
        })
    };
    let posted = try_join_all((0..AT_ONCE).map(poster)).await.expect("no panic");
    posted.into_iter().sum::<usize>() as f64 / start.elapsed().as_secs_f64()
}

/// How long reads of members at random take.
async fn reads(book: &Book, members: u64) -> Histogram<u64> {
    let (mut rng, mut took) =
        (fastrand::Rng::with_seed(9), Histogram::new(3).expect("a histogram"));
    for _ in 0..READS {
        let who = Who::Named(name(rng.u64(..members)));
        let start = Instant::now();
        book.account(who).await.expect("a store that answers").expect("a member");
        took.record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
            .expect("a time");
    }
    took
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

async fn measure(what: &str, store: Store, members: u64, folder: &Path, out: &mut impl Write) {
    let filled = size(folder);
    let book = Arc::new(
        Book::open(Arc::clone(&store.book), Clock::Wall, Arc::new(Roster::new()))
            .await
            .expect("a book"),
    );
    let rate = posted(&book, members).await;
    let took = reads(&book, members).await;
    let (p50, p99) = (took.value_at_quantile(0.5), took.value_at_quantile(0.99));
    let bytes = filled / members;
    writeln!(out, "| {what} | {rate:.0} | {p50} us | {p99} us | {bytes} |").expect("stdout");
}

#[tokio::main]
async fn main() {
    let members = std::env::var("BOOK_MEMBERS").map_or(1_000_000, |n| n.parse().expect("a number"));
    let mut out = std::io::stdout();
    writeln!(out, "| {members} members, at random | postings/s on disk | first read, p50 | p99 | bytes a member |")
        .expect("stdout");
    writeln!(out, "| --- | --- | --- | --- | --- |").expect("stdout");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = JournalStore::open(folder.path(), JournalOptions::default()).expect("a journal");
    let store = Store::from(store);
    fill(&store, members).await;
    measure("embedded", store, members, folder.path(), &mut out).await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let server = RedisServer::start(folder.path());
    let (store, _) = RedisStore::connect(&RedisOptions::new(server.url())).await.expect("a store");
    let store = Store::from(store);
    fill(&store, members).await;
    // Filling makes Redis write its log anew again and again; that is over before anything is measured.
    while server.must("INFO persistence").contains("aof_rewrite_in_progress:1") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    measure("Redis, `appendfsync always`", store, members, folder.path(), &mut out).await;
}
