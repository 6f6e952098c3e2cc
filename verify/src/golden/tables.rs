//! The pages of the book that show what the check catches and how tight its bound is.

use std::fmt::Write;

use golden::{Dtype, Suite};
use obd_core::ProblemError;

use super::catches::{Catch, Honest, catches, honest};
use super::tightness::{Tightness, tightness};

/// The page `golden-catches.md`: every bug, how many cases of each format fail, and in which families.
///
/// # Errors
/// [`ProblemError`] where a case is no attention problem; none that [`Suite::read`] hands out.
pub fn catches_page(suite: &Suite) -> Result<String, ProblemError> {
    let catches = catches(suite)?;
    let mut page = CATCHES.to_owned();
    page.push_str("| bug | f32 | f16 | bf16 | families that catch it in f32 |\n|---|---|---|---|---|\n");
    for &bug in golden::rendering::Deviation::ALL {
        let of = |dtype: Dtype| {
            catches
                .iter()
                .find(|catch| catch.deviation == bug && catch.dtype == dtype)
        };
        let counts = Dtype::ALL.map(|dtype| of(dtype).map_or("-".to_owned(), count));
        let first = Dtype::ALL
            .into_iter()
            .find_map(of)
            .expect("a bug exists in some format");
        let families = families(first);
        let _ = writeln!(page, "| {} | {} | {families} |", bug.sentence(), counts.join(" | "));
    }
    Ok(page)
}

const CATCHES: &str = "\
# What the check catches

Written by `obcache golden tables`; a test compares. Each row is a bug that kernels have. A bug changes one place of a rendering of attention and
scores, or of the loop of a decode trace, that is otherwise right (`golden/src/rendering`), and the check then runs over the whole default
suite. The numbers are the cases and traces of a format that fail; `-` means that it is no bug in that format. The check catches every bug in
every format where it exists, and the report names that bug and no other.

";

fn count(catch: &Catch) -> String {
    let right = catch.named == [catch.deviation];
    if right {
        catch.failed.to_string()
    } else {
        format!("{} (not named)", catch.failed)
    }
}

fn families(catch: &Catch) -> String {
    match catch.families.len() {
        0..=5 => catch.families.join(", "),
        more => format!("{}, and {} more", catch.families[..4].join(", "), more - 4),
    }
}

/// The page `golden-bound.md`: how tight the bound is by family and by output, and the largest errors of honest
/// renderings.
///
/// # Errors
/// As of [`catches_page`].
pub fn bound_page(suite: &Suite) -> Result<String, ProblemError> {
    let (families, outputs) = tightness(suite)?;
    let mut page = BOUND.to_owned();
    for (what, lines) in [("family", families), ("output", outputs)] {
        let _ = writeln!(
            page,
            "| {what} | numbers | bound/error, median | error/bound, largest |\n|---|---|---|---|"
        );
        lines.iter().for_each(|line| push_tightness(&mut page, line));
        page.push('\n');
    }
    page.push_str(HONEST);
    page.push_str("| rendering | inputs | numbers | error/bound, largest |\n|---|---|---|---|\n");
    honest(suite)?.iter().for_each(|line| push_honest(&mut page, line));
    Ok(page)
}

const BOUND: &str = "\
# How tight the bound is

Written by `obcache golden tables`; a test compares, and fails where a median passes 50 or an error its bound. A bound that is too loose lets bugs
pass; one that is too tight fails honest kernels. The error is that of an f32 rendering of the formulas (two passes, loops in order), all three input
formats together, against [the bound](derivations/error-bound.md) for f32 accumulation. An error below one rounding of the number, or below the
smallest normal number, counts as that. Numbers that must be exactly 0 or infinite, and are, do not count.

";

const HONEST: &str = "\
## Honest renderings

The largest error in units of the bound, over every number of the suite.

";

fn push_tightness(page: &mut String, line: &Tightness) {
    let _ = writeln!(
        page,
        "| {} | {} | {:.0} | {:.2} |",
        line.name, line.elements, line.median, line.worst
    );
}

fn push_honest(page: &mut String, line: &Honest) {
    let _ = writeln!(
        page,
        "| {} | {} | {} | {:.2} |",
        line.name,
        line.dtype.name(),
        line.elements,
        line.worst
    );
}
