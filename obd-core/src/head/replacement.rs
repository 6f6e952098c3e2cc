//! The same head over other keys and values.

use ndarray::{Array1, Array2};

use super::Head;
use crate::ProblemError;
use crate::check::{check_axis, check_finite};
use crate::limits::{check_pair, check_value, logit_magnitude};

impl Head {
    /// The same queries attending in the same way over another cache, of as many tokens: `key` of shape
    /// (kv_len, head_dim), `value` of shape (kv_len, value_dim).
    ///
    /// # Errors
    /// As [`Head::from_parts`].
    pub fn with_cache(&self, key: Array2<f64>, value: Array2<f64>) -> Result<Self, ProblemError> {
        Self::from_parts(self.query.clone(), key, value, self.spec.clone())
    }

    /// The same head with `shift`, shape (head_dim), added to every key, which changes no weight unless the logits are
    /// soft-capped, a sink is there, or a number is rounded.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where the length is not head_dim, otherwise as [`Head::new`].
    pub fn shift_keys(&self, shift: &Array1<f64>) -> Result<Self, ProblemError> {
        check_axis("shift", "head_dim", shift.len(), self.head_dim(), "head_dim of key")?;
        self.with_cache(&self.key + shift, self.value.clone())
    }
}

impl<S> Head<S> {
    /// The same head with the key of `token` replaced, shape (head_dim); `number` reads an element as f64, which the
    /// limits are checked in.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where there is no such token or the length is not head_dim, otherwise as [`Head::new`].
    pub fn replace_key(
        mut self,
        token: usize,
        key: Array1<S>,
        number: impl Fn(&S) -> f64,
    ) -> Result<Self, ProblemError> {
        let row = key.map(&number);
        check_finite("key", token, row.iter().copied())?;
        replace_row("key", "head_dim", &mut self.key, token, key)?;
        for (i, query) in self.query.rows().into_iter().enumerate() {
            let query = query.map(&number);
            let magnitude = logit_magnitude(query.view(), row.view(), self.scale(), self.bias(i, token));
            check_pair((i, token), magnitude)?;
        }
        Ok(self)
    }

    /// The same head with the value of `token` replaced, shape (value_dim); `number` reads an element as f64, which the
    /// limits are checked in.
    ///
    /// # Errors
    /// [`ProblemError::Axis`] where there is no such token or the length is not value_dim, otherwise as [`Head::new`].
    pub fn replace_value(
        mut self,
        token: usize,
        value: Array1<S>,
        number: impl Fn(&S) -> f64,
    ) -> Result<Self, ProblemError> {
        let row = value.map(&number);
        check_finite("value", token, row.iter().copied())?;
        check_value(token, row.view())?;
        replace_row("value", "value_dim", &mut self.value, token, value)?;
        Ok(self)
    }
}

fn replace_row<S>(
    tensor: &'static str,
    axis: &'static str,
    rows: &mut Array2<S>,
    token: usize,
    row: Array1<S>,
) -> Result<(), ProblemError> {
    if token >= rows.nrows() {
        return Err(ProblemError::Axis {
            tensor,
            axis: "kv_len",
            found: rows.nrows(),
            expected: token + 1,
            reason: "the token to replace",
        });
    }
    check_axis(tensor, axis, row.len(), rows.ncols(), "the row to replace")?;
    for (element, new) in rows.row_mut(token).iter_mut().zip(row) {
        *element = new;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Visibility;
    use crate::test_heads::two_by_three as head;
    use ndarray::array;

    fn number(x: &f64) -> f64 {
        *x
    }

    #[test]
    fn another_cache_is_attended_to_in_the_same_way() {
        let window = Visibility::all(2, 3).causal().sliding_window(2).unwrap();
        let head = head().with_visibility(window).unwrap().with_alibi(0.5).unwrap();
        let head = head.with_scale(0.25).unwrap().with_sink(1.0).unwrap();
        let other = head.with_cache(head.key() * 2.0, array![[7.0], [8.0], [9.0]]).unwrap();
        assert_eq!(other.query(), head.query());
        assert_eq!(
            (other.key(), other.value()),
            (&(head.key() * 2.0), &array![[7.0], [8.0], [9.0]])
        );
        assert_eq!(other.spec(), head.spec());
    }

    #[test]
    fn a_cache_that_does_not_fit_is_refused() {
        let refused = head()
            .with_cache(Array2::zeros((4, 4)), Array2::zeros((4, 2)))
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "visibility: kv_len is 3, expected 4 (kv_len of key)"
        );
        let refused = head().with_cache(head().key().clone(), Array2::from_elem((3, 1), 1e71));
        assert!(matches!(
            refused,
            Err(ProblemError::TooLarge {
                tensor: "value",
                row: 0,
                ..
            })
        ));
    }

    #[test]
    fn a_shift_moves_every_key() {
        let shifted = head().shift_keys(&array![0.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(
            shifted.key(),
            array![[1.0, 1.0, 2.0, 3.0], [0.0, 2.0, 2.0, 3.0], [0.0, 1.0, 3.0, 3.0]]
        );
        assert_eq!((shifted.value(), shifted.spec()), (head().value(), head().spec()));
        let refused = head().shift_keys(&array![1.0]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "shift: head_dim is 1, expected 4 (head_dim of key)"
        );
    }

    #[test]
    fn one_row_is_replaced_and_the_others_stay() {
        let key = head().replace_key(1, array![9.0, 9.0, 9.0, 9.0], number).unwrap();
        assert_eq!(key.key().row(1), array![9.0, 9.0, 9.0, 9.0]);
        assert_eq!(key.key().row(0), head().key().row(0));
        let value = head().replace_value(2, array![7.0, 8.0], number).unwrap();
        assert_eq!(value.value(), array![[1.0, 2.0], [3.0, 4.0], [7.0, 8.0]]);
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused() {
        let error = head().replace_key(3, Array1::zeros(4), number).unwrap_err();
        assert_eq!(error.to_string(), "key: kv_len is 3, expected 4 (the token to replace)");
        let error = head().replace_value(0, Array1::zeros(3), number).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value: value_dim is 3, expected 2 (the row to replace)"
        );
    }

    #[test]
    fn a_row_that_would_overflow_is_refused() {
        let refused = head().replace_key(2, array![0.0, 0.0, 0.0, 1e70], number);
        assert!(matches!(refused, Err(ProblemError::Logit { query: 0, token: 2, .. })));
        let error = head().replace_value(1, array![0.0, -1e71], number).unwrap_err();
        assert_eq!(
            error.to_string(),
            "value[1, 1] is -1e71, expected at most 1e70 either way"
        );
        let error = head()
            .replace_key(0, Array1::from_elem(4, f64::NAN), number)
            .unwrap_err();
        assert_eq!(error.to_string(), "key[0, 0] is NaN, expected a finite number");
        let error = head().replace_value(0, array![0.0, f64::INFINITY], number).unwrap_err();
        assert_eq!(error.to_string(), "value[0, 1] is inf, expected a finite number");
    }
}
