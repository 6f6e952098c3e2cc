//! Pooling lets a token share in the saliency of its neighbours, as SnapKV does before it selects.

use std::fmt;
use std::str::FromStr;

use ndarray::Array1;

use crate::UnknownName;

/// Pooling over a kernel of `2 · radius + 1` neighbouring tokens, stride 1, same length out as in.
///
/// Written with the kernel: `max-pool-7`, `average-pool-5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Largest saliency of the neighbourhood.
    Max {
        /// Neighbours on each side; 3 for SnapKV's kernel of 7.
        radius: usize,
    },
    /// Sum over the neighbourhood divided by the kernel, tokens beyond the ends counting as 0.
    Average {
        /// Neighbours on each side; 2 for kvpress's kernel of 5.
        radius: usize,
    },
}

impl Pooling {
    /// Neighbours on each side.
    pub fn radius(self) -> usize {
        match self {
            Self::Max { radius } | Self::Average { radius } => radius,
        }
    }

    /// Tokens of a neighbourhood.
    pub fn kernel(self) -> usize {
        self.radius().saturating_mul(2).saturating_add(1)
    }

    /// Pools a saliency of shape (kv_len).
    pub fn apply(self, saliency: &Array1<f64>) -> Array1<f64> {
        let neighbours = |j: usize, radius: usize| {
            let end = j.saturating_add(radius).saturating_add(1).min(saliency.len());
            saliency.slice(ndarray::s![j.saturating_sub(radius)..end])
        };
        Array1::from_shape_fn(saliency.len(), |j| match self {
            Self::Max { radius } => neighbours(j, radius).fold(f64::NEG_INFINITY, |best, &s| best.max(s)),
            Self::Average { radius } => neighbours(j, radius).sum() / (2.0 * radius as f64 + 1.0),
        })
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Max { .. } => "max-pool",
            Self::Average { .. } => "average-pool",
        };
        f.pad(&format!("{kind}-{}", self.kernel()))
    }
}

impl FromStr for Pooling {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let radius = |kernel: &str| {
            kernel
                .parse()
                .ok()
                .filter(|kernel| kernel % 2 == 1)
                .map(|kernel: usize| kernel / 2)
        };
        let known = name.rsplit_once('-').and_then(|(kind, kernel)| match kind {
            "max-pool" => Some(Self::Max {
                radius: radius(kernel)?,
            }),
            "average-pool" => Some(Self::Average {
                radius: radius(kernel)?,
            }),
            _ => None,
        });
        known.ok_or_else(|| UnknownName {
            kind: "pooling",
            name: name.to_owned(),
            expected: "max-pool or average-pool with an odd kernel, as max-pool-7",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn by_hand_with_a_kernel_of_three() {
        let saliency = array![3.0, 0.0, 6.0, 1.0, 2.0];
        assert_eq!(
            Pooling::Max { radius: 1 }.apply(&saliency),
            array![3.0, 6.0, 6.0, 6.0, 2.0]
        );
        assert_eq!(
            Pooling::Average { radius: 1 }.apply(&saliency),
            array![1.0, 3.0, 7.0 / 3.0, 3.0, 1.0]
        );
    }

    #[test]
    fn names_read_back() {
        for (name, pooling) in [
            ("max-pool-7", Pooling::Max { radius: 3 }),
            ("average-pool-1", Pooling::Average { radius: 0 }),
        ] {
            assert_eq!(pooling.to_string(), name);
            assert_eq!(name.parse(), Ok(pooling));
        }
        for refused in ["max-pool", "max-pool-4", "max-pool-0", "min-pool-3", "average-pool-x"] {
            assert!(refused.parse::<Pooling>().is_err(), "{refused}");
        }
    }

    #[test]
    fn a_kernel_wider_than_the_cache_takes_all() {
        let saliency = array![-3.0, -1.0];
        assert_eq!(Pooling::Max { radius: 3 }.apply(&saliency), array![-1.0, -1.0]);
        assert_eq!(
            Pooling::Average { radius: 3 }.apply(&saliency),
            array![-4.0 / 7.0, -4.0 / 7.0]
        );
        assert_eq!(Pooling::Max { radius: usize::MAX }.apply(&saliency), array![-1.0, -1.0]);
    }

    #[test]
    fn a_radius_of_zero_changes_nothing() {
        let saliency = array![1.0, 2.0];
        assert_eq!(Pooling::Max { radius: 0 }.apply(&saliency), saliency);
        assert_eq!(Pooling::Average { radius: 0 }.apply(&saliency), saliency);
    }
}
