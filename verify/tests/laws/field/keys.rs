//! Scores that see no query: leverage (C28), norms and directions of keys (C29), LagKV (C31), redundancy (C33).

use ndarray::{Array1, Array2, Axis, s};
use ndarray_linalg::{JobSvd, SVDDC};
use obcache_scores::field::{CurKind, LagKv, cur, key_diff, knorm, leverage, r_kv, redundancy, sketched_leverage};
use proptest::prelude::*;
use reference_attention::attend;
use verify::law::for_cases;
use verify::strategies::matrix;
use verify::tolerance;

use super::{alone, close, largest, square};
use crate::heads::causal;

#[test]
fn c28_leverage_sums_to_the_rank_and_sees_no_change_of_basis() {
    let inputs = (matrix(9, 4), matrix(4, 4), matrix(1, 4));
    for_cases(48, inputs, |(key, basis, shift)| {
        let basis = basis + Array2::<f64>::eye(4) * 9.0;
        let (plain, moved) = (
            leverage(&key).unwrap(),
            leverage(&(key.dot(&basis) + shift.row(0))).unwrap(),
        );
        let centred = &key - &(key.sum_axis(Axis(0)) / 9.0);
        let (_, singular, _) = centred.svddc(JobSvd::None).unwrap();
        // The condition number of the keys, squared, times that of the basis (diagonally dominant: below 17 / 1).
        let condition = (singular[0] / singular[3].max(1e-300)).powi(2) * 17.0;
        prop_assume!(condition < 1e8);
        let roundings = 64 * (condition as usize + 1);
        prop_assert!(close(plain.sum(), 4.0, 4.0, roundings));
        prop_assert!(
            plain
                .iter()
                .all(|&h| (0.0..=1.0 + tolerance::gamma(roundings)).contains(&h))
        );
        let sketched = sketched_leverage(&key, &basis, 0.0).unwrap();
        for ((plain, moved), sketched) in plain.iter().zip(&moved).zip(&sketched) {
            prop_assert!(close(*plain, *moved, 1.0, roundings), "{plain} {moved}");
            prop_assert!(close(*plain, *sketched, 1.0, roundings), "{plain} {sketched}");
        }
        Ok(())
    });
}

#[test]
fn c28_squared_norms_bracket_leverage() {
    for_cases(48, matrix(9, 3), |key| {
        // σ_r² h <= ‖x‖² <= σ_1² h for centred rows: what CUR's stand-in is worth.
        let centred = &key - &(key.sum_axis(Axis(0)) / 9.0);
        let head = causal(&Array2::ones((9, 3)), &centred, &Array2::ones((9, 1)));
        let shares = cur(&alone(&head), CurKind::Key, None);
        let squares = centred.iter().map(|x| x * x).sum::<f64>();
        let (_, singular, _) = centred.svddc(JobSvd::None).unwrap();
        for (share, leverage) in shares.iter().zip(leverage(&key).unwrap()) {
            let (low, high) = (singular[2].powi(2) * leverage, singular[0].powi(2) * leverage);
            let slack = tolerance::gamma(2000) * squares;
            prop_assert!(low - slack <= share * squares && share * squares <= high + slack);
        }
        Ok(())
    });
}

#[test]
fn c29_key_norms_and_directions_move_where_no_weight_does() {
    for_cases(48, (square(), matrix(1, 4)), |(head, shift)| {
        prop_assume!(shift.iter().any(|x| x.abs() > 0.5));
        let moved = causal(head.query(), &(head.key() + &shift.row(0)), head.value());
        let weights = (attend(&head).weights, attend(&moved).weights);
        let gap = (&weights.0 - &weights.1).fold(0.0, |gap: f64, x| gap.max(x.abs()));
        prop_assert!(gap <= 4.0 * (tolerance::weight(&head) + tolerance::weight(&moved)));
        for score in [knorm, key_diff] {
            let gap = largest(&(score(&alone(&head)) - score(&alone(&moved))));
            prop_assert!(gap > 1e-6, "{gap}");
        }
        // Scaling all keys reorders neither and leaves directions.
        let scaled = causal(head.query(), &(head.key() * 2.0), head.value());
        prop_assert_eq!(knorm(&alone(&scaled)), knorm(&alone(&head)) * 2.0);
        prop_assert!(largest(&(key_diff(&alone(&scaled)) - key_diff(&alone(&head)))) <= tolerance::gamma(64));
        prop_assert!(largest(&(redundancy(&alone(&scaled), 2.0) - redundancy(&alone(&head), 2.0))) <= 1e-6);
        Ok(())
    });
}

#[test]
fn c31_lag_kv_sees_no_scale_and_no_offset_of_a_channel() {
    for_cases(48, (square(), 0.5..4.0_f64, -3.0..3.0_f64), |(head, scale, offset)| {
        let lag = LagKv { sinks: 1, lag: 2 };
        let plain = lag.saliency(&alone(&head));
        let mut key = head.key().clone();
        key.column_mut(1).mapv_inplace(|x| scale * x + offset);
        let moved = lag.saliency(&alone(&causal(head.query(), &key, head.value())));
        for start in [1, 3, 5] {
            let sum = plain.slice(s![start..start + 2]).sum();
            prop_assert!(close(sum, 1.0, 1.0, 64));
        }
        let narrow = |rows: &Array2<f64>| {
            (1..8)
                .flat_map(|row| (0..rows.ncols()).map(move |c| (row, c)))
                .map(|(row, c)| (rows[[row, c]] - rows[[row + 1, c]]).abs())
                .fold(f64::INFINITY, f64::min)
        };
        prop_assume!(narrow(head.key()).min(narrow(head.value())) > 1e-3);
        for (plain, moved) in plain.iter().zip(&moved).filter(|(plain, _)| plain.is_finite()) {
            // A range of at least 1e-3 · 0.5 beside numbers of at most 11 loses a factor of 22000; deviations reach 4000.
            prop_assert!(close(*plain, *moved, 1.0, 1 << 30), "{plain} {moved}");
        }
        Ok(())
    });
}

#[test]
fn c33_of_two_equal_keys_the_older_is_the_more_redundant() {
    for_cases(48, (square(), 1..8_usize), |(head, old)| {
        let mut key = head.key().clone();
        let copy = key.row(old).to_owned();
        key.row_mut(8).assign(&copy);
        prop_assume!(copy.dot(&copy) > 0.01);
        let group = alone(&causal(head.query(), &key, head.value()));
        let redundant = redundancy(&group, 0.5);
        prop_assert!(redundant[old] >= redundant[8] * (1.0 - tolerance::gamma(256)));
        let even = Array1::ones(9);
        let saliency = r_kv(&group, &even, 0.1, 0.5).unwrap();
        prop_assert!(saliency[old] <= saliency[8] + tolerance::gamma(256));
        Ok(())
    });
}
