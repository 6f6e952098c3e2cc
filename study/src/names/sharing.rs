//! How a budget of tokens is shared among KV heads.

use strum::{Display, EnumString, VariantArray};

/// How a budget is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Sharing {
    /// Every KV head keeps the same.
    Uniform,
    /// The KV heads of a layer compete by the score, with a safeguard.
    AdaKv,
    /// Water-filling on exact errors among the KV heads of a layer.
    #[strum(serialize = "optimal in layer")]
    OptimalInLayer,
    /// Early layers keep more.
    PyramidKv,
    /// Water-filling on exact errors among all KV heads, each over the squared norm of its layer's output.
    #[strum(serialize = "optimal in model")]
    OptimalInModel,
}

impl Sharing {
    /// All, in the order of the tables.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Whether every layer keeps as much as under the uniform budget.
    pub fn keeps_layers(self) -> bool {
        matches!(self, Self::Uniform | Self::AdaKv | Self::OptimalInLayer)
    }
}
