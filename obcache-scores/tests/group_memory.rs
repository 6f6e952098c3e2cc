//! What the tracker of a KV head says it holds is what it holds, as the allocator counts it.

use ndarray::{Array1, Array2};
use obcache_scores::serve::{Policy, Tracker};
use obd_core::{AttentionTrace, Head};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const HEADS: usize = 3;

/// `queries` new queries over `tokens` tokens for every query head; what their attention is does not matter here.
fn group(queries: usize, tokens: usize) -> Vec<(Head, AttentionTrace)> {
    let ones = |rows, columns| Array2::ones((rows, columns));
    let head = Head::new(ones(queries, 2), ones(tokens, 2), ones(tokens, 5)).unwrap();
    let trace = AttentionTrace {
        logits: ones(queries, tokens),
        weights: ones(queries, tokens) / tokens as f64,
        output: ones(queries, 5),
        log_sum_exp: Array1::zeros(queries),
    };
    vec![(head, trace); HEADS]
}

// One test: the allocator counts for the whole process.
#[test]
fn a_group_holds_what_it_states() {
    let policy = Policy {
        every: 5,
        ..Policy::published("obcVK_fullhist", 40, 8).unwrap()
    };
    let mut tracker = Tracker::group(policy, HEADS).unwrap();
    let empty = ALLOCATOR.current_usage();
    let held = || ALLOCATOR.current_usage() - empty;
    tracker.prefill_chunk(&group(70, 70), 30).unwrap();
    tracker.prefill_chunk(&group(30, 100), 0).unwrap();
    for step in 0..60 {
        let cached = tracker.positions().len();
        let stated = tracker.bytes();
        assert_eq!(stated, (1 + HEADS) * cached * 8);
        // As much room again while the cache grows.
        assert!(
            stated <= held() && held() <= 2 * stated,
            "step {step}: holds {}, states {stated}",
            held()
        );
        if tracker.due() || step == 0 {
            tracker.keep(&tracker.choice().unwrap()).unwrap();
            assert_eq!(held(), tracker.bytes(), "after the eviction of step {step}");
        }
        let cached = tracker.positions().len();
        tracker.step(&group(1, cached + 1)).unwrap();
    }
}
