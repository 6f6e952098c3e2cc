//! Heads whose attention can be done by hand, and sums that many laws speak of.

use ndarray::{Array1, Array2, array};
use obcache_scores::{Score, accumulate};
use obd_core::{Head, QueryWindow, Visibility};
use reference_attention::attend;
use verify::tolerance;

/// Two tokens of weight 1/2, logits 0, values 0 and 2: output 1.
pub fn halves() -> Head {
    Head::new(array![[1.0]], array![[0.0], [0.0]], array![[0.0], [2.0]]).unwrap()
}

/// Three tokens of weight 1/3, logits 0, values 3, 0 and -3: output 0.
pub fn thirds() -> Head {
    Head::new(array![[1.0]], array![[0.0], [0.0], [0.0]], array![[3.0], [0.0], [-3.0]]).unwrap()
}

/// Two tokens of weights 1/4 and 3/4, logits 0 and ln 3, values 0 and 4: output 3.
pub fn three_quarters() -> Head {
    Head::new(array![[1.0]], array![[0.0], [3f64.ln()]], array![[0.0], [4.0]]).unwrap()
}

/// The score of every token, summed over all queries.
pub fn sums(score: Score, head: &Head) -> Array1<f64> {
    accumulate(&score.contributions(head, &attend(head)), QueryWindow::All)
}

/// Largest difference of two elements at the same place.
pub fn farthest(left: &Array2<f64>, right: &Array2<f64>) -> f64 {
    (left - right).iter().fold(0.0, |farthest, x| x.abs().max(farthest))
}

/// The tokens of the head whose bit is set in `members`.
pub fn tokens(head: &Head, members: u16) -> Vec<usize> {
    (0..head.kv_len()).filter(|j| members >> j & 1 == 1).collect()
}

/// Causal attention of `rows` queries, keys and values.
pub fn causal(query: &Array2<f64>, key: &Array2<f64>, value: &Array2<f64>) -> Head {
    let visibility = Visibility::all(query.nrows(), key.nrows()).causal();
    let head = Head::new(query.clone(), key.clone(), value.clone()).unwrap();
    head.with_visibility(visibility).unwrap()
}

/// What a sum of any score may be off: z, log a and z less its mean are all at most twice the largest input and ln kv_len <= 10.
pub fn slack(head: &Head) -> f64 {
    let stretch = 10.0 + 2.0 * tolerance::largest_input(head);
    let linear = (head.query_len() * head.value_dim()) as f64 * (1.0 + tolerance::largest_value(head));
    tolerance::squared_change(head, stretch) + 2.0 * linear * tolerance::weight(head)
}
