//! Draws small heads until one is wrong, and shrinks it.

use std::cell::Cell;

use obd_core::Head;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::small_heads::{Size, heads};

/// Problems drawn of each size. A size whose problems go wrong once in 500 is missed with probability e⁻⁸.
pub(super) const DRAWS: u32 = 4000;

/// The first problem of a size that is wrong, shrunk, with what is wrong and the problems drawn up to it.
pub(super) fn first<T>(
    mut runner: TestRunner,
    size: Size,
    tried: &Cell<usize>,
    wrong: impl Fn(&Head) -> Option<T>,
) -> Option<(Head, T, usize)> {
    let drawn = Cell::new(None);
    let outcome = runner.run(&heads(size), |head| {
        tried.set(tried.get() + 1);
        if wrong(&head).is_none() {
            return Ok(());
        }
        drawn.set(drawn.get().or(Some(tried.get())));
        Err(TestCaseError::fail("misranked"))
    });
    match outcome {
        Err(TestError::Fail(_, head)) => {
            let pair = wrong(&head)?;
            Some((head, pair, drawn.get()?))
        }
        _ => None,
    }
}

/// A runner counts its successes for good, so each size has its own.
pub(super) fn runner(seed: u64, stream: usize) -> TestRunner {
    let config = Config {
        cases: DRAWS,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = stream as u8;
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}
