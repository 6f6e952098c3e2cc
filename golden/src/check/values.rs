//! What a kernel gives back.

use half::{bf16, f16};
use ndarray::ArrayD;

use crate::Precision;

/// One output of a kernel: its numbers, widened, and the format that they were stored in.
///
/// The tolerance grants one rounding to that format, so a kernel that stores f16 is not held to f32.
///
/// ```
/// use golden::{Precision, check::Values};
/// use ndarray::array;
///
/// let values = Values::from(array![[0.5f32, 1.0]].into_dyn());
/// assert_eq!((values.stored, values.numbers[[0, 1]]), (Precision::F32, 1.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// The numbers, in the shape of [`OutputSpec::shape`](crate::OutputSpec::shape).
    pub numbers: ArrayD<f64>,
    /// The format they were stored in.
    pub stored: Precision,
}

impl Values {
    /// The shape of the numbers.
    pub fn shape(&self) -> &[usize] {
        self.numbers.shape()
    }
}

macro_rules! from_arrays {
    ($($number:ty, $precision:ident, $widen:expr;)*) => {
        $(impl From<ArrayD<$number>> for Values {
            fn from(numbers: ArrayD<$number>) -> Self {
                Self { numbers: numbers.mapv($widen), stored: Precision::$precision }
            }
        })*
    };
}

from_arrays! {
    f64, F64, |x| x;
    f32, F32, f64::from;
    f16, F16, f64::from;
    bf16, Bf16, f64::from;
}
