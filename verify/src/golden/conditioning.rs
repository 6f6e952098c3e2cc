//! The magnitudes that the tolerances of a case depend on, in 64-bit floats.

use golden::AttentionProblem;
use golden::manifest::ConditioningEntry;
use obd_core::{Head, ProblemError};
use reference_attention::attend;

use super::definition::HeadDefinition;

/// The magnitudes of a problem over all heads and visible pairs.
///
/// # Errors
/// [`ProblemError`] where it is no attention problem.
pub(super) fn conditioning(problem: &AttentionProblem) -> Result<ConditioningEntry, ProblemError> {
    let mut largest = ConditioningEntry {
        largest_logit: 0.0,
        largest_logit_terms: 0.0,
        largest_value: problem.value.iter().fold(0.0, |largest, v| v.abs().max(largest)),
        smallest_rest: 1.0,
    };
    for head in &problem.heads()? {
        let trace = attend(head);
        for ((i, j), logit) in trace.logits.indexed_iter() {
            if head.visibility().visible(i, j) {
                largest.largest_logit = largest.largest_logit.max(logit.abs());
                largest.largest_logit_terms = largest.largest_logit_terms.max(logit_terms(head, i, j));
            }
        }
        for rest in (HeadDefinition { head, trace }).rests() {
            largest.smallest_rest = largest.smallest_rest.min(rest);
        }
    }
    Ok(largest)
}

fn logit_terms(head: &Head, i: usize, j: usize) -> f64 {
    let mut sum = 0.0;
    for (q, k) in head.query().row(i).iter().zip(head.key().row(j)) {
        sum += (q * k).abs();
    }
    head.scale() * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::Mask;
    use ndarray::array;

    #[test]
    fn by_hand() {
        // Logits 2·1 - 1·1 and 0: terms 3. The others of the first token weigh 1 / (1 + e).
        let problem = AttentionProblem {
            query: array![[[2.0, 1.0]]],
            key: array![[[1.0, -1.0], [0.0, 0.0]]],
            value: array![[[-5.0], [4.0]]],
            scale: 1.0,
            mask: Mask::causal(),
            softcap: None,
            sinks: None,
        };
        let found = conditioning(&problem).unwrap();
        assert_eq!(
            (found.largest_logit, found.largest_logit_terms, found.largest_value),
            (1.0, 3.0, 5.0)
        );
        assert!((found.smallest_rest - 1.0 / (1.0 + std::f64::consts::E)).abs() < 1e-15);
    }
}
