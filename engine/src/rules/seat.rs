//! Seat: a member's place in this process's tables. `roster.rs` gives them out.

/// A member's index in this process, dense enough to index tables with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seat(u32);

impl Seat {
    /// The seat with this index. A roster gives seats out; tests and models make their own.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The seat's place in tables.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The index as it is kept on the board.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}
