//! The bugs that kernels really have, each one place of the rendering done wrong.

use std::fmt;

use crate::Dtype;

macro_rules! deviations {
    ($($variant:ident, $name:literal, $sentence:literal;)*) => {
        /// One mistake. Its sentence is what a report says of results that match it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Deviation {
            $(#[doc = $sentence] $variant,)*
        }

        impl Deviation {
            /// All of them, in the order of a kernel: logits, mask, softmax, output, scores, reductions, decoding.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in tables and files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What went wrong, in words.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }
        }
    };
}

deviations! {
    ScaleMissing, "scale-missing", "scale 1/sqrt(d) missing";
    ScaleTwice, "scale-twice", "scale applied twice";
    ScalePadded, "scale-padded", "scale taken from head_dim padded to a power of two";
    HeadDimTailDropped, "head-dim-tail-dropped", "channels beyond the last full vector of 32 dropped";
    HeadDimReadBeyond, "head-dim-read-beyond", "channels read beyond the row to a full vector of 32";
    InputsTf32, "inputs-tf32", "queries and keys rounded to TF32";
    LogitsF16, "logits-f16", "logits held in f16 before the maximum is subtracted";
    LogitsBf16, "logits-bf16", "logits rounded to bf16";
    HeadsModulo, "heads-modulo", "query heads mapped h mod num_kv_heads";
    HeadsFirst, "heads-first", "all query heads read the first KV head";
    KeyValueMisaligned, "key-value-misaligned", "value of the token after the key's";
    SoftcapMissing, "softcap-missing", "soft-cap missing";
    SoftcapUndivided, "softcap-undivided", "soft-cap without the division, c tanh(z)";
    SoftcapBeforeScale, "softcap-before-scale", "soft-cap before the scale";
    SoftcapAfterMask, "softcap-after-mask", "soft-cap after the mask: masked tokens come back at -c";
    CausalMissing, "causal-missing", "causal mask missing";
    CausalTopLeft, "causal-top-left", "causal mask aligned top-left";
    CausalLate, "causal-late", "causal mask off by one: each query sees one later token";
    CausalStrict, "causal-strict", "causal mask off by one: no query sees its own token";
    WindowMissing, "window-missing", "sliding window missing";
    WindowWide, "window-wide", "window off by one: one token too many";
    WindowNarrow, "window-narrow", "window off by one: one token too few";
    MaskMissing, "mask-missing", "explicit mask ignored";
    SegmentsLeak, "segments-leak", "sequences of a packed batch see each other";
    MaskFinite, "mask-finite", "finite mask constant: a row that sees nothing becomes the mean of V";
    MaskNan, "mask-nan", "NaN where a row sees nothing";
    MaskReachable, "mask-reachable", "mask constant of -10, within reach of the logits";
    MaskedValueLeaks, "masked-value-leaks", "value of masked token leaks";
    PaddingCounted, "padding-counted", "padded keys counted (mask constant too small, such as -1e-9)";
    LastTileDropped, "last-tile-dropped", "tokens of the last, partial tile dropped";
    MaximumNotSubtracted, "maximum-not-subtracted", "maximum not subtracted: exp overflows";
    RescaleOutputForgotten, "rescale-output-forgotten", "online softmax: output not rescaled at a new maximum";
    RescaleSumForgotten, "rescale-sum-forgotten", "online softmax: denominator not rescaled at a new maximum";
    SinkMissing, "sink-missing", "sink logit left out of the sum";
    SinkNotInMaximum, "sink-not-in-maximum", "sink logit left out of the maximum";
    SinkGivenValue, "sink-given-value", "sink given the value of the first token";
    SinkScaled, "sink-scaled", "sink logit multiplied by the scale";
    SinkOfFirstHead, "sink-of-first-head", "one sink logit for all heads";
    ProbabilitiesF16, "probabilities-f16", "probabilities rounded to f16 before the product with V";
    ProbabilitiesBf16, "probabilities-bf16", "probabilities rounded to bf16 before the product with V";
    OutputNotNormalised, "output-not-normalised", "output not divided by the softmax denominator";
    AccumulatedF16, "accumulated-f16", "accumulated in f16";
    AccumulatedBf16, "accumulated-bf16", "accumulated in bf16";
    LogSumExpBase2, "log-sum-exp-base-2", "natural and base-2 log-sum-exp mixed";
    LogSumExpWithoutMaximum, "log-sum-exp-without-maximum", "log-sum-exp without the maximum";
    WeightNotSquared, "weight-not-squared", "square of the weight missing";
    NormNotSquared, "norm-not-squared", "square of the norm missing";
    OneNormForTwo, "one-norm-for-two", "1-norm of the value where the 2-norm is meant";
    TwoNormForOne, "two-norm-for-one", "2-norm of the value where the 1-norm is meant";
    CrossTermDropped, "cross-term-dropped", "cross term dropped";
    CrossTermSign, "cross-term-sign", "cross term of wrong sign";
    KeyLogitUnscaled, "key-logit-unscaled", "logits not scaled in the key term";
    KeySlopeMissing, "key-slope-missing", "soft-cap's slope missing in the key term";
    KeyLogitCapped, "key-logit-capped", "soft-capped logit times slope in the key term";
    GapNotSubtracted, "gap-not-subtracted", "output not subtracted from the value in the key term";
    GapExpanded, "gap-expanded", "||v-o||^2 expanded: cancels where values share an offset";
    RemovalNotRenormalised, "removal-not-renormalised", "softmax not renormalised after removal";
    RemovalFirstOrder, "removal-first-order", "1/(1-a) missing in the removal";
    RemovalByCancellation, "removal-by-cancellation", "1-a by subtraction: cancels where a nears 1";
    RemovalSoleToken, "removal-sole-token", "0/0 where the token is all that a query sees";
    KeyZeroingRemoves, "key-zeroing-removes", "key zeroing sets the logit to minus infinity, not to 0";
    ZeroingFirstOrder, "zeroing-first-order", "first-order change where the exact one is meant";
    MeanUnweighted, "mean-unweighted", "mean logit over the tokens without their weights";
    GaugeBase2, "gauge-base-2", "log weight in base 2";
    QueriesMaximum, "queries-maximum", "maximum over the queries instead of the sum";
    QueriesMean, "queries-mean", "mean over the queries instead of the sum";
    QueriesLastOnly, "queries-last-only", "only the last query counted";
    QueriesSquaredAfterSum, "queries-squared-after-sum", "weights squared after the sum over queries";
    WindowQueriesMore, "window-queries-more", "query window off by one: one query too many";
    WindowQueriesFewer, "window-queries-fewer", "query window off by one: one query too few";
    WindowQueriesFirst, "window-queries-first", "query window at the beginning instead of the end";
    TokensShifted, "tokens-shifted", "saliencies shifted by one token";
    PoolingExisting, "pooling-existing", "pooling counts padding: average divided by the neighbours that exist";
    PoolingOneSided, "pooling-one-sided", "pooling over the tokens before, not around";
    PoolingMissing, "pooling-missing", "pooling missing";
    PoolingAfterGroup, "pooling-after-group", "pooling after the group is reduced";
    GroupSum, "group-sum", "sum instead of mean over the group";
    GroupMean, "group-mean", "mean instead of sum over the group";
    GroupFirst, "group-first", "first head of the group instead of all";
    GroupSquaredAfter, "group-squared-after", "weights squared after the sum over heads";
    DecodeOverwritten, "decode-overwritten", "decoding: saliencies overwritten at every step instead of accumulated";
    DecodePrefillDropped, "decode-prefill-dropped", "decoding: saliencies of the prefill dropped after its cut";
    DecodePrefillOnly, "decode-prefill-only", "decoding: no step adds to the saliencies of the prefill";
    DecodeCutFirst, "decode-cut-first", "decoding: cache cut before the step is added to the saliencies";
    DecodeChoiceBehind, "decode-choice-behind", "decoding: tokens chosen by the saliencies of the step before";
    DecodeStale, "decode-stale", "decoding: saliencies not moved along with their tokens at a cut";
    DecodeRecentMore, "decode-recent-more", "decoding: recent window off by one: one token too many protected";
    DecodeRecentFewer, "decode-recent-fewer", "decoding: recent window off by one: one token too few protected";
    DecodeRecentUnprotected, "decode-recent-unprotected", "decoding: recent tokens not protected";
    DecodeOldestProtected, "decode-oldest-protected", "decoding: first tokens protected instead of the recent ones";
    DecodeLeastSalient, "decode-least-salient", "decoding: least salient tokens kept";
    DecodeNewestKept, "decode-newest-kept", "decoding: newest tokens kept whatever their saliency";
    DecodeUncompacted, "decode-uncompacted", "decoding: evicted tokens still attended to";
    DecodeSelfUnseen, "decode-self-unseen", "decoding: query does not see its own token";
    DecodeQueryBehind, "decode-query-behind", "decoding: query of the position before";
    DecodeGroupShared, "decode-group-shared", "decoding: all heads of a group keep the tokens of the first";
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl Deviation {
    /// Whether it is a matter of digits: another kernel with the same bug errs alike in size, not number by number.
    pub fn is_of_precision(self) -> bool {
        matches!(
            self,
            Self::InputsTf32
                | Self::LogitsF16
                | Self::LogitsBf16
                | Self::ProbabilitiesF16
                | Self::ProbabilitiesBf16
                | Self::AccumulatedF16
                | Self::AccumulatedBf16
                | Self::GapExpanded
                | Self::RemovalByCancellation
        )
    }

    /// Whether it is a mistake for inputs of this format: TF32 keeps every digit of 16-bit inputs.
    pub fn exists_in(self, dtype: Dtype) -> bool {
        self != Self::InputsTf32 || dtype == Dtype::F32
    }
}
