//! The bug behind each flag: what a kernel does wrong when a case with that flag fails and its plain neighbours pass.

/// Every flag with its bug.
pub(super) const FLAGS: [(&str, &str); 46] = [
    (
        "accumulate-precision",
        "Sums are accumulated in 16 bits, or drift over a long row.",
    ),
    (
        "accumulation",
        "Saliencies are overwritten instead of accumulated over steps, or not moved along with their tokens at an eviction.",
    ),
    ("always-causal", "The causal mask is applied where there is none."),
    (
        "bottom-right",
        "The causal mask or the window is aligned top-left: query i at position i instead of i + kv_len - query_len.",
    ),
    (
        "cancellation",
        "‖v - o‖² is expanded into ‖v‖² - 2 v·o + ‖o‖², which cancels where values share a common part.",
    ),
    (
        "cross-term",
        "The cross term of the joint score is dropped or has the wrong sign.",
    ),
    (
        "eviction-order",
        "The cache is cut before the step is scored, the protected tokens are wrong, or of the others the least salient are kept.",
    ),
    (
        "exp-overflow",
        "The maximum is not subtracted before the exponential, or one operand is not rescaled in the online softmax.",
    ),
    (
        "finite-mask",
        "Hidden logits get a finite constant (-1e-9, -1e4, -1e30) instead of minus infinity, so that they count.",
    ),
    (
        "fixed-scale",
        "The scale is fixed (1/8, 1/sqrt(128)) or recomputed from the padded head_dim instead of taken from the case.",
    ),
    (
        "fully-masked",
        "A query that sees nothing gives NaN or the mean of the values instead of 0.",
    ),
    (
        "gauge",
        "A shift of all keys or values moves what it must not, or leaves what it must move: the scores use other logits than the softmax.",
    ),
    (
        "group-mapping",
        "Query head h reads KV head h mod num_kv_heads instead of h / group_size.",
    ),
    (
        "group-reduction",
        "The heads of a group are summed where the mean is asked for, or the other way round, or reduced in the wrong order.",
    ),
    (
        "key-scaling",
        "The key score uses logits that are not scaled, scaled twice, or weights instead of logits.",
    ),
    ("log-base", "Log-sum-exp is given in base 2, or without the maximum."),
    (
        "logit-overflow",
        "Dot products are held in f16 before the scale and overflow at 65504.",
    ),
    (
        "masked-value",
        "A hidden token's value leaks into the output or a score.",
    ),
    (
        "maximum-from-zero",
        "The running maximum starts at 0 or at a small constant instead of minus infinity.",
    ),
    (
        "near-one",
        "1 - a is computed by subtraction and has no digits left, or is 0.",
    ),
    (
        "order-dependence",
        "The answer depends on the order of the tokens: atomics, a missed block, or a tail that is dropped.",
    ),
    (
        "padding-counted",
        "Padded keys of the last tile or of the batch take part with logit 0.",
    ),
    (
        "pooling-edge",
        "Pooling counts padding, shifts by one, or divides by the neighbours that exist.",
    ),
    ("pooling-order", "Pooling and the reduction over a group are exchanged."),
    (
        "query-tail",
        "Queries of the last tile are dropped or added twice to a saliency.",
    ),
    (
        "query-window",
        "The saliency sums over all queries, the first ones, or one too many or too few.",
    ),
    (
        "real-data",
        "Anything that only the statistics of a trained model bring out.",
    ),
    (
        "renormalisation",
        "The weights of the others are not renormalised after a removal.",
    ),
    (
        "rounded-weights",
        "Weights are rounded to 16 bits before they meet the values.",
    ),
    ("scale", "The scale is missing or applied twice."),
    ("segment-leak", "A sequence of a packed batch sees another one."),
    (
        "single-query",
        "A kernel for one query (split over the tokens) combines its parts wrongly.",
    ),
    ("sink-in-maximum", "The sink logit is left out of the maximum."),
    (
        "sink-in-sum",
        "The sink logit is left out of the denominator, or of the log-sum-exp.",
    ),
    (
        "sink-scaled",
        "The sink logit is multiplied by the scale, or one head's sink is used for all.",
    ),
    (
        "softcap-order",
        "The soft-cap is applied after the mask, before the scale, or not at all.",
    ),
    (
        "softcap-slope",
        "Key and joint scores use the capped logit, or the logit without the slope of the cap.",
    ),
    (
        "sole-token",
        "Removal of the only visible token gives 0/0 instead of taking the whole output.",
    ),
    ("subnormal", "Subnormal inputs are flushed to zero or trap."),
    (
        "tile-tail",
        "The last tile of tokens is dropped, read beyond its end, or counted as zeros.",
    ),
    (
        "ties",
        "Equal tokens get unequal saliencies, or differences of equal numbers are divided by.",
    ),
    ("value-dim", "The value is taken to have as many channels as the key."),
    (
        "vector-tail",
        "Channels beyond the last whole vector are dropped or read from the next row.",
    ),
    (
        "weight-power",
        "Weights are not squared, or are squared before or after a sum over heads or queries.",
    ),
    (
        "zero",
        "A zero key, value or query is taken for padding, or divided by.",
    ),
    ("window-edge", "The sliding window is one too wide or too narrow."),
];
