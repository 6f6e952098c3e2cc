//! Why a problem or a name is refused, told with the name and the numbers.

use thiserror::Error;

/// Why a set of tensors is not an attention problem.
///
/// Each variant names the tensor or parameter, what was found and what was expected.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ProblemError {
    /// Two tensors disagree about the length of an axis.
    #[error("{tensor}: {axis} is {found}, expected {expected} ({reason})")]
    Axis {
        /// The tensor that was refused.
        tensor: &'static str,
        /// The axis of that tensor.
        axis: &'static str,
        /// The length found.
        found: usize,
        /// The length expected.
        expected: usize,
        /// Where the expectation comes from.
        reason: &'static str,
    },
    /// An axis has length zero.
    #[error("{tensor}: {axis} is 0, expected at least 1")]
    Empty {
        /// The tensor that was refused.
        tensor: &'static str,
        /// The axis of length zero.
        axis: &'static str,
    },
    /// An element is NaN or infinite.
    #[error("{tensor}[{row}, {column}] is {value}, expected a finite number")]
    NotFinite {
        /// The tensor that was refused.
        tensor: &'static str,
        /// Row of the element (query or token).
        row: usize,
        /// Column of the element (channel).
        column: usize,
        /// The element.
        value: f64,
    },
    /// An element is finite, but so large that its squares are not.
    #[error("{tensor}[{row}, {column}] is {value:e}, expected at most {limit:e} either way")]
    TooLarge {
        /// The tensor that was refused.
        tensor: &'static str,
        /// Row of the element (token).
        row: usize,
        /// Column of the element (channel).
        column: usize,
        /// The element.
        value: f64,
        /// The largest magnitude allowed.
        limit: f64,
    },
    /// A pair's softmax input is so large that it, or its square, overflows.
    #[error(
        "query and key: the logit of query {query} and token {token} may reach {magnitude:e}, expected at most {limit:e}"
    )]
    Logit {
        /// The query.
        query: usize,
        /// The token.
        token: usize,
        /// `|scale| sum |q_c k_c| + |bias|` of the pair.
        magnitude: f64,
        /// The largest magnitude allowed.
        limit: f64,
    },
    /// A parameter is outside its domain.
    #[error("{parameter} is {value}, expected {expected}")]
    Parameter {
        /// The parameter that was refused.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// Its domain in words.
        expected: &'static str,
    },
    /// The bounds of packed sequences are no cumulative lengths.
    #[error("segments: bounds of {axis} are {found:?}, expected {expected}")]
    Segments {
        /// The axis that they divide.
        axis: &'static str,
        /// The bounds found.
        found: Vec<usize>,
        /// What they must be.
        expected: &'static str,
    },
    /// A query or a token was selected that is not there.
    #[error("selection: {axis} is {length}, so there is no index {index}")]
    Selection {
        /// The axis selected from.
        axis: &'static str,
        /// The index asked for.
        index: usize,
        /// The length of the axis.
        length: usize,
    },
    /// A problem that is none for the one who was asked.
    #[error("{by} does not support {what}, expected {expected}")]
    Unsupported {
        /// Who does not support it.
        by: &'static str,
        /// What is not supported.
        what: &'static str,
        /// What is supported in its place.
        expected: &'static str,
    },
    /// The number of query heads is no multiple of the number of KV heads.
    #[error("{query_heads} query heads cannot share {kv_heads} KV heads, expected a positive multiple")]
    HeadCounts {
        /// Number of query heads.
        query_heads: usize,
        /// Number of KV heads.
        kv_heads: usize,
    },
}

/// A name that belongs to nothing of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no {kind} named {name:?}, expected {expected}")]
pub struct UnknownName {
    /// What was to be named.
    pub kind: &'static str,
    /// The name found.
    pub name: String,
    /// The names there are.
    pub expected: &'static str,
}
