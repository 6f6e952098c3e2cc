//! Cases that the values make hard: common parts, ties, zeros, subnormals.

use golden::{Dtype, Mask};
use ndarray::s;

use crate::golden::draft::{Draft, Size};
use crate::golden::numbers::Numbers;

/// Values, or keys, that share a large common part.
pub(super) fn offset(dtype: Dtype) -> Vec<Draft> {
    let (far, near) = match dtype {
        Dtype::F32 => (1000.0, 100.0),
        Dtype::F16 => (64.0, 8.0),
        Dtype::Bf16 => (16.0, 4.0),
    };
    let draft = |name: &str| Draft::new("offset", name, dtype, Size::square(20, 16).queries(5).heads(2, 1));
    vec![
        draft("values")
            .comment(format!(
                "All values share {far}: ‖v - o‖² expanded into three terms loses its digits."
            ))
            .flags(&["cancellation"])
            .change(|problem| problem.value.mapv_inplace(|v| v + far)),
        draft("values-near")
            .comment(format!("All values share {near}."))
            .flags(&["cancellation"])
            .change(|problem| problem.value.mapv_inplace(|v| v + near)),
        draft("keys")
            .comment("All keys share a part, so that the logits of a row do: the scores move, the weights do not.")
            .flags(&["key-scaling", "cross-term"])
            .change(|problem| problem.key.mapv_inplace(|k| k + near)),
    ]
}

/// Equal keys, equal tokens.
pub(super) fn ties(dtype: Dtype) -> Vec<Draft> {
    let draft = |name: &str| Draft::new("ties", name, dtype, Size::square(12, 16).queries(4));
    vec![
        draft("equal-keys")
            .comment("All keys are equal: every weight is one over the number of visible tokens.")
            .flags(&["ties"])
            .change(|problem| {
                let first = problem.key.slice(s![.., ..1, ..]).to_owned();
                problem.key.assign(&first);
            }),
        draft("twin-tokens")
            .comment("Tokens come in equal pairs, whose saliencies must be equal.")
            .flags(&["ties"])
            .mask(Mask::default())
            .change(|problem| {
                for token in (1..12).step_by(2) {
                    for tensor in [&mut problem.key, &mut problem.value] {
                        let twin = tensor.slice(s![.., token - 1, ..]).to_owned();
                        tensor.slice_mut(s![.., token, ..]).assign(&twin);
                    }
                }
            }),
    ]
}

/// Zero keys, values and queries.
pub(super) fn zeros(dtype: Dtype) -> Vec<Draft> {
    let draft = |name: &str| {
        Draft::new("zeros", name, dtype, Size::square(10, 16).queries(4)).flags(&["zero", "padding-counted"])
    };
    vec![
        draft("keys")
            .comment("Tokens 2, 5 and 9 have key 0: their logit is 0, and zeroing their key changes nothing.")
            .change(|problem| {
                for token in [2, 5, 9] {
                    problem.key.slice_mut(s![.., token, ..]).fill(0.0);
                }
            }),
        draft("values")
            .comment("Tokens 2, 5 and 9 have value 0, which is not the output.")
            .change(|problem| {
                for token in [2, 5, 9] {
                    problem.value.slice_mut(s![.., token, ..]).fill(0.0);
                }
            }),
        draft("all-values")
            .comment("All values are 0: every error is 0.")
            .change(|problem| problem.value.fill(0.0)),
        draft("all-queries")
            .comment("All queries are 0: every weight is one over the number of visible tokens, and no key matters.")
            .change(|problem| problem.query.fill(0.0)),
    ]
}

/// Numbers below the normal range of their dtype.
pub(super) fn subnormal(dtype: Dtype) -> Vec<Draft> {
    let tiny = match dtype {
        Dtype::F32 | Dtype::Bf16 => 2f64.powi(-133),
        Dtype::F16 => 2f64.powi(-18),
    };
    let draft = |name: &str| Draft::new("subnormal", name, dtype, Size::square(9, 16).queries(3)).flags(&["subnormal"]);
    vec![
        draft("values")
            .comment("Values below the normal range of their dtype.")
            .change(|problem| {
                // Few bits, so that sums of squares lie on no boundary between two floats.
                let mut numbers = Numbers::new("subnormal/values");
                problem.value.mapv_inplace(|_| tiny * (1.0 + numbers.below(8) as f64));
            }),
        draft("keys")
            .comment("Keys below the normal range of their dtype: all logits are next to 0.")
            .change(|problem| problem.key.mapv_inplace(|k| tiny * k)),
    ]
}
