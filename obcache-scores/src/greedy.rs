//! Greedy exact removal evicts, one after the other, the token whose loss leaves the least exact error of the whole set.
//!
//! ```text
//! error of S + j = sum_i ‖d_i + b_ij / (1 - b_ij) (p_i - v_j)‖²        p_i = output over what is left,  d_i = p_i - o_i
//!                                                                     b_ij = weights over what is left
//! ```
//! The inner products of p and d with the values are carried along, so one eviction costs O(query_len · kv_len) and not
//! value_dim times that. No guarantee of the best set is known (claim C13); it is the strongest affordable yardstick.

use ndarray::{Array1, Array2};
use obd_core::{AttentionTrace, Head, QueryWindow};

use crate::carried::Carried;
use crate::centred::{Centred, inner};
use crate::survivors::{Survivors, odds_from_inputs};

/// A row is rebuilt from its softmax inputs when the weight left since the last time falls below this: what is carried
/// along is amplified by the inverse of the weight left, so at most by 2.
const REBUILD: f64 = 0.5;

/// A candidate that leaves less than this of the weight is judged by what survives: the carried form multiplies rounding
/// by the square of b / (1 - b), at most 10^6 of 2^-53, so ten digits stand.
const LITTLE: f64 = 1e-3;

/// The order of eviction over the queries of `window`, first evicted first, all kv_len tokens.
///
/// What survives at a budget of b tokens is the last b of the order. Of equally harmless tokens the older goes first.
/// O(query_len · kv_len²) time, O((query_len + kv_len) · kv_len) memory.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn order(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Vec<usize> {
    let mut state = State::new(head, trace, window);
    let next = |_| {
        let token = state.kept[least(&state.errors())];
        state.evict(token);
        token
    };
    (0..head.kv_len()).map(next).collect()
}

/// Index of the first of the least elements.
fn least(errors: &[f64]) -> usize {
    let mut least = 0;
    for (slot, error) in errors.iter().enumerate() {
        if *error < errors[least] {
            least = slot;
        }
    }
    least
}

/// The rows of the window over the tokens that are kept.
struct State<'a> {
    head: &'a Head,
    trace: &'a AttentionTrace,
    kept: Vec<usize>,
    rows: Vec<Row>,
    centred: Centred,
    /// Inner products of the centred values, shape (kv_len, kv_len).
    products: Array2<f64>,
}

/// One query over the tokens that are kept.
struct Row {
    query: usize,
    /// b, shape (kv_len), 0 where hidden or evicted.
    weights: Array1<f64>,
    /// Weight left since the row was last rebuilt.
    left: f64,
    /// p and d.
    carried: Carried,
}

impl<'a> State<'a> {
    fn new(head: &'a Head, trace: &'a AttentionTrace, window: QueryWindow) -> Self {
        let centred = Centred::new(head);
        let mut state = Self {
            kept: (0..head.kv_len()).collect(),
            rows: Vec::new(),
            products: centred.products(),
            head,
            trace,
            centred,
        };
        state.rows = window.queries(head.query_len()).map(|i| state.build(i)).collect();
        state
    }

    /// The row of query `i`, from its softmax inputs over what is kept.
    fn build(&self, i: usize) -> Row {
        let (head, kept) = (self.head, &self.kept);
        let seen: Vec<usize> = kept
            .iter()
            .copied()
            .filter(|&j| head.visibility().visible(i, j))
            .collect();
        let (sink, odds) = odds_from_inputs(head, self.trace, i, &seen);
        let total = sink + odds.iter().sum::<f64>();
        let mut weights = Array1::zeros(head.kv_len());
        for (&j, odds) in seen.iter().zip(&odds) {
            weights[j] = odds / total;
        }
        let survivors = Survivors::new(head, self.trace, i, |j| kept.binary_search(&j).is_ok());
        let output = Array1::from(survivors.output);
        let change = &output - &self.trace.output.row(i);
        let output = output - &self.centred.mean;
        Row {
            query: i,
            left: 1.0,
            weights,
            carried: Carried::new(&self.centred, output, change),
        }
    }

    /// Error of the evicted set joined by each of the kept tokens.
    fn errors(&self) -> Vec<f64> {
        let mut errors = vec![0.0; self.kept.len()];
        for row in &self.rows {
            self.add_errors(row, &mut errors);
        }
        errors
    }

    fn add_errors(&self, row: &Row, errors: &mut [f64]) {
        let squares = row.carried.squares();
        for (error, &j) in errors.iter_mut().zip(&self.kept) {
            let rest = 1.0 - row.weights[j];
            *error += if rest < LITTLE {
                self.error_of_survivors(row.query, j)
            } else {
                squares.error(row.weights[j] / rest, row.carried.products(j, &self.products))
            };
        }
    }

    /// `‖o' - o‖²` of query `i` with o' the output over what is kept without `token`.
    fn error_of_survivors(&self, i: usize, token: usize) -> f64 {
        let survivors = Survivors::new(self.head, self.trace, i, |j| {
            j != token && self.kept.binary_search(&j).is_ok()
        });
        let change = Array1::from(survivors.output) - self.trace.output.row(i);
        inner(change.view(), change.view())
    }

    fn evict(&mut self, token: usize) {
        self.kept.retain(|&kept| kept != token);
        let mut rows = std::mem::take(&mut self.rows);
        for row in &mut rows {
            let rest = 1.0 - row.weights[token];
            row.left *= rest;
            if row.left < REBUILD {
                *row = self.build(row.query);
            } else if row.weights[token] > 0.0 {
                row.evict(token, &self.centred, &self.products);
            }
        }
        self.rows = rows;
    }
}

impl Row {
    /// Renormalises without `token`: p moves by b / (1 - b) (p - v), and d with it.
    fn evict(&mut self, token: usize, centred: &Centred, products: &Array2<f64>) {
        let rest = 1.0 - self.weights[token];
        let odds = self.weights[token] / rest;
        self.weights[token] = 0.0;
        self.weights /= rest;
        self.carried.step(odds, token, centred, products);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::removal_error;
    use crate::test_heads::{logs, scattered, trace, two_queries};
    use ndarray::array;

    /// The definition, by the exact set error of every candidate.
    fn by_definition(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Vec<usize> {
        let mut gone: Vec<usize> = Vec::new();
        while gone.len() < head.kv_len() {
            let kept: Vec<usize> = (0..head.kv_len()).filter(|j| !gone.contains(j)).collect();
            let errors: Vec<f64> = kept
                .iter()
                .map(|&j| removal_error(head, trace, &[&gone[..], &[j]].concat(), window))
                .collect();
            gone.push(kept[least(&errors)]);
        }
        gone
    }

    #[test]
    fn follows_its_definition() {
        for head in [
            logs(),
            two_queries(),
            scattered(None),
            scattered(Some(1.0)),
            scattered(None).without(&[2]),
        ] {
            let trace = trace(&head);
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                assert_eq!(order(&head, &trace, window), by_definition(&head, &trace, window));
            }
        }
    }

    /// The carried errors against the exact set error, after each eviction of `tokens`.
    fn assert_exact(head: &Head, trace: &AttentionTrace, tokens: &[usize]) {
        let mut state = State::new(head, trace, QueryWindow::All);
        let mut gone = Vec::new();
        for &token in tokens {
            for (error, &j) in state.errors().iter().zip(&state.kept) {
                let exact = removal_error(head, trace, &[&gone[..], &[j]].concat(), QueryWindow::All);
                // Ten digits of the squared values, the size that the carried form rounds at.
                let size = head
                    .value()
                    .iter()
                    .fold(0.0f64, |size, value| size.max(value.abs()))
                    .powi(2);
                approx::assert_relative_eq!(*error, exact, max_relative = 1e-10, epsilon = 1e-10 * size);
            }
            state.evict(token);
            gone.push(token);
        }
    }

    #[test]
    fn the_errors_are_the_exact_set_errors() {
        let head = scattered(Some(0.5));
        assert_exact(&head, &trace(&head), &[3, 0, 5, 1, 2, 6]);
        // Token 0 first: the first query then sees nothing.
        let head = Head::new(
            Array2::zeros((4, 1)),
            Array2::zeros((4, 1)),
            scattered(None).value().slice(ndarray::s![..4, ..]).to_owned(),
        )
        .unwrap();
        assert_exact(&head, &trace(&head), &[0, 1, 2]);
    }

    #[test]
    fn a_ladder_of_weights_keeps_its_digits_down_to_the_last() {
        // Logits 0, -6, ... -42: each eviction leaves 1/400 of the weight.
        let head = Head::new(
            array![[1.0]],
            Array2::from_shape_fn((8, 1), |(j, _)| -6.0 * j as f64),
            Array2::from_shape_fn((8, 2), |(j, c)| (1.0 + j as f64 + 3.0 * c as f64).sin()),
        )
        .unwrap();
        assert_exact(&head, &trace(&head), &[0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn of_equally_harmless_tokens_the_older_goes_first() {
        let head = Head::new(array![[0.0]], array![[0.0], [0.0], [0.0]], array![[1.0], [1.0], [1.0]]).unwrap();
        assert_eq!(order(&head, &trace(&head), QueryWindow::All), [0, 1, 2]);
        assert_eq!(least(&[2.0, 1.0, 1.0]), 1);
    }

    #[test]
    fn a_query_left_with_nothing_loses_its_output() {
        // The first query sees only token 0 (value 10): evicting it costs 100; token 1 costs far less.
        let head = Head::new(array![[0.0], [0.0]], array![[0.0], [0.0]], array![[10.0], [12.0]]).unwrap();
        let trace = trace(&head);
        let state = State::new(&head, &trace, QueryWindow::All);
        assert_eq!(state.errors(), [101.0, 1.0]);
    }

    #[test]
    fn a_weight_near_one_is_not_lost() {
        let head = Head::new(array![[1.0]], array![[1e-20f64.ln()], [0.0]], array![[3.0], [5.0]]).unwrap();
        let plain = trace(&head);
        let state = State::new(&head, &plain, QueryWindow::All);
        approx::assert_relative_eq!(state.errors()[1], 4.0, max_relative = 1e-12);
        // A sink of twice the small weight dilutes what is left to a third: change 1 - 5.
        let head = head.with_sink(2e-20f64.ln()).unwrap();
        let sunk = trace(&head);
        let state = State::new(&head, &sunk, QueryWindow::All);
        approx::assert_relative_eq!(state.errors()[1], 16.0, max_relative = 1e-12);
    }
}
