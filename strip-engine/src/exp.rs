//! The exponential of what is not above 0, a vector at a time: within 1 ulp in 32 bits, 2 ulp in 64.
//!
//! ```text
//! n = round(x / ln 2)        r = x - n ln 2, |r| <= ln 2 / 2        e^x = 2^n (1 + (r + r² p(r)))
//! ```
//! ln 2 is split in two so that n times its first part is exact. p is the polynomial whose relative error in e^r has
//! the least maximum (Remez): 2^-28.3 with 5 coefficients in 32 bits, 2^-57.9 with 10 in 64. The last addition rounds
//! to half an ulp, the sum in parentheses to a quarter, r to a fifth, and p adds a twentieth.

use pulp::Simd;

use crate::lanes::{Lanes, Vector};

/// Below this e^x is no normal number, and the result is 0.
const LOWEST_F32: f32 = -87.0;
const LOWEST_F64: f64 = -708.0;

/// Coefficients of p from r⁰ up.
const P_F32: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_717, 0.001_381_459_9];
const P_F64: [f64; 10] = [
    0.500_000_000_000_001_1,
    0.166_666_666_666_664_13,
    0.041_666_666_666_530_155,
    0.008_333_333_333_494_461,
    0.001_388_888_894_363_009_2,
    0.000_198_412_695_065_798_9,
    2.480_149_309_892_688e-5,
    2.755_758_637_278_362e-6,
    2.763_024_837_226_324_6e-7,
    2.500_006_193_433_102_3e-8,
];

/// Adding it leaves in the low bits of the sum the nearest integer, plus the bias of the exponent.
const ROUND_F32: f32 = 12_582_912.0 + 127.0;
const ROUND_F64: f64 = 6_755_399_441_055_744.0 + 1023.0;

/// ln 2 in two parts, the first with trailing zeros.
const LN2_F32: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
const LN2_F64: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];

#[inline(always)]
pub(crate) fn exp_f32<S: Simd>(x: Vector<f32, S>) -> Vector<f32, S> {
    let simd = x.simd;
    let [log2_e, round] = [std::f32::consts::LOG2_E, ROUND_F32].map(|number| Vector::splat(simd, number));
    let shifted = x.mul_add(log2_e, round);
    let bits = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted.register), simd.splat_u32s(23));
    let power = x.with(simd.transmute_f32s_u32s(bits));
    let normal = x.above(Vector::splat(simd, LOWEST_F32));
    (mantissa(x, shifted - round, LN2_F32, &P_F32) * power).where_or(normal, Vector::splat(simd, 0.0))
}

#[inline(always)]
pub(crate) fn exp_f64<S: Simd>(x: Vector<f64, S>) -> Vector<f64, S> {
    let simd = x.simd;
    let [log2_e, round] = [std::f64::consts::LOG2_E, ROUND_F64].map(|number| Vector::splat(simd, number));
    let shifted = x.mul_add(log2_e, round);
    // A product, since pulp shifts 32-bit lanes alone.
    let bits = simd.mul_u64s(simd.transmute_u64s_f64s(shifted.register), simd.splat_u64s(1 << 52));
    let power = x.with(simd.transmute_f64s_u64s(bits));
    let normal = x.above(Vector::splat(simd, LOWEST_F64));
    (mantissa(x, shifted - round, LN2_F64, &P_F64) * power).where_or(normal, Vector::splat(simd, 0.0))
}

/// e^(x - n ln 2), between 0.7 and 1.42.
#[inline(always)]
fn mantissa<T: Lanes, S: Simd>(x: Vector<T, S>, n: Vector<T, S>, ln2: [T; 2], p: &[T]) -> Vector<T, S> {
    let splat = |number| Vector::splat(x.simd, number);
    let r = n.mul_from(splat(ln2[1]), n.mul_from(splat(ln2[0]), x));
    let mut sum = splat(p[p.len() - 1]);
    for &coefficient in p[..p.len() - 1].iter().rev() {
        sum = sum.mul_add(r, splat(coefficient));
    }
    (r * r).mul_add(sum, r) + splat(T::UNIT)
}

#[cfg(test)]
mod tests {
    use dashu_float::FBig;
    use dashu_float::round::mode::HalfEven;
    use pulp::WithSimd;

    use super::*;
    use crate::instructions::Instructions;
    use crate::lanes::{Lanes, Vector};

    /// e^x of every number.
    struct Exponentials<'a, T>(&'a [T]);

    impl<T: Lanes> WithSimd for Exponentials<'_, T> {
        type Output = Vec<T>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<T> {
            let mut exponentials = vec![T::default(); self.0.len()];
            let width = Vector::<T, S>::LANES;
            for (numbers, exponentials) in self.0.chunks_exact(width).zip(exponentials.chunks_exact_mut(width)) {
                Vector::load(simd, numbers).exp().store(exponentials);
            }
            exponentials
        }
    }

    /// A dense grid from the lowest to 0, the neighbourhood of every half multiple of ln 2, and a million numbers that
    /// look random.
    fn numbers(lowest: f64) -> Vec<f64> {
        let grid = (0..1 << 20).map(|step| lowest * f64::from(step) / f64::from(1 << 20));
        let halves = (0..2000).map(|half| -f64::from(half) * 0.5 * std::f64::consts::LN_2);
        let edges = halves.flat_map(|x| (-4..=4).map(move |step| x + f64::from(step) * 1e-7 * x.abs().max(1e-7)));
        let mut state = 1u64;
        let random = (0..1 << 20).map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            lowest * (state >> 11) as f64 / (1u64 << 53) as f64
        });
        let inside = |x: &f64| *x <= 0.0 && *x > lowest;
        grid.chain(edges.filter(inside)).chain(random.filter(inside)).collect()
    }

    #[test]
    fn within_one_ulp_in_32_bits_on_every_path() {
        let numbers: Vec<f32> = numbers(-87.0)
            .into_iter()
            .map(|x| x as f32)
            .filter(|&x| x > -87.0)
            .collect();
        let numbers = &numbers[..numbers.len() / 16 * 16];
        for instructions in Instructions::all() {
            let found = instructions.run(Exponentials(numbers));
            for (&x, &e) in numbers.iter().zip(&found) {
                let exact = f64::from(x).exp();
                let ulp = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
                let off = (f64::from(e) - exact).abs() / ulp;
                assert!(off <= 1.0, "{instructions}: e^{x} is off by {off} ulp");
            }
        }
    }

    /// How many steps `found` lies from e^x, correctly rounded by way of 100 bits.
    fn steps_from_exp(found: f64, x: f64) -> u64 {
        let x: FBig<HalfEven> = FBig::try_from(x).expect("a finite number");
        let exact = x.with_precision(100).value().exp().to_f64().value();
        found.to_bits().abs_diff(exact.to_bits())
    }

    #[test]
    fn within_two_ulp_in_64_bits_on_every_path() {
        let numbers = numbers(-708.0);
        let numbers = &numbers[..numbers.len() / 16 * 16];
        for instructions in Instructions::all() {
            let found = instructions.run(Exponentials(numbers));
            for (&x, &e) in numbers.iter().zip(&found) {
                // libm is off by less than an ulp, so that its number is at most one step from the rounded one.
                if e == libm::exp(x) {
                    continue;
                }
                // One step from the rounded number is at most 1.5 ulp.
                let steps = steps_from_exp(e, x);
                assert!(steps <= 1, "{instructions}: e^{x} is {steps} steps off");
            }
        }
    }

    #[test]
    fn nothing_is_left_far_below_and_one_at_zero() {
        let low = [0.0, -0.0, -87.0, -88.0, -1e3, -1e30, f32::HIDDEN, f32::NEG_INFINITY];
        let low = [low, low].concat();
        for instructions in Instructions::all() {
            let found = instructions.run(Exponentials(&low));
            assert_eq!(found[..8], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "{instructions}");
        }
        let low = [0.0, -0.0, -708.0, -709.0, -1e3, -1e300, f64::HIDDEN, f64::NEG_INFINITY];
        for instructions in Instructions::all() {
            let found = instructions.run(Exponentials(&low));
            assert_eq!(found, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "{instructions}");
        }
    }
}
