//! Small heads whose attention can be done by hand, with their traces from a plain softmax.

use ndarray::{Array1, Array2, array};
use obd_core::{AttentionTrace, Head, QueryWindow};

use crate::select::sets::attended_window::AttendedWindow;

/// Attention in four lines, to have a trace to score. It knows no closed form.
pub fn trace(head: &Head) -> AttentionTrace {
    let logits = head.query().dot(&head.key().t()) * head.scale();
    let exponentials = Array2::from_shape_fn(logits.dim(), |(i, j)| {
        let capped = head
            .softcap()
            .map_or(logits[[i, j]], |softcap| softcap.value(logits[[i, j]]));
        let seen = head.visibility().visible(i, j);
        if seen { (capped + head.bias(i, j)).exp() } else { 0.0 }
    });
    let sink = head.sink().map_or(0.0, f64::exp);
    let sums = Array1::from_shape_fn(head.query_len(), |i| exponentials.row(i).sum() + sink);
    let weights = Array2::from_shape_fn(logits.dim(), |(i, j)| match exponentials[[i, j]] {
        0.0 => 0.0,
        exponential => exponential / sums[i],
    });
    AttentionTrace {
        output: weights.dot(head.value()),
        log_sum_exp: sums.mapv(f64::ln),
        logits,
        weights,
    }
}

/// What sets of tokens are chosen from.
pub fn attended_window<'a>(head: &'a Head, trace: &'a AttentionTrace, window: QueryWindow) -> AttendedWindow<'a> {
    AttendedWindow { head, trace, window }
}

/// Logits ln 1, ln 2, ln 5 and values 8, 4, 0: weights 1/8, 2/8, 5/8, output 2.
pub fn logs() -> Head {
    Head::new(
        array![[1.0]],
        array![[0.0], [2f64.ln()], [5f64.ln()]],
        array![[8.0], [4.0], [0.0]],
    )
    .unwrap()
}

/// Two queries, the first of which sees two tokens of weight 1/2, the second three of weights 1/4, 1/4, 1/2.
/// Values (4, 0), (0, 4), (2, 2): outputs (2, 2) and (2, 2).
pub fn two_queries() -> Head {
    Head::new(
        array![[0.0], [1.0]],
        array![[0.0], [0.0], [2f64.ln()]],
        array![[4.0, 0.0], [0.0, 4.0], [2.0, 2.0]],
    )
    .unwrap()
}

/// Seven tokens of scattered keys and values, six queries.
pub fn scattered(sink: Option<f64>) -> Head {
    let wave = |rows: usize, columns: usize, phase: f64| {
        Array2::from_shape_fn((rows, columns), |(i, c)| {
            (phase * (1.0 + i as f64) + 2.3 * c as f64).sin() * 2.0
        })
    };
    let head = Head::new(wave(6, 3, 1.7), wave(7, 3, 0.9), wave(7, 2, 1.3) + 5.0).unwrap();
    match sink {
        Some(sink) => head.with_sink(sink).unwrap(),
        None => head,
    }
}
