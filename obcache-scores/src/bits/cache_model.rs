//! Bits for the cache of one KV head: each token's value, each key channel, and which tokens are evicted.
//!
//! ```text
//! predicted = sum_evicted e_j + sum_kept [ N_j / (2^b_j - 1)² + sum_c M_jc / (2^b_c - 1)² ]
//! spent     = sum_kept [ cost(b_j) + sum_c cost(b_c) ]
//! ```
//! e_j is the exact error of evicting token j alone (claim C12), N_j and M_jc are the noise of its value and of its keys at one
//! bit (claim C22), summed over the query heads that read the KV head. A sum over tokens is a *model*: the error of an
//! evicted set is not the sum of its tokens' (claim C13).

use ndarray::{Array1, Array2, Axis};
use obd_core::{AttentionTrace, Head, Perturbation, QueryWindow};

use super::allocation::{BitChoice, allocate_bits};
use super::quantiser::{GROUP_BITS, Quantiser, WHOLE, noise};
use super::storage::Storage;
use super::weights;
use crate::{accumulate, exact};

/// Bits that a number of a kept token may have.
pub const LEVELS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, WHOLE];

/// Rounds of choosing tokens and channels in turn; each lowers the distortion or is the last.
const ROUNDS: usize = 20;

/// What every choice costs and does, for one KV head.
#[derive(Debug, Clone)]
pub struct CacheModel {
    quantiser: Quantiser,
    value_dim: usize,
    /// e, shape (kv_len).
    eviction: Array1<f64>,
    /// N, shape (kv_len).
    value_noise: Array1<f64>,
    /// M, shape (kv_len, head_dim).
    key_noise: Array2<f64>,
}

impl CacheModel {
    /// From the query heads that read one KV head, each with its trace, summed over the queries of `window`.
    ///
    /// Groups of keys are taken over all tokens; where tokens are evicted the groups of what is left differ a little.
    /// `None` for no head.
    ///
    /// # Panics
    /// Where the shapes of a trace are not those of its head, or two heads do not share keys and values in shape.
    pub fn new(group: &[(Head, AttentionTrace)], window: QueryWindow, quantiser: Quantiser) -> Option<Self> {
        let (first, _) = group.first()?;
        let mut model = Self {
            quantiser,
            value_dim: first.value_dim(),
            eviction: Array1::zeros(first.kv_len()),
            value_noise: Array1::zeros(first.kv_len()),
            key_noise: Array2::zeros(first.key().dim()),
        };
        for (head, trace) in group {
            model.eviction += &accumulate(&exact::contributions(Perturbation::Removal, head, trace), window);
            model.value_noise += &weights::value(trace, window);
            model.key_noise += &weights::key(head, trace, window);
        }
        model.value_noise *= &quantiser.value_ranges(first.value()).sum_axis(Axis(1));
        model.key_noise *= &quantiser.key_ranges(first.key());
        Some(model)
    }

    /// Numbers that the whole cache holds.
    pub fn numbers(&self) -> usize {
        self.eviction.len() * (self.value_dim + self.key_noise.ncols())
    }

    /// Expected error of the output under the model.
    pub fn predicted(&self, storage: &Storage) -> f64 {
        let tokens = storage.value_bits.iter().enumerate();
        tokens.map(|(j, &bits)| self.token(j, bits, &storage.key_bits)).sum()
    }

    /// Bits spent, least numbers and steps of groups included; a key channel's group is charged to its tokens in equal shares.
    pub fn spent(&self, storage: &Storage) -> f64 {
        let keys = self.key_cost(&storage.key_bits);
        let kept = storage.value_bits.iter().filter(|&&bits| bits > 0);
        kept.map(|&bits| self.value_cost(bits) + keys).sum()
    }

    /// Bits and evictions together within `budget` bits: tokens get the best allocation for the key channels as they are,
    /// channels the best at the price that the tokens pay, in turn, from every even start. The best of these, of eviction alone
    /// and of the even storages within the budget is returned.
    ///
    /// The tokens' choices are optimal for the channels' (claim C21); that no other pair of both is better is not
    /// claimed. `None` where `budget` is NaN or below 0.
    pub fn joint(&self, budget: f64) -> Option<Storage> {
        let even = |bits: u8| Storage {
            value_bits: vec![bits; self.eviction.len()],
            key_bits: vec![bits; self.key_noise.ncols()],
        };
        let affordable = LEVELS
            .into_iter()
            .map(even)
            .filter(|storage| self.spent(storage) <= budget);
        let descended = LEVELS
            .into_iter()
            .filter_map(|bits| self.descend(even(bits).key_bits, budget));
        let found = descended.chain(affordable).chain(self.eviction_only(budget));
        found.min_by(|a, b| self.predicted(a).total_cmp(&self.predicted(b)))
    }

    /// Eviction alone within `budget` bits: what is kept is stored whole.
    pub fn eviction_only(&self, budget: f64) -> Option<Storage> {
        let key_bits = vec![WHOLE; self.key_noise.ncols()];
        let (value_bits, _) = self.tokens(&key_bits, &[WHOLE], budget)?;
        Some(Storage { value_bits, key_bits })
    }

    fn descend(&self, mut key_bits: Vec<u8>, budget: f64) -> Option<Storage> {
        let mut best: Option<Storage> = None;
        for _ in 0..ROUNDS {
            let (value_bits, price) = self.tokens(&key_bits, &LEVELS, budget)?;
            let storage = Storage { value_bits, key_bits };
            if best
                .as_ref()
                .is_some_and(|best| self.predicted(&storage) >= self.predicted(best))
            {
                break;
            }
            key_bits = self.channels(&storage.value_bits, price);
            best = Some(storage);
        }
        best
    }

    /// Bits of the tokens, and the price they pay.
    fn tokens(&self, key_bits: &[u8], levels: &[u8], budget: f64) -> Option<(Vec<u8>, f64)> {
        let keys = self.key_cost(key_bits);
        let choices = |j: usize| {
            let evicted = BitChoice {
                cost: 0.0,
                distortion: self.eviction[j],
            };
            let kept = levels.iter().map(|&bits| BitChoice {
                cost: self.value_cost(bits) + keys,
                distortion: self.token(j, bits, key_bits),
            });
            [evicted].into_iter().chain(kept).collect()
        };
        let items: Vec<Vec<BitChoice>> = (0..self.eviction.len()).map(choices).collect();
        let allocation = allocate_bits(&items, budget)?;
        let bits = |&place: &usize| if place == 0 { 0 } else { levels[place - 1] };
        Some((allocation.chosen.iter().map(bits).collect(), allocation.price))
    }

    /// Bits of the key channels at a price, the tokens being as they are; of equals the fewest.
    fn channels(&self, value_bits: &[u8], price: f64) -> Vec<u8> {
        let kept: Vec<usize> = (0..value_bits.len()).filter(|&j| value_bits[j] > 0).collect();
        let tokens = kept.len() as f64;
        let best = |channel: ndarray::ArrayView1<f64>| {
            let unit: f64 = kept.iter().map(|&j| channel[j]).sum();
            let lagrangian = |bits: u8| unit * noise(bits) + price * tokens * self.channel_cost(bits);
            let cheaper = |a: &u8, b: &u8| lagrangian(*a).total_cmp(&lagrangian(*b));
            LEVELS.into_iter().min_by(cheaper).expect("there are levels")
        };
        self.key_noise.columns().into_iter().map(best).collect()
    }

    /// Distortion of one token.
    fn token(&self, j: usize, bits: u8, key_bits: &[u8]) -> f64 {
        if bits == 0 {
            return self.eviction[j];
        }
        let keys = self.key_noise.row(j);
        let keys: f64 = keys.iter().zip(key_bits).map(|(unit, &bits)| unit * noise(bits)).sum();
        self.value_noise[j] * noise(bits) + keys
    }

    /// Bits of one value.
    fn value_cost(&self, bits: u8) -> f64 {
        let groups = self.value_dim.div_ceil(self.quantiser.group_size.get()) as f64;
        let headers = if bits < WHOLE { GROUP_BITS * groups } else { 0.0 };
        headers + f64::from(bits) * self.value_dim as f64
    }

    /// Bits of one key.
    fn key_cost(&self, key_bits: &[u8]) -> f64 {
        key_bits.iter().map(|&bits| self.channel_cost(bits)).sum()
    }

    /// Bits of one number of a key.
    fn channel_cost(&self, bits: u8) -> f64 {
        let share = GROUP_BITS / self.quantiser.group_size.get() as f64;
        f64::from(bits) + if bits < WHOLE { share } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::{array, s};
    use std::num::NonZero;

    fn groups_of(size: usize) -> Quantiser {
        Quantiser {
            group_size: NonZero::new(size).unwrap(),
        }
    }

    fn model(head: &Head) -> CacheModel {
        let seen = trace(head);
        CacheModel::new(&[(head.clone(), seen)], QueryWindow::All, groups_of(4)).unwrap()
    }

    /// Six tokens of two channels, one query.
    fn six() -> Head {
        let wave = |rows: usize, columns: usize, phase: f64| {
            Array2::from_shape_fn((rows, columns), |(i, c)| {
                (phase * (1.0 + i as f64) + 2.3 * c as f64).sin() * 2.0
            })
        };
        Head::new(wave(3, 3, 1.7), wave(6, 3, 0.9), wave(6, 5, 1.3)).unwrap()
    }

    #[test]
    fn costs_by_hand() {
        // Values of 5 channels in groups of 4: two headers. Keys of 3 channels: 32 / 4 bits a number.
        let model = model(&six());
        let storage = Storage {
            value_bits: vec![0, 2, 16, 0, 1, 0],
            key_bits: vec![1, 2, 16],
        };
        let keys = (1.0 + 8.0) + (2.0 + 8.0) + 16.0;
        assert_eq!(model.spent(&storage), (64.0 + 10.0) + 80.0 + (64.0 + 5.0) + 3.0 * keys);
        assert_eq!(model.numbers(), 48);
    }

    #[test]
    fn a_prediction_by_hand() {
        // Weights 1/8, 2/8, 5/8 on values 8, 4, 0 of one channel, which are groups of their own: no value noise.
        // Keys 0, ln 2, ln 5: the middle one alone is noisy, with weight 1/4 (values minus output: 2): (ln 5)²/12/4 over 9.
        let storage = Storage {
            value_bits: vec![0, 1, 3],
            key_bits: vec![2],
        };
        let removal = (1.0f64 / 7.0 * 6.0).powi(2);
        let expected = removal + 5f64.ln().powi(2) / 12.0 / 4.0 / 9.0;
        assert_relative_eq!(model(&logs()).predicted(&storage), expected, max_relative = 1e-13);
    }

    #[test]
    fn query_heads_add_up() {
        let head = two_queries();
        let one = (head.clone(), trace(&head));
        let twice = CacheModel::new(&[one.clone(), one], QueryWindow::All, groups_of(2)).unwrap();
        let once = CacheModel::new(&[(head.clone(), trace(&head))], QueryWindow::All, groups_of(2)).unwrap();
        for bits in [1, 5] {
            let mut storage = Storage::uniform(&head, bits);
            storage.value_bits[0] = 0;
            assert_relative_eq!(
                twice.predicted(&storage),
                2.0 * once.predicted(&storage),
                max_relative = 1e-14
            );
        }
        assert!(CacheModel::new(&[], QueryWindow::All, groups_of(2)).is_none());
    }

    #[test]
    fn budgets_are_kept_and_neither_eviction_nor_even_bits_do_better() {
        let model = model(&six());
        let all = model.spent(&Storage::uniform(&six(), WHOLE));
        for step in 0..=20 {
            let budget = all * f64::from(step) / 20.0;
            let joint = model.joint(budget).unwrap();
            assert!(model.spent(&joint) <= budget);
            let even = LEVELS.map(|bits| Storage::uniform(&six(), bits));
            let others = even.into_iter().filter(|even| model.spent(even) <= budget);
            for other in others.chain(model.eviction_only(budget)) {
                assert!(model.predicted(&joint) <= model.predicted(&other));
            }
        }
        assert_eq!(model.predicted(&model.joint(all).unwrap()), 0.0);
        assert_eq!((model.joint(-1.0), model.joint(f64::NAN)), (None, None));
        assert_eq!(model.joint(0.0).unwrap().value_bits, [0; 6]);
    }

    #[test]
    fn eviction_alone_keeps_whole_what_costs_most_to_lose() {
        // Errors of single removals (6/7)², (2/3)², (10/3)²; a kept token costs 16 bits and 16 for its key.
        let bits = |budget| model(&logs()).eviction_only(budget).map(|storage| storage.value_bits);
        assert_eq!(bits(31.0), Some(vec![0, 0, 0]));
        assert_eq!(bits(32.0), Some(vec![0, 0, WHOLE]));
        assert_eq!(bits(95.0), Some(vec![WHOLE, 0, WHOLE]));
        assert_eq!((bits(96.0), bits(-1.0)), (Some(vec![WHOLE; 3]), None));
        let one = Storage {
            value_bits: vec![0, 0, WHOLE],
            key_bits: vec![WHOLE],
        };
        assert_eq!(model(&logs()).eviction_only(32.0), Some(one));
    }

    #[test]
    fn bits_that_the_channels_save_pay_for_more_tokens() {
        // Nothing is noisy. At 16 + 16 bits one token fits; its key needs no more than 1 + 8 bits, with which both fit.
        let quiet = CacheModel {
            quantiser: groups_of(4),
            value_dim: 1,
            eviction: array![10.0, 10.0],
            value_noise: Array1::zeros(2),
            key_noise: Array2::zeros((2, 1)),
        };
        let both = Storage {
            value_bits: vec![WHOLE; 2],
            key_bits: vec![1],
        };
        assert_eq!(quiet.descend(vec![WHOLE], 50.0), Some(both));
    }

    #[test]
    fn a_channel_pays_for_what_it_saves() {
        // Two kept tokens, whatever the noise of the others; a channel of noise 2 · 36 in all saves 64 from bit 1 to 2
        // and 6.5 to 3, for 2 bits each.
        let mut model = model(&six());
        model.key_noise.fill(1e9);
        model.key_noise.slice_mut(s![1..3, ..]).fill(36.0);
        let bits = |price| model.channels(&[0, 1, 8, 0, 0, 0], price);
        assert_eq!(bits(33.0), [1; 3]);
        assert_eq!(bits(31.0), [2; 3]);
        assert_eq!(bits(3.0), [3; 3]);
        assert_eq!(bits(0.0), [WHOLE; 3]);
    }
}
