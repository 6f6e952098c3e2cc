//! Attention in dual numbers: derivatives without a formula to get wrong.

use num_dual::{Dual64, DualNum, HyperDual64};

use crate::Scalar;

macro_rules! scalar_by_dual_number {
    ($dual:ty) => {
        impl Scalar for $dual {
            fn from_f64(value: f64) -> Self {
                <$dual>::from_re(value)
            }

            fn to_f64(&self) -> f64 {
                self.re
            }

            fn exp(&self) -> Self {
                DualNum::exp(self)
            }

            fn ln(&self) -> Self {
                DualNum::ln(self)
            }

            fn tanh(&self) -> Self {
                DualNum::tanh(self)
            }
        }
    };
}

scalar_by_dual_number!(Dual64);
scalar_by_dual_number!(HyperDual64);

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn first_derivatives_of_the_elementary_functions() {
        let x = Dual64::new(0.5, 1.0);
        // d exp = exp, d ln = 1/x, d tanh = 1 - tanh²
        assert_relative_eq!(Scalar::exp(&x).eps, 0.5f64.exp(), max_relative = 1e-15);
        assert_relative_eq!(Scalar::ln(&x).eps, 2.0, max_relative = 1e-15);
        let tanh = 0.5f64.tanh();
        assert_relative_eq!(Scalar::tanh(&x).eps, 1.0 - tanh * tanh, max_relative = 1e-15);
        assert_eq!(Scalar::to_f64(&x), 0.5);
        assert_eq!(<Dual64 as Scalar>::from_f64(3.0), Dual64::new(3.0, 0.0));
    }

    #[test]
    fn mixed_second_derivative_of_a_product_of_exponentials() {
        // f = exp(x y) at (1, 2): d²f/dxdy = (1 + x y) exp(x y) = 3 e²
        let x = HyperDual64::new(1.0, 1.0, 0.0, 0.0);
        let y = HyperDual64::new(2.0, 0.0, 1.0, 0.0);
        let f = Scalar::exp(&(x * y));
        assert_relative_eq!(f.eps1eps2, 3.0 * 2f64.exp(), max_relative = 1e-15);
        assert_eq!(Scalar::to_f64(&x), 1.0);
        assert_eq!(
            <HyperDual64 as Scalar>::from_f64(3.0),
            HyperDual64::new(3.0, 0.0, 0.0, 0.0)
        );
        // d²ln/dx² = -1/x², d²tanh/dx² = -2 tanh (1 - tanh²)
        let both = HyperDual64::new(0.5, 1.0, 1.0, 0.0);
        assert_relative_eq!(Scalar::ln(&both).eps1eps2, -4.0, max_relative = 1e-15);
        let tanh = 0.5f64.tanh();
        assert_relative_eq!(
            Scalar::tanh(&both).eps1eps2,
            -2.0 * tanh * (1.0 - tanh * tanh),
            max_relative = 1e-14
        );
    }
}
