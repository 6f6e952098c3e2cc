//! Small heads whose attention can be done by hand.

use ndarray::array;
use obd_core::{Head, Visibility};

/// Logits ln 1, ln 2, ln 5 and values 8, 4, 0: weights 1/8, 2/8, 5/8, output 2.
pub fn logs() -> Head {
    Head::new(
        array![[1.0]],
        array![[0.0], [2f64.ln()], [5f64.ln()]],
        array![[8.0], [4.0], [0.0]],
    )
    .unwrap()
}

/// [`logs`] with all but the first token hidden: output 8.
pub fn shy() -> Head {
    logs().with_visibility(Visibility::all(1, 3).without(&[1, 2])).unwrap()
}
