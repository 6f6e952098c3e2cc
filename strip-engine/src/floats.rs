//! The two storages, f32 and f64, as lanes of vectors.

use pulp::{Simd, bytemuck};

use crate::exp::{exp_f32, exp_f64};
use crate::lanes::{Lanes, Vector};

/// Implements [`Lanes`] for a type by the names that `pulp` gives its operations.
macro_rules! lanes {
    ($type:ident, $tile:literal, $register:ident, $mask:ident, $exp:path, $as_simd:ident, $as_mut_simd:ident, $splat:ident, $add:ident,
     $sub:ident, $mul:ident, $div:ident, $min:ident, $max:ident, $mul_add:ident, $negate_mul_add:ident, $above:ident,
     $select:ident, $sum:ident, $least:ident, $most:ident) => {
        impl Lanes for $type {
            type Register<S: Simd> = S::$register;
            type Mask<S: Simd> = S::$mask;

            const HIDDEN: Self = $type::MIN / 4.0;
            const UNIT: Self = 1.0;
            const TILE: usize = $tile;

            #[inline(always)]
            fn registers<S: Simd>(numbers: &[Self]) -> &[S::$register] {
                S::$as_simd(numbers).0
            }

            #[inline(always)]
            fn registers_mut<S: Simd>(numbers: &mut [Self]) -> &mut [S::$register] {
                S::$as_mut_simd(numbers).0
            }

            #[inline(always)]
            fn lanes<S: Simd>(register: &mut S::$register) -> &mut [Self] {
                bytemuck::cast_slice_mut(std::slice::from_mut(register))
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, number: Self) -> S::$register {
                simd.$splat(number)
            }

            #[inline(always)]
            fn add<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn sub<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$sub(a, b)
            }

            #[inline(always)]
            fn mul<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$mul(a, b)
            }

            #[inline(always)]
            fn div<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$div(a, b)
            }

            #[inline(always)]
            fn min<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$min(a, b)
            }

            #[inline(always)]
            fn max<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$max(a, b)
            }

            #[inline(always)]
            fn mul_add<S: Simd>(simd: S, a: S::$register, b: S::$register, c: S::$register) -> S::$register {
                simd.$mul_add(a, b, c)
            }

            #[inline(always)]
            fn sub_mul<S: Simd>(simd: S, a: S::$register, b: S::$register, c: S::$register) -> S::$register {
                simd.$negate_mul_add(a, b, c)
            }

            #[inline(always)]
            fn above<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$mask {
                simd.$above(a, b)
            }

            #[inline(always)]
            fn select<S: Simd>(simd: S, mask: S::$mask, yes: S::$register, no: S::$register) -> S::$register {
                simd.$select(mask, yes, no)
            }

            #[inline(always)]
            fn sum<S: Simd>(simd: S, a: S::$register) -> Self {
                simd.$sum(a)
            }

            #[inline(always)]
            fn least<S: Simd>(simd: S, a: S::$register) -> Self {
                simd.$least(a)
            }

            #[inline(always)]
            fn most<S: Simd>(simd: S, a: S::$register) -> Self {
                simd.$most(a)
            }

            #[inline(always)]
            fn exp<S: Simd>(x: Vector<Self, S>) -> Vector<Self, S> {
                $exp(x)
            }
        }
    };
}

lanes!(
    f32,
    384,
    f32s,
    m32s,
    exp_f32,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    div_f32s,
    min_f32s,
    max_f32s,
    mul_add_e_f32s,
    negate_mul_add_e_f32s,
    greater_than_f32s,
    select_f32s,
    reduce_sum_f32s,
    reduce_min_f32s,
    reduce_max_f32s
);

lanes!(
    f64,
    192,
    f64s,
    m64s,
    exp_f64,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    div_f64s,
    min_f64s,
    max_f64s,
    mul_add_e_f64s,
    negate_mul_add_e_f64s,
    greater_than_f64s,
    select_f64s,
    reduce_sum_f64s,
    reduce_min_f64s,
    reduce_max_f64s
);
