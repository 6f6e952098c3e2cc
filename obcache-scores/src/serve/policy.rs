//! What is scored along prefill and decoding, and what is kept: the choices of whoever serves a cache.

use ndarray::{Array1, s};
use obd_core::{GroupReduction, Pooling, QueryWindow};

use crate::select::Protection;
use crate::{PolicyError, Score};

/// How the tokens that a group of query heads shares are scored and evicted.
///
/// Policies are written out over [`Policy::unscored`]:
///
/// ```
/// use obcache_scores::Score;
/// use obcache_scores::serve::Policy;
///
/// let policy = Policy { score: Some(Score::Joint), sinks: 4, recent: 28, ..Policy::unscored(32) };
/// assert_eq!(policy.budget(), 64);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What is accumulated; `None` where a ranking from outside decides, such as the position or lots.
    pub score: Option<Score>,
    /// The queries of the prefill that count.
    pub prefill_window: QueryWindow,
    /// Whether each step adds to the saliency; otherwise only the last query counts, as in TOVA.
    pub accumulate: bool,
    /// How the saliencies of the query heads become one.
    pub reduction: GroupReduction,
    /// Pooling of the joined saliency over the selectable tokens, at selection only: the saliencies themselves are never
    /// pooled.
    pub pooling: Option<Pooling>,
    /// Tokens kept for their saliency.
    pub heavy: usize,
    /// Tokens kept for being the newest.
    pub recent: usize,
    /// Tokens kept for being the oldest in the cache, on top of the others.
    pub sinks: usize,
    /// Tokens of a page: only whole pages are evicted. 0 counts as 1.
    pub page: usize,
    /// Decode steps from one eviction to the next; meanwhile the cache outgrows its budget. 0 counts as 1.
    pub every: usize,
}

impl Policy {
    /// Keeps `budget` tokens by a ranking from outside: nothing is scored, pooled or protected, tokens go one by one, and an
    /// eviction is due after every step. With a score it sums over all queries and adds over the query heads.
    pub fn unscored(budget: usize) -> Self {
        Self {
            score: None,
            prefill_window: QueryWindow::All,
            accumulate: true,
            reduction: GroupReduction::Sum,
            pooling: None,
            heavy: budget,
            recent: 0,
            sinks: 0,
            page: 1,
            every: 1,
        }
    }

    /// The policy that the authors' code calls `variant`, with its budgets.
    ///
    /// Names: `h2o`, `tova`, `snapkv`, `snapkv_avgpool`, or `obcV`, `obcK`, `obcVK`, `obcV_p1`, `obcVK_no_cross`, with
    /// `_fullhist` (all prefill queries instead of the last `recent`), `+tova` (last query only; the recent budget joins
    /// the heavy one), `+maxpool` or `+avgpool` (kernel 7).
    ///
    /// # Errors
    /// [`PolicyError::UnknownVariant`] for any other name.
    pub fn published(variant: &str, heavy: usize, recent: usize) -> Result<Self, PolicyError> {
        let (base, modifier) = match variant {
            "tova" => ("h2o", "+tova"),
            "snapkv" => ("h2o", "+maxpool"),
            "snapkv_avgpool" => ("h2o", "+avgpool"),
            _ => split_modifier(variant),
        };
        let score = match base {
            "h2o" => Score::Weight,
            "obcV" => Score::Value,
            "obcV_p1" => Score::ValueOneNorm,
            "obcK" => Score::Key,
            "obcVK" => Score::Joint,
            "obcVK_no_cross" => Score::JointNoCross,
            _ => return Err(PolicyError::UnknownVariant(variant.to_owned())),
        };
        let plain = Self {
            score: Some(score),
            prefill_window: QueryWindow::Last(recent),
            recent,
            ..Self::unscored(heavy)
        };
        Ok(match modifier {
            "_fullhist" => Self {
                prefill_window: QueryWindow::All,
                ..plain
            },
            "+maxpool" => Self {
                pooling: Some(Pooling::Max { radius: 3 }),
                ..plain
            },
            "+avgpool" => Self {
                pooling: Some(Pooling::Average { radius: 3 }),
                ..plain
            },
            "+tova" => Self {
                prefill_window: QueryWindow::Last(1),
                accumulate: false,
                heavy: heavy + recent,
                recent: 0,
                ..plain
            },
            _ => plain,
        })
    }

    /// What the selection ranks: the saliencies of the query heads, shape (cached) each, joined and then pooled over the
    /// selectable tokens.
    ///
    /// # Panics
    /// Where there is no saliency or two differ in length.
    pub(super) fn ranking(&self, saliencies: &[Array1<f64>]) -> Array1<f64> {
        let joined = self.reduction.reduce(saliencies);
        let mut ranking = joined.expect("a saliency of every query head, all over the cached tokens");
        if let Some(pooling) = self.pooling {
            let selectable = self.protection().selectable(ranking.len());
            let pooled = pooling.apply(&ranking.slice(s![selectable.clone()]).to_owned());
            ranking.slice_mut(s![selectable]).assign(&pooled);
        }
        ranking
    }

    /// Tokens kept in all.
    pub fn budget(&self) -> usize {
        self.heavy.saturating_add(self.recent).saturating_add(self.sinks)
    }

    /// Tokens kept whatever their saliency.
    pub fn protection(&self) -> Protection {
        Protection {
            sinks: self.sinks,
            recent: self.recent,
        }
    }
}

/// The variant's name without its modifier, and the modifier, empty where there is none.
fn split_modifier(variant: &str) -> (&str, &'static str) {
    for modifier in ["_fullhist", "+tova", "+maxpool", "+avgpool"] {
        if let Some(base) = variant.strip_suffix(modifier) {
            return (base, modifier);
        }
    }
    (variant, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn weights(heavy: usize, recent: usize) -> Policy {
        Policy::published("h2o", heavy, recent).unwrap()
    }

    #[test]
    fn variants_are_told_apart() {
        let plain = weights(4, 2);
        assert_eq!(plain.score, Some(Score::Weight));
        assert_eq!(
            (plain.prefill_window, plain.accumulate, plain.pooling),
            (QueryWindow::Last(2), true, None)
        );
        assert_eq!((plain.heavy, plain.recent), (4, 2));
        let scores =
            ["obcV", "obcV_p1", "obcK", "obcVK", "obcVK_no_cross"].map(|name| Policy::published(name, 4, 2).unwrap());
        let expected = [
            Score::Value,
            Score::ValueOneNorm,
            Score::Key,
            Score::Joint,
            Score::JointNoCross,
        ];
        assert_eq!(scores.map(|policy| policy.score), expected.map(Some));
        let full = Policy::published("obcVK_no_cross_fullhist", 4, 2).unwrap();
        assert_eq!(
            (full.score, full.prefill_window),
            (Some(Score::JointNoCross), QueryWindow::All)
        );
        let tova = Policy::published("obcV_p1+tova", 4, 2).unwrap();
        assert_eq!(
            tova,
            Policy {
                score: Some(Score::ValueOneNorm),
                ..Policy::published("tova", 4, 2).unwrap()
            }
        );
        assert_eq!(
            (tova.heavy, tova.recent, tova.accumulate, tova.prefill_window),
            (6, 0, false, QueryWindow::Last(1))
        );
        let max = Some(Pooling::Max { radius: 3 });
        let average = Some(Pooling::Average { radius: 3 });
        for (name, pooling) in [
            ("snapkv", max),
            ("obcK+maxpool", max),
            ("snapkv_avgpool", average),
            ("obcV+avgpool", average),
        ] {
            assert_eq!(Policy::published(name, 4, 2).unwrap().pooling, pooling);
        }
        let refused = Err(PolicyError::UnknownVariant("obcW".to_owned()));
        assert_eq!(Policy::published("obcW", 4, 2), refused);
    }

    #[test]
    fn pooling_ranks_the_selectable_and_leaves_the_recent() {
        let policy = Policy {
            pooling: Some(Pooling::Max { radius: 1 }),
            ..weights(1, 2)
        };
        assert_eq!(
            policy.ranking(&[array![1.0, 0.0, 5.0, 9.0]]),
            array![1.0, 1.0, 5.0, 9.0]
        );
        assert_eq!(weights(1, 2).ranking(&[array![1.0, 0.0]]), array![1.0, 0.0]);
    }

    #[test]
    fn the_joined_saliency_is_pooled() {
        // Pooled first, each head would give (1, 1): their sum 2, not 1.
        let policy = Policy {
            pooling: Some(Pooling::Max { radius: 1 }),
            ..weights(1, 0)
        };
        let saliencies = [array![1.0, 0.0], array![0.0, 1.0]];
        assert_eq!(policy.ranking(&saliencies), array![1.0, 1.0]);
        let largest = Policy {
            reduction: GroupReduction::Max,
            ..weights(1, 0)
        };
        assert_eq!(largest.ranking(&[array![1.0, 3.0], array![2.0, 1.0]]), array![2.0, 3.0]);
    }
}
