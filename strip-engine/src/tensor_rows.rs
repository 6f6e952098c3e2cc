//! The rows of a tensor in memory, a tile of tokens at a time.

use ndarray::{CowArray, Ix2};

use crate::element::Element;

/// The rows of a tensor, one after another.
#[derive(Clone, Copy)]
pub(crate) struct TensorRows<'a, T> {
    elements: &'a [T],
    pub width: usize,
}

impl<'a, T: Element> TensorRows<'a, T> {
    pub fn new(tensor: &'a CowArray<T, Ix2>) -> Self {
        Self {
            elements: tensor.as_slice().expect("the standard layout is one slice"),
            width: tensor.ncols(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.elements.len() / self.width
    }

    /// The rows of one tile of tokens.
    pub fn tile(&self, tile: usize) -> Self {
        let size = T::TILE * self.width;
        let end = self.elements.len().min((tile + 1) * size);
        Self {
            elements: &self.elements[tile * size..end],
            width: self.width,
        }
    }

    pub fn rows(&self) -> impl Iterator<Item = &'a [T]> {
        self.elements.chunks(self.width)
    }
}
