//! What rounding keys and values costs (C22).

use std::num::NonZero;

use ndarray::{Array1, Array2, Axis};
use obcache_scores::bits::quantiser::{Quantiser, noise};
use obcache_scores::bits::weights;
use obd_core::{Direction, Head, QueryWindow, jacobian};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reference_attention::{attend, oracle};

/// Standard errors that a mean may lie off: chance exceeds them once in a million and a half laws.
const STANDARD_ERRORS: f64 = 5.0;

/// Means with their standard errors, of paired numbers.
struct Mean {
    mean: f64,
    error: f64,
}

fn mean(numbers: &[f64]) -> Mean {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Mean {
        mean,
        error: (variance / count).sqrt(),
    }
}

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn even(random: &mut ChaCha8Rng, rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_simple_fn((rows, columns), || random.random_range(-1.0..1.0))
}

fn groups_of(size: usize) -> Quantiser {
    Quantiser {
        group_size: NonZero::new(size).unwrap(),
    }
}

/// True error less the prediction, and the prediction, of values rounded to `bits`, for values drawn by `draw`.
fn value_errors(bits: u8, draw: impl Fn(&mut ChaCha8Rng) -> Array2<f64>) -> (Vec<f64>, Vec<f64>) {
    let mut random = random(22);
    let (query, key) = (even(&mut random, 5, 4) * 3.0, even(&mut random, 8, 4));
    let quantiser = groups_of(8);
    let drawn = |_| {
        let head = Head::new(query.clone(), key.clone(), draw(&mut random)).unwrap();
        let trace = attend(&head);
        let rounded = quantiser.values(head.value(), &[bits; 8]);
        let stored = Head::new(query.clone(), key.clone(), rounded).unwrap();
        let truth = oracle::error(&(attend(&stored).output - &trace.output), QueryWindow::All);
        let ranges = quantiser.value_ranges(head.value()).sum_axis(Axis(1));
        let predicted = (weights::value(&trace, QueryWindow::All) * ranges).sum() * noise(bits);
        (truth - predicted, predicted)
    };
    (0..1500).map(drawn).unzip()
}

#[test]
fn c22_rounded_values_cost_what_the_model_says_at_any_number_of_bits() {
    // Drawn evenly, a number lies evenly between the ends of its group, and its rounding error evenly within half a step.
    for bits in [1, 2, 5] {
        let (gaps, predicted) = value_errors(bits, |random| even(random, 8, 16));
        let gap = mean(&gaps);
        assert!(
            gap.mean.abs() <= STANDARD_ERRORS * gap.error,
            "{bits} bits: {} of {}",
            gap.mean,
            gap.error
        );
        // The law sees an error of 6 % in the prediction.
        assert!(STANDARD_ERRORS * gap.error < 0.06 * mean(&predicted).mean);
    }
}

#[test]
fn c22_one_bit_on_numbers_that_bunch_up_is_not_what_the_model_says() {
    // Sums of four even numbers crowd in the middle, farthest from both levels of 1 bit: the truth is above the model.
    let bell = |random: &mut ChaCha8Rng| {
        (0..4)
            .map(|_| even(random, 8, 16))
            .fold(Array2::zeros((8, 16)), |a, b| a + b)
    };
    let off = |bits| {
        let (gaps, predicted) = value_errors(bits, bell);
        let gap = mean(&gaps);
        (gap.mean / mean(&predicted).mean, gap.mean / gap.error)
    };
    let (share, errors) = off(1);
    assert!(errors > STANDARD_ERRORS && share > 0.1, "{share} {errors}");
    assert!(off(5).0.abs() < share / 3.0);
}

#[test]
fn c22_rounded_keys_err_as_the_model_says_at_any_number_of_bits() {
    let quantiser = groups_of(8);
    for bits in [1, 3] {
        let mut random = random(23);
        let drawn = |_| {
            let key = even(&mut random, 19, 3);
            let error = &quantiser.keys(&key, &[bits; 3]) - &key;
            (error.mapv(|x| x * x) - quantiser.key_ranges(&key) * noise(bits)).sum()
        };
        let gap = mean(&(0..1500).map(drawn).collect::<Vec<f64>>());
        assert!(gap.mean.abs() <= STANDARD_ERRORS * gap.error, "{bits} bits");
    }
}

/// Rounds to the levels `step (whole - shift)`: with an even random shift the error is even and independent of the number.
fn dithered(x: f64, step: f64, shift: f64) -> f64 {
    step * ((x / step + shift).round() - shift)
}

/// The most that a change of keys can move outputs beyond first order, in norm over all queries (claim C16).
fn remainder(head: &Head, change: &Array2<f64>) -> f64 {
    let value = head.value();
    let distance = |a: usize, b: usize| (&value.row(a) - &value.row(b)).mapv(|x| x * x).sum().sqrt();
    let mut square = 0.0;
    for (i, query) in head.query().rows().into_iter().enumerate() {
        let seen: Vec<usize> = (0..head.kv_len())
            .filter(|&j| head.visibility().visible(i, j))
            .collect();
        let moves: Vec<f64> = seen.iter().map(|&j| head.scale() * query.dot(&change.row(j))).collect();
        let greatest = moves.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = greatest - moves.iter().copied().fold(f64::INFINITY, f64::min);
        let pairs = seen.iter().flat_map(|&a| seen.iter().map(move |&b| (a, b)));
        let diameter = pairs.map(|(a, b)| distance(a, b)).fold(0.0, f64::max);
        square += (range * range * diameter / 8.0).powi(2);
    }
    f64::sqrt(square)
}

#[test]
fn c22_noise_on_the_keys_costs_what_the_model_says_up_to_its_remainder() {
    let mut random = random(24);
    let head = Head::new(
        even(&mut random, 5, 4) * 3.0,
        even(&mut random, 8, 4),
        even(&mut random, 8, 3),
    )
    .unwrap();
    let trace = attend(&head);
    let steps = Array1::from(vec![0.01, 0.025, 0.005, 0.02]);
    let noise = steps.mapv(|step| step * step / 12.0);
    let predicted = weights::key(&head, &trace, QueryWindow::All).dot(&noise).sum();
    let (mut truths, mut first_order, mut slack) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..1500 {
        let stored = Array2::from_shape_fn(head.key().dim(), |(j, c)| {
            dithered(head.key()[[j, c]], steps[c], random.random_range(-0.5..0.5))
        });
        let change = &stored - head.key();
        let moved = Head::new(head.query().clone(), stored, head.value().clone()).unwrap();
        truths.push(oracle::error(
            &(attend(&moved).output - &trace.output),
            QueryWindow::All,
        ));
        let direction = Direction {
            key: change.clone(),
            value: Array2::zeros(head.value().dim()),
        };
        let linear = jacobian::quadratic_form(&head, &trace, &direction, QueryWindow::All);
        first_order.push(linear);
        let beyond = remainder(&head, &change);
        slack += beyond * (2.0 * linear.sqrt() + beyond) / 1500.0;
    }
    let first_order = mean(&first_order);
    assert!((first_order.mean - predicted).abs() <= STANDARD_ERRORS * first_order.error);
    assert!(STANDARD_ERRORS * first_order.error < 0.1 * predicted);
    let truth = mean(&truths);
    assert!((truth.mean - predicted).abs() <= STANDARD_ERRORS * truth.error + slack);
    assert!(slack < 0.2 * predicted, "{slack} {predicted}");
}
