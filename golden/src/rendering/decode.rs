//! A cache under a budget, prefilled and then decoded token by token: score, add, cut.

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};
use obd_core::QueryWindow;

use super::deviation::Deviation;
use super::kernel::Rendering;
use super::logits::kv_head;
use crate::{AttentionProblem, DecodePolicy, Mask, OutputSpec};

/// What a kernel counts and keeps along a decode trace, in the shapes of [`DecodeTrace`](crate::DecodeTrace).
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Saliencies after the prefill, before the cut, shape (num_query_heads, prefill).
    pub prefill_saliency: Array2<f64>,
    /// Accumulated saliencies at each step before the cut, shape (steps, num_query_heads, heavy + recent + 1).
    pub step_saliency: Array3<f64>,
    /// Positions kept at each cut, shape (steps + 1, num_query_heads, heavy + recent).
    pub kept: Array3<usize>,
}

impl Rendering {
    /// Follows the cache of every query head of a causal `problem` with as many queries as tokens.
    ///
    /// # Panics
    /// Where `policy` keeps more than is prefilled, or prefills more than there is; no trace that a suite hands out does.
    pub fn decode(self, problem: &AttentionProblem, policy: &DecodePolicy) -> Decoded {
        self.decode_along(problem, policy, None)
    }

    /// The same, keeping the positions of `kept`, shape (steps + 1, num_query_heads, heavy + recent), whatever their
    /// saliency.
    pub(crate) fn decode_along(
        self,
        problem: &AttentionProblem,
        policy: &DecodePolicy,
        kept: Option<&Array3<usize>>,
    ) -> Decoded {
        let (heads, slots) = (problem.num_query_heads(), policy.heavy + policy.recent);
        let steps = problem.kv_len() - policy.prefill;
        let mut decoded = Decoded {
            prefill_saliency: Array2::zeros((heads, policy.prefill)),
            step_saliency: Array3::zeros((steps, heads, slots + 1)),
            kept: Array3::zeros((steps + 1, heads, slots)),
        };
        for head in 0..heads {
            let path = kept.map(|kept| kept.index_axis(Axis(1), head));
            for (cut, (saliency, kept)) in self.cuts(problem, policy, head, path).into_iter().enumerate() {
                match cut {
                    0 => decoded.prefill_saliency.row_mut(head).assign(&Array1::from(saliency)),
                    _ => (decoded.step_saliency.slice_mut(s![cut - 1, head, ..])).assign(&Array1::from(saliency)),
                }
                decoded.kept.slice_mut(s![cut, head, ..]).assign(&Array1::from(kept));
            }
        }
        decoded
    }

    /// Saliencies before every cut of one head, and the positions kept.
    fn cuts(
        self,
        problem: &AttentionProblem,
        policy: &DecodePolicy,
        head: usize,
        path: Option<ArrayView2<'_, usize>>,
    ) -> Vec<(Vec<f64>, Vec<usize>)> {
        let leader = head / problem.group_size() * problem.group_size();
        let shared = self.does(Deviation::DecodeGroupShared) && leader != head;
        let led: Vec<Vec<usize>> = match path {
            Some(path) => path.rows().into_iter().map(|kept| kept.to_vec()).collect(),
            None if shared => (self.cuts(problem, policy, leader, None).into_iter())
                .map(|(_, kept)| kept)
                .collect(),
            None => Vec::new(),
        };
        let mut cache = Cache::prefilled(self, problem, policy, head);
        let mut cuts = vec![cache.cut(led.first(), &cache.saliency.clone())];
        if self.does(Deviation::DecodePrefillDropped) {
            cache.saliency.fill(0.0);
        }
        for next in policy.prefill..problem.kv_len() {
            cache.positions.push(next);
            cache.saliency.push(0.0);
            let before = cache.saliency.clone();
            if !self.does(Deviation::DecodeCutFirst) {
                cache.add(next);
            }
            let behind = self.does(Deviation::DecodeChoiceBehind);
            let judged = if behind { before } else { cache.saliency.clone() };
            cuts.push(cache.cut(led.get(cuts.len()), &judged));
            if self.does(Deviation::DecodeCutFirst) {
                cache.add(next);
            }
        }
        cuts
    }
}

/// The cache of one query head.
struct Cache<'a> {
    rendering: Rendering,
    problem: &'a AttentionProblem,
    policy: &'a DecodePolicy,
    head: usize,
    positions: Vec<usize>,
    saliency: Vec<f64>,
}

impl<'a> Cache<'a> {
    fn prefilled(rendering: Rendering, problem: &'a AttentionProblem, policy: &'a DecodePolicy, head: usize) -> Self {
        let mut cache = Self {
            rendering,
            problem,
            policy,
            head,
            positions: (0..policy.prefill).collect(),
            saliency: Vec::new(),
        };
        let window = QueryWindow::Last(policy.prefill_window);
        cache.saliency = cache.score(0..policy.prefill, &cache.positions, window);
        cache
    }

    /// What these queries add to the tokens at `positions`, which are all that they see.
    fn score(&self, queries: std::ops::Range<usize>, positions: &[usize], query_window: QueryWindow) -> Vec<f64> {
        let kv_head = kv_head(self.rendering, self.problem, self.head);
        let rows = |tensor: &Array3<f64>| {
            let rows = tensor.index_axis(Axis(0), kv_head).select(Axis(0), positions);
            rows.insert_axis(Axis(0))
        };
        let cached = AttentionProblem {
            query: self
                .problem
                .query
                .slice(s![self.head..=self.head, queries, ..])
                .to_owned(),
            key: rows(&self.problem.key),
            value: rows(&self.problem.value),
            scale: self.problem.scale,
            mask: Mask::causal(),
            softcap: self.problem.softcap,
            sinks: self.problem.sinks.as_ref().map(|sinks| vec![sinks[self.head]]),
        };
        let spec = OutputSpec {
            query_window,
            ..self.policy.score.into()
        };
        self.rendering.render(&cached, &spec).into_iter().collect()
    }

    /// Adds what the query at `next`, the newest token, gives to every cached token.
    fn add(&mut self, next: usize) {
        let does = |deviation| self.rendering.does(deviation);
        if does(Deviation::DecodePrefillOnly) {
            return;
        }
        let query = if does(Deviation::DecodeQueryBehind) {
            next - 1
        } else {
            next
        };
        let seen: Vec<usize> = if does(Deviation::DecodeUncompacted) {
            (0..=next).collect()
        } else {
            let unseen = does(Deviation::DecodeSelfUnseen);
            let cached = self.positions.iter().copied();
            cached.filter(|&position| !(unseen && position == next)).collect()
        };
        let added = self.score(query..query + 1, &seen, QueryWindow::All);
        let overwritten = does(Deviation::DecodeOverwritten);
        for (position, sum) in self.positions.iter().zip(&mut self.saliency) {
            let Ok(place) = seen.binary_search(position) else {
                continue;
            };
            let before = if overwritten { 0.0 } else { *sum };
            *sum = self.rendering.round(before + added[place]);
        }
    }

    /// Cuts the cache to the positions of `path`, or to those chosen by `judged`; gives what was counted before.
    fn cut(&mut self, path: Option<&Vec<usize>>, judged: &[f64]) -> (Vec<f64>, Vec<usize>) {
        let counted = self.saliency.clone();
        let slots: Vec<usize> = match path {
            Some(path) => (0..self.positions.len())
                .filter(|&slot| path.contains(&self.positions[slot]))
                .collect(),
            None => self.choice(judged),
        };
        self.positions = slots.iter().map(|&slot| self.positions[slot]).collect();
        if self.rendering.does(Deviation::DecodeStale) {
            self.saliency.truncate(slots.len());
        } else {
            self.saliency = slots.iter().map(|&slot| self.saliency[slot]).collect();
        }
        (counted, self.positions.clone())
    }

    /// The slots to keep: the newest, and of the others the most salient.
    fn choice(&self, saliency: &[f64]) -> Vec<usize> {
        let DecodePolicy { heavy, recent, .. } = *self.policy;
        let (heavy, recent) = match self.rendering.deviation {
            Some(Deviation::DecodeRecentMore) => (heavy.saturating_sub(1), recent + heavy.min(1)),
            Some(Deviation::DecodeRecentFewer) => (heavy + 1, recent.saturating_sub(1)),
            Some(Deviation::DecodeRecentUnprotected) => (heavy + recent, 0),
            Some(Deviation::DecodeNewestKept) => (0, heavy + recent),
            _ => (heavy, recent),
        };
        let slots = saliency.len();
        let protected = if self.rendering.does(Deviation::DecodeOldestProtected) {
            0..recent
        } else {
            slots - recent..slots
        };
        let mut others: Vec<usize> = (0..slots).filter(|slot| !protected.contains(slot)).collect();
        others.sort_by(|&a, &b| saliency[b].total_cmp(&saliency[a]));
        if self.rendering.does(Deviation::DecodeLeastSalient) {
            others.reverse();
        }
        others.truncate(heavy);
        others.extend(protected);
        others.sort();
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OutputKind, Precision};
    use ndarray::Array3;

    /// Equal keys, so that every query spreads its weight evenly over what it sees; values of length 1, 2, 3, 4.
    fn problem() -> AttentionProblem {
        AttentionProblem {
            query: Array3::ones((1, 4, 1)),
            key: Array3::ones((1, 4, 1)),
            value: Array3::from_shape_fn((1, 4, 1), |(_, j, _)| (j + 1) as f64),
            scale: 1.0,
            mask: Mask::causal(),
            softcap: None,
            sinks: None,
        }
    }

    fn policy() -> DecodePolicy {
        DecodePolicy {
            score: OutputKind::Weight,
            prefill: 3,
            prefill_window: 2,
            heavy: 1,
            recent: 1,
        }
    }

    #[test]
    fn by_hand() {
        // Queries 1 and 2 of the prefill give 1/2 + 1/3 to tokens 0 and 1, and 1/3 to token 2. Token 0 comes first of two
        // equals, token 2 is protected; the query of token 3 gives a third to each of the three.
        let decoded = Rendering::plain(Precision::F64).decode(&problem(), &policy());
        let (half, third) = (0.5, 1.0 / 3.0);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        for (found, expected) in decoded.prefill_saliency.iter().zip([half + third, half + third, third]) {
            close(*found, expected);
        }
        for (found, expected) in decoded
            .step_saliency
            .iter()
            .zip([half + 2.0 * third, 2.0 * third, third])
        {
            close(*found, expected);
        }
        assert_eq!(decoded.kept.into_raw_vec_and_offset().0, [0, 2, 0, 3]);
    }

    #[test]
    fn each_mistake_of_the_loop_is_one() {
        let kept = |deviation| {
            let rendering = Rendering::plain(Precision::F64).with(deviation);
            rendering.decode(&problem(), &policy()).kept.into_raw_vec_and_offset().0
        };
        assert_eq!(kept(Deviation::DecodeNewestKept), [1, 2, 2, 3]);
        assert_eq!(kept(Deviation::DecodeLeastSalient), [1, 2, 2, 3]);
        assert_eq!(kept(Deviation::DecodeRecentUnprotected), [0, 1, 0, 1]);
        assert_eq!(kept(Deviation::DecodeOldestProtected), [0, 1, 0, 1]);
    }
}
