//! Candidates to evict from a kept set, or to add to it: the exact error of every set that is one step away, and the step.
//!
//! ```text
//! p' = p + f (p - v)        f = b / (1 - b) where v leaves,  -a / (w + a) where it joins
//! error of the step: sum_i ‖d_i + f_ij (p_i - v_j)‖²          p = output over the kept,  d = p - o,
//!                                                             b = weight over the kept, w = weight that the kept hold of all
//! ```
//! Exact as claim C13 is, but for rounding. Only the inner products of p, d and the candidates' values enter. Three matrix products
//! give them all; a step moves them by a rank-one update, O(query_len · candidates) and not value_dim times that.

use ndarray::{Array1, Array2, ArrayView1, Axis, s};

use super::attended_window::AttendedWindow;
use super::candidate_row::{CandidateRow, chosen, up_to_the_last_seen};
use super::kept::{Kept, REBUILD};
use super::products::{Products, inner};
use super::set_step::SetStep;
use crate::exact::survivors::UNDERFLOW;

/// The candidates, and the rows of the window over the kept tokens.
pub(crate) struct Pool<'a> {
    pub attended: AttendedWindow<'a>,
    pub step: SetStep,
    /// Kept tokens, ascending.
    pub kept: Vec<usize>,
    /// Ascending, as in all that follows.
    pub candidates: Vec<usize>,
    /// The candidates' values less the mean of all, which moves no difference (claim C14) and lets products cancel less.
    values: Array2<f64>,
    /// The mean that was taken off, shape (value_dim).
    mean: Array1<f64>,
    /// v·v.
    squares: Vec<f64>,
    rows: Vec<CandidateRow>,
}

impl<'a> Pool<'a> {
    /// `candidates`, ascending, are all kept where they are to leave, and all not where they are to join.
    ///
    /// Where all weights that a query has left underflow, digits of what joins are lost.
    pub fn new(step: SetStep, kept: &Kept<'a>, candidates: Vec<usize>) -> Self {
        let head = kept.attended.head;
        let mean = head.value().mean_axis(Axis(0)).expect("a head holds a token");
        let values = head.value().select(Axis(0), &candidates) - &mean;
        let queries: Vec<usize> = kept.attended.queries().collect();
        let weights = kept.attended.weights(&queries, &candidates);
        let (output, change) = (&kept.output - &mean, kept.change());
        let output_products = output.dot(&values.t());
        let change_products = change.dot(&values.t());
        let row = |(at, query)| {
            let seen = up_to_the_last_seen(weights.row(at));
            CandidateRow {
                query,
                weight: kept.left[at],
                built: kept.left[at],
                own: Products::new(output.row(at), change.row(at)),
                weights: weights.slice(s![at, ..seen]).to_vec(),
                output_products: output_products.slice(s![at, ..seen]).to_vec(),
                change_products: change_products.slice(s![at, ..seen]).to_vec(),
            }
        };
        let mut rows: Vec<CandidateRow> = queries.into_iter().enumerate().map(row).collect();
        let pool = Self {
            attended: kept.attended,
            step,
            kept: kept.tokens.clone(),
            squares: values.rows().into_iter().map(|value| inner(value, value)).collect(),
            rows: Vec::new(),
            candidates,
            values,
            mean,
        };
        for row in rows
            .iter_mut()
            .filter(|row| step == SetStep::Evict && row.weight < UNDERFLOW)
        {
            pool.rebuild(row);
        }
        Self { rows, ..pool }
    }

    /// Exact error of the kept set after taking each of the candidates.
    pub fn errors(&self) -> Vec<f64> {
        let mut errors = vec![0.0; self.candidates.len()];
        for row in &self.rows {
            let (seen, hidden) = errors.split_at_mut(row.weights.len());
            hidden.iter_mut().for_each(|error| *error += row.own.change);
            self.add_errors(row, seen);
        }
        errors
    }

    /// Adds the errors of a row to those of the candidates that it sees.
    fn add_errors(&self, row: &CandidateRow, errors: &mut [f64]) {
        let products = row.output_products.iter().zip(&row.change_products).zip(&self.squares);
        let candidates = errors.iter_mut().zip(&self.candidates).zip(&row.weights);
        for (((error, &token), &weight), ((&output, &change), &square)) in candidates.zip(products) {
            *error += if self.step.divides(row.weight, weight) {
                row.own
                    .error(self.step.factor(row.weight, weight), [output, change, square])
            } else {
                self.error_of_survivors(row.query, token)
            };
        }
    }

    /// Only the `count` candidates of least error, of equals the older.
    pub fn narrowed(mut self, count: usize) -> Self {
        if count >= self.candidates.len() {
            return self;
        }
        let errors = self.errors();
        let mut slots: Vec<usize> = (0..errors.len()).collect();
        slots.sort_by(|&a, &b| errors[a].total_cmp(&errors[b]));
        slots.truncate(count);
        slots.sort_unstable();
        self.candidates = chosen(&self.candidates, &slots);
        self.values = self.values.select(Axis(0), &slots);
        self.squares = chosen(&self.squares, &slots);
        self.rows.iter_mut().for_each(|row| row.narrow(&slots));
        self
    }

    /// Takes the candidate of least error, of equals the oldest; `None` where there is none.
    pub fn take(&mut self) -> Option<usize> {
        let errors = self.errors();
        let slot = (0..errors.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]))?;
        let token = self.candidates[slot];
        self.kept = self.step.applied(&self.kept, &[token]);
        self.move_rows(slot);
        self.forget(slot);
        Some(token)
    }

    /// Renormalises every row after the candidate in `slot` was taken.
    fn move_rows(&mut self, slot: usize) {
        let products = self.products_with(self.values.row(slot), self.candidates.len());
        let mut rows = std::mem::take(&mut self.rows);
        for row in &mut rows {
            let Some(&weight) = row.weights.get(slot) else {
                continue;
            };
            let left = self.step.left(row.weight, weight);
            if left < REBUILD * row.built {
                self.rebuild(row);
            } else {
                row.take(self.step.factor(row.weight, weight), slot, &products);
                row.weight = left;
            }
        }
        self.rows = rows;
    }

    /// Drops the candidate in `slot`.
    fn forget(&mut self, slot: usize) {
        self.candidates.remove(slot);
        self.values.remove_index(Axis(0), slot);
        self.squares.remove(slot);
        self.rows.iter_mut().for_each(|row| row.forget(slot));
    }

    /// The row from its softmax inputs over what is kept: tokens leave it, so the candidates are kept.
    fn rebuild(&self, row: &mut CandidateRow) {
        let output = self.attended.output_over(row.query, &self.kept, None);
        let change = &output - &self.attended.trace.output.row(row.query);
        let output = output - &self.mean;
        let seen = row.weights.len();
        *row = CandidateRow {
            query: row.query,
            weight: 1.0,
            built: 1.0,
            own: Products::new(output.view(), change.view()),
            weights: self
                .attended
                .weights_over(row.query, &self.kept, &self.candidates[..seen]),
            output_products: self.products_with(output.view(), seen),
            change_products: self.products_with(change.view(), seen),
        };
    }

    /// The inner products of the first `count` candidates' values with `vector`.
    fn products_with(&self, vector: ArrayView1<f64>, count: usize) -> Vec<f64> {
        let values = self.values.rows().into_iter().take(count);
        values.map(|value| inner(value, vector)).collect()
    }

    /// `‖o' - o‖²` of `query` over the kept tokens but `gone`.
    fn error_of_survivors(&self, query: usize, gone: usize) -> f64 {
        let output = self.attended.output_over(query, &self.kept, Some(gone));
        let change = output - self.attended.trace.output.row(query);
        inner(change.view(), change.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::set::removal_error;
    use crate::select::evicted;
    use crate::test_heads::{attended_window, logs, scattered, trace, two_queries};
    use approx::assert_relative_eq;
    use ndarray::array;
    use obd_core::{Head, QueryWindow};

    const ALL: QueryWindow = QueryWindow::All;

    /// The pool's errors against the exact set errors.
    fn assert_exact(pool: &Pool) {
        let AttendedWindow { head, trace, window } = pool.attended;
        // Ten digits of the squared values, the size that the carried form rounds at.
        let size = head
            .value()
            .iter()
            .fold(0.0f64, |size, value| size.max(value.abs()))
            .powi(2);
        let errors = pool.errors();
        assert_eq!(errors.len(), pool.candidates.len());
        for (error, candidate) in errors.into_iter().zip(&pool.candidates) {
            let mut kept = pool.kept.clone();
            match pool.step {
                SetStep::Evict => kept.retain(|token| token != candidate),
                SetStep::Add => kept.push(*candidate),
            }
            let exact = removal_error(head, trace, &evicted(head.kv_len(), &kept), window);
            assert_relative_eq!(error, exact, max_relative = 1e-10, epsilon = 1e-10 * size);
        }
    }

    /// The same after each of the steps that take all candidates, the least harmful first.
    fn assert_exact_to_the_end(mut pool: Pool) {
        assert_exact(&pool);
        while pool.take().is_some() {
            assert_exact(&pool);
        }
    }

    fn all(head: &Head) -> Vec<usize> {
        (0..head.kv_len()).collect()
    }

    #[test]
    fn the_errors_are_the_exact_set_errors_at_every_step() {
        for head in [
            scattered(None),
            scattered(Some(0.5)),
            scattered(None).without(&[2]),
            two_queries(),
            logs(),
        ] {
            let trace = trace(&head);
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                let attended = attended_window(&head, &trace, window);
                let (full, empty) = (Kept::new(attended, all(&head)), Kept::new(attended, vec![]));
                assert_exact_to_the_end(Pool::new(SetStep::Evict, &full, all(&head)));
                assert_exact_to_the_end(Pool::new(SetStep::Add, &empty, all(&head)));
                assert_exact_to_the_end(Pool::new(SetStep::Evict, &full, vec![1, 2]));
                let some = Kept::new(attended, vec![1, 2]);
                assert_exact_to_the_end(Pool::new(SetStep::Add, &some, evicted(head.kv_len(), &[1, 2])));
                assert_exact_to_the_end(Pool::new(SetStep::Evict, &some, vec![2]));
            }
        }
    }

    #[test]
    fn a_ladder_of_weights_keeps_its_digits_down_to_the_last() {
        // Logits 0, -6, ... -42, in an order in which the heaviest go first: each eviction leaves 1/400 of the weight.
        let head = Head::new(
            array![[1.0]],
            Array2::from_shape_fn((8, 1), |(j, _)| -6.0 * j as f64),
            Array2::from_shape_fn((8, 2), |(j, c)| (1.0 + j as f64 + 3.0 * c as f64).sin()),
        )
        .unwrap();
        let trace = trace(&head);
        let mut pool = Pool::new(
            SetStep::Evict,
            &Kept::new(attended_window(&head, &trace, ALL), all(&head)),
            all(&head),
        );
        for token in 0..7 {
            assert_exact(&pool);
            pool.kept.retain(|&kept| kept != token);
            pool.move_rows(0);
            pool.forget(0);
        }
        assert_exact(&pool);
    }

    #[test]
    fn rows_rebuilt_with_a_sink_and_a_mask_stay_exact() {
        // The heaviest token of both queries goes first; the second token is hidden from one of them.
        let head = Head::new(
            array![[1.0], [1.1]],
            array![[3.0], [0.5], [0.0], [0.2]],
            array![[1.0, 2.0], [3.0, -1.0], [0.5, 0.0], [2.0, 2.0]],
        )
        .unwrap()
        .with_sink(0.3)
        .unwrap();
        let trace = trace(&head);
        let kept = Kept::new(attended_window(&head, &trace, ALL), all(&head));
        let mut pool = Pool::new(SetStep::Evict, &kept, vec![0, 1, 3]);
        pool.kept.remove(0);
        pool.move_rows(0);
        pool.forget(0);
        assert!(pool.rows.iter().all(|row| row.weight == 1.0));
        assert_exact_to_the_end(pool);
    }

    #[test]
    fn a_query_left_with_nothing_loses_its_output() {
        // The first query sees only token 0 (value 10): evicting it costs 100; token 1 costs far less.
        let head = Head::new(array![[0.0], [0.0]], array![[0.0], [0.0]], array![[10.0], [12.0]]).unwrap();
        let trace = trace(&head);
        let pool = Pool::new(
            SetStep::Evict,
            &Kept::new(attended_window(&head, &trace, ALL), vec![0, 1]),
            vec![0, 1],
        );
        assert_eq!(pool.errors(), [101.0, 1.0]);
    }

    #[test]
    fn a_weight_near_one_is_not_lost() {
        let errors = |head: Head| {
            let trace = trace(&head);
            Pool::new(
                SetStep::Evict,
                &Kept::new(attended_window(&head, &trace, ALL), vec![0, 1]),
                vec![0, 1],
            )
            .errors()
        };
        let head = Head::new(array![[1.0]], array![[1e-20f64.ln()], [0.0]], array![[3.0], [5.0]]).unwrap();
        assert_relative_eq!(errors(head.clone())[1], 4.0, max_relative = 1e-12);
        // A sink of twice the small weight dilutes what is left to a third: change 1 - 5.
        assert_relative_eq!(
            errors(head.with_sink(2e-20f64.ln()).unwrap())[1],
            16.0,
            max_relative = 1e-12
        );
    }

    #[test]
    fn a_narrowed_pool_holds_the_least_harmful() {
        let head = scattered(None);
        let trace = trace(&head);
        for (step, kept) in [(SetStep::Evict, all(&head)), (SetStep::Add, vec![])] {
            let pool = || {
                Pool::new(
                    step,
                    &Kept::new(attended_window(&head, &trace, ALL), kept.clone()),
                    all(&head),
                )
            };
            let errors = pool().errors();
            for count in 0..=8 {
                let narrow = pool().narrowed(count);
                let most = narrow.candidates.iter().map(|&token| errors[token]).fold(0.0, f64::max);
                assert_eq!(narrow.candidates.len(), count.min(7));
                assert_eq!(errors.iter().filter(|&&error| error <= most).count(), count.min(7));
                assert!(narrow.candidates.is_sorted());
                assert_exact_to_the_end(narrow);
            }
        }
    }

    #[test]
    fn of_equals_the_oldest_are_held_and_taken() {
        let head = Head::new(array![[0.0]], Array2::zeros((4, 1)), array![[1.0], [1.0], [1.0], [1.0]]).unwrap();
        let trace = trace(&head);
        let mut pool = Pool::new(
            SetStep::Evict,
            &Kept::new(attended_window(&head, &trace, ALL), all(&head)),
            all(&head),
        )
        .narrowed(3);
        assert_eq!(pool.candidates, [0, 1, 2]);
        assert_eq!((pool.take(), pool.take()), (Some(0), Some(1)));
        assert_eq!((pool.kept.clone(), pool.candidates.clone()), (vec![2, 3], vec![2]));
        assert_eq!((pool.take(), pool.take()), (Some(2), None));
        let mut pool = Pool::new(
            SetStep::Add,
            &Kept::new(attended_window(&head, &trace, ALL), vec![0, 3]),
            vec![1, 2],
        );
        assert_eq!((pool.take(), pool.take(), pool.take()), (Some(1), Some(2), None));
        assert_eq!(pool.kept, [0, 1, 2, 3]);
    }

    #[test]
    fn a_row_ends_with_the_last_candidate_that_it_sees() {
        assert_eq!(up_to_the_last_seen(array![0.5, 0.0, 0.5, 0.0, 0.0].view()), 3);
        assert_eq!(up_to_the_last_seen(array![0.0, 0.0].view()), 0);
        let head = two_queries();
        let trace = trace(&head);
        let pool = Pool::new(
            SetStep::Evict,
            &Kept::new(attended_window(&head, &trace, ALL), all(&head)),
            all(&head),
        );
        let seen: Vec<usize> = pool.rows.iter().map(|row| row.weights.len()).collect();
        assert_eq!(seen, [2, 3]);
        assert_eq!(pool.rows[0].output_products.len(), 2);
    }
}
