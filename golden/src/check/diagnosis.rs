//! Which known bug would have given these numbers?
//!
//! Every mistake of the library is rendered on the same cases. A mistake explains a number that it renders within the
//! number's tolerance, or within a fiftieth of the number's error; one that explains all numbers of all cases looked at,
//! the right ones and the wrong ones, is a match. Cases are taken from the cheapest up, failed ones first, and mistakes
//! that are refuted are not rendered again.

use ndarray::ArrayD;

use super::evidence::{Compared, Evidence};
use super::judgement::error_in_bounds;
use crate::rendering::Deviation;

/// Share of a number's error that a mistake may leave open.
const UNEXPLAINED: f64 = 0.02;

/// Share of the numbers, and of the wrong ones, that a mistake must explain: a kernel may differ from its rendering in a
/// few ties and edges.
const SHARE: f64 = 0.98;

/// Cases with failures that are looked at, and cases in all.
const FAILED_CASES: usize = 5;
const CASES: usize = 12;

/// A mistake of precision errs alike in size: within this factor.
const ALIKE: f64 = 3.0;

/// What is known of the bug.
#[derive(Debug, Clone, PartialEq)]
pub enum Diagnosis {
    /// Known mistakes that explain the numbers; more than one where the data cannot tell them apart.
    Matches(Vec<Match>),
    /// Mistakes of precision whose errors are of the same size, not the same numbers.
    ErrsLike(Vec<Match>),
    /// No known mistake explains the numbers; the one that comes nearest, if it explains more than half.
    Unknown(Option<Match>),
}

/// A mistake and how much it explains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The mistake.
    pub deviation: Deviation,
    /// Share of the numbers it explains, averaged over the outputs, from 0 to 1; that of the wrong numbers if it is less.
    pub share: f64,
}

/// Of some numbers: how many there are, how many a mistake explains, and how far it is from them in all.
#[derive(Default)]
struct Tally {
    count: f64,
    explained: f64,
    distance: f64,
}

impl Tally {
    fn add(&mut self, explained: bool, left: f64) {
        self.count += 1.0;
        self.explained += f64::from(u8::from(explained));
        self.distance += left.min(1e6);
    }

    fn share(&self) -> f64 {
        self.explained / self.count.max(1.0)
    }
}

/// What `wrong` explains of all numbers, and of those that fail.
fn explained(compared: &Compared<'_>, wrong: &ArrayD<f64>) -> (Tally, Tally) {
    let (mut all, mut failing) = (Tally::default(), Tally::default());
    for ((got, expected, tolerance), &wrong) in compared.numbers().zip(wrong) {
        let same = got == wrong || (got.is_nan() && wrong.is_nan());
        let left = if same {
            0.0
        } else {
            error_in_bounds(got, wrong, tolerance)
        };
        let error = error_in_bounds(got, expected, tolerance);
        let near = left <= 1.0 || (error.is_finite() && left <= UNEXPLAINED * error);
        all.add(near, left);
        if error > 1.0 {
            // What is hardly wrong is no nearer to what is right.
            failing.add(near && left <= 0.5 * error, left);
        }
    }
    (all, failing)
}

/// Whether the errors of `wrong` are of the size of these, and fail where these do.
fn errs_alike(compared: &Compared<'_>, wrong: &ArrayD<f64>) -> bool {
    let (mut ours, mut theirs, mut worst) = (0.0, 0.0, 0f64);
    for ((got, expected, tolerance), &wrong) in compared.numbers().zip(wrong) {
        let their = error_in_bounds(wrong, expected, tolerance).min(1e6);
        ours += error_in_bounds(got, expected, tolerance).min(1e6).powi(2);
        theirs += their.powi(2);
        worst = worst.max(their);
    }
    if !compared.fails() {
        return worst <= ALIKE;
    }
    worst > 1.0 && ours <= ALIKE * ALIKE * theirs && theirs <= ALIKE * ALIKE * ours
}

/// A mistake that is not yet refuted.
struct Suspect {
    deviation: Deviation,
    outputs: f64,
    explained: f64,
    failing_outputs: f64,
    failures_explained: f64,
    distance: f64,
    alike: f64,
}

impl Suspect {
    fn share(&self) -> f64 {
        let all = self.explained / self.outputs.max(1.0);
        if self.failing_outputs == 0.0 {
            return all;
        }
        all.min(self.failures_explained / self.failing_outputs)
    }

    fn hear(&mut self, evidence: &Evidence<'_>) {
        for (compared, wrong) in evidence.outputs().iter().zip(evidence.rendered(self.deviation)) {
            let (all, failing) = explained(compared, &wrong);
            self.outputs += 1.0;
            self.explained += all.share();
            self.failing_outputs += f64::from(u8::from(failing.count > 0.0));
            self.failures_explained += failing.share();
            self.distance += all.distance / all.count.max(1.0);
            self.alike += f64::from(u8::from(errs_alike(compared, &wrong)));
        }
    }

    fn as_match(&self, share: f64) -> Match {
        Match {
            deviation: self.deviation,
            share,
        }
    }
}

/// Names the bug behind `evidence`, of which at least one case should have failed.
pub fn diagnose(evidence: &[Evidence<'_>]) -> Diagnosis {
    let mut suspects: Vec<Suspect> = Deviation::ALL
        .iter()
        .map(|&deviation| Suspect {
            deviation,
            outputs: 0.0,
            explained: 0.0,
            failing_outputs: 0.0,
            failures_explained: 0.0,
            distance: 0.0,
            alike: 0.0,
        })
        .collect();
    let mut ordered: Vec<&Evidence<'_>> = evidence.iter().collect();
    ordered.sort_by_key(|evidence| (!evidence.failed(), evidence.cost()));
    let failed = ordered.iter().filter(|evidence| evidence.failed()).count();
    let passed = ordered.split_off(failed);
    ordered.truncate(FAILED_CASES);
    let heard = ordered.into_iter().chain(passed).take(CASES);
    let mut nearest = None;
    for (round, evidence) in heard.enumerate() {
        let exists = |suspect: &Suspect| suspect.deviation.exists_in(evidence.dtype());
        let undecided = suspects.iter().filter(|suspect| suspect.share() >= SHARE).count() > 1;
        if round >= FAILED_CASES.min(failed) && !undecided {
            break;
        }
        suspects.retain(exists);
        suspects.iter_mut().for_each(|suspect| suspect.hear(evidence));
        if round == 0 {
            nearest = suspects
                .iter()
                .max_by(|a, b| a.share().total_cmp(&b.share()))
                .map(|s| s.as_match(s.share()));
        }
        suspects.retain(|suspect| suspect.share() > 0.5 || suspect.deviation.is_of_precision());
    }
    verdict(suspects, nearest.filter(|nearest| nearest.share > 0.5))
}

fn verdict(mut suspects: Vec<Suspect>, nearest: Option<Match>) -> Diagnosis {
    suspects.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    let matches: Vec<&Suspect> = suspects.iter().filter(|suspect| suspect.share() >= SHARE).collect();
    if let Some(best) = matches.first() {
        // Those that lie as near as the best to within the kernel's own rounding.
        let as_near = |suspect: &&&Suspect| suspect.distance <= best.distance + 0.02 * suspect.outputs;
        let matches = matches.iter().filter(as_near);
        return Diagnosis::Matches(matches.map(|suspect| suspect.as_match(suspect.share())).collect());
    }
    let mut alike: Vec<Match> = suspects
        .iter()
        .filter(|suspect| suspect.deviation.is_of_precision() && suspect.outputs > 0.0)
        .map(|suspect| suspect.as_match(suspect.alike / suspect.outputs))
        .filter(|alike| alike.share >= 0.9)
        .collect();
    alike.sort_by(|a, b| b.share.total_cmp(&a.share));
    if alike.is_empty() {
        Diagnosis::Unknown(nearest)
    } else {
        Diagnosis::ErrsLike(alike)
    }
}
