//! One query beside the candidates of a step: the weights and inner products that are carried from step to step.

use ndarray::ArrayView1;

use super::products::Products;

/// One query over the kept tokens, beside the candidates up to the last that it sees: under a causal mask the first few.
pub(super) struct CandidateRow {
    pub query: usize,
    /// Weight of the kept tokens and the sink, on the scale of `weights`.
    pub weight: f64,
    /// `weight` when the row was built.
    pub built: f64,
    pub own: Products,
    /// Weights of the candidates: the old ones, or of 1 over what was kept when the row was rebuilt.
    pub weights: Vec<f64>,
    /// p·v, both less the mean.
    pub output_products: Vec<f64>,
    /// d·v, v less the mean.
    pub change_products: Vec<f64>,
}

impl CandidateRow {
    /// Moves p and d by `factor` (p - v), v the value of the candidate in `slot` and `products` its products with all.
    pub fn take(&mut self, factor: f64, slot: usize, products: &[f64]) {
        if factor == 0.0 {
            return;
        }
        self.own.step(
            factor,
            [self.output_products[slot], self.change_products[slot], products[slot]],
        );
        let carried = self.output_products.iter_mut().zip(&mut self.change_products);
        for ((output, change), product) in carried.zip(products) {
            let step = factor * (*output - product);
            *output += step;
            *change += step;
        }
    }

    /// Only the candidates in `slots`, ascending.
    pub fn narrow(&mut self, slots: &[usize]) {
        let seen = slots.partition_point(|&slot| slot < self.weights.len());
        for numbers in [&mut self.weights, &mut self.output_products, &mut self.change_products] {
            *numbers = chosen(numbers, &slots[..seen]);
        }
    }

    /// Drops the candidate in `slot`, if the query sees as far.
    pub fn forget(&mut self, slot: usize) {
        if slot < self.weights.len() {
            for numbers in [&mut self.weights, &mut self.output_products, &mut self.change_products] {
                numbers.remove(slot);
            }
        }
    }
}

/// The length of the weights up to the last that is not 0.
pub(super) fn up_to_the_last_seen(weights: ArrayView1<f64>) -> usize {
    match weights.iter().rposition(|&weight| weight > 0.0) {
        Some(last) => last + 1,
        None => 0,
    }
}

/// The elements in `slots`.
pub(super) fn chosen<T: Copy>(all: &[T], slots: &[usize]) -> Vec<T> {
    slots.iter().map(|&slot| all[slot]).collect()
}
