//! How many directions the tokens' perturbations span, of how many there could be (claim C4).

use obd_core::QueryWindow;

use crate::measure::{Measurements, MissingCell};
use crate::names::{Column, Subject};

/// `None` where no head has a spectrum.
pub(super) fn sentence(measurements: &Measurements) -> Result<Option<String>, MissingCell> {
    let rank = |window: QueryWindow| {
        let column = Column::effective_rank(window.into());
        measurements.means.cell(column, Subject::Heads)
    };
    let (Some(all), Some(last)) = (rank(QueryWindow::All)?, rank(QueryWindow::Last(32))?) else {
        return Ok(None);
    };
    let tokens =
        measurements.spectra.iter().map(|row| row.tokens as f64).sum::<f64>() / measurements.spectra.len() as f64;
    Ok(Some(format!(
        "The first-order perturbations of {tokens:.0} tokens (mean) span fewer directions than there are tokens: the effective rank of the Gram matrix is {:.0} [{:.0}, {:.0}] over all \
         queries and {:.0} [{:.0}, {:.0}] over the last 32. Single-token scores see only its diagonal.",
        all.mean, all.low, all.high, last.mean, last.low, last.high
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Spectrum;
    use crate::report::words::tests::{measured, row};

    #[test]
    fn ranks_and_tokens_by_hand() {
        let rank = |window: QueryWindow, mean| row(Column::effective_rank(window.into()), Subject::Heads, mean);
        let mut measurements = measured(vec![rank(QueryWindow::All, 61.0), rank(QueryWindow::Last(32), 17.0)]);
        let spectrum_of = |tokens: usize| Spectrum {
            capture: String::new(),
            layer: 0,
            head: 0,
            window: QueryWindow::All.into(),
            tokens,
            effective_rank: 61.0,
            diagonal_share: None,
        };
        measurements.spectra = vec![spectrum_of(300), spectrum_of(500)];
        let text = sentence(&measurements).unwrap().unwrap();
        assert!(text.contains("of 400 tokens (mean)"), "{text}");
        assert!(
            text.contains("is 61 [61, 61] over all queries and 17 [17, 17] over the last 32"),
            "{text}"
        );
        let missing = sentence(&measured(vec![rank(QueryWindow::All, 61.0)])).unwrap_err();
        assert!(missing.column.contains("effective_rank, window last-32"), "{missing}");
    }
}
