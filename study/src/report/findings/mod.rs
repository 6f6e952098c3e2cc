//! What was found, in plain words made from the numbers. A sentence whose number was not measured is an error.

mod budgets;
mod compensation;
mod gauge;
mod interaction;
mod paper;
mod projection;
mod sets;
mod spectrum;

use obd_core::{Perturbation, QueryWindow};

use super::words::judged;
use crate::measure::{Measurements, MissingCell};
use crate::names::{Protected, Queries};

/// Sentences about the measurements, the most important first.
pub(super) fn findings(measurements: &Measurements) -> Result<Vec<String>, MissingCell> {
    let judged = judged(measurements);
    let mut findings = Vec::new();
    for truth in [
        Perturbation::Removal,
        Perturbation::KeyZeroing,
        Perturbation::JointZeroing,
    ] {
        findings.push(paper::rank_correlation(measurements, truth)?);
    }
    for &protected in Protected::ALL {
        for (queries, window) in [
            (Queries::InWindow, QueryWindow::All),
            (Queries::Future, QueryWindow::All),
            (Queries::Future, QueryWindow::Last(32)),
        ] {
            if judged.contains(&queries) {
                findings.push(paper::against_plainer(measurements, (queries, window), protected)?);
            }
        }
    }
    for &queries in judged {
        findings.push(sets::greedy(measurements, queries)?);
    }
    for window in [QueryWindow::All, QueryWindow::Last(32)] {
        for &queries in judged {
            findings.push(sets::halving(measurements, window, queries)?);
        }
    }
    findings.push(sets::yardsticks(measurements)?);
    findings.push(interaction::sentence(measurements)?);
    findings.extend(gauge::sentence(measurements)?);
    findings.extend(spectrum::sentence(measurements)?);
    if judged.contains(&Queries::Future) {
        for &protected in Protected::ALL {
            findings.extend(compensation::sentence(measurements, protected)?);
        }
    }
    if !measurements.projections.is_empty() {
        findings.push(projection::sentence(measurements)?);
    }
    if !measurements.budgets.is_empty() {
        findings.push(budgets::sentence(measurements)?);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::super::words::tests::measured;
    use super::*;

    #[test]
    fn nothing_measured_is_an_error() {
        let missing = findings(&measured(Vec::new())).unwrap_err();
        assert_eq!((missing.table, missing.row.as_str()), ("summary.csv", "value"));
    }
}
