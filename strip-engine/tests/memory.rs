//! What the strip engine says it takes is what it takes, as the allocator counts it.

use ndarray::{Array2, Array3, ShapeBuilder};
use obd_core::QueryWindow;
use peak_alloc::PeakAlloc;
use strip_engine::{Buffers, Element, Engine, Problem};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes at the peak of two runs in the same buffers beyond those before them.
fn peak<T: Element>(engine: Engine, problem: &Problem<T>) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let mut buffers = Buffers::new();
    for _ in 0..2 {
        drop(engine.run_in(&mut buffers, problem, &|| {}));
    }
    ALLOCATOR.peak_usage() - before
}

fn check<T: Element>(what: &str, (engine, threads): (Engine, usize), problem: &Problem<T>) {
    let engine = engine.with_threads(threads.try_into().unwrap());
    let peak = peak(engine, problem);
    let stated = engine.memory(problem);
    assert!(
        peak <= stated,
        "{what}, {threads} threads: took {peak} bytes, stated {stated}"
    );
    // Of several threads one may find nothing left to do, and then takes nothing.
    assert!(
        threads > 1 || 2 * peak >= stated,
        "{what}, {threads} threads: took {peak} bytes, stated {stated}"
    );
}

// One test: the peak is the whole process's.
#[test]
fn a_run_takes_no_more_than_it_states() {
    let number = |index: usize| ((index * 7919) % 1009) as f32 / 504.5 - 1.0;
    let numbers = |rows: usize, columns: usize| {
        Array2::from_shape_fn((rows, columns), |(row, column)| number(row * columns + column))
    };
    let query = Array3::from_shape_fn((2, 900, 24), |(h, i, c)| number(h * 21600 + i * 24 + c));
    let (key, value) = (numbers(3000, 24), numbers(3000, 40));
    let problem = Problem::new(query.view(), key.view(), value.view()).unwrap();
    let engine = Engine::new().with_threads(1.try_into().unwrap());
    // The pool starts its threads, and the products reserve the buffers of each, once a process.
    engine.run(&problem);
    rayon::broadcast(|_| engine.run(&problem));
    let low = engine.with_strip_height(16.try_into().unwrap());
    for threads in [1, 2] {
        check("causal", (engine, threads), &problem);
        check("low strips", (low, threads), &problem);
        let other = problem.clone().bidirectional();
        check("bidirectional", (low, threads), &other);
        let other = problem.clone().with_sliding_window(100).unwrap();
        check("sliding window", (engine, threads), &other);
        let other = problem.clone().with_queries(QueryWindow::Last(1));
        check("one query", (engine, threads), &other);
    }
    let transposed = Array2::from_shape_fn((3000, 24).f(), |place| key[place]);
    let problem = Problem::new(query.view(), transposed.view(), value.view()).unwrap();
    check("keys by channel", (engine, 1), &problem);
    let [key, value] = [key, value].map(|tensor| tensor.mapv(f64::from));
    let query = query.mapv(f64::from);
    let problem = Problem::new(query.view(), key.view(), value.view()).unwrap();
    check("64 bits", (engine, 1), &problem);
}
