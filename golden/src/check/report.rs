//! What a check found, and how it is told: one line a family, then each failure.

use std::fmt;

use super::diagnosis::Diagnosis;
use super::judgement::Judgement;

/// A whole check.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Version of the suite.
    pub version: String,
    /// Every case, in the suite's order.
    pub cases: Vec<CaseReport>,
    /// What is known of the bug, where anything failed.
    pub diagnosis: Option<Diagnosis>,
}

/// One case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseReport {
    /// Identifier of the case.
    pub id: String,
    /// Its family.
    pub family: String,
    /// Names of the bugs that it catches.
    pub flags: Vec<String>,
    /// The outputs that were judged.
    pub judgements: Vec<Judgement>,
    /// Outputs that could not be judged, each with its reason.
    pub refused: Vec<(String, String)>,
    /// What failures of the case have in common, and choices between tokens that the bound cannot tell apart, in words.
    pub symptoms: Vec<String>,
}

/// What is to be said of a family in one line.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyLine {
    /// The family.
    pub family: String,
    /// All its cases.
    pub cases: usize,
    /// Cases in which nothing failed and nothing was refused.
    pub passed: usize,
    /// Cases in which a number failed; of the others, those that did not pass miss a tensor.
    pub failed: usize,
    /// Largest error in units of the tolerance.
    pub worst: f64,
    /// Largest error in units of what the pragmatic rule allows.
    pub pragmatic: f64,
}

impl CaseReport {
    /// Whether every number of it lies within its tolerance.
    pub fn passed(&self) -> bool {
        self.judgements.iter().all(Judgement::passed)
    }
}

impl Report {
    /// Whether every number that was judged lies within its tolerance.
    pub fn passed(&self) -> bool {
        self.cases.iter().all(CaseReport::passed)
    }

    /// Whether every output could be judged.
    pub fn complete(&self) -> bool {
        self.cases.iter().all(|case| case.refused.is_empty())
    }

    /// One line a family, in the order of the suite.
    pub fn families(&self) -> Vec<FamilyLine> {
        let mut lines: Vec<FamilyLine> = Vec::new();
        for case in &self.cases {
            if lines.last().is_none_or(|line| line.family != case.family) {
                lines.push(FamilyLine {
                    family: case.family.clone(),
                    cases: 0,
                    passed: 0,
                    failed: 0,
                    worst: 0.0,
                    pragmatic: 0.0,
                });
            }
            if let Some(line) = lines.last_mut() {
                line.add(case);
            }
        }
        lines
    }
}

impl FamilyLine {
    /// `pass`, `FAIL` where a number failed, `incomplete` where numbers are missing but none failed.
    pub fn verdict(&self) -> &'static str {
        match (self.failed, self.cases - self.passed) {
            (0, 0) => "pass",
            (0, _) => "incomplete",
            _ => "FAIL",
        }
    }

    fn add(&mut self, case: &CaseReport) {
        self.cases += 1;
        self.passed += usize::from(case.passed() && case.refused.is_empty());
        self.failed += usize::from(!case.passed());
        for judgement in &case.judgements {
            self.worst = self.worst.max(judgement.error());
            self.pragmatic = self.pragmatic.max(judgement.pragmatic);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "suite {}", self.version)?;
        writeln!(
            f,
            "{:<14} {:>9} {:>12} {:>12}  ",
            "family", "cases", "error/bound", "error/naive"
        )?;
        for line in self.families() {
            writeln!(f, "{line}")?;
        }
        for case in self
            .cases
            .iter()
            .filter(|case| !case.passed() || !case.refused.is_empty() || !case.symptoms.is_empty())
        {
            write!(f, "\n{case}")?;
        }
        if let Some(diagnosis) = &self.diagnosis {
            write!(f, "\n{diagnosis}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FamilyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cases = format!("{}/{}", self.passed, self.cases);
        let (worst, pragmatic) = (Number(self.worst), Number(self.pragmatic));
        write!(
            f,
            "{:<14} {cases:>9} {worst:>12} {pragmatic:>12}  {}",
            self.family,
            self.verdict()
        )
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.id)?;
        if !self.flags.is_empty() {
            writeln!(f, "  catches: {}", self.flags.join(", "))?;
        }
        for judgement in self.judgements.iter().filter(|judgement| !judgement.passed()) {
            writeln!(f, "  {judgement}")?;
        }
        for (tensor, reason) in &self.refused {
            writeln!(f, "  {tensor}: {reason}")?;
        }
        for symptom in &self.symptoms {
            writeln!(f, "  {symptom}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(worst) = &self.worst else {
            return write!(f, "{}: nothing to judge", self.output);
        };
        let places = self.axes.iter().zip(&worst.index);
        let places: Vec<String> = places.map(|(axis, place)| format!("{axis} {place}")).collect();
        write!(f, "{}: {} of {} ", self.output, self.failed, self.elements)?;
        if worst.tolerance == 0.0 {
            let (places, got, expected) = (places.join(", "), Exact(worst.got), Exact(worst.expected));
            return write!(f, "wrong; first at {places}: got {got}, expected exactly {expected}");
        }
        write!(
            f,
            "beyond the bound; worst at {}: got {:e}, expected {:e}, tolerance {:.2e}, error {} bounds",
            places.join(", "),
            worst.got,
            worst.expected,
            worst.tolerance,
            Number(worst.error)
        )
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches(matches) => {
                for (place, matched) in matches.iter().enumerate() {
                    let word = if place == 0 { "matches" } else { "or as well" };
                    writeln!(f, "{word}: {}", matched.deviation.sentence())?;
                }
                Ok(())
            }
            Self::ErrsLike(alike) => {
                writeln!(
                    f,
                    "no known bug gives these numbers; the size of the errors is that of:"
                )?;
                alike
                    .iter()
                    .try_for_each(|alike| writeln!(f, "  {}", alike.deviation.sentence()))
            }
            Self::Unknown(None) => writeln!(f, "no known bug comes near these numbers"),
            Self::Unknown(Some(nearest)) => writeln!(
                f,
                "no known bug gives these numbers; nearest, with {:.0} % of the first case explained: {}",
                100.0 * nearest.share,
                nearest.deviation.sentence()
            ),
        }
    }
}

/// A number that must be met exactly: a position, 0 or an infinity.
struct Exact(f64);

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.fract() == 0.0 && self.0.abs() < 1e9 {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{:e}", self.0)
        }
    }
}

/// A ratio in few digits.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.0.is_infinite() {
            "infinite".to_owned()
        } else if self.0 < 1000.0 {
            format!("{:.2}", self.0)
        } else {
            format!("{:.1e}", self.0)
        };
        f.pad(&text)
    }
}
