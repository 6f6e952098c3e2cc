//! A head with what its bound depends on: which of its numbers are equal, and how far each logit may be off.
//!
//! Variances are squared sensitivities in units of the accumulation's roundoff (section 3 of the derivation).

use ndarray::{Array2, ArrayView1};
use obd_core::{AttentionTrace, Head};

use super::arithmetic::Arithmetic;
use super::ties::{bits, classes, squared_multiplicity, sum_variance};

/// A head with the multiplicities of equal numbers in its tensors.
pub(super) struct JudgedHead<'a> {
    pub head: &'a Head,
    pub trace: &'a AttentionTrace,
    pub arithmetic: &'a Arithmetic,
    query_ties: Vec<f64>,
    key_ties: Vec<f64>,
    /// Per token, over its channels.
    pub value_ties: Vec<f64>,
    /// Per channel, over the tokens.
    pub column_ties: Vec<f64>,
    /// Per query: which earlier query is the same, as the number of a class.
    pub query_class: Vec<usize>,
}

impl<'a> JudgedHead<'a> {
    pub fn new(head: &'a Head, trace: &'a AttentionTrace, arithmetic: &'a Arithmetic) -> Self {
        let rows = |tensor: &Array2<f64>| tensor.rows().into_iter().map(multiplicity).collect();
        let queries = head.query().rows().into_iter();
        Self {
            query_ties: rows(head.query()),
            key_ties: rows(head.key()),
            value_ties: rows(head.value()),
            column_ties: head.value().columns().into_iter().map(multiplicity).collect(),
            query_class: classes(queries.map(|row| row.iter().map(bits).collect::<Vec<_>>())).0,
            head,
            trace,
            arithmetic,
        }
    }

    /// Squared sensitivity of the logit of a pair: a dot product of head_dim terms in any order, and its scaling.
    pub fn logit(&self, i: usize, j: usize) -> f64 {
        let products = self.head.query().row(i).into_iter().zip(self.head.key().row(j));
        let squares: f64 = products.map(|(q, k)| (q * k).powi(2)).sum();
        let squares = squares * self.head.scale().powi(2);
        let square = self.trace.logits[[i, j]].powi(2);
        let additions = self.query_ties[i].min(self.key_ties[j]);
        sum_variance(additions, self.trace.logits[[i, j]], squares)
            + 2.0 * (1.0 + self.arithmetic.entry().powi(2)) * squares
            + 2.0 * square
    }
}

/// Σ m² over equal magnitudes of a row; zeros add nothing and are not counted.
fn multiplicity(row: ArrayView1<f64>) -> f64 {
    squared_multiplicity(row.iter().filter(|&&x| x != 0.0).map(|x| x.abs().to_bits()))
}
