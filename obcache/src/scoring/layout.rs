//! How many groups run side by side, on how many threads, in strips of what height: all that a memory limit allows.

use std::num::NonZero;

use strip_engine::{Engine, HEIGHT};

/// A layout of the work; none moves a bit of the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Groups that run at the same time.
    pub side_by_side: usize,
    /// The engine of each.
    pub engine: Engine,
}

/// The fastest layout of `tasks` groups on `threads` threads that keeps within `allowed` bytes, where one group needs
/// `needed` with an engine; otherwise what the leanest layout needs.
pub(super) fn choose(
    threads: usize,
    tasks: usize,
    allowed: u64,
    needed: impl Fn(&Engine) -> u64,
) -> Result<Layout, u64> {
    let mut least = u64::MAX;
    for (side_by_side, threads, strip_height) in candidates(threads, tasks) {
        let engine = engine(threads, strip_height);
        let total = needed(&engine).saturating_mul(side_by_side as u64);
        if total <= allowed {
            return Ok(Layout { side_by_side, engine });
        }
        least = least.min(total);
    }
    Err(least)
}

/// Groups side by side, threads of each, and strip height: many groups first, then lower strips, then fewer threads.
fn candidates(threads: usize, tasks: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let side_by_side = (1..=threads.min(tasks)).rev();
    let side_by_side = side_by_side.map(move |groups| (groups, threads / groups, HEIGHT));
    let lower = [HEIGHT / 2, HEIGHT / 4, HEIGHT / 8].map(|height| (1, threads, height));
    let fewer = (1..threads).rev().map(|threads| (1, threads, HEIGHT / 8));
    side_by_side.chain(lower).chain(fewer).chain([(1, 1, 1)])
}

fn engine(threads: usize, strip_height: usize) -> Engine {
    let at_least_one = |count| NonZero::new(count).unwrap_or(NonZero::<usize>::MIN);
    Engine::new()
        .with_threads(at_least_one(threads))
        .with_strip_height(at_least_one(strip_height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_takes_groups_first_then_height_then_threads() {
        let all: Vec<_> = candidates(4, 3).collect();
        let side_by_side = [(3, 1, HEIGHT), (2, 2, HEIGHT), (1, 4, HEIGHT)];
        let lower = [(1, 4, HEIGHT / 2), (1, 4, HEIGHT / 4), (1, 4, HEIGHT / 8)];
        let fewer = [(1, 3, HEIGHT / 8), (1, 2, HEIGHT / 8), (1, 1, HEIGHT / 8), (1, 1, 1)];
        assert_eq!(all, [&side_by_side[..], &lower, &fewer].concat());
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(choose(4, 3, 299, |_| 100).unwrap().side_by_side, 2);
        assert_eq!(choose(4, 3, 99, |_| 100).unwrap_err(), 100);
    }
}
