//! Decode traces: a cache under a budget, with every saliency and every choice certified.

use golden::{DecodePolicy, DecodeTrace, Dtype, OutputKind, OutputSpec};
use ndarray::{Array2, Array3, s};
use obd_core::{Head, QueryWindow};
use reference_attention::{Ball, Enclosure, Interval, attend};

use super::certify::TruthError;
use super::definition::HeadDefinition;
use super::draft::{Draft, Size};

/// A decode trace before its answers are known.
pub(super) struct DecodeDraft {
    pub draft: Draft,
    pub policy: DecodePolicy,
}

/// The traces of the suite: each score in f32, the joint score in every dtype.
pub(super) fn all() -> Vec<DecodeDraft> {
    let mut drafts = Vec::new();
    for score in [
        OutputKind::Weight,
        OutputKind::Value,
        OutputKind::Key,
        OutputKind::Removal,
    ] {
        drafts.push(draft(score, Dtype::F32));
    }
    drafts.extend(Dtype::ALL.map(|dtype| draft(OutputKind::Joint, dtype)));
    drafts
}

fn draft(score: OutputKind, dtype: Dtype) -> DecodeDraft {
    let policy = DecodePolicy {
        score,
        prefill: 24,
        prefill_window: 6,
        heavy: 9,
        recent: 5,
    };
    let draft = Draft::new(
        DecodeTrace::FAMILY,
        score.name(),
        dtype,
        Size::square(40, 16).heads(2, 1),
    )
    .comment(format!(
        "24 positions prefilled, 16 decoded, 9 kept for their {score} saliency and the last 5.",
        score = score.name()
    ))
    .flags(&["accumulation", "eviction-order"]);
    DecodeDraft { draft, policy }
}

/// The trace of a draft. Claim C23.
///
/// # Errors
/// [`TruthError`] where a number or a choice cannot be certified.
pub(super) fn trace(draft: &DecodeDraft) -> Result<DecodeTrace, TruthError> {
    let certified = match run::<Ball>(draft)? {
        Some(certified) => Some(certified),
        None => run::<Interval<1024>>(draft)?,
    };
    let (prefill_saliency, step_saliency, kept) = certified.ok_or_else(|| TruthError::Uncertain {
        output: draft.policy.score.name().to_owned(),
        index: Vec::new(),
    })?;
    let about = &draft.draft;
    Ok(DecodeTrace {
        id: about.id(),
        comment: about.comment.clone(),
        flags: about.flags.iter().map(|&flag| flag.to_owned()).collect(),
        dtype: about.dtype,
        problem: about.problem.clone(),
        policy: draft.policy,
        prefill_saliency,
        step_saliency,
        kept,
    })
}

type Answers = (Array2<f64>, Array3<f64>, Array3<usize>);

fn run<S: Enclosure>(draft: &DecodeDraft) -> Result<Option<Answers>, TruthError> {
    let (problem, policy) = (&draft.draft.problem, &draft.policy);
    let (heads, slots) = (problem.num_query_heads(), policy.heavy + policy.recent);
    let steps = problem.kv_len() - policy.prefill;
    let mut prefill_saliency = Array2::zeros((heads, policy.prefill));
    let mut step_saliency = Array3::zeros((steps, heads, slots + 1));
    let mut kept = Array3::zeros((steps + 1, heads, slots));
    for (head, whole) in problem.heads()?.iter().enumerate() {
        let Some(cuts) = follow::<S>(whole, policy)? else {
            return Ok(None);
        };
        for (step, cut) in cuts.into_iter().enumerate() {
            match step {
                0 => prefill_saliency
                    .row_mut(head)
                    .assign(&ndarray::Array1::from(cut.saliency)),
                _ => (step_saliency.slice_mut(s![step - 1, head, ..])).assign(&ndarray::Array1::from(cut.saliency)),
            }
            kept.slice_mut(s![step, head, ..])
                .assign(&ndarray::Array1::from(cut.kept));
        }
    }
    Ok(Some((prefill_saliency, step_saliency, kept)))
}

/// What was known before a cut, and who survived it.
struct Cut {
    saliency: Vec<f64>,
    kept: Vec<usize>,
}

/// One head's cuts, the one after the prefill first; `None` where the arithmetic cannot tell a digit or a choice.
fn follow<S: Enclosure>(whole: &Head, policy: &DecodePolicy) -> Result<Option<Vec<Cut>>, TruthError> {
    let mut positions: Vec<usize> = (0..policy.prefill).collect();
    let prefill = whole.select(&positions, &positions)?;
    let mut saliency = score::<S>(&prefill, policy.score, QueryWindow::Last(policy.prefill_window));
    let mut cuts = Vec::new();
    for next in policy.prefill..=whole.kv_len() {
        let Some(cut) = cut(policy, &mut positions, &mut saliency) else {
            return Ok(None);
        };
        cuts.push(cut);
        if next == whole.kv_len() {
            break;
        }
        positions.push(next);
        let step = whole.select(&[next], &positions)?;
        let added = score::<S>(&step, policy.score, QueryWindow::All);
        saliency.push(S::from_f64(0.0));
        saliency = (saliency.into_iter().zip(added)).map(|(sum, new)| sum + new).collect();
    }
    Ok(Some(cuts))
}

fn score<S: Enclosure>(head: &Head, kind: OutputKind, query_window: QueryWindow) -> Vec<S> {
    let spec = OutputSpec {
        query_window,
        ..OutputSpec::from(kind)
    };
    let definition = HeadDefinition {
        trace: attend(&head.lift(|&x| S::from_f64(x))),
        head,
    };
    definition.saliencies(&[spec], |_| true).row(0).to_vec()
}

/// Keeps the newest, and of the others those that fewer than `heavy` are surely above; they must be exactly so many.
fn cut<S: Enclosure>(policy: &DecodePolicy, positions: &mut Vec<usize>, saliency: &mut Vec<S>) -> Option<Cut> {
    let certified = saliency.iter().map(S::certified).collect::<Option<Vec<f64>>>()?;
    let open = positions.len() - policy.recent;
    let above = |slot: usize| {
        (0..open)
            .filter(|&other| saliency[other].is_above(&saliency[slot]))
            .count()
    };
    let slots: Vec<usize> = (0..positions.len())
        .filter(|&slot| slot >= open || above(slot) < policy.heavy)
        .collect();
    if slots.len() != policy.heavy + policy.recent {
        return None;
    }
    *positions = slots.iter().map(|&slot| positions[slot]).collect();
    *saliency = slots.iter().map(|&slot| saliency[slot].clone()).collect();
    Some(Cut {
        saliency: certified,
        kept: positions.clone(),
    })
}
