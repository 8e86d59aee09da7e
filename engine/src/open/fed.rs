//! Fed: how far the members' book has come with a sale's outbox, as far as this process knows.

use parking_lot::Mutex;

/// What a turn of the feed began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Up to which entry the outbox was taken in once more; `None` if that is not asked for.
    pub(crate) again: Option<u64>,
    /// This is the first turn since the sale was opened.
    pub(crate) is_first: bool,
    steps: u64,
    asked: u64,
}

impl Turn {
    /// The entry behind which the turn begins, where the store was told of `stored`.
    pub(crate) fn after(&self, stored: u64) -> u64 {
        self.again.map_or(stored, |again| again.min(stored))
    }
}

/// How far a turn of the feed came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// Everything up to this entry is taken in; there may be more.
    To(u64),
    /// There is nothing more than `end`; the store was told that everything up to `stored` is taken in.
    ToTheEnd { end: u64, stored: u64 },
}

#[derive(Debug, Default)]
struct State {
    /// How many steps had been told when the outbox was taken in to its end.
    steps: Option<u64>,
    again: Option<u64>,
    /// How often it was asked for once more.
    asked: u64,
    has_begun: bool,
}

/// How far the book has come with a sale's outbox.
#[derive(Debug, Default)]
pub(crate) struct Fed(Mutex<State>);

impl Fed {
    /// Begins a turn; `None` if nothing was told since the outbox was taken in to its end.
    pub(crate) fn begin(&self, steps: u64) -> Option<Turn> {
        let state = self.0.lock();
        let (again, asked, is_first) = (state.again, state.asked, !state.has_begun);
        (state.steps != Some(steps)).then_some(Turn { again, is_first, steps, asked })
    }

    /// Ends a turn. What was asked for once more since it began stays to be done.
    pub(crate) fn end(&self, turn: Turn, came: Came) {
        let mut state = self.0.lock();
        if state.asked != turn.asked {
            return;
        }
        state.has_begun = true;
        match came {
            Came::To(last) => state.again = turn.again.map(|_| last),
            Came::ToTheEnd { end, stored } => {
                state.steps = Some(turn.steps);
                // A store that was told more than there is hides what is still to come.
                state.again = turn.again.map(|_| end).filter(|end| *end < stored);
            }
        }
    }

    /// Asks that the outbox is taken in once more, from its beginning.
    pub(crate) fn ask_again(&self) {
        let mut state = self.0.lock();
        state.asked += 1;
        (state.again, state.steps, state.has_begun) = (Some(0), None, true);
    }

    /// Up to which entry the outbox counts as taken in, where the store has `stored`. Before the first turn
    /// nothing does: the store may have been told too much.
    pub(crate) fn taken_in(&self, stored: u64) -> u64 {
        let state = self.0.lock();
        match state.again {
            _ if !state.has_begun => 0,
            None => stored,
            Some(again) => again.min(stored),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Came = Came::ToTheEnd { end: 9, stored: 9 };

    #[test]
    fn what_is_asked_for_in_the_middle_of_a_turn_is_done_after_it() {
        for came in [Came::To(7), END] {
            let fed = Fed::default();
            // The second turn is one of an earlier ask.
            for _ in 0..2 {
                let turn = fed.begin(1).unwrap();
                fed.ask_again();
                fed.end(turn, came);
                assert_eq!(fed.begin(1).unwrap().again, Some(0), "{came:?}");
            }
        }
    }

    #[test]
    fn nothing_counts_as_taken_in_before_the_first_turn() {
        let fed = Fed::default();
        assert_eq!(fed.taken_in(9), 0);
        fed.end(fed.begin(1).unwrap(), END);
        assert_eq!(fed.taken_in(9), 9);
    }

    #[test]
    fn what_is_taken_in_once_more_counts_from_its_beginning() {
        let fed = Fed::default();
        fed.ask_again();
        assert_eq!(fed.taken_in(9), 0);
        fed.end(fed.begin(1).unwrap(), Came::To(5));
        assert_eq!(fed.taken_in(9), 5);
        // The store was told of nine entries, and there are six.
        fed.end(fed.begin(1).unwrap(), Came::ToTheEnd { end: 6, stored: 9 });
        assert_eq!((fed.begin(1), fed.taken_in(9)), (None, 6));
        fed.end(fed.begin(2).unwrap(), Came::To(9));
        fed.end(fed.begin(2).unwrap(), END);
        assert_eq!((fed.begin(2), fed.taken_in(12)), (None, 12));
    }

    #[test]
    fn an_outbox_of_which_nothing_is_kept_is_taken_in() {
        let fed = Fed::default();
        fed.ask_again();
        fed.end(fed.begin(1).unwrap(), END);
        assert_eq!((fed.begin(1), fed.taken_in(9)), (None, 9));
    }
}
