//! The ledger of claims: what is said to be true, where it is derived, the code that holds it, and the tests that would fail.
//!
//! ```text
//! docs/claims.md ── Derivation ──> page ── link to the claim ──> docs/claims.md
//!                ── Code ────────> item ── `Claim C5.` ────────> docs/claims.md
//!                ── Tests ───────> test, whose name begins with c05_
//! ```
//! [`faults`] checks all three in both directions.

use std::collections::BTreeSet;

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
    /// The page that derives it, from `docs`.
    pub derivation: Vec<Link>,
    /// The code that holds it, each `path::item` with the path from the root of the workspace.
    pub code: Vec<Link>,
    /// Its tests, each `path::name` with the path from the root of the workspace.
    pub tests: Vec<Link>,
}

/// A Markdown link, `[text](target)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What the reader sees.
    pub text: String,
    /// Where it leads, from `docs`.
    pub target: String,
}

impl Link {
    /// Whether a link whose text is `path::name` leads to that path.
    fn leads_to_its_file(&self) -> bool {
        let file = self.text.split("::").next();
        file == self.target.strip_prefix("../")
    }
}

/// The claims of a ledger, in its order. Sections whose heading is not `## C<number> <title>` are no claims.
pub fn parse(ledger: &str) -> Vec<Claim> {
    ledger.split("\n## C").skip(1).filter_map(claim).collect()
}

/// One section, from behind `## C`.
fn claim(section: &str) -> Option<Claim> {
    let (number, title) = section.lines().next()?.split_once(' ')?;
    Some(Claim {
        number: number.parse().ok()?,
        title: title.to_owned(),
        statement: field(section, "Statement:").to_owned(),
        derivation: links(field(section, "Derivation:")),
        code: links(field(section, "Code:")),
        tests: links(field(section, "Tests:")),
    })
}

/// The paragraph that begins with `name`, without it; empty where there is none.
fn field<'a>(section: &'a str, name: &str) -> &'a str {
    let mut paragraphs = section.split("\n\n");
    let paragraph = paragraphs.find_map(|paragraph| paragraph.trim_start().strip_prefix(name));
    paragraph.unwrap_or_default().trim()
}

/// All links of a text.
fn links(text: &str) -> Vec<Link> {
    let found = text.split('[').skip(1).filter_map(|rest| {
        let (text, rest) = rest.split_once("](")?;
        let (target, _) = rest.split_once(')')?;
        Some(Link {
            text: text.to_owned(),
            target: target.to_owned(),
        })
    });
    found.collect()
}

/// The claim number that the name of a test carries: 5 for `c05_a_sentence`.
pub fn claim_number(test: &str) -> Option<u32> {
    let (digits, _) = test.strip_prefix('c')?.split_once('_')?;
    if digits.len() != 2 {
        return None;
    }
    digits.parse().ok()
}

/// The claims that the documentation of an item says it holds: those in a list behind `Claim` or `Claims` with a capital C, as in
/// `Claim C5.` or `Claims C5 and C9.`
pub fn claims_held(documentation: &str) -> Vec<u32> {
    let mut held = Vec::new();
    let mut listing = false;
    for word in documentation.split_whitespace() {
        let number = word
            .strip_prefix('C')
            .map(|number| number.trim_end_matches([',', '.', ':']));
        let number = number.and_then(|number| number.parse::<u32>().ok());
        held.extend(number.filter(|_| listing));
        listing = match word {
            "Claim" | "Claims" => true,
            "and" => listing,
            _ => listing && number.is_some() && !word.ends_with(['.', ':']),
        };
    }
    held
}

/// What the workspace really holds, to hold a ledger against.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Every function that may be a test, `path::name`.
    pub functions: BTreeSet<String>,
    /// Every item of the source files, `path::name` or `path::Type::name`; a file itself is an item too.
    pub items: BTreeSet<String>,
    /// The claims that items hold by their documentation ([`claims_held`]): number and item.
    pub held: BTreeSet<(u32, String)>,
    /// The claims that pages of the book link to: number, and the page from `docs`.
    pub linked: BTreeSet<(u32, String)>,
}

/// What is wrong with `claims`, given the sources; empty where nothing is.
pub fn faults(claims: &[Claim], sources: &Sources) -> Vec<String> {
    let mut faults: Vec<String> = claims.iter().flat_map(|claim| faults_of(claim, sources)).collect();
    let lists = |number: u32, name: &str, of: fn(&Claim) -> &[Link]| {
        let mut claims = claims.iter().filter(|claim| claim.number == number);
        claims.any(|claim| of(claim).iter().any(|link| link.text == name))
    };
    for (number, item) in &sources.held {
        if !lists(*number, item, |claim| &claim.code) {
            faults.push(format!("{item} says `Claim C{number}` and is not listed there"));
        }
    }
    for function in &sources.functions {
        let number = function.rsplit("::").next().and_then(claim_number);
        if number.is_some_and(|number| !lists(number, function, |claim| &claim.tests)) {
            faults.push(format!("{function} is not listed under its claim"));
        }
    }
    faults
}

/// What is wrong with one claim.
fn faults_of(claim: &Claim, sources: &Sources) -> Vec<String> {
    let number = claim.number;
    let mut faults = Vec::new();
    for (what, links) in [
        ("derivation", &claim.derivation),
        ("code", &claim.code),
        ("test", &claim.tests),
    ] {
        if links.is_empty() {
            faults.push(format!("C{number} has no {what}"));
        }
    }
    for page in claim.derivation.iter().filter_map(|link| link.target.split('#').next()) {
        if !sources.linked.contains(&(number, page.to_owned())) {
            faults.push(format!(
                "C{number} is derived in {page}, which does not link back to it"
            ));
        }
    }
    for Link { text: item, .. } in &claim.code {
        if !sources.items.contains(item) {
            faults.push(format!("C{number} lists {item}, which does not exist"));
        } else if !sources.held.contains(&(number, item.clone())) {
            faults.push(format!(
                "C{number} lists {item}, whose documentation does not say `Claim C{number}`"
            ));
        }
    }
    for Link { text: test, .. } in &claim.tests {
        if !sources.functions.contains(test) {
            faults.push(format!("C{number} lists {test}, which does not exist"));
        }
    }
    for link in claim
        .code
        .iter()
        .chain(&claim.tests)
        .filter(|link| !link.leads_to_its_file())
    {
        faults.push(format!("C{number} lists {}, but links {}", link.text, link.target));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = "# Claims\n\n## C5 Scores\n\nStatement: each equals [it](x.md).\n\nDerivation: [Page](page.md#scores-c5)\n\n\
                          Code:\n- [s/a.rs::f](../s/a.rs)\n\nTests:\n- [t/a.rs::c05_x](../t/a.rs)\n- [t/a.rs::c05_y](../t/a.rs)\n";

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// What [`LEDGER`] says there is.
    fn sources() -> Sources {
        Sources {
            functions: names(&["t/a.rs::c05_x", "t/a.rs::c05_y", "t/a.rs::other"]),
            items: names(&["s/a.rs", "s/a.rs::f", "s/a.rs::g"]),
            held: BTreeSet::from([(5, "s/a.rs::f".to_owned())]),
            linked: BTreeSet::from([(5, "page.md".to_owned())]),
        }
    }

    #[test]
    fn a_section_is_a_claim() {
        let claims = parse(LEDGER);
        assert_eq!(
            (claims.len(), claims[0].number, claims[0].title.as_str()),
            (1, 5, "Scores")
        );
        assert_eq!(claims[0].statement, "each equals [it](x.md).");
        let link = |text: &str, target: &str| Link {
            text: text.to_owned(),
            target: target.to_owned(),
        };
        assert_eq!(claims[0].derivation, [link("Page", "page.md#scores-c5")]);
        assert_eq!(claims[0].code, [link("s/a.rs::f", "../s/a.rs")]);
        let tests = ["t/a.rs::c05_x", "t/a.rs::c05_y"].map(|test| link(test, "../t/a.rs"));
        assert_eq!(claims[0].tests, tests);
    }

    #[test]
    fn a_good_ledger_has_no_fault() {
        assert_eq!(faults(&parse(LEDGER), &sources()), Vec::<String>::new());
    }

    #[test]
    fn a_claim_with_nothing_behind_it_is_told_so() {
        let empty = format!("{LEDGER}\n## C6 Joint\n\nStatement: nobody tests it.\n");
        let expected = ["C6 has no derivation", "C6 has no code", "C6 has no test"];
        assert_eq!(faults(&parse(&empty), &sources()), expected);
    }

    #[test]
    fn code_that_does_not_exist_is_a_fault() {
        let wrong = LEDGER.replace("[s/a.rs::f]", "[s/a.rs::h]");
        let expected = [
            "C5 lists s/a.rs::h, which does not exist",
            "s/a.rs::f says `Claim C5` and is not listed there",
        ];
        assert_eq!(faults(&parse(&wrong), &sources()), expected);
    }

    #[test]
    fn code_that_does_not_say_its_claim_is_a_fault() {
        let wrong = LEDGER.replace(
            "[s/a.rs::f](../s/a.rs)",
            "[s/a.rs::f](../s/a.rs)\n- [s/a.rs::g](../s/a.rs)",
        );
        let expected = ["C5 lists s/a.rs::g, whose documentation does not say `Claim C5`"];
        assert_eq!(faults(&parse(&wrong), &sources()), expected);
    }

    #[test]
    fn code_that_says_a_claim_which_does_not_list_it_is_a_fault() {
        let mut sources = sources();
        sources.held.insert((5, "s/a.rs".to_owned()));
        sources.held.insert((7, "s/a.rs::f".to_owned()));
        let expected = [
            "s/a.rs says `Claim C5` and is not listed there",
            "s/a.rs::f says `Claim C7` and is not listed there",
        ];
        assert_eq!(faults(&parse(LEDGER), &sources), expected);
    }

    #[test]
    fn tests_that_do_not_exist_or_are_not_listed_are_faults() {
        let mut sources = sources();
        sources.functions = names(&["t/a.rs::c05_x", "t/b.rs::c05_x"]);
        let expected = [
            "C5 lists t/a.rs::c05_y, which does not exist",
            "t/b.rs::c05_x is not listed under its claim",
        ];
        assert_eq!(faults(&parse(LEDGER), &sources), expected);
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_fault() {
        let wrong = LEDGER.replace("c05_x](../t/a.rs)", "c05_x](../t/b.rs)");
        let expected = ["C5 lists t/a.rs::c05_x, but links ../t/b.rs"];
        assert_eq!(faults(&parse(&wrong), &sources()), expected);
    }

    #[test]
    fn a_derivation_that_does_not_link_back_is_a_fault() {
        let mut sources = sources();
        sources.linked = BTreeSet::from([(6, "page.md".to_owned()), (5, "other.md".to_owned())]);
        let expected = ["C5 is derived in page.md, which does not link back to it"];
        assert_eq!(faults(&parse(LEDGER), &sources), expected);
    }

    #[test]
    fn only_a_capital_says_that_a_claim_is_held() {
        assert_eq!(claims_held("The error. Claim C5."), [5]);
        assert_eq!(claims_held("Claims C5, C9\nand C11: all of C12."), [5, 9, 11]);
        assert_eq!(claims_held("Claim C4 holds for C13. Claim C5 too."), [4, 5]);
        assert_eq!(claims_held("Exact (claim C12), as C13 and claims C14 say."), [0u32; 0]);
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
