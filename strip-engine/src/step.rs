//! What a decode step yields.

use std::array;
use std::num::NonZero;
use std::ops::Range;

use aligned_vec::{AVec, avec};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut2, Axis};
use obd_core::{Head, ProblemError};
use pulp::{Simd, WithSimd};

use crate::cache::{Cache, width};
use crate::columns::{COLUMNS, Column, plain_columns};
use crate::element::Element;
use crate::instructions::Instructions;
use crate::pair_sums::PairSums;
use crate::parallel::each_in_runs;
use crate::query_terms::QueryTerms;
use crate::saliencies::Saliencies;
use crate::tile_columns::TileColumns;

/// Output and every saliency that one query of each head of a group gives to the cached tokens.
///
/// Of a token and a query it holds three numbers, from which every saliency follows: the logit, ‖v - o‖² and o·(v - o).
/// The saliencies are computed when they are asked for, all of a token at once, so that none but those asked for go through
/// memory: in the storage's precision, and handed out in 64 bits.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a, T> {
    pub(crate) cache: &'a Cache<T>,
    pub(crate) found: &'a Found<T>,
    pub(crate) instructions: Instructions,
    pub(crate) threads: NonZero<usize>,
    pub(crate) scale: f64,
    pub(crate) sinks: Option<&'a [f64]>,
}

/// What the passes of a decode step leave.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    /// Shape (tiles, group_size, STRIDE) each: the logits, and ‖v - o‖² and o·(v - o) in units.
    pub logits: AVec<T>,
    pub squared: AVec<T>,
    pub along_output: AVec<T>,
    /// Shape (group_size, width of value_dim).
    pub outputs: Vec<T>,
    /// Each head's row, and its first token with its sums.
    pub rows: Vec<QueryTerms<T>>,
    pub firsts: Vec<(usize, PairSums<f64>)>,
    /// Shape (group_size).
    pub log_sum_exp: Vec<f64>,
    /// The queries as they came, shape (group_size, head_dim).
    pub queries: Vec<T>,
}

impl<T: Element> Found<T> {
    pub fn new() -> Self {
        Self {
            logits: avec![],
            squared: avec![],
            along_output: avec![],
            outputs: Vec::new(),
            rows: Vec::new(),
            firsts: Vec::new(),
            log_sum_exp: Vec::new(),
            queries: Vec::new(),
        }
    }

    /// Forgets the step before and makes room for one over so many tiles.
    pub fn make_room(&mut self, tiles: usize, group_size: usize) {
        for numbers in [&mut self.logits, &mut self.squared, &mut self.along_output] {
            numbers.resize(tiles * group_size * T::STRIDE, T::default());
        }
        self.outputs.clear();
        self.rows.clear();
        self.firsts.clear();
        self.log_sum_exp.clear();
        self.queries.clear();
    }
}

impl<T: Element> Step<'_, T> {
    /// Number of query heads.
    pub fn group_size(&self) -> usize {
        self.found.rows.len()
    }

    /// Number of cached tokens.
    pub fn kv_len(&self) -> usize {
        self.cache.kv_len()
    }

    /// Attention output o of a query head, shape (value_dim).
    ///
    /// # Panics
    /// Where there is no such head.
    pub fn output(&self, head: usize) -> ArrayView1<'_, T> {
        let width = width(self.cache.value_dim());
        ArrayView1::from(&self.found.outputs[head * width..][..self.cache.value_dim()])
    }

    /// Output and saliencies of a query head, whose window is its one query.
    ///
    /// # Panics
    /// Where there is no such head.
    pub fn saliencies(&self, head: usize) -> Saliencies<T> {
        let mut sums = Array2::zeros((COLUMNS, self.kv_len()));
        self.add_columns(head, 0..COLUMNS, sums.view_mut());
        Saliencies {
            output: self.output(head).to_owned().insert_axis(Axis(0)),
            log_sum_exp: Array1::from_elem(1, self.found.log_sum_exp[head]),
            columns: array::from_fn(|column| sums.row(column).to_owned()),
        }
    }

    /// Adds what a query head contributes to a column to the sums of the tokens, shape (kv_len).
    ///
    /// # Panics
    /// Where there is no such head or `sums` has another length.
    pub fn add_to(&self, head: usize, column: Column, sums: &mut Array1<f64>) {
        let column = column as usize;
        self.add_columns(head, column..column + 1, sums.view_mut().insert_axis(Axis(0)));
    }

    /// The attention problem of a query head: its one query over all cached tokens, in 64 bits. A score that has no column is
    /// computed from its trace.
    ///
    /// # Errors
    /// [`ProblemError`] where a number is beyond the limits of a [`Head`].
    ///
    /// # Panics
    /// Where there is no such head.
    pub fn head(&self, head: usize) -> Result<Head, ProblemError> {
        let query = &self.found.queries[head * self.cache.head_dim()..][..self.cache.head_dim()];
        let query: Array1<f64> = query.iter().map(|q| q.to_f64()).collect();
        let [key, value] = self.cache.tensors();
        let problem = Head::new(query.insert_axis(Axis(0)), key, value)?.with_scale(self.scale)?;
        match self.sinks {
            Some(sinks) => problem.with_sink(sinks[head]),
            None => Ok(problem),
        }
    }

    /// Adds some of the columns of a query head to sums of shape (columns, kv_len).
    fn add_columns(&self, head: usize, columns: Range<usize>, sums: ArrayViewMut2<f64>) {
        let adding = Adding {
            step: self,
            head,
            columns,
            sums,
        };
        self.instructions.run(adding);
    }

    /// Puts the columns of a head's first token in their place in its tile, shape (COLUMNS, TILE).
    fn set_first(&self, head: usize, tile: usize, columns: &mut [T]) {
        let (token, sums) = self.found.firsts[head];
        if token / T::TILE == tile {
            let unit = self.cache.unit();
            let found = plain_columns(sums, self.cache.norm(token), unit);
            for (column, numbers) in Column::ALL.into_iter().zip(columns.chunks_mut(T::TILE)) {
                numbers[token % T::TILE] = T::from_f64(found[column as usize] * column.measure(1.0 / unit));
            }
        }
    }
}

/// See [`Step::add_columns`].
struct Adding<'a, T> {
    step: &'a Step<'a, T>,
    head: usize,
    columns: Range<usize>,
    sums: ArrayViewMut2<'a, f64>,
}

impl<T: Element> WithSimd for Adding<'_, T> {
    type Output = ();

    fn with_simd<S: Simd>(mut self, simd: S) {
        let Step { cache, found, .. } = *self.step;
        let unit = cache.unit();
        let tiles = self.sums.axis_chunks_iter_mut(Axis(1), T::TILE).enumerate();
        let worker = || {
            let mut numbers: AVec<T> = avec![T::default(); COLUMNS * T::TILE];
            let (step, head, wanted) = (self.step, self.head, self.columns.clone());
            move |(tile, mut sums): (usize, ArrayViewMut2<f64>)| {
                let place = (tile * found.rows.len() + head) * T::STRIDE;
                simd.vectorize(TileColumns {
                    squared: &found.squared[place..][..T::TILE],
                    along_output: &found.along_output[place..][..T::TILE],
                    logits: &found.logits[place..][..T::TILE],
                    row: &found.rows[head],
                    norms: cache.norms(tile),
                    unit,
                    columns: &mut numbers,
                });
                step.set_first(head, tile, &mut numbers);
                for (mut sums, &column) in sums.rows_mut().into_iter().zip(&Column::ALL[wanted.clone()]) {
                    let (unit, numbers) = (
                        column.measure(unit),
                        &numbers[column as usize * T::TILE..][..sums.len()],
                    );
                    sums.zip_mut_with(&ArrayView1::from(numbers), |sum, number| *sum += unit * number.to_f64());
                }
            }
        };
        each_in_runs(self.step.threads, tiles, worker);
    }
}
