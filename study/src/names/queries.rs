//! Which queries count in an error.

use strum::{Display, EnumString, VariantArray};

/// The queries that an error sums over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Queries {
    /// Those that the score was computed from.
    InWindow,
    /// Those after the split, which no score has seen.
    Future,
}
