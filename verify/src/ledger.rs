//! The ledger of claims: what is said to be true, and the tests that stand behind it.

/// `docs/claims.md` as it was when this was compiled.
pub const CLAIMS: &str = include_str!("../../docs/claims.md");

/// One claim of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its number: 5 for C5.
    pub number: u32,
    /// Its title.
    pub title: String,
    /// What it says.
    pub statement: String,
    /// Where it is derived, as the ledger links it; empty where it is not.
    pub derivation: String,
    /// Its tests, each `path::name` with the path from the root of the workspace.
    pub tests: Vec<String>,
}

/// The claims of a ledger, in its order. Sections whose heading is not `## C<number> <title>` are no claims.
pub fn parse(ledger: &str) -> Vec<Claim> {
    ledger.split("\n## C").skip(1).filter_map(claim).collect()
}

/// One section, from behind `## C`.
fn claim(section: &str) -> Option<Claim> {
    let (number, title) = section.lines().next()?.split_once(' ')?;
    let field = |name: &str| {
        let line = section.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let tests = field("Tests:");
    Some(Claim {
        number: number.parse().ok()?,
        title: title.to_owned(),
        statement: field("Statement:"),
        derivation: field("Derivation:"),
        tests: tests
            .split(',')
            .map(|test| test.trim().to_owned())
            .filter(|test| !test.is_empty())
            .collect(),
    })
}

/// The claim number that the name of a test carries: 5 for `c05_a_sentence`.
pub fn claim_number(test: &str) -> Option<u32> {
    let (digits, _) = test.strip_prefix('c')?.split_once('_')?;
    if digits.len() != 2 {
        return None;
    }
    digits.parse().ok()
}

/// What is wrong with `claims`, given all tests in the sources as `path::name`; empty where nothing is.
pub fn faults(claims: &[Claim], sources: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for claim in claims {
        if claim.tests.is_empty() {
            faults.push(format!("C{} has no test", claim.number));
        }
        for test in claim.tests.iter().filter(|test| !sources.contains(test)) {
            faults.push(format!("C{} lists {test}, which does not exist", claim.number));
        }
    }
    for source in sources {
        let number = source.rsplit("::").next().and_then(claim_number);
        let listed = |claim: &Claim| Some(claim.number) == number && claim.tests.contains(source);
        if number.is_some() && !claims.iter().any(listed) {
            faults.push(format!("{source} is not listed under its claim"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = "# Claims\n\n## C5 Scores\nStatement: each equals it.\nTests: a.rs::c05_x, a.rs::c05_y\n";

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_section_is_a_claim() {
        let claims = parse(LEDGER);
        assert_eq!(
            (claims.len(), claims[0].number, claims[0].title.as_str()),
            (1, 5, "Scores")
        );
        assert_eq!(claims[0].statement, "each equals it.");
        assert_eq!(claims[0].tests, names(&["a.rs::c05_x", "a.rs::c05_y"]));
    }

    #[test]
    fn a_good_ledger_has_no_fault() {
        let sources = names(&["a.rs::c05_x", "a.rs::c05_y", "a.rs::other"]);
        assert_eq!(faults(&parse(LEDGER), &sources), Vec::<String>::new());
    }

    #[test]
    fn a_bad_ledger_is_told_every_fault() {
        let bad = format!("{LEDGER}\n## C6 Joint\nStatement: nobody tests it.\n");
        let expected = [
            "C5 lists a.rs::c05_y, which does not exist",
            "C6 has no test",
            "b.rs::c05_x is not listed under its claim",
        ];
        let sources = names(&["a.rs::c05_x", "b.rs::c05_x"]);
        assert_eq!(faults(&parse(&bad), &sources), names(&expected));
    }

    #[test]
    fn only_two_digits_make_a_claim_number() {
        assert_eq!(claim_number("c05_x"), Some(5));
        assert_eq!(
            (claim_number("c5_x"), claim_number("cap_x"), claim_number("x")),
            (None, None, None)
        );
    }
}
