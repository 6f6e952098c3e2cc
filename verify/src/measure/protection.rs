//! Which tokens are kept whatever a ranking says: none of them, or those that whoever serves a model protects.

use obcache_scores::Protection;

/// Sinks that are protected, as StreamingLLM keeps them.
const SINKS: usize = 4;

/// Names of the protections at which selections are measured.
pub const PROTECTIONS: [&str; 2] = ["none", "sinks-and-recent"];

/// The protection of this name under a budget of `kept` tokens: `sinks-and-recent` is the first 4 tokens and, of the rest of
/// the budget, one half for the most recent; a ranking decides on the other half. Any other name protects nothing.
pub(crate) fn protection(name: &str, kept: usize) -> Protection {
    if name != PROTECTIONS[1] {
        return Protection::default();
    }
    let sinks = SINKS.min(kept);
    Protection {
        sinks,
        recent: (kept - sinks) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_the_sinks_leave_is_recent() {
        assert_eq!(protection("none", 100), Protection::default());
        let of = |kept| {
            let Protection { sinks, recent } = protection("sinks-and-recent", kept);
            (sinks, recent)
        };
        assert_eq!([of(25), of(5), of(3), of(0)], [(4, 10), (4, 0), (3, 0), (0, 0)]);
    }
}
