//! What the queries of a window see of a set of kept tokens alone, and of the set after some have left or joined it.

use ndarray::{Array1, Array2, Axis, Zip};

use super::attended_window::AttendedWindow;
use super::set_step::SetStep;
use crate::exact::survivors::UNDERFLOW;

/// An output is summed afresh when less than this of its weight is left since the last time: what is carried along is amplified by
/// the inverse of the weight left, so at most by 2.
pub(super) const REBUILD: f64 = 0.5;

/// Attention of the window's queries, renormalised over the kept tokens.
pub(crate) struct Kept<'a> {
    pub attended: AttendedWindow<'a>,
    /// Kept tokens, ascending.
    pub tokens: Vec<usize>,
    /// The part of its old weight that a query still has, sink included, shape (queries).
    pub left: Array1<f64>,
    /// The most that was left since the output was last summed afresh, shape (queries).
    most: Array1<f64>,
    /// Shape (queries, value_dim).
    pub output: Array2<f64>,
}

impl<'a> Kept<'a> {
    /// Attention over `tokens`, ascending.
    pub fn new(attended: AttendedWindow<'a>, tokens: Vec<usize>) -> Self {
        let queries: Vec<usize> = attended.queries().collect();
        let (left, output) = attended.attend(&queries, &tokens);
        Self {
            attended,
            tokens,
            most: left.clone(),
            left,
            output,
        }
    }

    /// Attention after `tokens`, which are all kept or all not, left or joined.
    pub fn after(&self, step: SetStep, tokens: &[usize]) -> Self {
        let queries: Vec<usize> = self.attended.queries().collect();
        let weights = self.attended.weights(&queries, tokens);
        let mut left = self.left.clone();
        left.scaled_add(step.sign(), &weights.sum_axis(Axis(1)));
        let most = Zip::from(&self.most)
            .and(&left)
            .map_collect(|most, left| most.max(*left));
        let mut output = &self.output * &self.left.view().insert_axis(Axis(1));
        output.scaled_add(
            step.sign(),
            &weights.dot(&self.attended.head.value().select(Axis(0), tokens)),
        );
        output /= &left.view().insert_axis(Axis(1));
        let mut after = Self {
            attended: self.attended,
            tokens: step.applied(&self.tokens, tokens),
            left,
            most,
            output,
        };
        after.refresh();
        after
    }

    /// Sums the outputs afresh of which too little weight is left.
    fn refresh(&mut self) {
        let poor = |&at: &usize| self.left[at] < REBUILD * self.most[at] || self.left[at] < UNDERFLOW;
        let rows: Vec<usize> = (0..self.left.len()).filter(poor).collect();
        let queries: Vec<usize> = rows.iter().map(|at| self.attended.queries().start + at).collect();
        let (left, output) = self.attended.attend(&queries, &self.tokens);
        for ((at, left), output) in rows.into_iter().zip(left).zip(output.rows()) {
            (self.left[at], self.most[at]) = (left, left);
            self.output.row_mut(at).assign(&output);
        }
    }

    /// The output less the one of all tokens, shape (queries, value_dim).
    pub fn change(&self) -> Array2<f64> {
        &self.output - &self.attended.output()
    }

    /// Exact error of the kept set.
    pub fn error(&self) -> f64 {
        self.change().iter().map(|change| change * change).sum()
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
    use obd_core::{AttentionTrace, Head, QueryWindow};

    #[test]
    fn the_error_is_the_exact_one_of_the_set() {
        for head in [
            scattered(None),
            scattered(Some(1.0)),
            scattered(None).without(&[2]),
            logs(),
            two_queries(),
        ] {
            let (trace, tokens) = (trace(&head), head.kv_len());
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                for kept in [vec![], vec![0], vec![1, 2], (0..tokens).collect()] {
                    let attended = attended_window(&head, &trace, window);
                    let exact = removal_error(&head, &trace, &evicted(tokens, &kept), window);
                    let error = Kept::new(attended, kept).error();
                    assert_relative_eq!(error, exact, max_relative = 1e-13, epsilon = 1e-28);
                }
            }
        }
    }

    #[test]
    fn tokens_that_left_and_joined_leave_the_same_as_those_that_stayed() {
        for head in [
            scattered(None),
            scattered(Some(1.0)),
            scattered(None).without(&[2]),
            two_queries(),
        ] {
            let (trace, tokens) = (trace(&head), head.kv_len());
            for window in [QueryWindow::All, QueryWindow::Last(2)] {
                let attended = attended_window(&head, &trace, window);
                let mut kept = Kept::new(attended, (0..tokens).collect());
                for (step, moved) in [
                    (SetStep::Evict, vec![0, 2]),
                    (SetStep::Evict, vec![1]),
                    (SetStep::Add, vec![2]),
                    (SetStep::Evict, (2..tokens).collect()),
                    (SetStep::Add, vec![1, 0]),
                ] {
                    kept = kept.after(step, &moved);
                    let fresh = Kept::new(attended, kept.tokens.clone());
                    assert!(kept.tokens.is_sorted());
                    assert_relative_eq!(kept.left, fresh.left, max_relative = 1e-14, epsilon = 1e-15);
                    assert_relative_eq!(kept.output, fresh.output, max_relative = 1e-13, epsilon = 1e-14);
                }
                assert_eq!(kept.tokens, [0, 1]);
            }
        }
    }

    #[test]
    fn an_output_is_summed_afresh_before_its_digits_are_lost() {
        // Weights of 1, 1e-8 and 1e-16 nearly: by subtraction the second would be left with half of its digits, the third with none.
        let key = array![[0.0], [1e-8f64.ln()], [1e-16f64.ln()]];
        let head = Head::new(array![[1.0]], key, array![[1.0], [3.0], [5.0]]).unwrap();
        let trace = trace(&head);
        let attended = attended_window(&head, &trace, QueryWindow::All);
        let two = Kept::new(attended, vec![0, 1, 2]).after(SetStep::Evict, &[0]);
        assert_relative_eq!(two.output[[0, 0]], 3.0 + 2e-8, max_relative = 1e-14);
        let one = two.after(SetStep::Evict, &[1]);
        assert_eq!(one.output, array![[5.0]]);
        assert_eq!(
            (one.left[0], one.most[0]),
            (trace.weights[[0, 2]], trace.weights[[0, 2]])
        );
        // What joined and left again was lent its weight: the most that was left is remembered.
        let back = one.after(SetStep::Add, &[0]).after(SetStep::Evict, &[0]);
        assert_eq!(back.output, array![[5.0]]);
    }

    #[test]
    fn what_is_left_counts_the_sink() {
        let head = logs().with_sink(0.0).unwrap();
        let trace = trace(&head);
        let attended = attended_window(&head, &trace, QueryWindow::All);
        let kept = Kept::new(attended, vec![1]);
        assert_relative_eq!(kept.left, array![3.0 / 9.0], max_relative = 1e-15);
        assert_relative_eq!(kept.output, array![[4.0 * 2.0 / 3.0]], max_relative = 1e-15);
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
        let attended = attended_window(&head, &seen, QueryWindow::All);
        assert_relative_eq!(Kept::new(attended, vec![0, 1]).error(), 36.0, max_relative = 1e-13);
    }
}
