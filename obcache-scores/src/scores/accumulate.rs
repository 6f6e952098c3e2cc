//! A saliency is the sum of its contributions over the queries of a window.

use ndarray::{Array1, Array2, Axis, s};
use obd_core::QueryWindow;

/// Column sums of `contributions`, shape (query_len, kv_len), over the queries of `window`: shape (kv_len). Claim C18.
pub fn accumulate(contributions: &Array2<f64>, window: QueryWindow) -> Array1<f64> {
    let queries = window.queries(contributions.nrows());
    contributions.slice(s![queries, ..]).sum_axis(Axis(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn only_the_window_counts() {
        let contributions = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        assert_eq!(accumulate(&contributions, QueryWindow::All), array![9.0, 12.0]);
        assert_eq!(accumulate(&contributions, QueryWindow::Last(2)), array![8.0, 10.0]);
        assert_eq!(accumulate(&contributions, QueryWindow::Last(1)), array![5.0, 6.0]);
    }
}
