//! The book cannot rot: what it includes, links to and lists exists.

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// Folders whose Markdown files are checked.
const FOLDERS: [&str; 10] = [
    ".",
    "captures",
    "docs",
    "docs/derivations",
    "docs/scores",
    "examples/kernel-crate",
    "models/llama-tiny",
    "vectors",
    "verify/tests/kvpress",
    "verify/tests/published",
];

/// The pages of the book, and the Markdown files beside what they describe.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in FOLDERS {
        let files = fs::read_dir(root().join(folder))
            .unwrap()
            .map(|file| file.unwrap().path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    pages.sort();
    pages
}

/// The text between each `start` and the `end` that follows it.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    let found = text.split(start).skip(1);
    found
        .filter_map(|rest| rest.split_once(end).map(|(inside, _)| inside))
        .collect()
}

/// What is wrong with the includes of a page of this text in `folder`.
fn broken_includes(text: &str, folder: &Path) -> Vec<String> {
    between(text, "{{#include ", "}}")
        .into_iter()
        .filter(|include| {
            let (path, anchor) = include.split_once(':').unwrap_or((include, ""));
            let source = fs::read_to_string(folder.join(path)).unwrap_or_default();
            ["ANCHOR", "ANCHOR_END"]
                .iter()
                .any(|mark| !source.lines().any(|line| line.trim() == format!("// {mark}: {anchor}")))
        })
        .map(str::to_owned)
        .collect()
}

/// The relative links of a page of this text in `folder` that lead nowhere.
fn broken_links(text: &str, folder: &Path) -> Vec<String> {
    between(text, "](", ")")
        .into_iter()
        .filter(|link| !link.contains("://") && !resolves(link, text, folder))
        .map(str::to_owned)
        .collect()
}

fn resolves(link: &str, text: &str, folder: &Path) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    if path.is_empty() {
        return has_heading(text, anchor);
    }
    let target = folder.join(path);
    if anchor.is_empty() {
        return target.exists();
    }
    fs::read_to_string(target).is_ok_and(|page| has_heading(&page, anchor))
}

fn has_heading(page: &str, anchor: &str) -> bool {
    let mut headings = page.lines().filter(|line| line.starts_with('#'));
    headings.any(|heading| slug(heading.trim_start_matches('#').trim()) == anchor)
}

/// The anchor that GitHub and mdBook give a heading.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// All faults that `check` finds, each with its page.
fn faults(check: impl Fn(&str, &Path) -> Vec<String>) -> Vec<String> {
    let mut faults = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let found = check(&text, page.parent().unwrap());
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", page.display())));
    }
    faults
}

#[test]
fn every_include_names_a_file_and_an_anchor_that_exist() {
    assert_eq!(faults(broken_includes), Vec::<String>::new());
}

#[test]
fn every_relative_link_leads_somewhere() {
    assert_eq!(faults(broken_links), Vec::<String>::new());
}

/// The paths in code spans of a page that begin with a folder of the repository and name nothing; `your` in a path stands for a
/// name of the reader's.
fn broken_paths(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    let spans = prose.flat_map(|part| part.split('`').skip(1).step_by(2));
    spans
        .filter(|span| in_the_repository(span) && !span.contains("your") && !root().join(span).exists())
        .map(str::to_owned)
        .collect()
}

fn in_the_repository(span: &str) -> bool {
    let is_path = span.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let Some((folder, _)) = span.split_once('/').filter(|_| is_path) else {
        return false;
    };
    let others = ["captures", "docs", "examples", "models", "tools", "vectors"];
    others.contains(&folder) || root().join(folder).join("Cargo.toml").exists()
}

/// The examples that a page says to run and that do not exist.
fn broken_examples(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split([' ', '\n', '`']).collect();
    fn after<'a>(words: &[&'a str], flag: &str) -> Option<&'a str> {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at + 1).copied()
    }
    let run = words.split(|word| *word == "cargo");
    run.filter_map(|command| Some((after(command, "-p")?, after(command, "--example")?)))
        .map(|(package, example)| format!("{package}/examples/{example}.rs"))
        .filter(|file| !root().join(file).exists())
        .collect()
}

#[test]
fn every_path_in_the_text_exists() {
    assert_eq!(faults(|text, _| broken_paths(text)), Vec::<String>::new());
}

#[test]
fn every_example_in_the_text_exists() {
    assert_eq!(faults(|text, _| broken_examples(text)), Vec::<String>::new());
}

#[test]
fn a_broken_path_or_example_is_caught() {
    let text =
        "`verify/src/lib.rs` `verify/src/gone.rs` `OUT/parts` `docs/scores/your-score.md`\n```\n`verify/no`\n```\n";
    assert_eq!(broken_paths(text), ["verify/src/gone.rs"]);
    let text = "`cargo run -p study --example score_a_head`, `cargo run -p verify --example score_a_head`";
    assert_eq!(broken_examples(text), ["verify/examples/score_a_head.rs"]);
}

#[test]
fn the_summary_lists_every_page() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed = between(&summary, "](", ")");
    for page in pages() {
        let Ok(name) = page.strip_prefix(&docs) else { continue };
        let name = name.to_str().unwrap();
        assert!(name == "SUMMARY.md" || listed.contains(&name), "{name} is not listed");
    }
}

/// What a page about a score of this text does not say, `claims` being the ledger.
fn unsaid(text: &str, claims: &str) -> Vec<String> {
    let parts = ["**Estimates**", "**Leaves out**", "**Closest to**", "**Law** C"];
    let mut unsaid: Vec<String> = parts
        .into_iter()
        .filter(|part| !text.contains(part))
        .map(str::to_owned)
        .collect();
    for claim in between(text, "**Law** C", " ") {
        let number = claim.trim_end_matches(',');
        if !claims.lines().any(|line| line.starts_with(&format!("## C{number} "))) {
            unsaid.push(format!("C{number}"));
        }
    }
    unsaid
}

#[test]
fn every_page_about_a_score_says_what_it_is_worth() {
    let docs = root().join("docs");
    let claims = fs::read_to_string(docs.join("claims.md")).unwrap();
    let scores = pages().into_iter().filter(|page| page.starts_with(docs.join("scores")));
    let faults: Vec<(PathBuf, Vec<String>)> = scores
        .map(|page| (page.clone(), unsaid(&fs::read_to_string(page).unwrap(), &claims)))
        .filter(|(_, unsaid)| !unsaid.is_empty())
        .collect();
    assert_eq!(faults, []);
}

#[test]
fn a_page_that_leaves_something_unsaid_is_caught() {
    let page = "**Estimates** x. **Leaves out** y. **Closest to** z. **Law** C5 (one), C77 (another).";
    assert_eq!(unsaid(page, "## C5 A claim"), Vec::<String>::new());
    assert_eq!(unsaid(page, "## C55 A claim"), ["C5"]);
    assert_eq!(
        unsaid("**Estimates** x. **Law** C5 y.", "## C5 A claim"),
        ["**Leaves out**", "**Closest to**"]
    );
}

#[test]
fn a_broken_include_is_caught() {
    let folder = root().join("docs");
    let text = "{{#include ../study/examples/score_a_head.rs:score}} {{#include ../study/examples/score_a_head.rs:no}} \
                {{#include nowhere.rs:score}}";
    let broken = ["../study/examples/score_a_head.rs:no", "nowhere.rs:score"];
    assert_eq!(broken_includes(text, &folder), broken);
}

#[test]
fn a_broken_link_is_caught() {
    let folder = root().join("docs");
    let text =
        "[a](notation.md#glossary) [b](notation.md#nothing) [c](https://example.org) [d](gone.md) [e](#here)\n# Here";
    assert_eq!(broken_links(text, &folder), ["notation.md#nothing", "gone.md"]);
}
