//! Laws: what holds for every input that a strategy draws.
//!
//! A law is a function from an input to [`Law`], written with `prop_assert!`; a test hands it to [`for_all`]:
//!
//! ```
//! use proptest::prelude::prop_assert;
//! use reference_attention::attend;
//! use verify::{law::for_all, strategies};
//!
//! for_all(strategies::head(), |head| {
//!     let weights = attend(&head).weights;
//!     prop_assert!(weights.iter().all(|weight| (0.0..=1.0).contains(weight)));
//!     Ok(())
//! });
//! ```
//!
//! Several inputs are a tuple: `for_all((strategies::head(), 1..5_usize), |(head, count)| ...)`.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestCaseError, TestRunner, contextualize_config};

/// Whether a law holds for one input: `Ok`, a failure that says what does not hold, or a rejection of the input.
pub type Law = Result<(), TestCaseError>;

/// How many inputs a law is tried on, unless it says otherwise.
const CASES: u32 = 96;

/// Where a failing case is kept, to be committed and tried first ever after.
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions.txt");

/// The seed of all laws: a run draws the same inputs as the one before.
const SEED: u64 = 0x0bca_c4e5;

/// Tries `law` on 96 inputs, or on as many as the environment variable `PROPTEST_CASES` says.
///
/// # Panics
/// Where the law fails, with what does not hold and the smallest input found that breaks it.
#[track_caller]
pub fn for_all<S: Strategy>(inputs: S, law: impl Fn(S::Value) -> Law) {
    for_cases(CASES, inputs, law);
}

/// [`for_all`] on `cases` inputs instead of 96.
///
/// # Panics
/// As [`for_all`].
#[track_caller]
pub fn for_cases<S: Strategy>(cases: u32, inputs: S, law: impl Fn(S::Value) -> Law) {
    let mut runner = TestRunner::new(contextualize_config(Config {
        cases,
        rng_seed: RngSeed::Fixed(SEED),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        ..Config::default()
    }));
    if let Err(broken) = runner.run(&inputs, law) {
        panic!("{broken}\n{runner}");
    }
}
