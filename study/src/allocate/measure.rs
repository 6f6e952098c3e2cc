//! The bits asked for, and the distortion of every way to spend bits at every rate.

use capture::{Capture, CaptureError};
use indicatif::ProgressBar;
use obcache_scores::bits::cache_model::{CacheModel, LEVELS};
use obcache_scores::bits::quantiser::{Quantiser, WHOLE};
use obcache_scores::bits::storage::Storage;
use obd_core::{AttentionTrace, Head, ProblemError, QueryWindow};
use rayon::prelude::*;
use reference_attention::{attend, oracle};
use thiserror::Error;

use crate::place::Place;

/// Bits per number at which eviction alone and the joint allocation are measured.
pub const RATES: [f64; 17] = [
    0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 14.0, 15.5,
];

/// What can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Bits per number of the cache, scales and offsets of groups included.
    pub bits: f64,
    /// Groups of the quantiser.
    pub quantiser: Quantiser,
    /// Queries whose output counts, for the allocation and for the truth.
    pub window: QueryWindow,
}

/// How a budget of bits is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// Tokens are evicted, the others are stored in 16 bits.
    Eviction,
    /// Every number has the same bits, nothing is evicted.
    Uniform,
    /// Bits and evictions by the model.
    Joint,
}

impl Spending {
    /// All of them, in the order of figures and tables.
    pub const ALL: [Self; 3] = [Self::Eviction, Self::Uniform, Self::Joint];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eviction => "eviction only",
            Self::Uniform => "uniform bits",
            Self::Joint => "joint",
        }
    }
}

/// What one way to spend bits makes of one KV head at one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// Which KV head.
    pub place: Place,
    /// How the budget was spent.
    pub spending: Spending,
    /// Bits per number that were to be spent; for uniform bits those that are.
    pub budget: f64,
    /// Bits per number spent.
    pub bits: f64,
    /// Share of the tokens kept.
    pub kept: f64,
    /// Error that the model predicts, over the squared norm of the output.
    pub predicted: f64,
    /// Error found by running attention over the stored cache, over the squared norm of the output.
    pub distortion: f64,
}

/// The storage asked for, of one KV head.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// What it costs and does.
    pub rate: Rate,
    /// Bits of tokens and channels.
    pub storage: Storage,
}

/// All that `obcache allocate` finds.
#[derive(Debug, Clone, PartialEq)]
pub struct BitAllocations {
    /// The bits asked for, one storage a KV head.
    pub stored: Vec<Stored>,
    /// Every way to spend bits at every rate, KV head by KV head.
    pub rates: Vec<Rate>,
}

/// Why no bits can be allocated.
#[derive(Debug, Error)]
pub enum BitsError {
    /// A head cannot be built.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A stored head is no problem.
    #[error("layer {}, KV head {}: {source}", place.layer, place.kv_head)]
    Problem {
        /// Which KV head.
        place: Place,
        /// Why not.
        source: ProblemError,
    },
    /// A budget that pays for nothing.
    #[error("--bits is {0}, expected a number from 0 to 16")]
    Bits(f64),
}

/// Allocates the bits of every KV head of `capture`; `progress` advances once a KV head.
///
/// Every KV head gets the same bits per number. The same capture and options give the same result, whatever the number of
/// threads.
///
/// # Errors
/// [`BitsError`] where a head is no problem, or the bits are NaN or below 0.
pub fn run(capture: &Capture, options: &Options, progress: &ProgressBar) -> Result<BitAllocations, BitsError> {
    let places: Vec<(usize, Place)> = places(capture);
    progress.set_length(places.len() as u64);
    let found: Vec<(Stored, Vec<Rate>)> = places
        .par_iter()
        .map(|&(position, place)| {
            let found = KvHead::new(capture, position, place, options)?.allocate(options.bits)?;
            progress.inc(1);
            Ok(found)
        })
        .collect::<Result<_, BitsError>>()?;
    let (stored, rates): (Vec<Stored>, Vec<Vec<Rate>>) = found.into_iter().unzip();
    Ok(BitAllocations {
        stored,
        rates: rates.concat(),
    })
}

fn places(capture: &Capture) -> Vec<(usize, Place)> {
    let layers = capture.layers().iter().enumerate();
    let kv_heads = 0..capture.groups().num_kv_heads();
    let place = |(position, layer): (usize, &capture::Layer)| {
        let layer = layer.index;
        kv_heads
            .clone()
            .map(move |kv_head| (position, Place { layer, kv_head }))
    };
    layers.flat_map(place).collect()
}

/// The query heads that read one KV head, and the model of its cache.
struct KvHead {
    place: Place,
    group: Vec<(Head, AttentionTrace)>,
    model: CacheModel,
    quantiser: Quantiser,
    window: QueryWindow,
    /// Squared norm of the output over the window.
    size: f64,
}

impl KvHead {
    fn new(capture: &Capture, position: usize, place: Place, options: &Options) -> Result<Self, BitsError> {
        let heads = capture.groups().query_heads(place.kv_head);
        let attended = |head| {
            let head: Head = capture.head(position, head)?;
            let trace = attend(&head);
            Ok((head, trace))
        };
        let group: Vec<(Head, AttentionTrace)> = heads.map(attended).collect::<Result<_, CaptureError>>()?;
        let (window, quantiser) = (options.window, options.quantiser);
        let size = group
            .iter()
            .map(|(_, trace)| oracle::error(&trace.output, window))
            .sum();
        let model = CacheModel::new(&group, window, quantiser).ok_or(BitsError::Bits(options.bits))?;
        Ok(Self {
            place,
            group,
            model,
            quantiser,
            window,
            size,
        })
    }

    /// The joint allocation at `bits`, and every way to spend bits at every rate.
    fn allocate(&self, bits: f64) -> Result<(Stored, Vec<Rate>), BitsError> {
        let budget = |rate: f64| rate * self.model.numbers() as f64;
        let missing = || BitsError::Bits(bits);
        let storage = self.model.joint(budget(bits)).ok_or_else(missing)?;
        let stored = Stored {
            rate: self.rate(Spending::Joint, bits, &storage)?,
            storage,
        };
        let mut rates = Vec::new();
        for rate in RATES {
            let evicted = self.model.eviction_only(budget(rate)).ok_or_else(missing)?;
            let joint = self.model.joint(budget(rate)).ok_or_else(missing)?;
            rates.push(self.rate(Spending::Eviction, rate, &evicted)?);
            rates.push(self.rate(Spending::Joint, rate, &joint)?);
        }
        for level in LEVELS {
            let even = Storage::uniform(&self.group[0].0, level);
            let rate = self.model.spent(&even) / self.model.numbers() as f64;
            rates.push(self.rate(Spending::Uniform, rate, &even)?);
        }
        Ok((stored, rates))
    }

    fn rate(&self, spending: Spending, budget: f64, storage: &Storage) -> Result<Rate, BitsError> {
        let over = |error: f64| if self.size > 0.0 { error / self.size } else { 0.0 };
        let tokens = storage.value_bits.len();
        Ok(Rate {
            place: self.place,
            spending,
            budget,
            bits: self.model.spent(storage) / self.model.numbers() as f64,
            kept: 1.0 - storage.evicted().len() as f64 / tokens as f64,
            predicted: over(self.model.predicted(storage)),
            distortion: over(self.truth(storage)?),
        })
    }

    /// Error of the outputs of all query heads when attention is run over the stored cache.
    fn truth(&self, storage: &Storage) -> Result<f64, BitsError> {
        let whole = storage
            .value_bits
            .iter()
            .chain(&storage.key_bits)
            .all(|&bits| bits >= WHOLE);
        if whole {
            return Ok(0.0);
        }
        let errors = self.group.iter().map(|(head, trace)| {
            let stored = storage
                .apply(head, self.quantiser)
                .map_err(|source| BitsError::Problem {
                    place: self.place,
                    source,
                })?;
            Ok(oracle::error(&(attend(&stored).output - &trace.output), self.window))
        });
        errors.sum()
    }
}
