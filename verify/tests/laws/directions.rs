//! Random directions in which keys and values move, and how far that moves an output.

use ndarray::{Array1, Array2};
use obd_core::{Direction, Head};
use proptest::prelude::*;
use reference_attention::Scalar;
use verify::{strategies, tolerance};

/// The head with every key and value moved by `step` times its direction, in the numbers of `step`.
pub fn moved<S: Scalar>(head: &Head, steps: &[(S, &Direction)]) -> Head<S> {
    let mut moved = head.lift(|x| S::from_f64(*x));
    let shift = |from: &Array2<f64>, part: fn(&Direction) -> &Array2<f64>, j: usize| -> Array1<S> {
        Array1::from_shape_fn(from.ncols(), |c| {
            let start = S::from_f64(from[[j, c]]);
            steps.iter().fold(start, |sum, (step, direction)| {
                sum + step.clone() * S::from_f64(part(direction)[[j, c]])
            })
        })
    };
    for j in 0..head.kv_len() {
        let key = shift(head.key(), |direction| &direction.key, j);
        let value = shift(head.value(), |direction| &direction.value, j);
        moved = moved.replace_key(j, key, S::to_f64).unwrap();
        moved = moved.replace_value(j, value, S::to_f64).unwrap();
    }
    moved
}

pub fn with_directions(count: usize) -> impl Strategy<Value = (Head, Vec<Direction>)> {
    strategies::moderate_head().prop_flat_map(move |head| {
        let direction = (
            strategies::matrix(head.kv_len(), head.head_dim()),
            strategies::matrix(head.kv_len(), head.value_dim()),
        )
            .prop_map(|(key, value)| Direction { key, value });
        (Just(head), proptest::collection::vec(direction, count))
    })
}

/// 1 + the largest change of a logit along directions with elements below 2: a first-order change is at most 2 values
/// times it, or a change of value (at most 2, the bound of the values too) itself.
pub fn stretch(head: &Head) -> f64 {
    let widest = head
        .query()
        .rows()
        .into_iter()
        .map(|q| q.iter().map(|x| 2.0 * x.abs()).sum::<f64>());
    1.0 + head.scale() * widest.fold(0.0, f64::max)
}

/// The bound 2 of a generated value or change of value stands in for the values: they may all happen to be small.
pub fn change_tolerance(head: &Head) -> f64 {
    16.0 * (tolerance::weight(head) + tolerance::gamma(head.kv_len())) * stretch(head)
}
