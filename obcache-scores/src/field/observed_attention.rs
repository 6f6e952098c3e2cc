//! Observed attention: the weight a token receives, on average over the queries that could see it.
//!
//! ```text
//! sum_i a_ij / (queries that see j), mean over the group          H2O (2306.14048) without its bias towards old tokens
//! ```
//! As kvpress has it. Closest to value zeroing with all values of one length (C7).

use ndarray::{Array1, Axis};

use super::KvGroup;

/// Saliency of every token, shape (kv_len); 0 for a token that no query sees. Claim C26.
pub fn observed_attention(group: &KvGroup) -> Array1<f64> {
    group.mean(|head, trace| {
        let seen = |token| {
            (0..head.query_len())
                .filter(|&query| head.visibility().visible(query, token))
                .count()
        };
        let mut saliency = trace.weights.sum_axis(Axis(0));
        for (token, saliency) in saliency.iter_mut().enumerate() {
            *saliency /= seen(token).max(1) as f64;
        }
        saliency
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{trace, two_queries};
    use ndarray::array;

    #[test]
    fn the_newest_token_is_seen_once() {
        // Weights 1/2, 1/2, 0 and 1/4, 1/4, 1/2.
        let head = two_queries();
        let group = KvGroup::new(vec![(head.clone(), trace(&head))]).unwrap();
        assert_eq!(observed_attention(&group), array![0.375, 0.375, 0.5]);
    }

    #[test]
    fn a_token_that_nobody_sees_has_none() {
        let head = two_queries().without(&[0]);
        let group = KvGroup::new(vec![(head.clone(), trace(&head))]).unwrap();
        assert_eq!(observed_attention(&group)[0], 0.0);
    }
}
