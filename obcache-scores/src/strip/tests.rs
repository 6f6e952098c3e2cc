//! The engine against one query at a time through the trace-based scores, on every path of dispatch.

use ndarray::{Array1, Array2, Array3};
use obd_core::{Perturbation, QueryWindow};

use super::*;
use crate::Score;

/// Numbers in (-1, 1) that look random.
fn numbers<T: Element>(seed: u64) -> impl FnMut() -> T {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        T::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    }
}

/// A group of heads of these sizes, (group_size, query_len, kv_len, head_dim, value_dim), logits up to about `spread`.
struct Tensors<T> {
    query: Array3<T>,
    key: Array2<T>,
    value: Array2<T>,
}

impl<T: Element> Tensors<T> {
    fn new([group, queries, tokens, channels, value_channels]: [usize; 5], spread: f64) -> Self {
        let mut number = numbers::<T>(7);
        Self {
            query: Array3::from_shape_simple_fn((group, queries, channels), || T::from_f64(spread * number().to_f64())),
            key: Array2::from_shape_simple_fn((tokens, channels), &mut number),
            value: Array2::from_shape_simple_fn((tokens, value_channels), &mut number),
        }
    }

    fn problem(&self) -> Problem<'_, T> {
        Problem::new(self.query.view(), self.key.view(), self.value.view()).unwrap()
    }
}

/// The largest difference of a sum from its reference, over the largest of them.
fn apart(found: &Array1<f64>, expected: &Array1<f64>) -> f64 {
    let largest = expected.fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let mut apart = 0.0f64;
    for (found, expected) in found.iter().zip(expected) {
        apart = apart.max((found - expected).abs() / largest);
        if found.is_nan() {
            return f64::NAN;
        }
    }
    apart
}

fn check<T: Element>(problem: &Problem<T>, tolerance: f64) {
    let found = Engine::new().run(problem);
    for (head, found) in found.iter().enumerate() {
        let expected = reference::saliencies(problem, head);
        for score in Score::ALL {
            let apart = apart(found.score(score), expected.score(score));
            assert!(apart <= tolerance, "{score}: {apart}");
        }
        for what in Perturbation::ALL {
            let apart = apart(found.exact(what), expected.exact(what));
            assert!(apart <= tolerance, "{}: {apart}", what.name());
        }
        let flat = |output: &Array2<T>| output.iter().map(|o| o.to_f64()).collect();
        assert!(
            apart(&flat(&found.output), &flat(&expected.output)) <= tolerance,
            "output"
        );
        for (found, expected) in found.log_sum_exp.iter().zip(&expected.log_sum_exp) {
            assert!(
                found == expected || (found - expected).abs() <= tolerance * (1.0 + expected.abs()),
                "{found} {expected}"
            );
        }
    }
}

#[test]
fn agrees_with_the_trace_based_scores() {
    let tensors = Tensors::<f64>::new([2, 300, 300, 16, 24], 4.0);
    check(&tensors.problem(), 1e-12);
    let tensors = Tensors::<f32>::new([1, 300, 300, 16, 24], 4.0);
    check(&tensors.problem(), 1e-4);
}

#[test]
fn agrees_under_every_visibility() {
    let tensors = Tensors::<f64>::new([2, 37, 530, 8, 5], 8.0);
    check(&tensors.problem(), 1e-12);
    check(&tensors.problem().bidirectional(), 1e-12);
    check(&tensors.problem().with_sliding_window(20).unwrap(), 1e-12);
    check(&tensors.problem().with_sliding_window(1).unwrap(), 1e-12);
    check(&tensors.problem().with_queries(QueryWindow::Last(9)), 1e-12);
    check(&tensors.problem().with_sinks(&[1.0, 30.0]).unwrap(), 1e-12);
    check(
        &tensors.problem().bidirectional().with_sliding_window(20).unwrap(),
        1e-12,
    );
    let more_queries = Tensors::<f64>::new([1, 150, 20, 8, 5], 8.0);
    check(&more_queries.problem(), 1e-12);
    check(&more_queries.problem().with_sinks(&[-1.0]).unwrap(), 1e-12);
}

#[test]
fn large_logits_and_offsets_keep_their_digits() {
    let tensors = Tensors::<f64>::new([1, 200, 200, 8, 5], 80.0);
    check(&tensors.problem(), 1e-11);
    let mut tensors = Tensors::<f64>::new([1, 200, 200, 8, 5], 4.0);
    tensors.value += 1e3;
    check(&tensors.problem(), 1e-10);
}

#[test]
fn neither_threads_nor_strip_height_move_a_bit() {
    let tensors = Tensors::<f32>::new([2, 500, 700, 16, 24], 4.0);
    let problem = tensors.problem();
    let engine = Engine::new().with_threads(1.try_into().unwrap());
    let expected = engine.run(&problem);
    for threads in [2, 3] {
        assert_eq!(engine.with_threads(threads.try_into().unwrap()).run(&problem), expected);
    }
    for height in [1, 3, 8, 40, 64, 1000] {
        assert!(
            engine.with_strip_height(height.try_into().unwrap()).run(&problem) == expected,
            "{height}"
        );
    }
}
