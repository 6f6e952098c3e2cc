//! What a decode step leaves for the next one to write over.

use aligned_vec::{AVec, avec};

use crate::element::Element;
use crate::softmax::Sums;
use crate::step::Found;
use crate::weights::Others;

/// What a step leaves for the next one to write over.
#[derive(Debug, Clone)]
pub(crate) struct StepBuffers<T> {
    /// Scaled queries, shape (heads, width of head_dim).
    pub queries: AVec<T>,
    /// The two largest logits, shape (tiles, heads).
    pub largest: Vec<[T; 2]>,
    /// Each head's first token with its logit, and its others.
    pub firsts: Vec<(usize, f64)>,
    pub others: Vec<Others>,
    pub shifts: Vec<T>,
    /// Shape (tiles, heads).
    pub sums: Vec<Sums<T>>,
    /// Parts of the outputs, shape (tiles, heads, width of value_dim).
    pub parts: AVec<T>,
    /// Outputs in units, shape (heads, width of value_dim).
    pub outputs: AVec<T>,
    pub found: Found<T>,
}

impl<T: Element> StepBuffers<T> {
    /// Of no step yet.
    pub fn new() -> Self {
        Self {
            queries: avec![],
            largest: Vec::new(),
            firsts: Vec::new(),
            others: Vec::new(),
            shifts: Vec::new(),
            sums: Vec::new(),
            parts: avec![],
            outputs: avec![],
            found: Found::new(),
        }
    }
}
