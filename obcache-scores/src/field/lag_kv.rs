//! LagKV asks how much a token's channels vary when measured on the scale of the partition that follows.
//!
//! ```text
//! partitions of `lag` tokens after the sinks;  x̂ = (x - min) / (max - min), min and max per channel over the next one
//! (softmax_j std(k̂_j) + softmax_j std(v̂_j)) / 2 within the partition          2504.04704
//! ```
//! Sinks, the last full partition and what follows it are protected. A channel that is constant over the next partition has
//! no scale and is left out; kvpress divides by 0 there.

use ndarray::{Array1, ArrayView2, Axis, s};

use super::KvGroup;

/// Where partitions begin and how long they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LagKv {
    /// First tokens, protected.
    pub sinks: usize,
    /// Tokens of a partition, at least 1.
    pub lag: usize,
}

impl LagKv {
    /// Tokens that have a full partition after their own.
    pub fn scored(self, kv_len: usize) -> std::ops::Range<usize> {
        let partitions = kv_len.saturating_sub(self.sinks) / self.lag.max(1);
        let start = self.sinks.min(kv_len);
        start..start + partitions.saturating_sub(1) * self.lag
    }

    /// Saliency of every token, shape (kv_len): sums to 1 within a partition; infinite for protected tokens. Claim C31.
    pub fn saliency(self, group: &KvGroup) -> Array1<f64> {
        self.by_partition(group, |saliency| saliency)
    }

    /// The same as ranks within the partition over its length, from 0 to 1 - 1/lag: each partition keeps as many tokens.
    pub fn ranks(self, group: &KvGroup) -> Array1<f64> {
        self.by_partition(group, |saliency| {
            let mut order: Vec<usize> = (0..saliency.len()).collect();
            order.sort_by(|&a, &b| saliency[a].total_cmp(&saliency[b]));
            let mut ranks = Array1::zeros(saliency.len());
            for (rank, &token) in order.iter().enumerate() {
                ranks[token] = rank as f64 / self.lag as f64;
            }
            ranks
        })
    }

    fn by_partition(self, group: &KvGroup, finish: impl Fn(Array1<f64>) -> Array1<f64>) -> Array1<f64> {
        let mut saliency = Array1::from_elem(group.kv_len(), f64::INFINITY);
        for start in self.scored(group.kv_len()).step_by(self.lag.max(1)) {
            let part = |rows: ArrayView2<f64>| {
                let own = rows.slice(s![start..start + self.lag, ..]);
                let next = rows.slice(s![start + self.lag..start + 2 * self.lag, ..]);
                softmax(deviations(own, next))
            };
            let mean = (part(group.key().view()) + part(group.value().view())) / 2.0;
            saliency.slice_mut(s![start..start + self.lag]).assign(&finish(mean));
        }
        saliency
    }
}

/// Standard deviation (unbiased) over the channels of each row of `own`, every channel on the scale of `next`.
fn deviations(own: ArrayView2<f64>, next: ArrayView2<f64>) -> Array1<f64> {
    let scales: Vec<(usize, f64, f64)> = next
        .axis_iter(Axis(1))
        .enumerate()
        .map(|(channel, column)| {
            let least = column.fold(f64::INFINITY, |least, &x| least.min(x));
            let most = column.fold(f64::NEG_INFINITY, |most, &x| most.max(x));
            (channel, least, most - least)
        })
        .filter(|(.., range)| *range > 0.0)
        .collect();
    own.map_axis(Axis(1), |row| {
        let scaled: Array1<f64> = scales
            .iter()
            .map(|&(c, least, range)| (row[c] - least) / range)
            .collect();
        if scaled.len() < 2 { 0.0 } else { scaled.std(1.0) }
    })
}

/// Softmax of a vector.
pub(super) fn softmax(inputs: Array1<f64>) -> Array1<f64> {
    let largest = inputs.fold(f64::NEG_INFINITY, |largest, &x| largest.max(x));
    let exponentials = inputs.mapv(|x| (x - largest).exp());
    let sum = exponentials.sum();
    exponentials / sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::trace;
    use approx::assert_relative_eq;
    use ndarray::{Array2, array};
    use obd_core::Head;

    const TWO: LagKv = LagKv { sinks: 1, lag: 2 };

    /// One sink, two partitions of two, one token more.
    fn group() -> KvGroup {
        let key = array![[9.0, 9.0], [0.0, 2.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0], [5.0, 5.0]];
        let head = Head::new(array![[0.0, 0.0]], key, Array2::ones((6, 2))).unwrap();
        let trace = trace(&head);
        KvGroup::new(vec![(head, trace)]).unwrap()
    }

    #[test]
    fn by_hand() {
        // The next partition spans 0 to 1 in both channels: (0, 2) has deviation √2, (1, 1) none. Values are constant: even.
        let share = 2f64.sqrt().exp() / (2f64.sqrt().exp() + 1.0);
        let saliency = TWO.saliency(&group());
        assert_relative_eq!(saliency[1], (share + 0.5) / 2.0, max_relative = 1e-15);
        assert_relative_eq!(saliency[2], (1.0 - share + 0.5) / 2.0, max_relative = 1e-14);
        for protected in [0, 3, 4, 5] {
            assert_eq!(saliency[protected], f64::INFINITY);
        }
        assert_eq!(TWO.ranks(&group()).slice(s![1..3]), array![0.5, 0.0]);
    }

    #[test]
    fn only_tokens_with_a_full_partition_after_theirs_are_scored() {
        assert_eq!(TWO.scored(6), 1..3);
        assert_eq!(TWO.scored(7), 1..5);
        assert_eq!((TWO.scored(4), TWO.scored(0)), (1..1, 0..0));
        assert_eq!(LagKv { sinks: 9, lag: 2 }.scored(4), 4..4);
        assert_eq!(LagKv { sinks: 0, lag: 0 }.scored(4), 0..0);
    }

    #[test]
    fn channels_are_measured_on_the_scale_of_the_next_partition() {
        // It spans 1 to 3 and 1 to 5, so that (3, 1) becomes (1, 0): deviation 1/√2.
        let (own, next) = (array![[3.0, 1.0]], array![[1.0, 1.0], [3.0, 5.0]]);
        assert_relative_eq!(
            deviations(own.view(), next.view())[0],
            0.5f64.sqrt(),
            max_relative = 1e-15
        );
    }

    #[test]
    fn a_softmax_of_large_numbers_does_not_overflow() {
        let shares = softmax(array![1000.0, 1000.0 + 3f64.ln()]);
        assert_relative_eq!(shares, array![0.25, 0.75], max_relative = 1e-12);
    }
}
