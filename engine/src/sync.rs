//! The loom facade: the only door to atomics and to the order queue's container.
//!
//! Under the private cfg `flash_loom` it hands out loom's atomics and a modelled queue and map, so
//! that a model sees every step that another thread could see.

#[cfg(not(flash_loom))]
mod real {
    pub(crate) use crossbeam::queue::SegQueue;
    pub(crate) use crossbeam::utils::CachePadded;
    pub(crate) use once_cell::race::OnceBox;
    use std::sync::atomic::AtomicUsize;
    pub use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

    /// A map that readers and writers share without a lock.
    pub(crate) type SharedMap<K, V> = papaya::HashMap<K, V, foldhash::fast::RandomState>;

    /// Cells in a chunk of a growing table.
    pub(crate) const CHUNK_CELLS: usize = 4096;
    /// Chunks in a page, and pages in a table.
    pub(crate) const FAN_OUT: usize = 1024;
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

#[cfg(flash_loom)]
mod modelled {
    pub use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
    use std::collections::{HashMap, VecDeque};
    use std::hash::Hash;

    pub(crate) const CHUNK_CELLS: usize = 2;
    pub(crate) const FAN_OUT: usize = 2;
    pub(crate) const STRIPES: usize = 1;

    pub(crate) fn stripe() -> usize {
        0
    }

    /// Stands in for crossbeam's padding, which a model has no use for.
    #[derive(Debug)]
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

    /// Has the interface of once_cell's lock-free cell, and lets loom see that its value was
    /// published.
    #[derive(Debug)]
    pub(crate) struct OnceBox<T> {
        value: once_cell::race::OnceBox<T>,
        made: AtomicU32,
        making: loom::sync::Mutex<()>,
    }

    impl<T> OnceBox<T> {
        pub(crate) fn new() -> Self {
            let (made, making) = (AtomicU32::new(0), loom::sync::Mutex::new(()));
            Self { value: once_cell::race::OnceBox::new(), made, making }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            // Ordering: Acquire, paired with the Release in `get_or_init`.
            (self.made.load(Ordering::Acquire) == 1).then(|| self.value.get()).flatten()
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
            let making = self.making.lock().expect("no model panics while making a cell");
            let value = self.value.get_or_init(make);
            // Ordering: Release, paired with the Acquire in `get`.
            self.made.store(1, Ordering::Release);
            drop(making);
            value
        }
    }

    /// Has the interface of crossbeam's queue, over a lock that loom sees.
    #[derive(Debug)]
    pub(crate) struct SegQueue<T>(loom::sync::Mutex<VecDeque<T>>);

    impl<T> SegQueue<T> {
        pub(crate) fn new() -> Self {
            Self(loom::sync::Mutex::new(VecDeque::new()))
        }

        pub(crate) fn push(&self, value: T) {
            self.0.lock().expect("no model panics with the queue held").push_back(value);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.0.lock().expect("no model panics with the queue held").pop_front()
        }

        pub(crate) fn len(&self) -> usize {
            self.0.lock().expect("no model panics with the queue held").len()
        }
    }

    /// Has the interface of the shared map, over a lock that loom sees.
    #[derive(Debug)]
    pub(crate) struct SharedMap<K, V>(loom::sync::Mutex<HashMap<K, V>>);

    impl<K: Eq + Hash, V> Default for SharedMap<K, V> {
        fn default() -> Self {
            Self(loom::sync::Mutex::new(HashMap::new()))
        }
    }

    impl<K: Eq + Hash, V: Copy> SharedMap<K, V> {
        pub(crate) fn pin(&self) -> Pinned<'_, K, V> {
            Pinned(self)
        }
    }

    #[derive(Debug)]
    pub(crate) struct Pinned<'a, K, V>(&'a SharedMap<K, V>);

    impl<K: Eq + Hash, V: Copy> Pinned<'_, K, V> {
        fn with<R>(&self, read: impl FnOnce(&mut HashMap<K, V>) -> R) -> R {
            read(&mut self.0.0.lock().expect("no model panics with the map held"))
        }

        pub(crate) fn get(&self, key: &K) -> Option<&V> {
            // The value is leaked: a model lives for microseconds, and a reference into a guarded
            // map could not leave it.
            self.with(|map| map.get(key).copied()).map(|value| &*Box::leak(Box::new(value)))
        }

        pub(crate) fn insert(&self, key: K, value: V) {
            self.with(|map| map.insert(key, value));
        }

        pub(crate) fn remove(&self, key: &K) {
            self.with(|map| map.remove(key));
        }

        pub(crate) fn try_insert(&self, key: K, value: V) -> Result<(), ()> {
            self.with(|map| match map.entry(key) {
                std::collections::hash_map::Entry::Occupied(_) => Err(()),
                std::collections::hash_map::Entry::Vacant(room) => {
                    room.insert(value);
                    Ok(())
                }
            })
        }
    }
}

#[cfg(flash_loom)]
pub use modelled::{AtomicU16, AtomicU32, AtomicU64, Ordering};
#[cfg(flash_loom)]
pub(crate) use modelled::{
    CHUNK_CELLS, CachePadded, FAN_OUT, OnceBox, STRIPES, SegQueue, SharedMap, stripe,
};
#[cfg(not(flash_loom))]
pub use real::{AtomicU16, AtomicU32, AtomicU64, Ordering};
#[cfg(not(flash_loom))]
pub(crate) use real::{
    CHUNK_CELLS, CachePadded, FAN_OUT, OnceBox, STRIPES, SegQueue, SharedMap, stripe,
};
