//! `obcache claims`: the ledger of claims.

use std::fmt::Write;

use clap::Args;

use verify::ledger;

/// Lists every claim with its statement, its derivation, its code and its tests.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Numbers of the claims, C14 or 14 (default: all).
    #[arg(value_parser = number)]
    claims: Vec<u32>,
}

const EXAMPLES: &str = "\
Examples:
  obcache claims            every claim
  obcache claims C9 C14     why value is exact, and the gauge";

fn number(name: &str) -> Result<u32, String> {
    let digits = name.trim_start_matches(['C', 'c']);
    digits
        .parse()
        .map_err(|_| "expected the number of a claim, such as C14".to_owned())
}

impl Arguments {
    pub fn run(&self) -> String {
        let mut text = String::new();
        for claim in ledger::parse(ledger::CLAIMS) {
            if !self.claims.is_empty() && !self.claims.contains(&claim.number) {
                continue;
            }
            let _ = writeln!(text, "C{} {}\n  {}", claim.number, claim.title, claim.statement);
            for page in &claim.derivation {
                let _ = writeln!(text, "  derivation: docs/{}", page.target);
            }
            for item in &claim.code {
                let _ = writeln!(text, "  code: {}", item.text);
            }
            for test in &claim.tests {
                let _ = writeln!(text, "  test: {}", test.text);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_told_with_all_that_stands_behind_it() {
        let text = Arguments { claims: vec![9] }.run();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("C9 The value score is exact"));
        let parts = [
            "  S_V equals",
            "  derivation: docs/derivations/",
            "  code: obcache-scores/src/",
            "  test: verify/tests/",
        ];
        for (line, part) in lines.zip(parts) {
            assert!(line.starts_with(part), "{line}");
        }
        assert!(!text.contains("]("), "{text}");
    }

    #[test]
    fn a_claim_goes_by_either_name() {
        assert_eq!((number("C14"), number("14")), (Ok(14), Ok(14)));
        assert!(number("gauge").is_err());
    }
}
