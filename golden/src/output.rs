//! What a case asks for, by name, with the formula and the shape of each.

use std::fmt;
use std::str::FromStr;

use obd_core::{GroupReduction, Pooling, QueryWindow};
use thiserror::Error;

use crate::AttentionProblem;

/// A quantity that a kernel may compute.
///
/// The first two have one row per query; the others are saliencies: one number per head and token, a sum over the
/// queries i of the window that see the token j. In the formulas a is the weight, z the scaled logit before the
/// soft-cap, slope the derivative `1 - tanh²(z / c)` of the soft-cap (1 without), u the softmax input, v the value, o
/// the output of the query, lse its log-sum-exp, and ō the output of the query after the token was changed.
///
/// | name | formula | |
/// |---|---|---|
/// | `output` | `o_i = Σ_j a_ij v_j` | 0 for a query that sees nothing |
/// | `log-sum-exp` | `ln (Σ_j exp u_ij + exp sink)`, natural base | -∞ for a query that sees nothing and has no sink |
/// | `weight` | `Σ_i a` | H2O over all queries, SnapKV over the last ones, TOVA over the last one |
/// | `value` | `Σ_i a² ‖v‖²` | exact for zeroing the value |
/// | `value-p1` | `Σ_i a ‖v‖₁` | |
/// | `key` | `Σ_i a² (slope z)² ‖v - o‖²` | |
/// | `joint` | `Σ_i a² ‖v + slope z (v - o)‖²` | |
/// | `joint-no-cross` | `Σ_i a² ‖v‖² + a² (slope z)² ‖v - o‖²` | |
/// | `removal` | `Σ_i ‖ō - o‖²`, the token gone from the softmax | ō = 0 where the query sees nothing else and has no sink |
/// | `key-zeroing` | `Σ_i ‖ō - o‖²`, the key 0, so that its logit is 0 | |
/// | `joint-zeroing` | `Σ_i ‖ō - o‖²`, key and value 0 | |
/// | `key-lse`, `joint-lse` | as `key` and `joint` with `u - lse` in place of `slope z` | |
/// | `key-mean`, `joint-mean` | the same with `slope (z - Σ_l a_l z_l / Σ_l a_l)` | |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutputKind {
    /// Attention output.
    Output,
    /// Logarithm of the softmax denominator.
    LogSumExp,
    /// Column sum of the weights.
    Weight,
    /// Isolated value score.
    Value,
    /// Isolated value score in the 1-norm.
    ValueOneNorm,
    /// Isolated key score.
    Key,
    /// Joint score.
    Joint,
    /// Joint score without its cross term.
    JointNoCross,
    /// Exact error of removing the token.
    Removal,
    /// Exact error of zeroing its key.
    KeyZeroing,
    /// Exact error of zeroing key and value.
    JointZeroing,
    /// Key score with the log weight in place of the logit.
    KeyLse,
    /// Key score with the logit above its mean.
    KeyMean,
    /// Joint score with the log weight in place of the logit.
    JointLse,
    /// Joint score with the logit above its mean.
    JointMean,
}

impl OutputKind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::Output,
        Self::LogSumExp,
        Self::Weight,
        Self::Value,
        Self::ValueOneNorm,
        Self::Key,
        Self::Joint,
        Self::JointNoCross,
        Self::Removal,
        Self::KeyZeroing,
        Self::JointZeroing,
        Self::KeyLse,
        Self::KeyMean,
        Self::JointLse,
        Self::JointMean,
    ];

    /// The name in manifest and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::LogSumExp => "log-sum-exp",
            Self::Weight => "weight",
            Self::Value => "value",
            Self::ValueOneNorm => "value-p1",
            Self::Key => "key",
            Self::Joint => "joint",
            Self::JointNoCross => "joint-no-cross",
            Self::Removal => "removal",
            Self::KeyZeroing => "key-zeroing",
            Self::JointZeroing => "joint-zeroing",
            Self::KeyLse => "key-lse",
            Self::KeyMean => "key-mean",
            Self::JointLse => "joint-lse",
            Self::JointMean => "joint-mean",
        }
    }

    /// Whether it is one number per head and token, to which window, pooling and group reduction apply.
    pub fn is_saliency(self) -> bool {
        !matches!(self, Self::Output | Self::LogSumExp)
    }
}

/// One tensor of a case: a quantity, and for a saliency what is done to it, in the order window, pooling, group.
///
/// | quantity | shape |
/// |---|---|
/// | `output` | (num_query_heads, query_len, value_dim) |
/// | `log-sum-exp` | (num_query_heads, query_len) |
/// | saliency | (num_query_heads, kv_len) |
/// | saliency with a group reduction | (num_kv_heads, kv_len) |
///
/// ```
/// use golden::{GroupReduction, OutputKind, OutputSpec, Pooling};
///
/// let spec: OutputSpec = "weight.last-8.max-pool-7.group-mean".parse().unwrap();
/// assert_eq!((spec.kind, spec.pooling), (OutputKind::Weight, Some(Pooling::Max { radius: 3 })));
/// assert_eq!(spec.group_reduction, Some(GroupReduction::Mean));
/// assert_eq!(spec.to_string(), "weight.last-8.max-pool-7.group-mean");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputSpec {
    /// The quantity.
    pub kind: OutputKind,
    /// The queries that a saliency sums over.
    pub query_window: QueryWindow,
    /// What is done to each head's saliency after the sum.
    pub pooling: Option<Pooling>,
    /// What is done to the heads of a group after the pooling.
    pub group_reduction: Option<GroupReduction>,
}

impl From<OutputKind> for OutputSpec {
    /// The plain quantity: all queries, no pooling, no reduction.
    fn from(kind: OutputKind) -> Self {
        Self {
            kind,
            query_window: QueryWindow::All,
            pooling: None,
            group_reduction: None,
        }
    }
}

impl OutputSpec {
    /// The shape of this output of `problem`.
    pub fn shape(&self, problem: &AttentionProblem) -> Vec<usize> {
        match self.kind {
            OutputKind::Output => vec![problem.num_query_heads(), problem.query_len(), problem.value_dim()],
            OutputKind::LogSumExp => vec![problem.num_query_heads(), problem.query_len()],
            _ if self.group_reduction.is_some() => vec![problem.num_kv_heads(), problem.kv_len()],
            _ => vec![problem.num_query_heads(), problem.kv_len()],
        }
    }

    /// The names of the axes of [`OutputSpec::shape`].
    pub fn axes(&self) -> &'static [&'static str] {
        match self.kind {
            OutputKind::Output => &["query_head", "query", "channel"],
            OutputKind::LogSumExp => &["query_head", "query"],
            _ if self.group_reduction.is_some() => &["kv_head", "token"],
            _ => &["query_head", "token"],
        }
    }
}

impl fmt::Display for OutputSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        if self.query_window != QueryWindow::All {
            write!(f, ".{}", self.query_window)?;
        }
        if let Some(pooling) = self.pooling {
            write!(f, ".{pooling}")?;
        }
        match self.group_reduction {
            Some(reduction) => write!(f, ".group-{reduction}"),
            None => Ok(()),
        }
    }
}

/// A name that belongs to no output.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no output named {0:?}")]
pub struct UnknownOutput(pub String);

impl FromStr for OutputSpec {
    type Err = UnknownOutput;

    fn from_str(name: &str) -> Result<Self, UnknownOutput> {
        parse(name)
            .filter(|spec| spec.to_string() == name)
            .ok_or_else(|| UnknownOutput(name.to_owned()))
    }
}

fn parse(name: &str) -> Option<OutputSpec> {
    let mut parts = name.split('.');
    let kind = parts.next()?;
    let mut spec = OutputSpec::from(OutputKind::ALL.into_iter().find(|known| known.name() == kind)?);
    for part in parts {
        if !spec.kind.is_saliency() {
            return None;
        }
        match part.rsplit_once('-')? {
            ("last", _) => spec.query_window = part.parse().ok()?,
            ("group", reduction) => spec.group_reduction = Some(reduction.parse().ok()?),
            _ => spec.pooling = Some(part.parse().ok()?),
        }
    }
    Some(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in OutputKind::ALL {
            assert_eq!(kind.name().parse(), Ok(OutputSpec::from(kind)));
        }
        for name in [
            "joint.group-sum",
            "weight.last-1",
            "value.average-pool-5",
            "key.last-3.max-pool-7.group-max",
            "removal.group-mean",
        ] {
            assert_eq!(name.parse::<OutputSpec>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "joints",
            "output.last-1",
            "log-sum-exp.group-sum",
            "weight.last-0",
            "weight.max-pool-4",
            "weight.group-median",
            "weight.group-sum.last-1",
            "weight.last-1.last-2",
            "weight.last-01",
            "weight.",
        ] {
            assert_eq!(name.parse::<OutputSpec>(), Err(UnknownOutput(name.to_owned())));
        }
    }
}
