//! What enters the softmax, read back from a trace: the soft-capped logit plus the bias.

use obd_core::{AttentionTrace, Head};

/// The soft-capped logit of a pair: what key zeroing takes out of the softmax input.
pub(crate) fn capped_logit(head: &Head, trace: &AttentionTrace, i: usize, j: usize) -> f64 {
    let z = trace.logits[[i, j]];
    head.softcap().map_or(z, |softcap| softcap.value(z))
}

/// The first-order change of the softmax input for a unit change of the logit: 1 without soft-cap.
pub(crate) fn slope(head: &Head, trace: &AttentionTrace, i: usize, j: usize) -> f64 {
    head.softcap()
        .map_or(1.0, |softcap| softcap.slope(trace.logits[[i, j]]))
}

/// The softmax input `softcap(z) + bias` of a pair.
pub(crate) fn softmax_input(head: &Head, trace: &AttentionTrace, i: usize, j: usize) -> f64 {
    capped_logit(head, trace, i, j) + head.bias(i, j)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::{logs, trace};
    use approx::assert_relative_eq;
    use obd_core::Softcap;

    #[test]
    fn without_a_cap_the_logit_enters_as_it_is() {
        let head = logs().with_alibi(0.5).unwrap();
        let trace = trace(&head);
        assert_eq!(capped_logit(&head, &trace, 0, 2), 5f64.ln());
        assert_eq!(slope(&head, &trace, 0, 2), 1.0);
        assert_eq!(softmax_input(&head, &trace, 0, 0), -1.0);
    }

    #[test]
    fn with_a_cap_it_is_bent() {
        let head = logs().with_softcap(Softcap::new(1.0).unwrap());
        let trace = trace(&head);
        // tanh(ln 2) = (2 - 1/2) / (2 + 1/2) = 3/5, slope 1 - 9/25
        assert_relative_eq!(softmax_input(&head, &trace, 0, 1), 0.6, max_relative = 1e-15);
        assert_relative_eq!(slope(&head, &trace, 0, 1), 0.64, max_relative = 1e-15);
    }
}
