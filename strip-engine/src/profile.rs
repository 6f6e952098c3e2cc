//! Where the time of a run goes.

use std::time::{Duration, Instant};

/// Processor time of a run by kind of work, summed over its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    /// The three matrix products.
    pub products: Duration,
    /// Masking, the largest logits, and the exponentials with their sums.
    pub softmax: Duration,
    /// From logits and products to the column sums of a block.
    pub sweep: Duration,
    /// The part of the sweep that goes back to pairs in which the expansion of ‖v - o‖² cancelled.
    pub recomputing: Duration,
    /// Centring and transposing keys and values: time of the run, whatever its threads.
    pub packing: Duration,
    /// Scaling queries, finishing rows, adding blocks.
    pub rest: Duration,
}

impl Profile {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.products + self.softmax + self.sweep + self.recomputing + self.packing + self.rest
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            products: self.products + other.products,
            softmax: self.softmax + other.softmax,
            sweep: self.sweep + other.sweep,
            recomputing: self.recomputing + other.recomputing,
            packing: self.packing + other.packing,
            rest: self.rest + other.rest,
        }
    }
}

/// Adds the time since the last call to one kind of work after another.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Instant,
    /// The sums so far.
    pub profile: Profile,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            last: Instant::now(),
            profile: Profile::default(),
        }
    }

    /// So much of what was the sweep was recomputing.
    pub fn of_sweep_recomputing(&mut self, time: Duration) {
        self.profile.sweep = self.profile.sweep.saturating_sub(time);
        self.profile.recomputing += time;
    }

    /// What has been done since the last call is `kind`.
    pub fn was(&mut self, kind: impl FnOnce(&mut Profile) -> &mut Duration) {
        let now = Instant::now();
        *kind(&mut self.profile) += now - self.last;
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_work_counts() {
        let [products, softmax, sweep, recomputing, packing, rest] = [1, 2, 4, 8, 16, 32].map(Duration::from_secs);
        let profile = Profile {
            products,
            softmax,
            sweep,
            recomputing,
            packing,
            rest,
        };
        assert_eq!(profile.total(), Duration::from_secs(63));
        let twice = profile.and(profile);
        let kinds = [
            twice.products,
            twice.softmax,
            twice.sweep,
            twice.recomputing,
            twice.packing,
            twice.rest,
        ];
        assert_eq!(kinds, [2, 4, 8, 16, 32, 64].map(Duration::from_secs));
    }

    #[test]
    fn time_goes_to_what_it_was_and_out_of_the_sweep_where_pairs_were_computed_again() {
        let mut clock = Clock::start();
        std::thread::sleep(Duration::from_millis(1));
        clock.was(|profile| &mut profile.rest);
        assert!(clock.profile.rest >= Duration::from_millis(1));
        assert_eq!(clock.profile.total(), clock.profile.rest);
        clock.profile.sweep = Duration::from_secs(5);
        clock.of_sweep_recomputing(Duration::from_secs(2));
        assert_eq!(
            (clock.profile.sweep, clock.profile.recomputing),
            (Duration::from_secs(3), Duration::from_secs(2))
        );
    }
}
