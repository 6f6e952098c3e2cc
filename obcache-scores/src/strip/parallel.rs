//! Work shared out over threads, one item at a time in order.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

/// Takes `items` one after another, each by whichever of so many workers is free, which takes `run` of them at a time;
/// `worker` makes each one's own state. Workers are on threads that outlive the call: a decode step is too short to start any.
pub(super) fn each<I, W>(threads: NonZero<usize>, run: usize, items: I, worker: impl Fn() -> W + Sync)
where
    I: Iterator + Send,
    W: FnMut(I::Item),
{
    let items = Mutex::new(items);
    // The lock is released before the items are worked on.
    let take = |taken: &mut Vec<I::Item>| {
        let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(items.by_ref().take(run));
    };
    let work = || {
        let (mut work, mut taken) = (worker(), Vec::with_capacity(run));
        loop {
            take(&mut taken);
            if taken.is_empty() {
                break;
            }
            taken.drain(..).for_each(&mut work);
        }
    };
    if threads.get() == 1 {
        work();
    } else {
        rayon::scope(|scope| {
            for _ in 1..threads.get() {
                scope.spawn(|_| work());
            }
            work();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_taken_once_whatever_the_threads_and_runs() {
        for (threads, run) in [(1, 1), (1, 3), (2, 1), (3, 4), (2, 100)] {
            let taken = Mutex::new(Vec::new());
            each(threads.try_into().unwrap(), run, 0..10, || {
                |item| taken.lock().unwrap().push(item)
            });
            let mut taken = taken.into_inner().unwrap();
            taken.sort_unstable();
            assert_eq!(taken, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_thread_takes_runs_in_order() {
        let runs = Mutex::new(Vec::new());
        each(3.try_into().unwrap(), 4, 0..10, || {
            |item| {
                runs.lock().unwrap().push((std::thread::current().id(), item));
            }
        });
        let runs = runs.into_inner().unwrap();
        for first in [0, 4] {
            let thread = runs.iter().find(|(_, item)| *item == first).unwrap().0;
            let own: Vec<_> = runs
                .iter()
                .filter(|(id, _)| *id == thread)
                .map(|(_, item)| *item)
                .collect();
            assert!(
                own.windows(4)
                    .any(|four| four == [first, first + 1, first + 2, first + 3])
            );
        }
    }
}
