//! The strip engine, on every instruction set that this processor has, against the trace-based scores in 64 bits, within
//! the forward error bound of a kernel (C20).

use golden::bound::{self, Arithmetic};
use golden::{OutputKind, Precision};
use ndarray::{Array1, Array2, Array3, Axis, s};
use obcache_scores::strip::{Cache, Decoder, Element, Engine, Instructions, Problem, Saliencies};
use obcache_scores::{Score, accumulate, exact};
use obd_core::{AttentionTrace, Head, Perturbation, QueryWindow, Visibility};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reference_attention::attend;
use verify::strategies;

/// What makes a group of heads hard.
#[derive(Debug, Clone, Copy)]
enum Family {
    Plain,
    /// All values share a part a thousand times their spread.
    ValueOffset,
    /// All keys share a part ten times their spread.
    KeyOffset,
    /// The largest logit of the problem has this size; at 80 most rows are one-hot in 32 bits.
    LargestLogit(f64),
    /// A token of each four repeats the one before, key and value.
    Ties,
    /// All tokens are one.
    OneToken,
    /// Values in two distant clusters: what centring does not help.
    Clusters,
}

/// A group of heads in 32-bit numbers, and how its queries see.
#[derive(Debug, Clone)]
struct Group {
    query: Array3<f64>,
    key: Array2<f64>,
    value: Array2<f64>,
    causal: bool,
    sliding_window: Option<usize>,
    sink: Option<f64>,
    window: QueryWindow,
}

fn group() -> impl Strategy<Value = Group> {
    let family = prop_oneof![
        Just(Family::Plain),
        Just(Family::ValueOffset),
        Just(Family::KeyOffset),
        Just(Family::LargestLogit(20.0)),
        Just(Family::LargestLogit(80.0)),
        Just(Family::Ties),
        Just(Family::OneToken),
        Just(Family::Clusters),
    ];
    // Strips are of 128 queries, blocks of 256, tiles of 192 and 384 tokens: a few below, across and past them.
    let lengths = prop_oneof![
        (1..=5_usize, 1..=3_usize),
        (1..=40_usize, 1..=40_usize),
        (120..=140_usize, 180..=200_usize),
        (250..=260_usize, 250..=260_usize),
        (1..=9_usize, 380..=400_usize),
    ];
    let sizes = (1..=3_usize, lengths, 1..=17_usize, 1..=17_usize);
    let seeing = (any::<bool>(), proptest::option::weighted(0.3, 1..=50_usize));
    let options = (
        proptest::option::weighted(0.3, -5.0..20.0),
        proptest::option::weighted(0.3, 1..=9_usize),
    );
    (family, sizes, seeing, options, any::<u64>()).prop_map(
        |(family, sizes, (causal, sliding_window), (sink, last), seed)| {
            let (query, key, value) = tensors(family, sizes, seed);
            Group {
                query,
                key,
                value,
                causal,
                sliding_window,
                sink,
                window: last.map_or(QueryWindow::All, QueryWindow::Last),
            }
        },
    )
}

type Sizes = (usize, (usize, usize), usize, usize);

fn tensors(family: Family, (heads, (queries, tokens), channels, value_channels): Sizes, seed: u64) -> Tensors {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut number = || rng.random_range(-2.0..2.0f64);
    let mut query = Array3::from_shape_simple_fn((heads, queries, channels), &mut number);
    let mut key = Array2::from_shape_simple_fn((tokens, channels), &mut number);
    let mut value = Array2::from_shape_simple_fn((tokens, value_channels), &mut number);
    match family {
        Family::Plain => {}
        Family::ValueOffset => value += 4e3,
        Family::KeyOffset => key += 40.0 / channels as f64,
        Family::LargestLogit(size) => {
            let scale = 1.0 / (channels as f64).sqrt();
            let largest = query.rows().into_iter().fold(f64::MIN_POSITIVE, |largest, query| {
                let logits = key.dot(&query) * scale;
                logits.fold(largest, |largest, z| largest.max(z.abs()))
            });
            query *= size / largest;
        }
        Family::Ties => {
            for token in (3..tokens).step_by(4) {
                let (k, v) = (key.row(token - 1).to_owned(), value.row(token - 1).to_owned());
                key.row_mut(token).assign(&k);
                value.row_mut(token).assign(&v);
            }
        }
        Family::OneToken => {
            for rows in [&mut key, &mut value] {
                let first = rows.row(0).to_owned();
                rows.rows_mut().into_iter().for_each(|mut row| row.assign(&first));
            }
        }
        Family::Clusters => {
            for (token, mut value) in value.rows_mut().into_iter().enumerate() {
                value += if token % 2 == 0 { 300.0 } else { -300.0 };
            }
            // Keys tell the clusters apart, so that most queries see one.
            for (token, mut key) in key.rows_mut().into_iter().enumerate() {
                key += if token % 2 == 0 { 8.0 } else { -8.0 };
            }
        }
    }
    let single = |x: f64| f64::from(x as f32);
    (query.mapv(single), key.mapv(single), value.mapv(single))
}

type Tensors = (Array3<f64>, Array2<f64>, Array2<f64>);

impl Group {
    /// One query head for the trace.
    fn head(&self, head: usize) -> Head {
        let query = self.query.index_axis(Axis(0), head).to_owned();
        let mut visibility = Visibility::all(query.nrows(), self.key.nrows());
        if self.causal {
            visibility = visibility.causal();
        }
        if let Some(window) = self.sliding_window {
            visibility = visibility.sliding_window(window).unwrap();
        }
        let head = Head::new(query, self.key.clone(), self.value.clone()).unwrap();
        let head = head.with_visibility(visibility).unwrap();
        match self.sink {
            Some(sink) => head.with_sink(sink).unwrap(),
            None => head,
        }
    }

    fn run<T: Element>(&self) -> Runs<T> {
        let [key, value] = [&self.key, &self.value].map(|tensor| tensor.mapv(T::from_f64));
        let query = self.query.mapv(T::from_f64);
        let mut problem = Problem::new(query.view(), key.view(), value.view()).unwrap();
        problem = problem.with_queries(self.window);
        if !self.causal {
            problem = problem.bidirectional();
        }
        if let Some(window) = self.sliding_window {
            problem = problem.with_sliding_window(window).unwrap();
        }
        if let Some(sink) = self.sink {
            problem = problem.with_sinks(&vec![sink; self.query.len_of(Axis(0))]).unwrap();
        }
        let run = |instructions| Engine::new().with_instructions(instructions).run(&problem);
        Instructions::all().into_iter().map(|set| (set, run(set))).collect()
    }

    /// The last query alone, which sees every token: what a decode step is.
    fn last_query(mut self) -> Self {
        let last = self.query.len_of(Axis(1)) - 1;
        self.query.slice_axis_inplace(Axis(1), (last..).into());
        (self.causal, self.sliding_window, self.window) = (true, None, QueryWindow::All);
        self
    }

    /// [`Group::last_query`] as a decode step.
    fn step<T: Element>(&self) -> Runs<T> {
        let [key, value] = [&self.key, &self.value].map(|tensor| tensor.mapv(T::from_f64));
        let query = self.query.index_axis(Axis(1), 0).mapv(T::from_f64);
        let cache = Cache::of(key.view(), value.view()).unwrap();
        let run = |instructions| {
            let mut decoder = Decoder::new().with_instructions(instructions);
            if let Some(sink) = self.sink {
                decoder = decoder.with_sinks(&vec![sink; query.nrows()]).unwrap();
            }
            let step = decoder.step(&cache, query.view()).unwrap();
            (0..step.group_size()).map(|head| step.saliencies(head)).collect()
        };
        Instructions::all().into_iter().map(|set| (set, run(set))).collect()
    }
}

/// What each instruction set yields for the query heads.
type Runs<T> = Vec<(Instructions, Vec<Saliencies<T>>)>;

const SCORES: [(Score, OutputKind); 11] = [
    (Score::Value, OutputKind::Value),
    (Score::ValueOneNorm, OutputKind::ValueOneNorm),
    (Score::Key, OutputKind::Key),
    (Score::Joint, OutputKind::Joint),
    (Score::JointNoCross, OutputKind::JointNoCross),
    (Score::Removal, OutputKind::Removal),
    (Score::KeyLse, OutputKind::KeyLse),
    (Score::KeyMean, OutputKind::KeyMean),
    (Score::JointLse, OutputKind::JointLse),
    (Score::JointMean, OutputKind::JointMean),
    (Score::Weight, OutputKind::Weight),
];

const EXACT: [(Perturbation, OutputKind); 3] = [
    (Perturbation::KeyZeroing, OutputKind::KeyZeroing),
    (Perturbation::ValueZeroing, OutputKind::Value),
    (Perturbation::JointZeroing, OutputKind::JointZeroing),
];

/// What the engine's expansions of squares may cost beside a kernel that takes differences, shape (kv_len); derived in
/// `docs/strip.md`. Pairs of a weight above 1/2 are not expanded.
fn expansion(kind: OutputKind, window: QueryWindow, head: &Head, trace: &AttentionTrace, unit: f64) -> Array1<f64> {
    let first = unit * ((head.value_dim() as f64).sqrt() + 4.0);
    let mut sums = Array1::zeros(head.kv_len());
    for i in window.queries(head.query_len()) {
        let (output, lse) = (trace.output.row(i), trace.log_sum_exp[i]);
        let (weights, logits) = (trace.weights.row(i), trace.logits.row(i));
        let mean = weights.dot(&logits) / weights.sum();
        for j in (0..head.kv_len()).filter(|&j| head.visibility().visible(i, j)) {
            let (a, z, value) = (weights[j], logits[j], head.value().row(j));
            let gap = (&value - &output).mapv(|x| x * x).sum().sqrt();
            let size = value.dot(&value).sqrt() + gap;
            let f = 1.0
                + match kind {
                    OutputKind::Key | OutputKind::Joint | OutputKind::JointNoCross => z.abs(),
                    OutputKind::KeyLse | OutputKind::JointLse => (z - lse).abs(),
                    OutputKind::KeyMean | OutputKind::JointMean => (z - mean).abs(),
                    _ => 0.0,
                };
            let zeroed = (-lse).exp();
            let moved = (a + zeroed) / (1.0 - a + zeroed);
            let expanded = match kind {
                OutputKind::Joint | OutputKind::JointLse | OutputKind::JointMean => 8.0 * (a * f * size).powi(2),
                OutputKind::Key | OutputKind::KeyLse | OutputKind::KeyMean | OutputKind::Removal => {
                    4.0 * (a * f * gap).powi(2)
                }
                OutputKind::JointNoCross => 4.0 * (a * f * gap).powi(2),
                OutputKind::KeyZeroing => 8.0 * (moved * gap).powi(2),
                OutputKind::JointZeroing => 8.0 * (moved * size).powi(2),
                _ => 0.0,
            };
            let rounded = (unit * f * size).powi(2);
            sums[j] += rounded + if a > 0.5 { 0.0 } else { first * expanded };
        }
    }
    sums
}

/// What the engine yields of a head.
#[derive(Debug, Clone, Copy)]
enum Found {
    Score(Score),
    Exact(Perturbation),
    Output,
    LogSumExp,
}

impl Found {
    fn name(self) -> &'static str {
        match self {
            Self::Score(score) => score.name(),
            Self::Exact(what) => what.name(),
            Self::Output => "output",
            Self::LogSumExp => "log-sum-exp",
        }
    }

    fn of(self, saliencies: &Saliencies<impl Element>) -> Array1<f64> {
        match self {
            Self::Score(score) => saliencies.score(score).clone(),
            Self::Exact(what) => saliencies.exact(what).clone(),
            Self::Output => saliencies.output.iter().map(|o| o.to_f64()).collect(),
            Self::LogSumExp => saliencies.log_sum_exp.clone(),
        }
    }
}

/// What is true of a head, and how far from it a kernel may be, `times` over.
fn truths(group: &Group, head: &Head, precision: Precision, times: f64) -> Vec<(Found, Array1<f64>, Array1<f64>)> {
    let (window, arithmetic, trace) = (group.window, Arithmetic::uniform(precision), attend(head));
    let queries = window.queries(head.query_len());
    let unit = bound::CONFIDENCE * precision.unit_roundoff();
    let tolerance = |kind| {
        let bound = bound::saliency(kind, window, head, &trace, &arithmetic);
        times * bound + expansion(kind, window, head, &trace, unit)
    };
    let scores = SCORES.iter().map(|&(score, kind)| {
        let expected = accumulate(&score.contributions(head, &trace), window);
        (Found::Score(score), expected, tolerance(kind))
    });
    let exact = EXACT.iter().map(|&(what, kind)| {
        let expected = accumulate(&exact::contributions(what, head, &trace), window);
        (Found::Exact(what), expected, tolerance(kind))
    });
    let flat = |output: &Array2<f64>| output.slice(s![queries.clone(), ..]).flatten().to_owned();
    let output_tolerance = times * flat(&bound::output(head, &trace, &arithmetic));
    let output = (Found::Output, flat(&trace.output), output_tolerance);
    let of_queries = |lse: &Array1<f64>| lse.slice(s![queries.clone()]).to_owned();
    let lse_tolerance = times * of_queries(&bound::log_sum_exp(head, &trace, &arithmetic));
    let lse = (Found::LogSumExp, of_queries(&trace.log_sum_exp), lse_tolerance);
    scores.chain(exact).chain([output, lse]).collect()
}

/// The first number that is further off than `times` its tolerance, with what it belongs to.
fn fault(group: &Group, precision: Precision, runs: &Runs<impl Element>, times: f64) -> Option<String> {
    (0..group.query.len_of(Axis(0))).find_map(|number| {
        let truths = truths(group, &group.head(number), precision, times);
        let numbers = runs.iter().flat_map(|run| truths.iter().map(move |truth| (run, truth)));
        numbers.into_iter().find_map(|((instructions, heads), (what, expected, tolerance))| {
            let found = what.of(&heads[number]);
            let meets = |j: usize| found[j] == expected[j] || (found[j] - expected[j]).abs() <= tolerance[j];
            let j = (0..expected.len()).find(|&j| !meets(j))?;
            let (found, expected, tolerance) = (found[j], expected[j], tolerance[j]);
            let times = (found - expected).abs() / tolerance;
            Some(format!(
                "{}[{j}] of head {number} by {instructions} instructions: {found:e}, true {expected:e}, off by {times} tolerances",
                what.name()
            ))
        })
    })
}

proptest! {
    #![proptest_config(strategies::config())]

    #[test]
    fn c20_strips_in_32_bits_err_no_more_than_a_good_kernel(group in group()) {
        prop_assert_eq!(fault(&group, Precision::F32, &group.run::<f32>(), 1.0), None);
    }

    #[test]
    fn c20_a_decode_step_in_32_bits_errs_no_more_than_a_good_kernel(group in group()) {
        let group = group.last_query();
        prop_assert_eq!(fault(&group, Precision::F32, &group.step::<f32>(), 1.0), None);
    }

    #[test]
    fn c20_a_decode_step_in_64_bits_errs_no_more_than_a_good_kernel(group in group()) {
        let group = group.last_query();
        prop_assert_eq!(fault(&group, Precision::F64, &group.step::<f64>(), 2.0), None);
    }

    // The trace-based scores are in 64 bits themselves, so both err.
    #[test]
    fn c20_strips_in_64_bits_err_no_more_than_a_good_kernel(group in group()) {
        prop_assert_eq!(fault(&group, Precision::F64, &group.run::<f64>(), 2.0), None);
    }
}

#[test]
fn c20_a_strip_of_other_values_is_caught() {
    let (query, key, value) = tensors(Family::Plain, (1, (30, 30), 8, 8), 1);
    let group = Group {
        query,
        key,
        value,
        causal: true,
        sliding_window: None,
        sink: None,
        window: QueryWindow::All,
    };
    let mut other = group.clone();
    other.value[[3, 3]] *= 1.0 + 1e-4;
    assert_eq!(fault(&group, Precision::F32, &group.run::<f32>(), 1.0), None);
    assert!(fault(&group, Precision::F32, &other.run::<f32>(), 1.0).is_some());
    let (group, other) = (group.last_query(), other.last_query());
    assert_eq!(fault(&group, Precision::F32, &group.step::<f32>(), 1.0), None);
    assert!(fault(&group, Precision::F32, &other.step::<f32>(), 1.0).is_some());
}
