//! How many directions the tokens' first-order perturbations span: the spectrum of the Gram matrix (claim C4).

use ndarray::Array2;
use ndarray_linalg::error::LinalgError;
use obd_core::{QueryWindow, spectrum};

use super::rows::{HeadId, Spectrum};

/// The row of a Gram matrix, shape (tokens, tokens), over the queries of a window.
pub(super) fn row(id: &HeadId, window: QueryWindow, gram: &Array2<f64>) -> Result<Spectrum, LinalgError> {
    let eigenvalues = spectrum::eigenvalues(gram)?;
    Ok(Spectrum {
        capture: id.capture.clone(),
        layer: id.layer,
        head: id.head,
        window: window.into(),
        tokens: gram.nrows(),
        effective_rank: spectrum::effective_rank(&eigenvalues),
        diagonal_share: share(gram.diag().sum(), gram.iter().map(|g| g.abs()).sum()),
    })
}

/// What single-token saliencies see of G: the diagonal over all magnitudes; 1 where G is diagonal.
fn share(diagonal: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| diagonal / all)
}
