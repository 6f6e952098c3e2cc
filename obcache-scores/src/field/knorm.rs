//! Knorm keeps the tokens with the shortest keys: in trained models those tend to be attended to.
//!
//! ```text
//! -‖k_j‖₂          2406.11430
//! ```
//! Looks at nothing else. One vector added to all keys leaves every weight and reorders this score (C14).

use ndarray::Array1;

use super::KvGroup;
use super::kv_group::norms;

/// Saliency of every token, shape (kv_len). Claim C29.
pub fn knorm(group: &KvGroup) -> Array1<f64> {
    -norms(group.key().view())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::trace;
    use ndarray::array;
    use obd_core::Head;

    #[test]
    fn the_shorter_the_better() {
        let head = Head::new(array![[1.0, 0.0]], array![[3.0, 4.0], [0.0, 0.0]], array![[1.0], [1.0]]).unwrap();
        let trace = trace(&head);
        assert_eq!(knorm(&KvGroup::new(vec![(head, trace)]).unwrap()), array![-5.0, 0.0]);
    }
}
