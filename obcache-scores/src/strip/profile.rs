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
    pub(super) fn and(self, other: Self) -> Self {
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
pub(super) struct Clock {
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
