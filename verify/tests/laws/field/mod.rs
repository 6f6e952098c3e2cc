//! The scores of the field: what each is exact for, what moves it and what does not (C25 to C33).

mod expected_attention;
mod keys;
mod values;
mod votes;

use ndarray::Array1;
use obcache_scores::field::KvGroup;
use obd_core::Head;
use proptest::prelude::*;
use reference_attention::attend;
use verify::strategies::matrix;
use verify::tolerance;

use crate::heads::causal;

/// The head as a group of its own.
fn alone(head: &Head) -> KvGroup {
    KvGroup::new(vec![(head.clone(), attend(head))]).unwrap()
}

fn square() -> impl Strategy<Value = Head> {
    (matrix(9, 4), matrix(9, 4), matrix(9, 3)).prop_map(|(query, key, value)| causal(&query, &key, &value))
}

fn largest(numbers: &Array1<f64>) -> f64 {
    numbers.fold(0.0, |largest: f64, x| largest.max(x.abs()))
}

/// Numbers of at most `size` that `roundings` operations lie between.
fn close(x: f64, y: f64, size: f64, roundings: usize) -> bool {
    (x - y).abs() <= tolerance::gamma(roundings) * size
}
