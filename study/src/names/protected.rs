//! Which tokens are kept whatever a ranking says: none of them, or those that servers protect.

use obcache_scores::select::Protection;
use strum::{Display, EnumString, VariantArray};

/// Sinks that are protected, as StreamingLLM keeps them.
const SINKS: usize = 4;

/// The tokens that are kept whatever a ranking says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumString, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Protected {
    /// No token: the ranking decides on all of them.
    #[strum(serialize = "none")]
    Nothing,
    /// The first 4 tokens and, of the rest of the budget, one half for the most recent; a ranking decides on the other half.
    SinksAndRecent,
}

impl Protected {
    /// Both, in the order of the tables.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The protection in tokens under a budget of `kept` tokens.
    pub fn of(self, kept: usize) -> Protection {
        match self {
            Self::Nothing => Protection::default(),
            Self::SinksAndRecent => {
                let sinks = SINKS.min(kept);
                Protection {
                    sinks,
                    recent: (kept - sinks) / 2,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_the_sinks_leave_is_recent() {
        assert_eq!(Protected::Nothing.of(100), Protection::default());
        let of = |kept| {
            let Protection { sinks, recent } = Protected::SinksAndRecent.of(kept);
            (sinks, recent)
        };
        assert_eq!([of(25), of(5), of(3), of(0)], [(4, 10), (4, 0), (3, 0), (0, 0)]);
    }
}
