//! The loom facade: the only door to atomics and to what is made of them elsewhere.
//!
//! Under the private cfg `flash_loom` it hands out loom's atomics and a modelled cell and map, so
//! that a model sees every step that another thread could see.

#[cfg(not(flash_loom))]
mod real {
    pub(crate) use crossbeam::utils::CachePadded;
    pub(crate) use once_cell::race::OnceBox;
    use std::sync::atomic::AtomicUsize;
    pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    /// A secret hash: a caller cannot choose keys that lie at one cell.
    pub(crate) use foldhash::fast::RandomState as Spreading;

    /// A map that readers and writers share without a lock.
    pub(crate) type SharedMap<K, V> = papaya::HashMap<K, V, Spreading>;

    /// Cells in a chunk of a growing table.
    pub(crate) const CHUNK_CELLS: usize = 1024;
    /// Chunks in a page, and pages in a table.
    pub(crate) const FAN_OUT: usize = 2048;
    /// So many cells ahead of the last one, a chunk is made before a click needs it.
    pub(crate) const AHEAD_CELLS: usize = CHUNK_CELLS;
    /// Cells in the first table of a sale's seats, and of its keys.
    pub(crate) const FIRST_CELLS_MIN: usize = 64;
    pub(crate) const FIRST_CELLS_MAX: usize = 20_000_000;
    /// Cells of one table at which a seat may be, or a key.
    pub(crate) const PATH_CELLS: usize = 32;
    /// Counters are striped so that threads seldom share one.
    pub(crate) const STRIPES: usize = 8;

    /// The stripe of the calling thread, below [`STRIPES`].
    #[inline]
    pub(crate) fn stripe() -> usize {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            // Ordering: Relaxed, the number only spreads threads over stripes.
            static STRIPE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
        }
        STRIPE.with(|stripe| *stripe)
    }
}

/// The parts that a model runs with. Each promises as much as the real one and no more: a lock in its
/// place would order what the real part leaves unordered, and hide a missing ordering elsewhere. What
/// loom cannot see is behind a std mutex, which loom cannot see either.
#[cfg(flash_loom)]
mod modelled {
    /// A model's runs must not differ.
    pub(crate) use foldhash::fast::FixedState as Spreading;
    use loom::sync::atomic::AtomicUsize;
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    use std::sync::Mutex;

    pub(crate) const CHUNK_CELLS: usize = 2;
    pub(crate) const FAN_OUT: usize = 2;
    pub(crate) const AHEAD_CELLS: usize = 0;
    pub(crate) const FIRST_CELLS_MIN: usize = 2;
    pub(crate) const FIRST_CELLS_MAX: usize = 2;
    pub(crate) const PATH_CELLS: usize = 1;
    pub(crate) const STRIPES: usize = 1;

    pub(crate) fn stripe() -> usize {
        0
    }

    /// Stands in for crossbeam's padding, which a model has no use for.
    #[derive(Debug, Default)]
    pub(crate) struct CachePadded<T>(T);

    impl<T> CachePadded<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(value)
        }
    }

    impl<T> std::ops::Deref for CachePadded<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    /// Has the interface of once_cell's lock-free cell: threads that meet each make a value, one of
    /// the values is kept, and who reads it sees all that went into it.
    #[derive(Debug)]
    pub(crate) struct OnceBox<T> {
        value: once_cell::race::OnceBox<T>,
        is_made: AtomicU32,
    }

    impl<T> OnceBox<T> {
        pub(crate) fn new() -> Self {
            Self { value: once_cell::race::OnceBox::new(), is_made: AtomicU32::new(0) }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            // Ordering: Acquire, paired with the Release in `get_or_init`.
            (self.is_made.load(Ordering::Acquire) == 1).then(|| self.value.get()).flatten()
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
            let mut made = Some(make());
            // Ordering: Release and Acquire, as once_cell has them: the loser reads what the winner
            // made.
            let won = self.is_made.compare_exchange(0, 1, Ordering::Release, Ordering::Acquire);
            // No thread comes in between this exchange and the value: a model switches threads only
            // at an atomic operation.
            self.value.get_or_init(|| match won {
                Ok(_) => made.take().expect("made once"),
                Err(_) => unreachable!("the winner has put its value there"),
            })
        }
    }

    /// Keys that a model's map may ever have.
    const KEYS_MAX: usize = 2;

    /// Has the interface of the shared map: who finds a value sees what was done before it was
    /// inserted. A read that misses a value says nothing about when it was inserted.
    #[derive(Debug)]
    pub(crate) struct SharedMap<K, V: 'static> {
        /// Each key's place in `rooms`, and each value that a room ever had. Loom sees neither. Values are
        /// leaked: a model lives for microseconds, and a reference into a guarded list could not leave it.
        keys: Mutex<Vec<K>>,
        values: [Mutex<Vec<&'static V>>; KEYS_MAX],
        /// The place of the room's value, from 1; 0 for none.
        rooms: [AtomicUsize; KEYS_MAX],
    }

    impl<K, V: 'static> Default for SharedMap<K, V> {
        fn default() -> Self {
            Self {
                keys: Mutex::new(Vec::new()),
                values: std::array::from_fn(|_| Mutex::new(Vec::new())),
                rooms: std::array::from_fn(|_| AtomicUsize::new(0)),
            }
        }
    }

    impl<K: Eq + Clone, V: 'static> SharedMap<K, V> {
        pub(crate) fn pin(&self) -> Pinned<'_, K, V> {
            Pinned(self)
        }

        fn room(&self, key: &K) -> usize {
            let mut keys = self.keys.lock().expect("no model panics here");
            keys.iter().position(|other| other == key).unwrap_or_else(|| {
                keys.push(key.clone());
                keys.len() - 1
            })
        }

        /// Keeps a value where loom does not see it. Returns its place, from 1.
        fn keep(&self, room: usize, value: V) -> usize {
            let mut values = self.values[room].lock().expect("no model panics here");
            values.push(Box::leak(Box::new(value)));
            values.len()
        }
    }

    #[derive(Debug)]
    pub(crate) struct Pinned<'a, K, V: 'static>(&'a SharedMap<K, V>);

    impl<K: Eq + Clone, V: 'static> Pinned<'_, K, V> {
        pub(crate) fn get(&self, key: &K) -> Option<&V> {
            let room = self.0.room(key);
            // Ordering: Acquire, paired with the Release of `insert` and `try_insert`.
            let at = self.0.rooms[room].load(Ordering::Acquire).checked_sub(1)?;
            Some(self.0.values[room].lock().expect("no model panics here")[at])
        }

        pub(crate) fn insert(&self, key: K, value: V) {
            let room = self.0.room(&key);
            // Ordering: Release, paired with the Acquire in `get`.
            self.0.rooms[room].store(self.0.keep(room, value), Ordering::Release);
        }

        pub(crate) fn remove(&self, key: &K) {
            // Ordering: Release, as in `insert`.
            self.0.rooms[self.0.room(key)].store(0, Ordering::Release);
        }

        pub(crate) fn try_insert(&self, key: K, value: V) -> Result<(), ()> {
            let room = self.0.room(&key);
            let at = self.0.keep(room, value);
            // Ordering: Release, as in `insert`, and Acquire, as in `get`, for a value that is there.
            let inserted = self.0.rooms[room].compare_exchange(
                0,
                at,
                Ordering::Release,
                Ordering::Acquire, // Ordering: see above.
            );
            inserted.map(drop).map_err(drop)
        }
    }
}

#[cfg(flash_loom)]
pub(crate) use modelled::{
    AHEAD_CELLS, CHUNK_CELLS, CachePadded, FAN_OUT, FIRST_CELLS_MAX, FIRST_CELLS_MIN, OnceBox,
    PATH_CELLS, STRIPES, SharedMap, Spreading, stripe,
};
#[cfg(flash_loom)]
pub use modelled::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(flash_loom))]
pub(crate) use real::{
    AHEAD_CELLS, CHUNK_CELLS, CachePadded, FAN_OUT, FIRST_CELLS_MAX, FIRST_CELLS_MIN, OnceBox,
    PATH_CELLS, STRIPES, SharedMap, Spreading, stripe,
};
#[cfg(not(flash_loom))]
pub use real::{AtomicU32, AtomicU64, Ordering};
