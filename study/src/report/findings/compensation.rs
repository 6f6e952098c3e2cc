//! What the Surgeon's update buys on its own queries, and whether it overfits them.

use obcache_scores::Score;
use obd_core::QueryWindow;

use crate::measure::{Measurements, MissingCell};
use crate::names::{Column, Protected, Queries};
use crate::report::words::interval;

/// `None` where no head has an error that could be made up for.
pub(super) fn sentence(measurements: &Measurements, protected: Protected) -> Result<Option<String>, MissingCell> {
    let ratio = |queries| {
        let column = Column::compensation(QueryWindow::All, queries, protected, 0.2);
        measurements.means.cell(column, Score::Value)
    };
    let (Some(own), Some(later)) = (ratio(Queries::InWindow)?, ratio(Queries::Future)?) else {
        return Ok(None);
    };
    let verdict = if later.low > 1.0 {
        "The update overfits: it does harm on later queries"
    } else if later.high < 1.0 && later.mean <= 1.1 * own.mean {
        "The gain holds on later queries"
    } else if later.high < 1.0 {
        "The update overfits in part: less of the gain is left on later queries"
    } else {
        "The update overfits: no gain can be told on later queries"
    };
    let protection = match protected {
        Protected::Nothing => "nothing protected",
        Protected::SinksAndRecent => "sinks and recent tokens protected",
    };
    Ok(Some(format!(
        "Optimal Brain Surgeon moves the kept values to make up for the evicted ones (set of the value score, 20 % kept, {protection}, fitted on \
         all queries seen). It leaves {} of the error on the queries it was fitted to, and {} on later ones. {verdict}.",
        interval(own),
        interval(later)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words::tests::{measured, row};

    #[test]
    fn an_update_that_only_fits_its_own_queries_is_called_so() {
        let column = |queries| Column::compensation(QueryWindow::All, queries, Protected::Nothing, 0.2);
        let verdict = |later: f64| {
            let rows = vec![
                row(column(Queries::InWindow), Score::Value, 0.3),
                row(column(Queries::Future), Score::Value, later),
            ];
            sentence(&measured(rows), Protected::Nothing).unwrap().unwrap()
        };
        assert!(verdict(5.0).ends_with("it does harm on later queries."));
        assert!(verdict(1.0).ends_with("no gain can be told on later queries."));
        assert!(verdict(0.8).ends_with("less of the gain is left on later queries."));
        assert!(verdict(0.3).ends_with("The gain holds on later queries."));
        let own = vec![row(column(Queries::InWindow), Score::Value, 0.3)];
        let missing = sentence(&measured(own), Protected::Nothing).unwrap_err();
        assert_eq!(missing.column, column(Queries::Future).to_string());
    }
}
