//! Every `obcache` command that the README and the book show is one that the parser accepts.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use super::Cli;

/// The README, the book, and the page about captures.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md"), root.join("captures/README.md")];
    for folder in ["docs", "docs/derivations"] {
        let files = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|file| file.unwrap().path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    pages
}

/// The commands of a page: lines of code blocks, without comments, and code spans. Lines of shell scripts are left to the
/// tests that run them.
fn commands(page: &str) -> Vec<String> {
    let parts = page.split("```").enumerate();
    let found = parts.flat_map(|(place, part)| match place % 2 {
        0 => part.split('`').skip(1).step_by(2).collect::<Vec<_>>(),
        _ => part.lines().filter_map(|line| line.split('#').next()).collect(),
    });
    let whole = |command: &&str| command.starts_with("obcache ") && !command.contains(['$', '\\', '*']);
    found.filter(whole).map(str::to_owned).collect()
}

/// Why the parser refuses a command. A page may name a command without its arguments.
fn refusal(command: &str) -> Option<String> {
    let error = Cli::try_parse_from(command.split_whitespace()).err()?;
    let incomplete = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    (!incomplete.contains(&error.kind())).then(|| format!("{command}: {error}"))
}

#[test]
fn every_command_of_the_book_is_accepted() {
    let found: Vec<String> = pages()
        .iter()
        .flat_map(|page| commands(&fs::read_to_string(page).unwrap()))
        .collect();
    assert!(found.len() > 20, "{found:?}");
    let refused: Vec<String> = found.iter().filter_map(|command| refusal(command)).collect();
    assert_eq!(refused, Vec::<String>::new());
}

#[test]
fn a_command_that_does_not_exist_is_caught() {
    let page =
        "Run `obcache repport`.\n```sh\nobcache report --outt x  # no\nobcache report\n```\nAnd `obcache score`.";
    let refused: Vec<bool> = commands(page)
        .iter()
        .map(|command| refusal(command).is_some())
        .collect();
    assert_eq!(refused, [true, true, false, false]);
}
