//! Every claim has a derivation, code and tests, linked both ways.

use std::fs;

use verify::ledger::{CLAIMS, Claim, Sources, claims_held, faults, parse};

use crate::documented::documented_items;
use crate::root;
use crate::rust_files::{crates, rust_files};

/// The functions of a file, those inside `proptest!` included.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.lines().filter_map(|line| line.trim().strip_prefix("fn "));
    starts.filter_map(|rest| rest.split_once('(').map(|(name, _)| name))
}

/// The claims that the page of this text links to.
fn linked(text: &str) -> impl Iterator<Item = u32> {
    let anchors = text.split("claims.md#c").skip(1);
    anchors.filter_map(|rest| rest.split_once('-')?.0.parse().ok())
}

/// What the crates hold, and the pages that derive `claims`.
fn sources(claims: &[Claim]) -> Sources {
    let mut sources = Sources::default();
    for name in crates() {
        for folder in ["src", "tests"] {
            for (file, text) in rust_files(&root().join(&name).join(folder)) {
                let file = format!("{name}/{folder}/{file}");
                let tests = functions(&text).map(|function| format!("{file}::{function}"));
                sources.functions.extend(tests);
                if folder == "src" {
                    for (item, documentation) in documented_items(&file, &text) {
                        let held = claims_held(&documentation);
                        sources.held.extend(held.into_iter().map(|claim| (claim, item.clone())));
                        sources.items.insert(item);
                    }
                }
            }
        }
    }
    for link in claims.iter().flat_map(|claim| &claim.derivation) {
        let page = link.target.split('#').next().unwrap_or_default();
        let text = fs::read_to_string(root().join("docs").join(page)).unwrap_or_default();
        sources
            .linked
            .extend(linked(&text).map(|claim| (claim, page.to_owned())));
    }
    sources
}

#[test]
fn every_claim_has_its_derivation_code_and_tests_and_each_of_them_its_claim() {
    let claims = parse(CLAIMS);
    assert!(claims.len() >= 43, "the ledger holds {} claims", claims.len());
    let faults = faults(&claims, &sources(&claims));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_documentation_of_an_item_is_found_whatever_holds_the_item() {
    let text = "//! Head.
        /// F,
        /// f.
        fn f() { /** Inner. */ struct G; }
        struct S { /** Field. */ a: u8 }
        impl S { /** Method. */ fn m() {} }
        trait T { /** Promise. */ fn p(); }
        #[cfg(test)] mod tests { /** Test. */ fn t() {} }";
    let found = documented_items("a.rs", text);
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(item, text)| (item.as_str(), text.as_str()))
        .collect();
    let expected = [
        ("a.rs", " Head.\n"),
        ("a.rs::S", " Field. \n"),
        ("a.rs::S::m", " Method. \n"),
        ("a.rs::T", ""),
        ("a.rs::T::p", " Promise. \n"),
        ("a.rs::f", " F,\n f.\n"),
        ("a.rs::f::G", " Inner. \n"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_page_links_to_the_claims_whose_anchors_it_names() {
    let page = "[C5](../claims.md#c5-the-closed-forms) and [C12](../claims.md#c12-exact), C13, [all](../claims.md)";
    assert_eq!(linked(page).collect::<Vec<_>>(), [5, 12]);
}
