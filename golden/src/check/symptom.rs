//! What failures have in common, in words, where no known bug explains them.

use ndarray::ArrayD;

use super::judgement::error_in_bounds;

/// What stands out among the failures of one output; empty where nothing does.
pub(super) fn symptoms(axes: &[&str], truth: &ArrayD<f64>, got: &ArrayD<f64>, tolerance: &ArrayD<f64>) -> Vec<String> {
    let mut failures = Vec::new();
    for (((index, &expected), &got), &tolerance) in truth.indexed_iter().zip(got).zip(tolerance) {
        if error_in_bounds(got, expected, tolerance) > 1.0 {
            failures.push((ndarray::Dimension::slice(&index).to_vec(), got, expected));
        }
    }
    let mut symptoms = Vec::new();
    symptoms.extend(nonfinite(&failures));
    symptoms.extend(constant(&failures));
    for (axis, name) in axes.iter().enumerate() {
        let places: Vec<usize> = failures.iter().map(|(index, ..)| index[axis]).collect();
        symptoms.extend(confined(&places, name, truth.len_of(ndarray::Axis(axis))));
    }
    symptoms
}

type Failure = (Vec<usize>, f64, f64);

fn nonfinite(failures: &[Failure]) -> Option<String> {
    let count = failures.iter().filter(|(_, got, _)| !got.is_finite()).count();
    (count > 0).then(|| format!("{count} of {} failures are NaN or infinite", failures.len()))
}

/// One ratio, or one difference, between all failures and the truth.
fn constant(failures: &[Failure]) -> Option<String> {
    let agreed = |numbers: Vec<f64>| {
        let first = *numbers.first()?;
        let alike = |x: &f64| (x - first).abs() <= 1e-3 * first.abs();
        (numbers.len() > 1 && first.is_finite() && numbers.iter().all(alike)).then_some(first)
    };
    let ratio = agreed(failures.iter().map(|(_, got, expected)| got / expected).collect());
    if let Some(ratio) = ratio {
        return Some(format!("all failures are {ratio:.4} times what they should be"));
    }
    let difference = agreed(failures.iter().map(|(_, got, expected)| got - expected).collect());
    difference.map(|difference| format!("all failures are off by {difference:.4}"))
}

/// Whether failures occur only in a part of an axis.
fn confined(places: &[usize], axis: &str, length: usize) -> Option<String> {
    let (first, last) = (*places.iter().min()?, *places.iter().max()?);
    let span = |from: usize, to: usize| {
        if from == to {
            format!("{axis} {from}")
        } else {
            format!("{axis} {from} to {to}")
        }
    };
    (length > 1 && (first > 0 || last + 1 < length)).then(|| format!("failures only at {}", span(first, last)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn symptoms_of(got: Array2<f64>) -> Vec<String> {
        let (truth, tolerance) = (array![[1.0, 2.0, 4.0]], array![[0.1, 0.1, 0.1]]);
        let axes = ["query_head", "query"];
        symptoms(&axes, &truth.into_dyn(), &got.into_dyn(), &tolerance.into_dyn())
    }

    #[test]
    fn a_common_factor_is_seen() {
        assert_eq!(
            symptoms_of(array![[2.0, 4.0, 8.0]]),
            ["all failures are 2.0000 times what they should be"]
        );
    }

    #[test]
    fn a_common_difference_and_a_place_are_seen() {
        assert_eq!(
            symptoms_of(array![[1.0, 2.5, 4.5]]),
            ["all failures are off by 0.5000", "failures only at query 1 to 2"]
        );
    }

    #[test]
    fn what_is_not_a_number_is_counted() {
        assert_eq!(
            symptoms_of(array![[f64::NAN, 2.0, 4.0]]),
            ["1 of 1 failures are NaN or infinite", "failures only at query 0"]
        );
    }

    #[test]
    fn nothing_stands_out_where_nothing_fails() {
        assert_eq!(symptoms_of(array![[1.0, 2.0, 4.0]]), Vec::<String>::new());
    }
}
