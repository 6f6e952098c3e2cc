//! Pairs of cases whose answers must be equal.

use golden::{Dtype, Mask, OutputSpec, Twin, TwinRelation};
use ndarray::{Array3, Axis};

use crate::golden::draft::{Draft, Size};
use crate::golden::numbers::Numbers;

/// A second case made from a first.
fn twin(first: Draft, name: &str, relation: TwinRelation, equal: &[&str]) -> [Draft; 2] {
    let mut second = first.clone();
    second.name = name.to_owned();
    second.twin = Some(Twin {
        case: first.id(),
        relation,
        equal_outputs: (first.outputs.iter().copied())
            .filter(|spec: &OutputSpec| equal.is_empty() || equal.contains(&spec.to_string().as_str()))
            .collect(),
    });
    [first, second]
}

/// The same tokens in another order, all of them seen by every query. Claim C24.
pub(super) fn permutation(dtype: Dtype) -> Vec<Draft> {
    let first = Draft::new("permutation", "first", dtype, Size::square(21, 16).queries(5))
        .comment("The order of tokens that the twin permutes.")
        .flags(&["order-dependence"])
        .mask(Mask::default());
    let order = Numbers::new("permutation/order").order(21);
    let [first, second] = twin(first, "second", TwinRelation::Permutation(order.clone()), &[]);
    let second = second
        .comment("The tokens of the first in another order: saliencies move with them, output and log-sum-exp stay.")
        .change(|problem| {
            problem.key = problem.key.select(Axis(1), &order);
            problem.value = problem.value.select(Axis(1), &order);
        });
    vec![first, second]
}

/// Numbers that stay exact in every dtype when a small whole number is added.
fn coarse(tensor: &mut Array3<f64>, name: &str) {
    let mut numbers = Numbers::new(name);
    tensor.mapv_inplace(|_| (numbers.below(33) as f64 - 16.0) / 8.0);
}

/// One vector added to all keys: claim C14. Claim C24.
pub(super) fn key_shift(dtype: Dtype) -> Vec<Draft> {
    let first = Draft::new("key-shift", "first", dtype, Size::square(14, 16).queries(5))
        .comment("Keys in eighths, which a shift keeps exact.")
        .flags(&["gauge"])
        .change(|problem| coarse(&mut problem.key, "key-shift/keys"));
    let equal = [
        "output",
        "weight",
        "value",
        "value-p1",
        "removal",
        "key-lse",
        "key-mean",
        "joint-lse",
        "joint-mean",
    ];
    let [first, second] = twin(first, "second", TwinRelation::KeyShift, &equal);
    let second = second
        .comment("One vector is added to all keys: weights, output, removal and gauge-fixed scores stay, key and joint move.")
        .change(|problem| shift(&mut problem.key));
    vec![first, second]
}

/// One vector added to all values: claim C14. Claim C24.
pub(super) fn value_shift(dtype: Dtype) -> Vec<Draft> {
    let first = Draft::new("value-shift", "first", dtype, Size::square(14, 16).queries(5))
        .comment("Values in eighths, which a shift keeps exact.")
        .flags(&["gauge", "cancellation"])
        .change(|problem| coarse(&mut problem.value, "value-shift/values"));
    let equal = [
        "log-sum-exp",
        "weight",
        "key",
        "removal",
        "key-zeroing",
        "key-lse",
        "key-mean",
    ];
    let [first, second] = twin(first, "second", TwinRelation::ValueShift, &equal);
    let second = second
        .comment("One vector is added to all values: weights, key score, key zeroing and removal stay, value and joint move.")
        .change(|problem| shift(&mut problem.value));
    vec![first, second]
}

/// Adds a whole number of -3 to 3 to each channel.
fn shift(tensor: &mut Array3<f64>) {
    for ((_, _, channel), x) in tensor.indexed_iter_mut() {
        *x += (channel * 5 % 7) as f64 - 3.0;
    }
}
