//! Pooling lets a token share in the saliency of its neighbours, as SnapKV does before it selects.

use ndarray::Array1;

/// Pooling over `2 · radius + 1` neighbouring tokens, stride 1, same length out as in.
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
