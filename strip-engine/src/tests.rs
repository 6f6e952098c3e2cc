//! The engine against one query at a time through the trace-based scores, with every set of instructions.
//!
//! The tolerances are wide of rounding and far below what a wrong formula moves; digits are held by C20, in `verify/tests/laws/strip`.

use ndarray::{Array1, Array2, Array3, Axis};
use obd_core::{ProblemError, QueryWindow};

use super::*;

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
    check_found("native", problem, &Engine::new().run(problem), tolerance);
}

fn check_found<T: Element>(path: &str, problem: &Problem<T>, found: &[Saliencies<T>], tolerance: f64) {
    assert_eq!(found.len(), problem.group_size());
    for (head, found) in found.iter().enumerate() {
        let expected = reference::saliencies(problem, head);
        for column in Column::ALL {
            let apart = apart(found.column(column), expected.column(column));
            assert!(apart <= tolerance, "{path}, {column:?}: {apart}");
        }
        let flat = |output: &Array2<T>| output.iter().map(|o| o.to_f64()).collect();
        assert!(
            apart(&flat(&found.output), &flat(&expected.output)) <= tolerance,
            "{path}, output"
        );
        for (found, expected) in found.log_sum_exp.iter().zip(&expected.log_sum_exp) {
            assert!(
                found == expected || (found - expected).abs() <= tolerance * (1.0 + expected.abs()),
                "{path}, {found} {expected}"
            );
        }
    }
}

/// A step as the saliencies of its heads.
fn saliencies<T: Element>(step: &Step<T>) -> Vec<Saliencies<T>> {
    let head = |head: usize| {
        let saliencies = step.saliencies(head);
        assert_eq!(step.output(head), saliencies.output.row(0));
        for column in Column::ALL {
            let mut sums = Array1::ones(step.kv_len());
            step.add_to(head, column, &mut sums);
            assert_eq!(sums, saliencies.column(column) + 1.0, "{column:?}");
        }
        saliencies
    };
    (0..step.group_size()).map(head).collect()
}

fn check_step<T: Element>(decoder: &mut Decoder<T>, problem: &Problem<T>, tolerance: f64) {
    let cache = Cache::of(problem.key(), problem.value()).unwrap();
    let step = decoder.step(&cache, problem.query().index_axis(Axis(1), 0)).unwrap();
    assert_eq!(step.kv_len(), problem.kv_len());
    check_found("decoder", problem, &saliencies(&step), tolerance);
}

#[test]
fn all_instructions_agree_with_the_trace_based_scores() {
    let double = Tensors::<f64>::new([1, 140, 210, 9, 11], 4.0);
    let single = Tensors::<f32>::new([1, 140, 400, 9, 11], 4.0);
    for instructions in Instructions::all() {
        let (engine, name) = (Engine::new().with_instructions(instructions), instructions.to_string());
        let (double, single) = (double.problem(), single.problem());
        check_found(&name, &double, &engine.run(&double), 1e-12);
        check_found(&name, &single, &engine.run(&single), 2e-5);
    }
}

#[test]
fn a_step_agrees_with_the_trace_based_scores_whatever_the_instructions() {
    for instructions in Instructions::all() {
        let double = Tensors::<f64>::new([3, 1, 800, 17, 19], 4.0);
        let decoder = Decoder::new().with_instructions(instructions);
        check_step(&mut { decoder }, &double.problem(), 1e-12);
        let single = Tensors::<f32>::new([3, 1, 800, 17, 19], 4.0);
        let decoder = Decoder::new().with_instructions(instructions);
        check_step(&mut { decoder }, &single.problem(), 2e-5);
    }
}

#[test]
fn a_step_over_any_number_of_tokens_writes_over_the_one_before() {
    let mut decoder = Decoder::new();
    for tokens in [193, 1, 2, 16, 400, 192, 7] {
        let tensors = Tensors::<f64>::new([2, 1, tokens, 5, 3], 8.0);
        check_step(&mut decoder, &tensors.problem(), 1e-12);
    }
    let tensors = Tensors::<f64>::new([1, 1, 300, 16, 32], 8.0);
    check_step(&mut decoder, &tensors.problem(), 1e-12);
}

#[test]
fn a_step_knows_scales_and_sinks_and_keeps_its_digits() {
    let tensors = Tensors::<f64>::new([2, 1, 300, 5, 3], 8.0);
    let problem = tensors
        .problem()
        .with_sinks(&[1.0, 30.0])
        .unwrap()
        .with_scale(0.3)
        .unwrap();
    let decoder = Decoder::new().with_scale(0.3).unwrap();
    let decoder = decoder.with_threads(2.try_into().unwrap());
    check_step(&mut decoder.with_sinks(&[1.0, 30.0]).unwrap(), &problem, 1e-12);
    let tensors = Tensors::<f64>::new([1, 1, 200, 8, 5], 80.0);
    check_step(&mut Decoder::new(), &tensors.problem(), 1e-11);
    let mut tensors = Tensors::<f64>::new([1, 1, 200, 8, 5], 4.0);
    tensors.value += 1e3;
    check_step(&mut Decoder::new(), &tensors.problem(), 1e-10);
    // Squares of these leave 32 bits on either side.
    for size in [1e30, 1e-30] {
        let mut tensors = Tensors::<f32>::new([1, 1, 200, 8, 5], 4.0);
        tensors.value *= size;
        check_step(&mut Decoder::new(), &tensors.problem(), 1e-4);
    }
}

#[test]
fn a_step_finds_the_two_largest_logits_in_whatever_tiles_they_are() {
    // Tiles are of 192 tokens. Measured from any other than the largest but one, its exponential overflows.
    for large in [
        [(200, 2e3), (201, 1.5e3)],
        [(5, 2e3), (200, 1.5e3)],
        [(5, 1.5e3), (399, 2e3)],
    ] {
        let mut tensors = Tensors::<f64>::new([1, 1, 400, 1, 3], 1.0);
        tensors.query.fill(1.0);
        for (token, logit) in large {
            tensors.key[[token, 0]] = logit;
        }
        check_step(&mut Decoder::new(), &tensors.problem(), 1e-12);
    }
}

#[test]
fn what_a_dominant_token_or_sink_leaves_does_not_underflow() {
    let mut tensors = Tensors::<f64>::new([1, 1, 40, 1, 3], 1.0);
    tensors.query.fill(1.0);
    tensors.key[[5, 0]] = 2e3;
    check(&tensors.problem(), 1e-12);
    check_step(&mut Decoder::new(), &tensors.problem(), 1e-12);
    // Logits near -500, of which the mean key makes all; the sink stands so far above them that nothing is left.
    let mut tensors = Tensors::<f64>::new([1, 3, 40, 1, 3], 1.0);
    tensors.query.fill(-100.0);
    tensors.key += 5.0;
    check(&tensors.problem().with_sinks(&[2e3]).unwrap(), 1e-12);
    let one = Tensors::<f64>::new([1, 1, 40, 1, 3], 1.0);
    let decoder = Decoder::new().with_sinks(&[2e3]).unwrap();
    check_step(&mut { decoder }, &one.problem().with_sinks(&[2e3]).unwrap(), 1e-12);
}

#[test]
fn what_cancels_in_any_column_is_computed_again() {
    // Queries attend to the even tokens, whose values are all near to 10⁵, the others near to -10⁵: no mean is in common.
    let mut tensors = Tensors::<f64>::new([1, 200, 450, 8, 5], 1.0);
    for token in 0..450 {
        let side = if token % 2 == 0 { 1.0 } else { -1.0 };
        tensors.key.row_mut(token)[0] = 9.0 * side;
        tensors.value.row_mut(token).mapv_inplace(|v| v + 1e5 * side);
    }
    tensors.query.index_axis_mut(Axis(2), 0).fill(9.0);
    check(&tensors.problem(), 1e-9);
    let mut worst = tensors.problem().with_queries(QueryWindow::Last(1));
    worst = worst.with_scale(1.0).unwrap();
    check(&worst, 1e-9);
}

#[test]
fn no_number_of_threads_moves_a_bit_of_a_step() {
    let tensors = Tensors::<f32>::new([2, 1, 1000, 16, 24], 4.0);
    let problem = tensors.problem();
    let cache = Cache::of(problem.key(), problem.value()).unwrap();
    let steps = [1, 2, 5].map(|threads| {
        let mut decoder = Decoder::new().with_threads(threads.try_into().unwrap());
        saliencies(&decoder.step(&cache, problem.query().index_axis(Axis(1), 0)).unwrap())
    });
    assert!(steps[0] == steps[1] && steps[0] == steps[2]);
}

#[test]
fn a_cache_that_grew_and_shrank_is_one_of_what_is_left() {
    let tensors = Tensors::<f64>::new([1, 1, 9, 5, 3], 4.0);
    let mut cache = Cache::of(tensors.key.view(), tensors.value.view()).unwrap();
    cache.keep(&[0, 2, 3, 8]).unwrap();
    cache.push(tensors.key.row(5), tensors.value.row(5)).unwrap();
    let rows = [0, 2, 3, 8, 5];
    let (key, value) = (tensors.key.select(Axis(0), &rows), tensors.value.select(Axis(0), &rows));
    let problem = Problem::new(tensors.query.view(), key.view(), value.view()).unwrap();
    let mut decoder = Decoder::new();
    let step = decoder.step(&cache, tensors.query.index_axis(Axis(1), 0)).unwrap();
    check_found("decoder", &problem, &saliencies(&step), 1e-12);
}

#[test]
fn a_step_hands_out_the_problem_of_each_head() {
    let tensors = Tensors::<f32>::new([2, 1, 20, 5, 3], 4.0);
    let problem = tensors.problem().with_sinks(&[1.0, -2.0]).unwrap();
    let cache = Cache::of(problem.key(), problem.value()).unwrap();
    let mut decoder = Decoder::new()
        .with_scale(0.3)
        .unwrap()
        .with_sinks(&[1.0, -2.0])
        .unwrap();
    // The second step's queries take the place of the first's.
    let other = tensors.query.index_axis(Axis(1), 0).mapv(|q| 2.0 * q);
    decoder.step(&cache, other.view()).unwrap();
    let step = decoder.step(&cache, problem.query().index_axis(Axis(1), 0)).unwrap();
    for number in 0..2 {
        let head = step.head(number).unwrap();
        assert_eq!((head.scale(), head.sink()), (0.3, problem.sink(number)));
        assert_eq!(
            head.query(),
            tensors.query.index_axis(Axis(0), number).map(|&q| f64::from(q))
        );
        assert_eq!(head.key(), tensors.key.map(|&k| f64::from(k)));
        assert_eq!(head.value(), tensors.value.map(|&v| f64::from(v)));
    }
}

#[test]
fn logits_that_overflow_show_in_a_step() {
    let (key, value) = (Array2::from_elem((3, 1), -1e30f32), Array2::ones((3, 1)));
    let cache = Cache::of(key.view(), value.view()).unwrap();
    let mut decoder = Decoder::new();
    let step = decoder.step(&cache, Array2::from_elem((1, 1), 1e30).view()).unwrap();
    let saliencies = step.saliencies(0);
    assert!(saliencies.output[[0, 0]].is_nan() && saliencies.log_sum_exp[0].is_nan());
    assert!(saliencies.column(Column::Weight)[0].is_nan());
}

#[test]
fn a_step_refuses_what_does_not_fit() {
    let mut decoder = Decoder::new();
    let cache = Cache::<f64>::new(2, 3).unwrap();
    let two = Array2::zeros((1, 2));
    let empty = ProblemError::Empty {
        tensor: "key",
        axis: "kv_len",
    };
    assert_eq!(decoder.step(&cache, two.view()).unwrap_err(), empty);
    let mut cache = cache;
    cache.push(Array1::zeros(2).view(), Array1::zeros(3).view()).unwrap();
    let three = Array2::zeros((1, 3));
    let text = decoder.step(&cache, three.view()).unwrap_err().to_string();
    assert_eq!(text, "query: head_dim is 3, expected 2 (head_dim of the cache)");
    let nan = Array2::from_elem((1, 2), f64::NAN);
    let text = decoder.step(&cache, nan.view()).unwrap_err().to_string();
    assert_eq!(text, "query[0, 0] is NaN, expected a finite number");
    let text = decoder.clone().with_sinks(&[0.0, 0.0]).unwrap();
    let text = text.clone().step(&cache, two.view()).unwrap_err().to_string();
    assert_eq!(text, "query: group_size is 1, expected 2 (number of sinks)");
    assert!(decoder.clone().with_sinks(&[f64::NAN]).is_err());
    assert!(decoder.clone().with_scale(0.0).is_err());
    assert_eq!(decoder.step(&cache, two.view()).unwrap().kv_len(), 1);
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
    let mut common = Tensors::<f64>::new([2, 37, 300, 8, 5], 2.0);
    common.key += 9.0;
    check(&common.problem().with_sinks(&[30.0, -30.0]).unwrap(), 1e-12);
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

#[test]
fn what_an_earlier_run_left_in_the_buffers_moves_no_bit() {
    let tensors = [
        Tensors::<f32>::new([2, 300, 700, 16, 24], 4.0),
        Tensors::<f32>::new([1, 500, 500, 9, 11], 4.0),
        Tensors::<f32>::new([1, 40, 60, 7, 3], 4.0),
        Tensors::<f32>::new([1, 300, 900, 16, 24], 4.0),
    ];
    let mut buffers = Buffers::new();
    for problem in tensors.iter().map(Tensors::problem) {
        for problem in [problem.clone().with_sliding_window(50).unwrap(), problem] {
            let (found, _) = Engine::new().run_in(&mut buffers, &problem, &|| {});
            assert!(found == Engine::new().run(&problem));
        }
    }
}
