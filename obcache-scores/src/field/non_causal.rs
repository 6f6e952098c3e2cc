//! Non-causal attention lets every token of a chunk vote on every other, its past and its future.
//!
//! ```text
//! sum over the queries i of the chunk of softmax_j(z_ij), mean over the group, times ‖v_j‖, pooled over 3
//! ```
//! Compactor, 2507.08143. [`non_causal_attention`] is this formula. kvpress departs from it in two ways, and
//! [`non_causal_attention_of_kvpress`] follows it for those who rely on its numbers:
//!
//! - it leaves out the scale of the logits;
//! - it fills up the last chunk with zero keys and queries and masks them with -1e-9 where a large negative number was meant.
//!   A zero key so joins every softmax of the last chunk with exp(0), and each zero query votes 1/chunk for every token.

use ndarray::{Array1, Axis, s};
use obd_core::{Head, Pooling};

use super::kv_group::norms;
use super::{KvGroup, Missing};

/// Saliency of every token, shape (kv_len); the last chunk may be shorter than `chunk`. Claim C32.
///
/// # Errors
/// [`Missing::OneQueryPerToken`] unless there is one.
pub fn non_causal_attention(group: &KvGroup, chunk: usize) -> Result<Array1<f64>, Missing> {
    saliency(group, chunk, |head| head.scale(), 0.0)
}

/// The same with kvpress's padding leak and without scale, before its z-normalisation. Claim C32.
///
/// # Errors
/// [`Missing::OneQueryPerToken`] unless there is one.
pub fn non_causal_attention_of_kvpress(group: &KvGroup, chunk: usize) -> Result<Array1<f64>, Missing> {
    saliency(group, chunk, |_| 1.0, 1.0)
}

/// `leak` is how much of each padded key and query is felt: 0 or 1.
fn saliency(group: &KvGroup, chunk: usize, scale: impl Fn(&Head) -> f64, leak: f64) -> Result<Array1<f64>, Missing> {
    if group.query_len() != group.kv_len() {
        return Err(Missing::OneQueryPerToken);
    }
    let votes = group.mean(|head, _| votes(head, chunk.max(1), scale(head), leak));
    Ok(Pooling::Average { radius: 1 }.apply(&(votes * norms(group.value().view()))))
}

fn votes(head: &Head, chunk: usize, scale: f64, leak: f64) -> Array1<f64> {
    let mut votes = Array1::zeros(head.kv_len());
    for start in (0..head.kv_len()).step_by(chunk) {
        let end = start.saturating_add(chunk).min(head.kv_len());
        let padding = leak * (chunk - (end - start)) as f64;
        let padded = padding > 0.0;
        let rows = s![start..end, ..];
        let logits = head.query().slice(rows).dot(&head.key().slice(rows).t()) * scale;
        let mut sums = votes.slice_mut(s![start..end]);
        for row in logits.axis_iter(Axis(0)) {
            let least = if padded { 0.0 } else { f64::NEG_INFINITY };
            let largest = row.fold(least, |largest: f64, &z| largest.max(z));
            let exponentials = row.mapv(|z| (z - largest).exp());
            let zero_keys = if padded { padding * (-largest).exp() } else { 0.0 };
            let sum = exponentials.sum() + zero_keys;
            sums += &(exponentials / sum);
        }
        sums += padding / chunk as f64;
    }
    votes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::trace;
    use approx::assert_relative_eq;
    use ndarray::array;

    /// Three tokens, logits 2 ln 2 between equal ones of the first two, 0 elsewhere; scale 1/2.
    fn group() -> KvGroup {
        let root = (2.0 * 2f64.ln()).sqrt();
        let rows = array![[root, 0.0], [0.0, root], [0.0, 0.0]];
        let head = Head::new(rows.clone(), rows, array![[3.0], [3.0], [3.0]]).unwrap();
        let head = head.with_scale(0.5).unwrap();
        let trace = trace(&head);
        KvGroup::new(vec![(head, trace)]).unwrap()
    }

    #[test]
    fn chunks_of_two() {
        // Scaled logits ln 2 and 0: weights 2/3, 1/3 and 1/3, 2/3, so 1 for each; alone, the third has 1. Times 3, pooled.
        let saliency = non_causal_attention(&group(), 2).unwrap();
        assert_relative_eq!(saliency, array![2.0, 3.0, 2.0], max_relative = 1e-14);
    }

    #[test]
    fn the_padding_leaks_in_kvpress() {
        // Unscaled: weights 4/5, 1/5, again 1 for each of the first two. The third shares with one zero key, 1/2, and gets 1/2
        // from one zero query: 1 as well, by chance of a zero logit.
        let saliency = non_causal_attention_of_kvpress(&group(), 2).unwrap();
        assert_relative_eq!(saliency, array![2.0, 3.0, 2.0], max_relative = 1e-14);
        // In chunks of four: rows (4, 1, 1 | 1)/7, (1, 4, 1 | 1)/7, (1, 1, 1 | 1)/4 and 1/4 from the zero query.
        let votes = [5.0 / 7.0 + 0.5, 5.0 / 7.0 + 0.5, 2.0 / 7.0 + 0.5];
        let saliency = non_causal_attention_of_kvpress(&group(), 4).unwrap();
        assert_relative_eq!(saliency[0], votes[0] + votes[1], max_relative = 1e-14);
        assert_relative_eq!(saliency[2], votes[1] + votes[2], max_relative = 1e-14);
        // Without the leak: (2, 1, 1)/4, (1, 2, 1)/4, (1, 1, 1)/3.
        let votes = [3.0 / 4.0 + 1.0 / 3.0, 2.0 / 4.0 + 1.0 / 3.0];
        let saliency = non_causal_attention(&group(), 4).unwrap();
        assert_relative_eq!(saliency[2], votes[0] + votes[1], max_relative = 1e-14);
    }

    #[test]
    fn a_negative_logit_beside_padding() {
        // Logit -800 against a zero key: the weight underflows, nothing overflows; the zero query gives half a vote.
        let head = Head::new(array![[-800.0]], array![[1.0]], array![[3.0]]).unwrap();
        let trace = trace(&head);
        let group = KvGroup::new(vec![(head, trace)]).unwrap();
        assert_eq!(non_causal_attention_of_kvpress(&group, 2).unwrap(), array![0.5]);
    }

    #[test]
    fn one_query_per_token_is_needed() {
        let head = Head::new(array![[1.0]], array![[1.0], [1.0]], array![[3.0], [1.0]]).unwrap();
        let trace = trace(&head);
        let group = KvGroup::new(vec![(head, trace)]).unwrap();
        assert_eq!(non_causal_attention(&group, 2), Err(Missing::OneQueryPerToken));
    }

    #[test]
    fn negative_logits_without_padding_share_a_vote() {
        // Logits -800 alike: none is as large as that of a zero key, which is not there.
        let (rows, values) = (array![[1.0], [1.0]], array![[3.0], [3.0]]);
        let head = Head::new(-800.0 * &rows, rows, values).unwrap();
        let trace = trace(&head);
        let group = KvGroup::new(vec![(head, trace)]).unwrap();
        // One vote each, times 3, over the third of the pooling that lies within.
        let expected = array![2.0, 2.0];
        assert_relative_eq!(non_causal_attention(&group, 2).unwrap(), expected, max_relative = 1e-15);
        assert_relative_eq!(
            non_causal_attention_of_kvpress(&group, 2).unwrap(),
            expected,
            max_relative = 1e-15
        );
    }
}
