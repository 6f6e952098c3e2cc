//! The output of a query over the kept tokens, carried along while tokens leave or join it.
//!
//! ```text
//! p moves by f (p - v) and d = p - o with it        f = b / (1 - b) where v leaves, minus its share of the whole where v joins
//! error then  ‖d + f (p - v)‖²
//! ```

use ndarray::{Array1, Array2, ArrayView1};

use crate::centred::{Centred, inner};

/// p and d of one query, with their inner products with all values.
pub(crate) struct Carried {
    /// p less the mean value, shape (value_dim).
    output: Array1<f64>,
    /// d, shape (value_dim).
    change: Array1<f64>,
    /// p·v_j, both less the mean value, shape (kv_len).
    output_products: Array1<f64>,
    /// d·v_j, v less the mean value, shape (kv_len).
    change_products: Array1<f64>,
}

impl Carried {
    /// From p less the mean value, and d.
    pub fn new(centred: &Centred, output: Array1<f64>, change: Array1<f64>) -> Self {
        Self {
            output_products: centred.products_with(output.view()),
            change_products: centred.products_with(change.view()),
            output,
            change,
        }
    }

    /// Moves by `factor` (p - v) of `token`; `products` are those of the centred values.
    pub fn step(&mut self, factor: f64, token: usize, centred: &Centred, products: &Array2<f64>) {
        let step = (&self.output - &centred.values.row(token)) * factor;
        let step_products = (&self.output_products - &products.row(token)) * factor;
        self.output += &step;
        self.change += &step;
        self.output_products += &step_products;
        self.change_products += &step_products;
    }

    /// What the errors after a step share.
    pub fn squares(&self) -> Squares {
        Squares::new(self.output.view(), self.change.view())
    }

    /// p·v, d·v and v·v of `token`, as [`Squares::error`] takes them.
    pub fn products(&self, token: usize, products: &Array2<f64>) -> [f64; 3] {
        [
            self.output_products[token],
            self.change_products[token],
            products[[token, token]],
        ]
    }
}

/// The inner products of p, less the mean value, and d with themselves and each other.
pub(crate) struct Squares {
    change: f64,
    change_output: f64,
    output: f64,
}

impl Squares {
    pub fn new(output: ArrayView1<f64>, change: ArrayView1<f64>) -> Self {
        Self {
            change: inner(change, change),
            change_output: inner(change, output),
            output: inner(output, output),
        }
    }

    /// `‖d + factor (p - v)‖²` from p·v, d·v and v·v, p and v less the mean value.
    pub fn error(&self, factor: f64, [output_product, change_product, value_square]: [f64; 3]) -> f64 {
        let gap_square = self.output - 2.0 * output_product + value_square;
        self.change + 2.0 * factor * (self.change_output - change_product) + factor * factor * gap_square
    }
}
