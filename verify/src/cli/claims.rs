//! `obcache claims`: the ledger of claims.

use std::fmt::Write;

use clap::Args;

use crate::ledger;

/// Lists every claim with its statement, its derivation and the tests that prove it.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Numbers of the claims to list, C14 or 14; all of them without.
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
            if let Some(page) = page(&claim.derivation) {
                let _ = writeln!(text, "  derivation: docs/{page}");
            }
            for test in &claim.tests {
                let _ = writeln!(text, "  test: {test}");
            }
        }
        text
    }
}

/// The target of a link `[text](target)`.
fn page(link: &str) -> Option<&str> {
    let (_, target) = link.split_once("](")?;
    target.split_once(')').map(|(target, _)| target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_its_page() {
        assert_eq!(
            page("[The key](derivations/key.md#c10)"),
            Some("derivations/key.md#c10")
        );
        assert_eq!(page(""), None);
    }

    #[test]
    fn a_claim_goes_by_either_name() {
        assert_eq!((number("C14"), number("14")), (Ok(14), Ok(14)));
        assert!(number("gauge").is_err());
    }
}
