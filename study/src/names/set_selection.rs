//! Selections that choose a set of tokens rather than rank single ones.

use strum::{Display, EnumString, VariantArray};

/// A selection of a set, measured beside every ranking of single tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum SetSelection {
    /// Evicts half of what must go, scores again, and evicts the rest.
    Halving,
    /// Halving, then exchanges of kept and evicted tokens while the error falls.
    Exchange,
    /// Evicts, one after the other, the token that costs the set least, exactly.
    Greedy,
    /// Greedy removal to first order, by the Gram matrix.
    Gram,
    /// Pivots of the Gram matrix.
    Cholesky,
    /// Keeps, one after the other, the token that leaves the least error.
    Addition,
    /// Greedy removal that follows several sets.
    Beam,
}

impl SetSelection {
    /// Quick enough to serve, in the order of the tables.
    pub const SERVED: [Self; 2] = [Self::Halving, Self::Exchange];
}
