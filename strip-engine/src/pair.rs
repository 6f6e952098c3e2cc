//! What a vector of pairs, one query against several tokens, adds to their column sums.
//!
//! With x the stored logit above the row's shift, a = e^x times the row's unit weight, D = ‖v - o‖², C = v·(v - o):
//!
//! ```text
//! key      a² f² D, cross  a² f C           f = x + level, for the three reference levels
//! removal  (a / rest)² D                    rest = 1 - a
//! key zeroing    ((b - a) / (rest + b))² D                       b = e^-lse: the weight over that at logit 0 is a row's
//! joint zeroing  (a² D + 2 a b o·(v - o) + b² ‖o‖²) / (rest + b)²      own number, so that neither needs an exponential
//! ```
//! b and 1 are scaled by e^lse where lse < 0, so that neither overflows.

use pulp::Simd;

use crate::element::Element;
use crate::lanes::Vector;
use crate::pair_sums::PairSums;
use crate::query_terms::QueryTerms;

/// Logits of so many tokens measured from the row's shift, and which of them are seen.
pub(crate) struct Pairs<T: Element, S: Simd> {
    x: Vector<T, S>,
    weight: Vector<T, S>,
    pub seen: T::Mask<S>,
}

/// Values of these tokens against the row's output.
pub(crate) struct Distances<T: Element, S: Simd> {
    /// ‖v - o‖².
    pub squared: Vector<T, S>,
    /// v·(v - o).
    pub along_value: Vector<T, S>,
    /// o·(v - o).
    pub along_output: Vector<T, S>,
}

impl<T: Element, S: Simd> Pairs<T, S> {
    /// Weights of tokens with these stored logits.
    #[inline(always)]
    pub fn weight(logits: Vector<T, S>, row: &QueryTerms<T>) -> Vector<T, S> {
        let splat = |number: T| Vector::splat(logits.simd, number);
        (logits - splat(row.shift)).exp() * splat(row.unit_weight)
    }

    /// From stored logits and their weights.
    #[inline(always)]
    pub fn new(logits: Vector<T, S>, weight: Vector<T, S>, row: &QueryTerms<T>) -> Self {
        let hidden = Vector::splat(logits.simd, T::from_f64(T::HIDDEN.to_f64() / 2.0));
        Self {
            x: logits - Vector::splat(logits.simd, row.shift),
            weight,
            seen: logits.above(hidden),
        }
    }

    /// Adds what the query contributes.
    #[inline(always)]
    pub fn add(&self, row: &QueryTerms<T>, distances: &Distances<T, S>, sums: &mut PairSums<Vector<T, S>>) {
        let splat = |number: T| Vector::splat(self.x.simd, number);
        let [zero, one] = [T::default(), T::UNIT].map(splat);
        let distance = distances.squared;
        let a = self.weight;
        let square = a * a;
        let far = square * distance;
        let along = square * distances.along_value;
        sums.weight = sums.weight + a;
        sums.squared_weight = sums.squared_weight + square;
        for (level, &reference) in row.levels.iter().enumerate() {
            let f = self.x + splat(reference);
            sums.key[level] = f.mul_add(f * far, sums.key[level]);
            sums.cross[level] = f.mul_add(along, sums.cross[level]);
        }

        // One division for both 1 / rest and 1 / (rest + b).
        let (zeroed, scale) = (splat(row.zeroed), splat(row.scale));
        let rest = one - a;
        let with_zeroed = rest.mul_add(scale, zeroed);
        let inverse = one / (rest * with_zeroed);
        let odds = a * (with_zeroed * inverse);
        // A token that is not seen has weight 0, but would gain some.
        let share = (rest * inverse).where_or(self.seen, zero);
        let gain = a.mul_from(scale, zeroed) * share;
        sums.removal = (odds * odds).mul_add(distance, sums.removal);
        sums.key_zeroing = (gain * gain).mul_add(distance, sums.key_zeroing);
        let [squared_scale, twice, own] = row.joint.map(splat);
        let joint = (a * distances.along_output).mul_add(twice, far.mul_add(squared_scale, own));
        sums.joint_zeroing = (share * share).mul_add(joint, sums.joint_zeroing);
    }
}
