//! Items joined in the order of their numbers, from threads that finish them in any order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::panicking;

/// What the threads join their items to.
pub(crate) struct Turns<I, J> {
    state: Mutex<State<I, J>>,
    /// A turn has come, or never will.
    moved: Condvar,
    /// Memory is bounded: no item waits for one that is further than this behind.
    most_waiting: usize,
}

struct State<I, J> {
    next: usize,
    waiting: BTreeMap<usize, I>,
    joined: J,
    /// A thread panicked, and the turn of its item will not come.
    broken: bool,
}

impl<I, J> Turns<I, J> {
    pub fn new(most_waiting: usize, joined: J) -> Self {
        Self {
            state: Mutex::new(State {
                next: 0,
                waiting: BTreeMap::new(),
                joined,
                broken: false,
            }),
            moved: Condvar::new(),
            most_waiting,
        }
    }

    /// Makes item `number`, and joins all whose turn has come by it; each number is to be made once, none before a lower one
    /// is begun.
    pub fn take(&self, number: usize, make: impl FnOnce() -> I, mut join: impl FnMut(&mut J, usize, I)) {
        let _alarm = Alarm(self);
        let item = make();
        let too_early =
            |state: &mut State<I, J>| number > state.next.saturating_add(self.most_waiting) && !state.broken;
        let state = self.moved.wait_while(self.lock(), too_early);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.waiting.insert(number, item);
        let State {
            next, waiting, joined, ..
        } = &mut *state;
        while let Some(item) = waiting.remove(next) {
            join(joined, *next, item);
            *next += 1;
        }
        self.moved.notify_all();
    }

    /// What has been joined.
    pub fn into_joined(self) -> J {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).joined
    }

    fn lock(&self) -> MutexGuard<'_, State<I, J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets those who wait go on where its thread panics.
struct Alarm<'a, I, J>(&'a Turns<I, J>);

impl<I, J> Drop for Alarm<'_, I, J> {
    fn drop(&mut self) {
        if panicking() {
            self.0.lock().broken = true;
            self.0.moved.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc::channel;
    use std::thread::scope;
    use std::time::Duration;

    use super::*;

    fn joined(items: &mut Vec<(usize, char)>, number: usize, item: char) {
        items.push((number, item));
    }

    #[test]
    fn items_are_joined_in_their_order() {
        let turns = Turns::new(3, Vec::new());
        for (number, item) in [(1, 'b'), (0, 'a'), (3, 'd'), (2, 'c')] {
            turns.take(number, || item, joined);
        }
        assert_eq!(turns.into_joined(), [(0, 'a'), (1, 'b'), (2, 'c'), (3, 'd')]);
    }

    #[test]
    fn nobody_runs_further_ahead_than_allowed() {
        let turns = Turns::new(1, Vec::new());
        let (tell, told) = channel();
        scope(|scope| {
            turns.take(1, || 'b', joined);
            scope.spawn(|| {
                turns.take(2, || 'c', joined);
                tell.send('c').unwrap();
            });
            turns.take(
                0,
                || {
                    // Two ahead, the other waits for this one, however long that takes.
                    assert!(told.recv_timeout(Duration::from_millis(200)).is_err());
                    'a'
                },
                joined,
            );
        });
        assert_eq!(turns.into_joined(), [(0, 'a'), (1, 'b'), (2, 'c')]);
    }

    #[test]
    fn nobody_waits_for_a_thread_that_panicked() {
        let turns = Turns::new(0, Vec::new());
        scope(|scope| {
            let waiting = scope.spawn(|| turns.take(1, || 'b', joined));
            let panicked = catch_unwind(AssertUnwindSafe(|| turns.take(0, || panic!("on purpose"), joined)));
            assert!(panicked.is_err());
            waiting.join().unwrap();
        });
        assert_eq!(turns.into_joined(), []);
    }
}
