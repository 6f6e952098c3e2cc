//! What a shift of all keys does (claim C14).

use obcache_scores::Score;
use obd_core::Perturbation;

use crate::agreement::Interval;
use crate::measure::{Measurements, MissingCell};
use crate::names::Quantity;

/// `None` where a ranking is constant on every head, so that it has no order.
pub(super) fn sentence(measurements: &Measurements) -> Result<Option<String>, MissingCell> {
    let shift = |quantity: Quantity| -> Result<Option<Interval>, MissingCell> {
        let row = measurements.gauge.iter().find(|row| row.quantity == quantity);
        let row = row.ok_or_else(|| MissingCell {
            table: "report.json, gauge",
            row: quantity.to_string(),
            column: "spearman".to_owned(),
        })?;
        Ok(row.spearman)
    };
    let key = shift(Quantity::Score(Score::Key))?;
    let joint = shift(Quantity::Score(Score::Joint))?;
    let removal = shift(Quantity::Error(Perturbation::Removal))?;
    let (Some(key), Some(joint), Some(removal)) = (key, joint, removal) else {
        return Ok(None);
    };
    Ok(Some(format!(
        "Adding one vector to all keys changes no output: the true errors keep their order (rank correlation {:.3}). Yet the key \
         score's order then has a rank correlation with itself of only {:.2} [{:.2}, {:.2}], and the joint score's of {:.2} [{:.2}, {:.2}].",
        removal.mean, key.mean, key.low, key.high, joint.mean, joint.low, joint.high
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::KeyShift;
    use crate::report::words::tests::measured;

    fn shift(quantity: Quantity, mean: f64) -> KeyShift {
        let (low, high, heads) = (mean, mean, 9);
        KeyShift {
            quantity,
            spearman: Some(Interval { mean, low, high, heads }),
        }
    }

    #[test]
    fn each_number_is_that_of_its_own_row() {
        let mut measurements = measured(Vec::new());
        measurements.gauge = vec![
            shift(Quantity::Error(Perturbation::Removal), 1.0),
            shift(Quantity::Score(Score::Joint), 0.82),
            shift(Quantity::Score(Score::Key), 0.81),
        ];
        let text = sentence(&measurements).unwrap().unwrap();
        for part in [
            "rank correlation 1.000",
            "only 0.81 [0.81, 0.81]",
            "joint score's of 0.82",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        measurements.gauge[1].spearman = None;
        assert_eq!(sentence(&measurements), Ok(None));
        measurements.gauge.remove(1);
        assert_eq!(sentence(&measurements).unwrap_err().row, "joint");
    }
}
