//! Attention over the kept tokens, and the exact error of every set that differs from it by one token.
//!
//! ```text
//! without j   sum_i ‖d_i + b_ij / (1 - b_ij) (p_i - v_j)‖²          p = output over the kept, d = p - o, b = weights over the kept
//! with j      sum_i ‖(w_i p_i + a_ij v_j) / (w_i + a_ij) - o_i‖²     w = weight that the kept hold of all
//! ```
//! Both for all tokens at once, from three matrix products; exact as claim C13 is, but for rounding.

use ndarray::{Array1, Array2, Axis, Zip};
use obd_core::{AttentionTrace, Head, QueryWindow};

use crate::carried::Squares;
use crate::centred::{Centred, inner};
use crate::survivors::{Survivors, UNDERFLOW, odds_from_inputs};

/// A token that leaves less of its row's weight than this is judged by what survives it: the quick form multiplies rounding by
/// the square of b / (1 - b), so at most by 10^6.
const LITTLE: f64 = 1e-3;

/// The queries of a window over the kept tokens of a head.
pub(super) struct Kept<'a> {
    head: &'a Head,
    trace: &'a AttentionTrace,
    queries: Vec<usize>,
    /// Kept tokens, ascending.
    pub tokens: Vec<usize>,
    /// w, sink included, shape (queries).
    weight: Array1<f64>,
    /// b, shape (queries, kept).
    weights: Array2<f64>,
    /// p less the mean value, shape (queries, value_dim).
    output: Array2<f64>,
    /// d, shape (queries, value_dim).
    change: Array2<f64>,
    centred: Centred,
}

impl<'a> Kept<'a> {
    /// Attention over `tokens`, ascending.
    pub fn new(head: &'a Head, trace: &'a AttentionTrace, window: QueryWindow, tokens: Vec<usize>) -> Self {
        let queries: Vec<usize> = window.queries(head.query_len()).collect();
        let centred = Centred::new(head);
        let mut weights = trace.weights.select(Axis(0), &queries).select(Axis(1), &tokens);
        let mut weight = Array1::zeros(queries.len());
        for ((mut row, weight), &i) in weights.rows_mut().into_iter().zip(&mut weight).zip(&queries) {
            let sink = head.sink().map_or(0.0, |sink| (sink - trace.log_sum_exp[i]).exp());
            *weight = row.sum() + sink;
            if *weight >= UNDERFLOW {
                row /= *weight;
            } else {
                row.assign(&renormalised(head, trace, i, &tokens));
            }
        }
        let output = weights.dot(&head.value().select(Axis(0), &tokens));
        Self {
            change: &output - &trace.output.select(Axis(0), &queries),
            output: output - &centred.mean,
            centred,
            head,
            trace,
            queries,
            tokens,
            weight,
            weights,
        }
    }

    /// Tokens of the head, kept or not.
    pub fn kv_len(&self) -> usize {
        self.head.kv_len()
    }

    /// Exact error of the kept set.
    pub fn error(&self) -> f64 {
        self.change.iter().map(|change| change * change).sum()
    }

    /// Exact error of the kept set without each of its tokens, in the order of `tokens`.
    pub fn errors_without(&self) -> Array1<f64> {
        let values = self.centred.values.select(Axis(0), &self.tokens);
        let output_products = self.output.dot(&values.t());
        let change_products = self.change.dot(&values.t());
        let value_squares = squares(&values);
        let mut errors = Array1::zeros(self.tokens.len());
        for (row, &i) in self.queries.iter().enumerate() {
            let squares = Squares::new(self.output.row(row), self.change.row(row));
            Zip::indexed(&mut errors)
                .and(self.weights.row(row))
                .and(output_products.row(row))
                .and(change_products.row(row))
                .and(&value_squares)
                .for_each(
                    |slot, error, &weight, &output_product, &change_product, &value_square| {
                        let rest = 1.0 - weight;
                        *error += if rest < LITTLE {
                            self.error_of_survivors(i, slot)
                        } else {
                            squares.error(weight / rest, [output_product, change_product, value_square])
                        };
                    },
                );
        }
        errors
    }

    /// Exact error of the kept set joined by each of `tokens`, none of which is kept.
    ///
    /// Where all weights that a query has left underflow, digits are lost.
    pub fn errors_with(&self, tokens: &[usize]) -> Array1<f64> {
        let values = self.centred.values.select(Axis(0), tokens);
        let output_products = self.output.dot(&values.t());
        let change_products = self.change.dot(&values.t());
        let value_squares = squares(&values);
        let mut errors = Array1::zeros(tokens.len());
        for (row, &i) in self.queries.iter().enumerate() {
            let squares = Squares::new(self.output.row(row), self.change.row(row));
            for (slot, &j) in tokens.iter().enumerate() {
                let products = [
                    output_products[[row, slot]],
                    change_products[[row, slot]],
                    value_squares[slot],
                ];
                let share = share(self.weight[row], self.trace.weights[[i, j]]);
                errors[slot] += squares.error(-share, products);
            }
        }
        errors
    }

    /// `‖o' - o‖²` of query `i` over the kept tokens but the one in `slot`.
    fn error_of_survivors(&self, i: usize, slot: usize) -> f64 {
        let gone = self.tokens[slot];
        let keep = |j: usize| j != gone && self.tokens.binary_search(&j).is_ok();
        let survivors = Survivors::new(self.head, self.trace, i, keep);
        let change = Array1::from(survivors.output) - self.trace.output.row(i);
        inner(change.view(), change.view())
    }
}

/// What a token of weight `new` is of all that is kept, itself included; 0 where nothing was kept and it is hidden.
pub(super) fn share(kept: f64, new: f64) -> f64 {
    let all = kept + new;
    if all > 0.0 { new / all } else { 0.0 }
}

/// Weights of query `i` over `tokens` from its softmax inputs, shape (tokens): hidden tokens have none.
fn renormalised(head: &Head, trace: &AttentionTrace, i: usize, tokens: &[usize]) -> Array1<f64> {
    let seen: Vec<usize> = tokens
        .iter()
        .copied()
        .filter(|&j| head.visibility().visible(i, j))
        .collect();
    let mut row = Array1::zeros(tokens.len());
    if seen.is_empty() {
        return row;
    }
    let (sink, odds) = odds_from_inputs(head, trace, i, &seen);
    let total = sink + odds.iter().sum::<f64>();
    let mut odds = seen.iter().zip(odds).peekable();
    for (weight, token) in row.iter_mut().zip(tokens) {
        if let Some((_, odds)) = odds.next_if(|(seen, _)| *seen == token) {
            *weight = odds / total;
        }
    }
    row
}

fn squares(values: &Array2<f64>) -> Array1<f64> {
    values.map_axis(Axis(1), |value| inner(value, value))
}

/// The tokens of `kv_len` that are not in `kept`, ascending.
pub(super) fn others(kv_len: usize, kept: &[usize]) -> Vec<usize> {
    (0..kv_len).filter(|token| kept.binary_search(token).is_err()).collect()
}

/// `tokens` in the order of `errors`, least first; of equals the older first.
pub(super) fn by_error(tokens: &[usize], errors: &Array1<f64>) -> Vec<usize> {
    let mut places: Vec<usize> = (0..tokens.len()).collect();
    places.sort_by(|&a, &b| errors[a].total_cmp(&errors[b]));
    places.into_iter().map(|place| tokens[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::removal_error;
    use crate::test_heads::{logs, scattered, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;

    fn assert_exact(head: &Head, trace: &AttentionTrace, window: QueryWindow, tokens: Vec<usize>) {
        let kv_len = head.kv_len();
        let kept = Kept::new(head, trace, window, tokens.clone());
        let size = head
            .value()
            .iter()
            .fold(0.0f64, |size, value| size.max(value.abs()))
            .powi(2);
        let check = |error: f64, kept: &[usize]| {
            let exact = removal_error(head, trace, &others(kv_len, kept), window);
            // Ten digits of the squared values, as in greedy removal.
            assert_relative_eq!(error, exact, max_relative = 1e-10, epsilon = 1e-10 * size);
        };
        check(kept.error(), &tokens);
        for (error, &gone) in kept.errors_without().iter().zip(&tokens) {
            check(
                *error,
                &tokens
                    .iter()
                    .copied()
                    .filter(|&token| token != gone)
                    .collect::<Vec<_>>(),
            );
        }
        let outside = others(kv_len, &tokens);
        for (error, &new) in kept.errors_with(&outside).iter().zip(&outside) {
            let mut joined = [&tokens[..], &[new]].concat();
            joined.sort_unstable();
            check(*error, &joined);
        }
    }

    #[test]
    fn the_errors_are_the_exact_set_errors() {
        for head in [scattered(None), scattered(Some(1.0)), scattered(None).without(&[2])] {
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                for tokens in [vec![], vec![0], vec![6], vec![1, 3, 4], (0..7).collect()] {
                    assert_exact(&head, &trace(&head), window, tokens);
                }
            }
        }
        assert_exact(&two_queries(), &trace(&two_queries()), QueryWindow::All, vec![2]);
        assert_exact(&logs(), &trace(&logs()), QueryWindow::All, vec![0, 2]);
    }

    #[test]
    fn a_weight_near_one_is_not_lost() {
        let head = Head::new(array![[1.0]], array![[1e-20f64.ln()], [0.0]], array![[3.0], [5.0]]).unwrap();
        assert_exact(&head, &trace(&head), QueryWindow::All, vec![0, 1]);
    }

    #[test]
    fn weights_that_underflowed_are_taken_from_the_logits() {
        // Logits 0, ln 3 and 740: without the last the shares are 1/4 and 3/4, of exponentials that are subnormal.
        let head = Head::new(
            array![[1.0]],
            array![[0.0], [3f64.ln()], [740.0]],
            array![[4.0], [8.0], [1.0]],
        )
        .unwrap();
        let seen = AttentionTrace {
            logits: head.key().t().to_owned(),
            weights: array![[(-740f64).exp(), 3.0 * (-740f64).exp(), 1.0]],
            output: array![[1.0]],
            log_sum_exp: array![740.0],
        };
        let kept = Kept::new(&head, &seen, QueryWindow::All, vec![0, 1]);
        assert_relative_eq!(kept.error(), 36.0, max_relative = 1e-13);
    }

    #[test]
    fn of_equal_errors_the_older_comes_first() {
        assert_eq!(by_error(&[4, 7, 9], &array![1.0, 0.0, 1.0]), [7, 4, 9]);
        assert_eq!(others(4, &[1, 2]), [0, 3]);
    }
}
