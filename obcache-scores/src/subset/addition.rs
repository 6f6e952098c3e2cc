//! Greedy addition keeps, one after the other, the token that leaves the least exact error of all that is not yet kept.
//!
//! It starts where nothing is kept and every query has lost its output; good at small budgets, where removal has a long way to go.
//! As in [greedy removal](crate::greedy) the inner products with the values are carried along, each addition a rank-one update of them.

use ndarray::{Array1, Array2};
use obd_core::{AttentionTrace, Head, QueryWindow};

use super::kept::{by_error, share};
use crate::carried::Carried;
use crate::centred::Centred;

/// The first `budget` tokens kept, in the order in which they were, over the queries of `window`. Of equals the older comes
/// first.
///
/// O(query_len · kv_len) a token, and (query_len + kv_len) · kv_len · value_dim before the first; O((query_len + kv_len) · kv_len) memory.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`.
pub fn order(head: &Head, trace: &AttentionTrace, window: QueryWindow, budget: usize) -> Vec<usize> {
    let mut state = State::new(head, trace, window);
    let next = |_| {
        let token = by_error(&state.open, &state.errors())[0];
        state.keep(token);
        token
    };
    (0..budget.min(head.kv_len())).map(next).collect()
}

/// The rows of the window over the tokens that are kept.
struct State<'a> {
    trace: &'a AttentionTrace,
    /// Tokens that are not kept, ascending.
    open: Vec<usize>,
    rows: Vec<Row>,
    centred: Centred,
    /// Inner products of the centred values, shape (kv_len, kv_len).
    products: Array2<f64>,
}

/// One query over the tokens that are kept: p the output over them, w the weight that they and the sink hold of all.
struct Row {
    query: usize,
    /// w.
    weight: f64,
    /// p and p - o.
    carried: Carried,
}

impl<'a> State<'a> {
    fn new(head: &'a Head, trace: &'a AttentionTrace, window: QueryWindow) -> Self {
        let centred = Centred::new(head);
        let row = |query: usize| Row {
            query,
            weight: head.sink().map_or(0.0, |sink| (sink - trace.log_sum_exp[query]).exp()),
            carried: Carried::new(&centred, -&centred.mean, -&trace.output.row(query)),
        };
        Self {
            trace,
            open: (0..head.kv_len()).collect(),
            rows: window.queries(head.query_len()).map(row).collect(),
            products: centred.products(),
            centred,
        }
    }

    /// Error of the kept set joined by each of the open tokens.
    fn errors(&self) -> Array1<f64> {
        let mut errors = Array1::zeros(self.open.len());
        for row in &self.rows {
            let (squares, weights) = (row.carried.squares(), self.trace.weights.row(row.query));
            for (error, &j) in errors.iter_mut().zip(&self.open) {
                let share = share(row.weight, weights[j]);
                *error += squares.error(-share, row.carried.products(j, &self.products));
            }
        }
        errors
    }

    fn keep(&mut self, token: usize) {
        self.open.retain(|&open| open != token);
        for row in &mut self.rows {
            row.keep(
                token,
                self.trace.weights[[row.query, token]],
                &self.centred,
                &self.products,
            );
        }
    }
}

impl Row {
    /// Lets `token` of that weight in: p moves by its share of what is then kept towards its value, and p - o with it.
    fn keep(&mut self, token: usize, weight: f64, centred: &Centred, products: &Array2<f64>) {
        self.carried.step(-share(self.weight, weight), token, centred, products);
        self.weight += weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::removal_error;
    use crate::subset::kept::others;
    use crate::test_heads::{logs, scattered, trace, two_queries};

    #[test]
    fn follows_its_definition() {
        for head in [scattered(None), scattered(Some(1.0)), scattered(None).without(&[2])] {
            let trace = trace(&head);
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                let order = order(&head, &trace, window, 9);
                assert_eq!(order.len(), 7);
                for step in 0..7 {
                    let error = |token: usize| {
                        let mut kept = [&order[..step], &[token]].concat();
                        kept.sort_unstable();
                        removal_error(&head, &trace, &others(7, &kept), window)
                    };
                    let mut earlier = order[..step].to_vec();
                    earlier.sort_unstable();
                    let least = others(7, &earlier).into_iter().map(error).fold(f64::INFINITY, f64::min);
                    // Two digits of rounding between the quick and the exact error.
                    assert!(error(order[step]) <= least * (1.0 + 1e-10) + 1e-10);
                }
            }
        }
    }

    #[test]
    fn the_carried_errors_are_the_exact_set_errors() {
        for head in [
            scattered(None),
            scattered(Some(0.5)),
            scattered(None).without(&[2]),
            two_queries(),
            logs(),
        ] {
            let trace = trace(&head);
            let mut state = State::new(&head, &trace, QueryWindow::All);
            // Ten digits of the squared values, the size that the carried form rounds at.
            let size = head
                .value()
                .iter()
                .fold(0.0f64, |size, value| size.max(value.abs()))
                .powi(2);
            for token in (0..head.kv_len()).rev() {
                for (error, &new) in state.errors().iter().zip(&state.open) {
                    let gone: Vec<usize> = state.open.iter().copied().filter(|&open| open != new).collect();
                    let exact = removal_error(&head, &trace, &gone, QueryWindow::All);
                    approx::assert_relative_eq!(*error, exact, max_relative = 1e-10, epsilon = 1e-10 * size);
                }
                state.keep(token);
            }
        }
    }

    #[test]
    fn a_budget_is_a_prefix() {
        let head = scattered(None);
        let all = order(&head, &trace(&head), QueryWindow::All, 7);
        assert_eq!(order(&head, &trace(&head), QueryWindow::All, 3), all[..3]);
    }
}
