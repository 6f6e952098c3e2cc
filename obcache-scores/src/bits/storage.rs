//! How the cache of one KV head is stored: the bits of each token's value and of each key channel.

use ndarray::Axis;
use obd_core::{Head, ProblemError};

use super::quantiser::Quantiser;

/// How one KV head's cache is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Bits of every token's value, shape (kv_len); 0 where the token is evicted.
    pub value_bits: Vec<u8>,
    /// Bits of every key channel, shape (head_dim).
    pub key_bits: Vec<u8>,
}

impl Storage {
    /// All tokens kept and all numbers alike.
    pub fn uniform(head: &Head, bits: u8) -> Self {
        Self {
            value_bits: vec![bits; head.kv_len()],
            key_bits: vec![bits; head.head_dim()],
        }
    }

    /// The tokens of 0 bits, ascending.
    pub fn evicted(&self) -> Vec<usize> {
        (0..self.value_bits.len())
            .filter(|&j| self.value_bits[j] == 0)
            .collect()
    }

    /// The head as its queries find it: evicted tokens hidden, values and the keys that are left rounded. The keys of kept
    /// tokens lie side by side, so a group is `group_size` of them.
    ///
    /// # Errors
    /// [`ProblemError`] never but where the shapes are not those of `head`: rounding stays between
    /// the least and the greatest number.
    pub fn apply(&self, head: &Head, quantiser: Quantiser) -> Result<Head, ProblemError> {
        let kept: Vec<usize> = (0..head.kv_len()).filter(|&j| self.value_bits[j] > 0).collect();
        let values = quantiser.values(head.value(), &self.value_bits);
        let keys = quantiser.keys(&head.key().select(Axis(0), &kept), &self.key_bits);
        let (mut key, mut value) = (head.key().clone(), head.value().clone());
        for (&j, rounded) in kept.iter().zip(keys.rows()) {
            key.row_mut(j).assign(&rounded);
            value.row_mut(j).assign(&values.row(j));
        }
        Ok(head.with_cache(key, value)?.without(&self.evicted()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::quantiser::WHOLE;
    use crate::test_heads::logs;
    use ndarray::array;
    use std::num::NonZero;

    fn groups_of(size: usize) -> Quantiser {
        Quantiser {
            group_size: NonZero::new(size).unwrap(),
        }
    }

    #[test]
    fn evicted_tokens_are_those_without_bits() {
        let storage = Storage {
            value_bits: vec![1, 0, WHOLE, 0],
            key_bits: vec![],
        };
        assert_eq!(storage.evicted(), [1, 3]);
    }

    #[test]
    fn what_is_stored_is_what_the_queries_find() {
        let head = logs();
        let storage = Storage {
            value_bits: vec![0, 1, 16],
            key_bits: vec![16],
        };
        let stored = storage.apply(&head, groups_of(4)).unwrap();
        assert!(!stored.visibility().visible(0, 0) && stored.visibility().visible(0, 1));
        assert_eq!((stored.key(), stored.value()), (head.key(), head.value()));
        // The keys of the kept tokens are a group of their own: 0 and ln 3 of (ln 2, 0, ln 3).
        let head = Head::new(
            array![[1.0]],
            array![[2f64.ln()], [0.0], [3f64.ln()]],
            array![[1.0], [2.0], [3.0]],
        )
        .unwrap();
        let one_bit = |value_bits: Vec<u8>| {
            let storage = Storage {
                value_bits,
                key_bits: vec![1],
            };
            storage.apply(&head, groups_of(4)).unwrap().key().clone()
        };
        assert_eq!(one_bit(vec![16, 16, 16]), array![[3f64.ln()], [0.0], [3f64.ln()]]);
        assert_eq!(one_bit(vec![16, 16, 0]), array![[2f64.ln()], [0.0], [3f64.ln()]]);
    }
}
