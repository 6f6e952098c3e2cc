//! Work shared out over threads, one item at a time in order.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread::scope;

/// Takes `items` one after another, each by whichever thread is free; `worker` makes each thread's own state.
pub(super) fn each<I, W>(threads: NonZero<usize>, items: I, worker: impl Fn() -> W + Sync)
where
    I: Iterator + Send,
    W: FnMut(I::Item),
{
    let items = Mutex::new(items);
    // The lock is released before the item is worked on.
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut work = worker();
        while let Some(item) = next() {
            work(item);
        }
    };
    scope(|scope| {
        for _ in 1..threads.get() {
            scope.spawn(run);
        }
        run();
    });
}
