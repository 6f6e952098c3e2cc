//! Choosing a *set* of tokens to keep: what no ranking of single tokens can do.
//!
//! | selection | what it does | cost, n tokens, w queries |
//! |---|---|---|
//! | [`greedy`] | evicts, one after the other, the token that costs the set least | n passes in n·w each |
//! | [`halving`] | evicts half of what must go among the candidates that are missed least, scores again, evicts the rest | a few dozen products n·w·d |
//! | [`exchange`] | then swaps the most missed evicted tokens for the least needed kept ones, while the exact error falls | one scoring of all tokens, 3 products n·w·d, an exchange |
//! | [`addition`] | keeps, one after the other, the token that leaves the least error | n passes in n·w each |
//! | [`beam`] | greedy removal that follows several sets at once | n passes a set |
//! | [`exhaustive`] | tries every set | small problems only |
//! | [`gram`] | greedy removal to first order, without renormalising | one Gram matrix, n a token |
//! | [`cholesky`] | pivoted Cholesky of the Gram matrix: the tokens that span the others | one Gram matrix, n·k² |
//!
//! All but the two by the Gram matrix measure the exact error of claim C13; none but [`exhaustive`] is proved best.

use ndarray::Array1;
use obd_core::{AttentionTrace, Head, QueryWindow};

pub mod addition;
pub(crate) mod attended_window;
pub mod beam;
mod candidate_row;
pub mod cholesky;
pub mod exchange;
pub mod exhaustive;
pub mod gram;
pub mod greedy;
pub mod halving;
mod kept;
mod pool;
mod products;
mod set_step;

use attended_window::AttendedWindow;
use kept::Kept;
use pool::Pool;
use set_step::SetStep;

/// Exact error of the set `kept`, ascending, without each of its tokens in turn, shape (kept): what removal ranks by.
///
/// # Panics
/// Where the shapes of `trace` are not those of `head`, or a token is past its end.
pub fn errors_without(head: &Head, trace: &AttentionTrace, window: QueryWindow, kept: &[usize]) -> Array1<f64> {
    let kept = Kept::new(AttendedWindow { head, trace, window }, kept.to_vec());
    Array1::from(Pool::new(SetStep::Evict, &kept, kept.tokens.clone()).errors())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn each_error_is_that_of_the_others_alone() {
        // Values 8, 4, 0, output 2: of the first and the last, the one alone gives 0, the other 8.
        let head = test_heads::logs();
        let errors = errors_without(&head, &test_heads::trace(&head), QueryWindow::All, &[0, 2]);
        assert_relative_eq!(errors, array![4.0, 36.0], max_relative = 1e-13);
    }
}
