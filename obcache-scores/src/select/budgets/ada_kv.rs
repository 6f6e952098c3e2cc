//! AdaKV lets the heads of a layer compete for tokens, with a safeguard for each: water-filling on any score, over a floor.

use ndarray::Array1;

use super::water_filling;
use crate::SelectionError;

/// Tokens that each head of a layer keeps, `per_head` on average; each keeps at least its best `safeguard` (0.2 in the paper
/// and in kvpress) of that, one token at least where the safeguard is above 0. Claim C34.
///
/// # Errors
/// [`SelectionError`] where the safeguard is no fraction, or a saliency is NaN.
pub fn ada_kv(saliencies: &[Array1<f64>], per_head: usize, safeguard: f64) -> Result<Vec<usize>, SelectionError> {
    if !(0.0..=1.0).contains(&safeguard) {
        return Err(SelectionError::Fraction(safeguard));
    }
    let floor = (per_head as f64 * safeguard) as usize;
    let floor = if safeguard > 0.0 { floor.max(1).min(per_head) } else { 0 };
    water_filling(saliencies, per_head * saliencies.len(), floor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn each_head_keeps_its_share_of_safety() {
        let saliencies = [array![9.0, 8.0, 7.0, 6.0], array![1.0, 2.0, 3.0, 4.0]];
        assert_eq!(ada_kv(&saliencies, 2, 0.0).unwrap(), [4, 0]);
        assert_eq!(ada_kv(&saliencies, 2, 0.2).unwrap(), [3, 1]);
        assert_eq!(ada_kv(&saliencies, 2, 1.0).unwrap(), [2, 2]);
        assert_eq!(ada_kv(&saliencies, 0, 0.2).unwrap(), [0, 0]);
        assert_eq!(ada_kv(&saliencies, 2, 1.5), Err(SelectionError::Fraction(1.5)));
    }
}
