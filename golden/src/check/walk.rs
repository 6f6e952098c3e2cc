//! What should be counted and kept along the tokens that a kernel keeps.
//!
//! Where a kernel keeps other tokens than the suite, the saliencies that follow are those of another cache: they are held
//! against the formulas in f64 for that cache.

use ndarray::{Array1, Array2, Array3, ArrayD, Axis, s};
use obd_core::{ProblemError, QueryWindow};

use crate::rendering::Rendering;
use crate::{Arithmetic, AttentionProblem, DecodePolicy, DecodeTrace, Mask, Precision, bound};

/// A decode trace, followed.
pub(super) struct Walk {
    /// Truth and tolerance of the saliencies.
    pub prefill: (ArrayD<f64>, ArrayD<f64>),
    pub step: (ArrayD<f64>, ArrayD<f64>),
    /// The positions that should be kept at each cut; the kernel's own where the bound cannot tell.
    pub right: Array3<usize>,
    /// The positions that were kept.
    pub path: Array3<usize>,
    /// What is to be said of choices, in words.
    pub notes: Vec<String>,
}

impl Walk {
    /// Follows `kept`, of the trace's shape; the suite's tokens where it is not given, the right ones after what cannot be.
    pub fn along(
        trace: &DecodeTrace,
        kept: Option<&ArrayD<i64>>,
        arithmetic: Arithmetic,
    ) -> Result<Self, ProblemError> {
        let zeros = |shape: &[usize]| (ArrayD::zeros(shape), ArrayD::zeros(shape));
        let mut walk = Self {
            prefill: zeros(trace.prefill_saliency.shape()),
            step: zeros(trace.step_saliency.shape()),
            right: trace.kept.clone(),
            path: trace.kept.clone(),
            notes: Vec::new(),
        };
        for head in 0..trace.problem.num_query_heads() {
            walk.follow(trace, head, kept, arithmetic)?;
        }
        Ok(walk)
    }

    fn follow(
        &mut self,
        trace: &DecodeTrace,
        head: usize,
        kept: Option<&ArrayD<i64>>,
        arithmetic: Arithmetic,
    ) -> Result<(), ProblemError> {
        let policy = &trace.policy;
        let mut positions: Vec<usize> = (0..policy.prefill).collect();
        let mut seen: Vec<Vec<usize>> = (policy.prefill - policy.prefill_window..policy.prefill)
            .map(|query| (0..=query).collect())
            .collect();
        let mut golden = true;
        for cut in 0..trace.kept.len_of(Axis(0)) {
            let mut sums = Sums::new(trace, head, &seen, &positions, arithmetic)?;
            if golden {
                sums.saliency = match cut {
                    0 => trace.prefill_saliency.row(head).to_owned(),
                    _ => trace.step_saliency.slice(s![cut - 1, head, ..]).to_owned(),
                };
            }
            self.record(cut, head, &sums);
            let right = sums.best(policy, &positions);
            let given: Option<Vec<i64>> = kept.map(|kept| kept.slice(s![cut, head, ..]).iter().copied().collect());
            let (right, next, note) = judged(policy, &sums, &positions, right, given.as_deref());
            self.notes
                .extend(note.map(|note| format!("kept: query_head {head}, cut {cut}: {note}")));
            self.right.slice_mut(s![cut, head, ..]).assign(&Array1::from(right));
            self.path
                .slice_mut(s![cut, head, ..])
                .assign(&Array1::from(next.clone()));
            golden &= trace.kept.slice(s![cut, head, ..]).iter().eq(&next);
            positions = next;
            positions.push(policy.prefill + cut);
            seen.push(positions.clone());
        }
        Ok(())
    }

    fn record(&mut self, cut: usize, head: usize, sums: &Sums) {
        let (truth, tolerance) = if cut == 0 { &mut self.prefill } else { &mut self.step };
        for (numbers, found) in [(truth, &sums.saliency), (tolerance, &sums.tolerance)] {
            match cut {
                0 => numbers.slice_mut(s![head, ..]).assign(found),
                _ => numbers.slice_mut(s![cut - 1, head, ..]).assign(found),
            }
        }
    }
}

/// The positions that should be kept, those that are taken to be kept, and what is to be said of them.
fn judged(
    policy: &DecodePolicy,
    sums: &Sums,
    positions: &[usize],
    right: Vec<usize>,
    given: Option<&[i64]>,
) -> (Vec<usize>, Vec<usize>, Option<String>) {
    let Some(given) = given else {
        return (right.clone(), right, None);
    };
    let Some(kept) = possible(given, positions) else {
        let note = format!("keeps {given:?}, which are not cached tokens in ascending order: {positions:?}");
        return (right.clone(), right, Some(note));
    };
    if kept == right {
        return (right, kept, None);
    }
    let without = |all: &[usize], others: &[usize]| -> Vec<usize> {
        all.iter()
            .copied()
            .filter(|position| !others.contains(position))
            .collect()
    };
    let (wrong, missed) = (without(&kept, &right), without(&right, &kept));
    if sums.cannot_tell(policy, positions, &kept) {
        let note = format!("keeps {wrong:?} where {missed:?} are nearer than the bound: either is right");
        return (kept.clone(), kept, Some(note));
    }
    (right, kept, Some(format!("keeps {wrong:?} where {missed:?} belong")))
}

/// The kept positions, if they are cached ones in ascending order.
fn possible(given: &[i64], positions: &[usize]) -> Option<Vec<usize>> {
    let kept: Vec<usize> = given
        .iter()
        .map(|&position| usize::try_from(position).ok())
        .collect::<Option<_>>()?;
    let cached = kept.iter().all(|position| positions.contains(position));
    (cached && kept.is_sorted_by(|a, b| a < b)).then_some(kept)
}

/// Accumulated saliencies of the cached tokens, and how far each may be off.
struct Sums {
    saliency: Array1<f64>,
    tolerance: Array1<f64>,
}

impl Sums {
    /// `seen` holds the tokens that each query that counts sees, the last query's being the newest position.
    fn new(
        trace: &DecodeTrace,
        head: usize,
        seen: &[Vec<usize>],
        positions: &[usize],
        arithmetic: Arithmetic,
    ) -> Result<Self, ProblemError> {
        let arithmetic = Arithmetic {
            stored: Precision::F64,
            ..arithmetic
        };
        let problem = counted(trace, head, seen)?;
        let exact = Rendering::plain(Precision::F64).attend(&problem);
        let score = trace.policy.score;
        let saliency = exact.output(&score.into());
        let heads = problem.heads()?;
        let tolerance = bound::saliency(score, QueryWindow::All, &heads[0], &exact.heads()[0], &arithmetic);
        Ok(Self {
            saliency: positions.iter().map(|&position| saliency[[0, position]]).collect(),
            tolerance: positions.iter().map(|&position| tolerance[position]).collect(),
        })
    }

    /// The newest, and of the others the most salient.
    fn best(&self, policy: &DecodePolicy, positions: &[usize]) -> Vec<usize> {
        let open = positions.len() - policy.recent;
        let mut slots: Vec<usize> = (0..open).collect();
        slots.sort_by(|&a, &b| self.saliency[b].total_cmp(&self.saliency[a]));
        slots.truncate(policy.heavy);
        slots.sort();
        slots
            .into_iter()
            .chain(open..positions.len())
            .map(|slot| positions[slot])
            .collect()
    }

    /// Whether all newest are kept, and no token that is dropped is surely more salient than one that is kept.
    fn cannot_tell(&self, policy: &DecodePolicy, positions: &[usize], kept: &[usize]) -> bool {
        let open = positions.len() - policy.recent;
        let is_kept = |slot: &usize| kept.contains(&positions[*slot]);
        let (kept, dropped): (Vec<usize>, Vec<usize>) = (0..open).partition(is_kept);
        let most = |slot: &usize| self.saliency[*slot] + self.tolerance[*slot];
        let least = |slot: &usize| self.saliency[*slot] - self.tolerance[*slot];
        (open..positions.len()).all(|slot| is_kept(&slot))
            && dropped
                .iter()
                .all(|dropped| kept.iter().all(|kept| most(kept) >= least(dropped)))
    }
}

/// All queries that count so far as one problem: each sees what was cached when it came. Its saliencies are the
/// accumulated ones (section 5 of the derivation).
fn counted(trace: &DecodeTrace, head: usize, seen: &[Vec<usize>]) -> Result<AttentionProblem, ProblemError> {
    let problem = &trace.problem;
    let first = trace.policy.prefill - trace.policy.prefill_window;
    let end = first + seen.len();
    let kv_head = problem.groups()?.kv_head(head);
    let rows = |tensor: &Array3<f64>| tensor.slice(s![kv_head..=kv_head, ..end, ..]).to_owned();
    let visible = Array2::from_shape_fn((seen.len(), end), |(query, token)| seen[query].contains(&token));
    Ok(AttentionProblem {
        query: problem.query.slice(s![head..=head, first..end, ..]).to_owned(),
        key: rows(&problem.key),
        value: rows(&problem.value),
        scale: problem.scale,
        mask: Mask {
            explicit: Some(visible),
            ..Mask::default()
        },
        softcap: problem.softcap,
        sinks: problem.sinks.as_ref().map(|sinks| vec![sinks[head]]),
    })
}
