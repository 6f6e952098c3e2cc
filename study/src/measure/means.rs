//! Means over the heads, with their confidence.

use std::collections::HashSet;

use thiserror::Error;

use super::rows::Summary;
use crate::names::{Column, Subject};

/// Means over the heads, each found by its column and what it is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Means {
    pub(super) rows: Vec<Summary>,
    /// What was measured and yet has no mean, because no head has a number: a correlation where one side is constant, a
    /// ratio to no error.
    pub(super) undefined: HashSet<(Column, Subject)>,
}

/// A mean that was never measured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{table}: there is no row {row:?} in the column \"{column}\", which the report needs")]
pub struct MissingCell {
    /// The table.
    pub table: &'static str,
    /// What the mean is about.
    pub row: String,
    /// What it is a mean of.
    pub column: String,
}

impl Means {
    /// Means of these rows, and none that is undefined.
    #[cfg(test)]
    pub(crate) fn of(rows: Vec<Summary>) -> Self {
        let undefined = HashSet::new();
        Self { rows, undefined }
    }

    /// The rows of `summary.csv`, ordered by their names.
    pub fn rows(&self) -> &[Summary] {
        &self.rows
    }

    /// The mean of a subject that was measured; `None` where no head has a number.
    ///
    /// # Errors
    /// [`MissingCell`] where it was not measured.
    pub fn cell(&self, column: Column, subject: impl Into<Subject>) -> Result<Option<&Summary>, MissingCell> {
        let subject = subject.into();
        match self.find(column, subject) {
            Some(row) => Ok(Some(row)),
            None if self.undefined.contains(&(column, subject)) => Ok(None),
            None => Err(MissingCell {
                table: "summary.csv",
                row: subject.to_string(),
                column: column.to_string(),
            }),
        }
    }

    /// The mean of a subject, if it has one.
    pub fn find(&self, column: Column, subject: impl Into<Subject>) -> Option<&Summary> {
        let subject = subject.into();
        let mut rows = self.rows.iter();
        rows.find(|row| row.score == subject && row.column() == column)
    }

    /// The means of all subjects.
    pub fn all(&self, column: Column) -> Vec<&Summary> {
        self.rows.iter().filter(|row| row.column() == column).collect()
    }
}
