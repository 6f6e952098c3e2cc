//! Every crate opens with a sentence, an example that runs as a test, and a table of what it holds.

use crate::root;
use crate::rust_files::crates;

/// What the head of a crate, its `//!` lines, does not have.
fn missing(text: &str) -> Vec<&'static str> {
    let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    let has = |wanted: fn(&&&str) -> bool| head.iter().any(|line| wanted(&line));
    let parts = [
        ("a first sentence", head.first().is_some_and(|line| line.ends_with('.'))),
        ("an example that runs", has(|line| **line == "//! ```")),
        ("a table of what is inside", has(|line| line.starts_with("//! |---"))),
    ];
    parts
        .into_iter()
        .filter(|(_, there)| !there)
        .map(|(part, _)| part)
        .collect()
}

#[test]
fn every_crate_opens_with_a_sentence_an_example_and_a_table() {
    let heads = crates().into_iter().map(|name| {
        let text = std::fs::read_to_string(root().join(&name).join("src/lib.rs")).expect("a crate is a library");
        (missing(&text), name)
    });
    let faults: Vec<_> = heads.filter(|(missing, _)| !missing.is_empty()).collect();
    assert_eq!(faults, []);
}

#[test]
fn a_head_that_lacks_something_is_caught() {
    let head =
        "//! Scores.\n//!\n//! ```\n//! let x = 1;\n//! ```\n//!\n//! | module | holds |\n//! |---|---|\nmod a;\n";
    assert_eq!(missing(head), Vec::<&str>::new());
    assert_eq!(
        missing(
            &head
                .replace("```\n//! let", "```text\n//! let")
                .replacen("//! ```\n//!\n", "", 1)
        ),
        ["an example that runs"]
    );
    let all = ["a first sentence", "an example that runs", "a table of what is inside"];
    assert_eq!(missing("mod a;\n//! Scores.\n//! |---|\n"), all);
}
