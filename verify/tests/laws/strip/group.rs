//! Groups of heads that are hard for the engine, and what it yields of them on every instruction set.

use ndarray::{Array2, Array3, Axis};
use obd_core::{Head, QueryWindow, Visibility};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use strip_engine::{Cache, Decoder, Element, Engine, Instructions, Problem, Saliencies};

/// What makes a group of heads hard.
#[derive(Debug, Clone, Copy)]
pub enum Family {
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
pub struct Group {
    pub query: Array3<f64>,
    pub key: Array2<f64>,
    pub value: Array2<f64>,
    pub causal: bool,
    pub sliding_window: Option<usize>,
    pub sink: Option<f64>,
    pub window: QueryWindow,
}

pub fn group() -> impl Strategy<Value = Group> {
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

pub type Sizes = (usize, (usize, usize), usize, usize);

pub type Tensors = (Array3<f64>, Array2<f64>, Array2<f64>);

pub fn tensors(family: Family, (heads, (queries, tokens), channels, value_channels): Sizes, seed: u64) -> Tensors {
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

/// What each instruction set yields for the query heads.
pub type Runs<T> = Vec<(Instructions, Vec<Saliencies<T>>)>;

impl Group {
    /// One query head for the trace.
    pub fn head(&self, head: usize) -> Head {
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

    pub fn run<T: Element>(&self) -> Runs<T> {
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
    pub fn last_query(mut self) -> Self {
        let last = self.query.len_of(Axis(1)) - 1;
        self.query.slice_axis_inplace(Axis(1), (last..).into());
        (self.causal, self.sliding_window, self.window) = (true, None, QueryWindow::All);
        self
    }

    /// [`Group::last_query`] as a decode step.
    pub fn step<T: Element>(&self) -> Runs<T> {
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
