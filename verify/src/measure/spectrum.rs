//! How many directions the tokens' first-order perturbations span: the spectrum of the Gram matrix (claim C4).

use ndarray_linalg::error::LinalgError;
use obd_core::{AttentionTrace, Head, QueryWindow, gram, spectrum};

use super::head::WINDOWS;
use super::rows::{HeadId, Spectrum};

/// One row a window; the last window is left out: one query spans value_dim directions at most.
pub(super) fn rows(id: &HeadId, (head, trace): &(Head, AttentionTrace)) -> Result<Vec<Spectrum>, LinalgError> {
    let row = |&(name, window): &(&str, QueryWindow)| {
        let gram = gram::gram(head, trace, window);
        let eigenvalues = spectrum::eigenvalues(&gram)?;
        Ok(Spectrum {
            capture: id.capture.clone(),
            layer: id.layer,
            head: id.head,
            window: name.to_owned(),
            tokens: head.kv_len(),
            effective_rank: spectrum::effective_rank(&eigenvalues),
            diagonal_share: share(gram.diag().sum(), gram.iter().map(|g| g.abs()).sum()),
        })
    };
    WINDOWS[..2].iter().map(row).collect()
}

/// What single-token saliencies see of G: the diagonal over all magnitudes; 1 where G is diagonal.
fn share(diagonal: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| diagonal / all)
}
