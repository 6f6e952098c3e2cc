//! The column of a mean: what was measured, on which queries, against which truth and at which budget.

use std::fmt;

use obd_core::{Perturbation, QueryWindow};

use super::{Kept, Protected, Queries, Statistic, Truth, Window};

/// What a mean is a mean of, whatever the score. Whoever writes a mean and whoever looks it up name it by the same functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Column {
    /// What is averaged.
    pub statistic: Statistic,
    /// The queries that the score sees.
    pub window: Window,
    /// The queries that count in the error.
    pub queries: Queries,
    /// The error.
    pub truth: Truth,
    /// Protection and budget of a selection; `None` where nothing is selected.
    pub selection: Option<(Protected, Kept)>,
}

impl Column {
    /// Agreement of a score with a truth.
    pub fn agreement(statistic: Statistic, window: Window, queries: Queries, truth: Truth) -> Self {
        Self {
            statistic,
            window,
            queries,
            truth,
            selection: None,
        }
    }

    /// Spearman's rank correlation with the error of a perturbation.
    pub fn rank_agreement(window: QueryWindow, queries: Queries, truth: Perturbation) -> Self {
        Self::agreement(Statistic::Spearman, window.into(), queries, truth.into())
    }

    /// A statistic of an eviction; its truth is the error of removal.
    pub fn eviction(
        statistic: Statistic,
        window: impl Into<Window>,
        queries: Queries,
        protected: Protected,
        budget: f64,
    ) -> Self {
        Self {
            statistic,
            window: window.into(),
            queries,
            truth: Perturbation::Removal.into(),
            selection: Some((protected, Kept::new(budget))),
        }
    }

    /// Error of an eviction over that of the exact single-token oracle without protection.
    pub fn over_oracle(window: impl Into<Window>, queries: Queries, protected: Protected, budget: f64) -> Self {
        Self::eviction(Statistic::OverOracle, window, queries, protected, budget)
    }

    /// Error of an eviction over that of greedy exact removal without protection.
    pub fn over_greedy(window: impl Into<Window>, queries: Queries, protected: Protected, budget: f64) -> Self {
        Self::eviction(Statistic::OverGreedy, window, queries, protected, budget)
    }

    /// Error of an eviction over the squared norm of the output.
    pub fn relative_error(window: impl Into<Window>, queries: Queries, protected: Protected, budget: f64) -> Self {
        Self::eviction(Statistic::RelativeError, window, queries, protected, budget)
    }

    /// Error with the Surgeon's update over that without.
    pub fn compensation(window: impl Into<Window>, queries: Queries, protected: Protected, budget: f64) -> Self {
        Self::eviction(Statistic::Compensation, window, queries, protected, budget)
    }

    /// How single errors add up, all queries in the window.
    pub fn interaction(statistic: Statistic, budget: f64) -> Self {
        Self::eviction(
            statistic,
            QueryWindow::All,
            Queries::InWindow,
            Protected::Nothing,
            budget,
        )
    }

    /// Effective rank of the Gram matrix over a window.
    pub fn effective_rank(window: Window) -> Self {
        Self::agreement(
            Statistic::EffectiveRank,
            window,
            Queries::InWindow,
            Perturbation::Removal.into(),
        )
    }

    /// A statistic behind the output projection.
    pub fn behind_output(statistic: Statistic, window: Window) -> Self {
        Self::agreement(statistic, window, Queries::InWindow, Truth::RemovalBehindOutput)
    }

    /// Error of a KV head's eviction by a score of the field over that of the exact single-token oracle.
    pub fn field(budget: f64) -> Self {
        Self::eviction(
            Statistic::FieldOverOracle,
            Window::Own,
            Queries::Future,
            Protected::Nothing,
            budget,
        )
    }

    /// Error of a shared budget over that of the uniform one: of a layer or of the model, the score seeing `window`.
    pub fn sharing(statistic: Statistic, window: QueryWindow, budget: f64) -> Self {
        Self::eviction(statistic, window, Queries::Future, Protected::Nothing, budget)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            statistic,
            window,
            queries,
            truth,
            selection,
        } = self;
        write!(f, "{statistic}, window {window}, {queries} queries, truth {truth}")?;
        match selection {
            Some((protected, kept)) => write!(f, ", {kept} kept, protection {protected}"),
            None => Ok(()),
        }
    }
}
