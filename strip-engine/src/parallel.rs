//! Work shared out over threads, one item at a time in order.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

/// Takes `items` one after another, each by whichever of the workers is free, which takes `run` of them at a time. A worker has
/// a thread to itself; these outlive the call: a decode step is too short to start any.
pub(crate) fn each<I, W>(run: usize, items: I, workers: impl IntoIterator<Item = W>)
where
    I: Iterator + Send,
    W: FnMut(I::Item) + Send,
{
    let items = Mutex::new(items);
    // The lock is released before the items are worked on.
    let take = |taken: &mut Vec<I::Item>| {
        let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(items.by_ref().take(run));
    };
    let work = |mut work: W| {
        let mut taken = Vec::with_capacity(run);
        loop {
            take(&mut taken);
            if taken.is_empty() {
                break;
            }
            taken.drain(..).for_each(&mut work);
        }
    };
    let mut others: Vec<W> = workers.into_iter().collect();
    let own = others.pop();
    if others.is_empty() {
        own.into_iter().for_each(work);
    } else {
        rayon::in_place_scope(|scope| {
            let work = &work;
            others.into_iter().for_each(|worker| scope.spawn(move |_| work(worker)));
            own.into_iter().for_each(work);
        });
    }
}

/// As [`each`], on so many threads at most, for short items that lie side by side in memory: a thread takes long runs of them, so
/// that the memory reads ahead, and a few, so that all threads end together.
pub(crate) fn each_in_runs<I, W>(threads: NonZero<usize>, items: I, worker: impl Fn() -> W)
where
    I: ExactSizeIterator + Send,
    W: FnMut(I::Item) + Send,
{
    const RUNS: usize = 4;
    let (threads, count) = (threads.get(), items.len());
    each(
        count.div_ceil(RUNS * threads),
        items,
        (0..threads.min(count)).map(|_| worker()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_taken_once_whatever_the_threads_and_runs() {
        for (threads, run) in [(1, 1), (1, 3), (2, 1), (3, 4), (2, 100)] {
            let taken = Mutex::new(Vec::new());
            let worker = |_| |item| taken.lock().unwrap().push(item);
            each(run, 0..10, (0..threads).map(worker));
            let mut taken = taken.into_inner().unwrap();
            taken.sort_unstable();
            assert_eq!(taken, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn runs_are_shared_out_whatever_the_threads_and_items() {
        for (threads, items) in [(1, 0), (2, 1), (2, 7), (3, 100)] {
            let taken = Mutex::new(Vec::new());
            let worker = || |item| taken.lock().unwrap().push(item);
            each_in_runs(NonZero::new(threads).unwrap(), 0..items, worker);
            let mut taken = taken.into_inner().unwrap();
            taken.sort_unstable();
            assert_eq!(taken, (0..items).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_thread_takes_runs_in_order() {
        let runs = Mutex::new(Vec::new());
        let worker = |_| {
            |item| {
                runs.lock().unwrap().push((std::thread::current().id(), item));
            }
        };
        each(4, 0..10, (0..3).map(worker));
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
