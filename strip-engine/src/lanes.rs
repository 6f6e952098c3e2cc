//! Vectors of either storage, as wide as the processor that runs them, with the operators of numbers.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Sub};

use pulp::Simd;

/// Most lanes of any processor, and a multiple of those of all.
pub(crate) const MOST_LANES: usize = 16;

/// A number that vectors are made of: what `pulp` names by type, under one name.
pub trait Lanes: Copy + Debug + Default + PartialOrd + Send + Sync + 'static {
    /// As many numbers as fit a register.
    type Register<S: Simd>: Copy + Debug;
    /// One truth value a lane.
    type Mask<S: Simd>: Copy + Debug;

    /// What stands in for the logit of a pair that the vectors must not count: below every logit, and far enough from
    /// overflow to be shifted, or squared with a weight of 0.
    const HIDDEN: Self;
    /// 1.
    const UNIT: Self;
    /// Tokens that are worked on at a time: logits, exponentials and values of so many stay in the second-level cache,
    /// and the kernels of the matrix products, 96 or 48 rows high, divide it.
    const TILE: usize;
    /// Distance of the rows of a tile of pairs: a cache line or two more than a tile, so that a column of pairs does not
    /// fall on one set of the cache.
    const STRIDE: usize = Self::TILE + 16;

    /// The whole registers of a slice.
    fn registers<S: Simd>(numbers: &[Self]) -> &[Self::Register<S>];
    /// The whole registers of a slice.
    fn registers_mut<S: Simd>(numbers: &mut [Self]) -> &mut [Self::Register<S>];
    /// The lanes of a register.
    fn lanes<S: Simd>(register: &mut Self::Register<S>) -> &mut [Self];
    /// The same number in every lane.
    fn splat<S: Simd>(simd: S, number: Self) -> Self::Register<S>;
    /// `a + b`.
    fn add<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// `a - b`.
    fn sub<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// `a b`.
    fn mul<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// `a / b`.
    fn div<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// The smaller.
    fn min<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// The larger.
    fn max<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// `a b + c`, rounded once where the processor can.
    fn mul_add<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>, c: Self::Register<S>)
    -> Self::Register<S>;
    /// `c - a b`, rounded once where the processor can.
    fn sub_mul<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>, c: Self::Register<S>)
    -> Self::Register<S>;
    /// `a > b`.
    fn above<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Mask<S>;
    /// `yes` where the mask holds, else `no`.
    fn select<S: Simd>(
        simd: S,
        mask: Self::Mask<S>,
        yes: Self::Register<S>,
        no: Self::Register<S>,
    ) -> Self::Register<S>;
    /// Sum of the lanes.
    fn sum<S: Simd>(simd: S, a: Self::Register<S>) -> Self;
    /// Least lane.
    fn least<S: Simd>(simd: S, a: Self::Register<S>) -> Self;
    /// Largest lane.
    fn most<S: Simd>(simd: S, a: Self::Register<S>) -> Self;
    /// See [`Vector::exp`].
    fn exp<S: Simd>(x: Vector<Self, S>) -> Vector<Self, S>;
}

/// A vector of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Vector<T: Lanes, S: Simd> {
    pub(crate) simd: S,
    pub(crate) register: T::Register<S>,
}

impl<T: Lanes, S: Simd> Vector<T, S> {
    /// Numbers in a vector.
    pub const LANES: usize = size_of::<T::Register<S>>() / size_of::<T>();

    #[inline(always)]
    pub fn splat(simd: S, number: T) -> Self {
        Self {
            simd,
            register: T::splat(simd, number),
        }
    }

    /// The first numbers of a slice, which must hold as many.
    #[inline(always)]
    pub fn load(simd: S, numbers: &[T]) -> Self {
        Self {
            simd,
            register: T::registers::<S>(numbers)[0],
        }
    }

    /// The whole vectors of a slice.
    #[inline(always)]
    pub fn all(simd: S, numbers: &[T]) -> impl Iterator<Item = Self> {
        T::registers::<S>(numbers)
            .iter()
            .map(move |&register| Self { simd, register })
    }

    /// To the first numbers of a slice, which must hold as many.
    #[inline(always)]
    pub fn store(self, numbers: &mut [T]) {
        T::registers_mut::<S>(numbers)[0] = self.register;
    }

    /// The numbers one by one.
    #[inline(always)]
    pub fn lanes(&mut self) -> &mut [T] {
        T::lanes::<S>(&mut self.register)
    }

    /// `self factor + summand`, rounded once where the processor can.
    #[inline(always)]
    pub fn mul_add(self, factor: Self, summand: Self) -> Self {
        self.with(T::mul_add(self.simd, self.register, factor.register, summand.register))
    }

    /// `from - self factor`, rounded once where the processor can.
    #[inline(always)]
    pub fn mul_from(self, factor: Self, from: Self) -> Self {
        self.with(T::sub_mul(self.simd, self.register, factor.register, from.register))
    }

    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.with(T::min(self.simd, self.register, other.register))
    }

    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.with(T::max(self.simd, self.register, other.register))
    }

    /// Where it is above `other`.
    #[inline(always)]
    pub fn above(self, other: Self) -> T::Mask<S> {
        T::above(self.simd, self.register, other.register)
    }

    /// Itself where the mask holds, else `other`.
    #[inline(always)]
    pub fn where_or(self, mask: T::Mask<S>, other: Self) -> Self {
        self.with(T::select(self.simd, mask, self.register, other.register))
    }

    /// Sum of the lanes.
    #[inline(always)]
    pub fn sum(self) -> T {
        T::sum(self.simd, self.register)
    }

    /// Least lane.
    #[inline(always)]
    pub fn least(self) -> T {
        T::least(self.simd, self.register)
    }

    /// Largest lane.
    #[inline(always)]
    pub fn most(self) -> T {
        T::most(self.simd, self.register)
    }

    /// e^x for x from -87 (32 bits) or -708 (64 bits) to 0, and 0 below.
    #[inline(always)]
    pub fn exp(self) -> Self {
        T::exp(self)
    }

    #[inline(always)]
    pub(crate) fn with(self, register: T::Register<S>) -> Self {
        Self { register, ..self }
    }
}

impl<T: Lanes, S: Simd> Add for Vector<T, S> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.with(T::add(self.simd, self.register, other.register))
    }
}

impl<T: Lanes, S: Simd> Sub for Vector<T, S> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.with(T::sub(self.simd, self.register, other.register))
    }
}

impl<T: Lanes, S: Simd> Mul for Vector<T, S> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.with(T::mul(self.simd, self.register, other.register))
    }
}

impl<T: Lanes, S: Simd> Div for Vector<T, S> {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.with(T::div(self.simd, self.register, other.register))
    }
}
