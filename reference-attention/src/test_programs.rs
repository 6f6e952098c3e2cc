//! Random straight-line programs, run alike in every arithmetic, and the trial of laws on them.

use proptest::prelude::*;
use proptest::test_runner::{TestRunner, contextualize_config};

use crate::{HighPrecision, Scalar};

/// Tries `law` on so many random inputs; where it fails, panics with the smallest input found that breaks it.
#[track_caller]
pub fn for_all<S: Strategy>(cases: u32, inputs: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(contextualize_config(ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }));
    if let Err(broken) = runner.run(&inputs, law) {
        panic!("{broken}\n{runner}");
    }
}

/// One step: an operation on earlier results.
#[derive(Debug, Clone, Copy)]
enum Step {
    Constant(f64),
    Add(usize, usize),
    Subtract(usize, usize),
    Multiply(usize, usize),
    Divide(usize, usize),
    Negate(usize),
    Exp(usize),
    Ln(usize),
    Tanh(usize),
}

/// A sequence of steps whose every result is a moderate real.
#[derive(Debug, Clone)]
pub struct Program(Vec<Step>);

impl Program {
    /// The result of every step.
    pub fn run<S: Scalar>(&self) -> Vec<S> {
        let mut results: Vec<S> = Vec::new();
        for &step in &self.0 {
            let result = perform(step, &results);
            results.push(result);
        }
        results
    }

    /// The sum of the squares of `numbers`.
    pub fn sum_of_products(numbers: &[f64]) -> Self {
        let mut steps = vec![Step::Constant(0.0)];
        for &number in numbers {
            let last = steps.len() - 1;
            steps.extend([
                Step::Constant(number),
                Step::Multiply(last + 1, last + 1),
                Step::Add(last, last + 2),
            ]);
        }
        Self(steps)
    }
}

fn perform<S: Scalar>(step: Step, results: &[S]) -> S {
    let at = |index: usize| results[index].clone();
    match step {
        Step::Constant(number) => S::from_f64(number),
        Step::Add(a, b) => at(a) + at(b),
        Step::Subtract(a, b) => at(a) - at(b),
        Step::Multiply(a, b) => at(a) * at(b),
        Step::Divide(a, b) => at(a) / at(b),
        Step::Negate(a) => S::from_f64(0.0) - at(a),
        Step::Exp(a) => at(a).exp(),
        Step::Ln(a) => at(a).ln(),
        Step::Tanh(a) => at(a).tanh(),
    }
}

/// Programs of up to 24 steps, of which those that would leave the moderate reals are dropped.
pub fn programs() -> impl Strategy<Value = Program> {
    let number = prop_oneof![
        3 => -4.0..4.0f64,
        1 => (-4.0..4.0f64).prop_map(|x| f64::from(x as f32)),
        1 => -1e9..1e9f64,
        1 => (-300..300i32).prop_map(|exponent| 2f64.powi(exponent)),
        1 => Just(0.0),
    ];
    let step = (
        0..12u8,
        number,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    );
    prop::collection::vec(step, 2..24).prop_map(|drawn| {
        let (mut steps, mut results): (Vec<Step>, Vec<HighPrecision>) = (Vec::new(), Vec::new());
        for (what, number, a, b) in drawn {
            let count = results.len().max(1);
            let step = choose(what, number, a.index(count), b.index(count));
            let step = if results.is_empty() {
                Step::Constant(number)
            } else {
                step
            };
            if let Some(result) = moderate(step, &results) {
                results.push(result);
                steps.push(step);
            }
        }
        Program(steps)
    })
}

fn choose(what: u8, number: f64, a: usize, b: usize) -> Step {
    match what {
        0..=3 => Step::Constant(number),
        4 => Step::Add(a, b),
        5 => Step::Subtract(a, b),
        6 => Step::Multiply(a, b),
        7 => Step::Divide(a, b),
        8 => Step::Negate(a),
        9 => Step::Exp(a),
        10 => Step::Ln(a),
        _ => Step::Tanh(a),
    }
}

/// The result of a step, where its operands allow it and it is neither huge, nor tiny, nor the rest of a deep cancellation.
fn moderate(step: Step, results: &[HighPrecision]) -> Option<HighPrecision> {
    let size = |index: usize| results[index].to_f64().abs();
    let allowed = match step {
        Step::Divide(_, b) => size(b) > 1e-100,
        Step::Exp(a) | Step::Tanh(a) => size(a) == 0.0 || (1e-20..800.0).contains(&size(a)),
        Step::Ln(a) => results[a].to_f64() > 1e-100,
        Step::Add(a, b) | Step::Subtract(a, b) => {
            let (least, greatest) = (size(a).min(size(b)), size(a).max(size(b)));
            least == 0.0 || least >= greatest * 2f64.powi(-120)
        }
        _ => true,
    };
    let operands = match step {
        Step::Subtract(a, b) if a == b => 0.0,
        Step::Add(a, b) | Step::Subtract(a, b) => size(a).max(size(b)),
        Step::Ln(_) => 1.0,
        _ => 0.0,
    };
    let result = allowed.then(|| perform(step, results))?;
    let size = result.to_f64().abs();
    let kept = (1e-280..1e280).contains(&size) && size >= operands * 2f64.powi(-60);
    (kept || (size == 0.0 && operands == 0.0)).then_some(result)
}
