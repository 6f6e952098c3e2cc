//! Greedy exact removal evicts, one after the other, the token whose loss leaves the least exact error of the whole set.
//!
//! ```text
//! error of S + j = sum_i ‖r_i + a_ij (v_j - o_i)‖² / (w_i - a_ij)²       r_i = sum_S a_ij (v_j - o_i)
//!                                                                       w_i = 1 - sum_S a_ij
//! ```
//! The inner products with r_i are carried along, so one eviction costs O(query_len · kv_len) and not value_dim times
//! that. No guarantee of the best set is known (claim C13); it is the strongest affordable yardstick.

use ndarray::{Array1, Array2, ArrayView1, Axis};
use obd_core::{AttentionTrace, Head, QueryWindow};

/// The order of eviction over the queries of `window`, first evicted first, all kv_len tokens.
///
/// What survives at a budget of b tokens is the last b of the order. Of equally harmless tokens the older goes first.
/// Weights that underflowed to 0 count as unseen. O(query_len · kv_len²) time, O(query_len · kv_len) memory.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn order(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Vec<usize> {
    let mut state = State::new(head, trace, window);
    let mut kept: Vec<usize> = (0..head.kv_len()).collect();
    let mut order = Vec::with_capacity(head.kv_len());
    while !kept.is_empty() {
        let errors = state.errors(&kept);
        let slot = least(&errors);
        let token = kept.remove(slot);
        state.evict(token);
        order.push(token);
    }
    order
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

/// The inner product in a fixed order: a BLAS would sum in an order that depends on its threads.
fn inner(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Below this share of the weight left, `‖r + a (v - o)‖²` is computed from what survives: the expanded square loses
/// about (left / rest)² of its 2^-53, so above it an error keeps ten digits.
const LITTLE: f64 = 1e-3;

/// The rows of the window, seen from the set evicted so far.
struct State {
    rows: Vec<Row>,
    /// Values, shape (kv_len, value_dim).
    values: Array2<f64>,
    /// Inner products of the values less their mean, shape (kv_len, kv_len): v - o does not move (claim C14), and the
    /// products cancel less.
    value_products: Array2<f64>,
}

/// One query: what it sees, and the set evicted so far.
struct Row {
    /// Weights, shape (kv_len), 0 once evicted.
    weights: Array1<f64>,
    sink: f64,
    /// Output, shape (value_dim).
    output: Array1<f64>,
    /// o·v_j, both less the mean value, shape (kv_len).
    output_products: Array1<f64>,
    /// ‖o‖² less the mean value.
    output_square: f64,
    /// r·(v_j - o), shape (kv_len).
    residual_products: Array1<f64>,
    residual_square: f64,
}

impl State {
    fn new(head: &Head, trace: &AttentionTrace, window: QueryWindow) -> Self {
        let mean = head
            .value()
            .mean_axis(Axis(0))
            .unwrap_or_else(|| Array1::zeros(head.value_dim()));
        let centred = head.value() - &mean;
        let rows = window
            .queries(head.query_len())
            .map(|i| Row::new(head, trace, &centred, &mean, i))
            .collect();
        Self {
            rows,
            values: head.value().clone(),
            value_products: Array2::from_shape_fn((head.kv_len(), head.kv_len()), |(j, l)| {
                inner(centred.row(j), centred.row(l))
            }),
        }
    }

    /// Error of the evicted set joined by each of the kept tokens.
    fn errors(&self, kept: &[usize]) -> Vec<f64> {
        let mut errors = vec![0.0; kept.len()];
        for row in &self.rows {
            row.add_errors(kept, self, &mut errors);
        }
        errors
    }

    fn evict(&mut self, token: usize) {
        for row in &mut self.rows {
            row.evict(token, &self.value_products);
        }
    }
}

impl Row {
    fn new(head: &Head, trace: &AttentionTrace, centred: &Array2<f64>, mean: &Array1<f64>, i: usize) -> Self {
        let weights = trace.weights.row(i).to_owned();
        let output = trace.output.row(i).to_owned();
        let centred_output = &output - mean;
        Self {
            sink: head.sink().map_or(0.0, |sink| (sink - trace.log_sum_exp[i]).exp()),
            output_products: centred.map_axis(Axis(1), |value| inner(value, centred_output.view())),
            output_square: inner(centred_output.view(), centred_output.view()),
            residual_products: Array1::zeros(weights.len()),
            residual_square: 0.0,
            output,
            weights,
        }
    }

    /// (v_j - o)·(v_l - o).
    fn gap_product(&self, value_products: &Array2<f64>, j: usize, l: usize) -> f64 {
        value_products[[j, l]] - self.output_products[j] - self.output_products[l] + self.output_square
    }

    /// Adds this query's squared change for the evicted set joined by each of the kept tokens.
    fn add_errors(&self, kept: &[usize], state: &State, errors: &mut [f64]) {
        let left = self.weights.sum() + self.sink;
        for (error, &j) in errors.iter_mut().zip(kept) {
            let weight = self.weights[j];
            let rest = left - weight;
            *error += if rest < LITTLE * left {
                self.error_of_survivors(j, &state.values)
            } else {
                let square = self.residual_square
                    + 2.0 * weight * self.residual_products[j]
                    + weight * weight * self.gap_product(&state.value_products, j, j);
                square / (rest * rest)
            };
        }
    }

    /// `‖o' - o‖²` with o' the output over what is left without `token`.
    fn error_of_survivors(&self, token: usize, values: &Array2<f64>) -> f64 {
        let rest = self.left_without(token);
        if rest == 0.0 {
            return inner(self.output.view(), self.output.view());
        }
        let mut change = -&self.output;
        for (j, &weight) in self.weights.iter().enumerate().filter(|(j, _)| *j != token) {
            change.scaled_add(weight / rest, &values.row(j));
        }
        inner(change.view(), change.view())
    }

    /// Weight left without `token`, summed from the others.
    fn left_without(&self, token: usize) -> f64 {
        let others = self.weights.iter().enumerate().filter(|(j, _)| *j != token);
        others.map(|(_, weight)| weight).sum::<f64>() + self.sink
    }

    /// Moves `token` into the evicted set.
    fn evict(&mut self, token: usize, value_products: &Array2<f64>) {
        let weight = std::mem::take(&mut self.weights[token]);
        if weight == 0.0 {
            return;
        }
        self.residual_square +=
            weight * (2.0 * self.residual_products[token] + weight * self.gap_product(value_products, token, token));
        for j in 0..self.residual_products.len() {
            self.residual_products[j] += weight * self.gap_product(value_products, token, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::removal_error;
    use crate::test_heads::{logs, trace, two_queries};
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

    fn scattered(sink: Option<f64>) -> Head {
        let wave = |rows: usize, columns: usize, phase: f64| {
            Array2::from_shape_fn((rows, columns), |(i, c)| {
                (phase * (1.0 + i as f64) + 2.3 * c as f64).sin() * 2.0
            })
        };
        let head = Head::new(wave(6, 3, 1.7), wave(7, 3, 0.9), wave(7, 2, 1.3) + 5.0).unwrap();
        match sink {
            Some(sink) => head.with_sink(sink).unwrap(),
            None => head,
        }
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

    #[test]
    fn the_errors_are_the_exact_set_errors() {
        let head = scattered(Some(0.5));
        let trace = trace(&head);
        let mut state = State::new(&head, &trace, QueryWindow::All);
        let mut gone = Vec::new();
        for token in [3, 0, 5, 1] {
            let kept: Vec<usize> = (0..7).filter(|j| !gone.contains(j)).collect();
            for (error, &j) in state.errors(&kept).iter().zip(&kept) {
                let exact = removal_error(&head, &trace, &[&gone[..], &[j]].concat(), QueryWindow::All);
                approx::assert_relative_eq!(*error, exact, max_relative = 1e-10);
            }
            state.evict(token);
            gone.push(token);
        }
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
        assert_eq!(state.errors(&[0, 1]), [101.0, 1.0]);
    }

    #[test]
    fn a_weight_near_one_is_not_lost() {
        let head = Head::new(array![[1.0]], array![[1e-20f64.ln()], [0.0]], array![[3.0], [5.0]]).unwrap();
        let trace = trace(&head);
        let state = State::new(&head, &trace, QueryWindow::All);
        approx::assert_relative_eq!(state.errors(&[1])[0], 4.0, max_relative = 1e-12);
        // A sink of twice the small weight dilutes what is left to a third: change 1 - 5.
        let head = head.with_sink(2e-20f64.ln()).unwrap();
        let state = State::new(&head, &crate::test_heads::trace(&head), QueryWindow::All);
        approx::assert_relative_eq!(state.errors(&[1])[0], 16.0, max_relative = 1e-12);
    }
}
