//! CONTRIBUTING tells the truth about what a score costs: a toy score is added by its list, and is everywhere.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

/// One file that the toy touches: the whole of a new one, or lines before a line of an old one, the first after a mark.
struct Edit {
    file: &'static str,
    /// As CONTRIBUTING names the file, where it stands for any score's.
    named: &'static str,
    change: Change,
}

enum Change {
    New(&'static str),
    Lines(&'static [Lines]),
}

/// Lines that go before the first line `before` after the first line `after`.
struct Lines {
    after: &'static str,
    before: &'static str,
    lines: &'static str,
}

/// The five steps, on the toy. Its law bears no claim's number, so that the ledger, which would list it, stays as it is.
const EDITS: [Edit; 5] = [
    Edit {
        file: "docs/scores/toy.md",
        named: "docs/scores/your-score.md",
        change: Change::New(include_str!("toy.md")),
    },
    Edit {
        file: "docs/SUMMARY.md",
        named: "docs/SUMMARY.md",
        change: Change::Lines(&[Lines {
            after: "  - [value](scores/value.md)",
            before: "  - [value-p1](scores/value-p1.md)",
            lines: "  - [toy](scores/toy.md)\n",
        }]),
    },
    Edit {
        file: "obcache-scores/src/scores/toy.rs",
        named: "obcache-scores/src/scores/your_score.rs",
        change: Change::New(include_str!("toy.rs")),
    },
    Edit {
        file: "obcache-scores/src/scores/mod.rs",
        named: "obcache-scores/src/scores/mod.rs",
        change: Change::Lines(&[
            Lines {
                after: "mod removal;",
                before: "mod value;",
                lines: "mod toy;\n",
            },
            Lines {
                after: "pub enum Score {",
                before: "}",
                lines: "    /// `a ‖v‖²` (C9).\n    Toy,\n",
            },
            Lines {
                after: "const SCORES: &[(Score, &str, Formula)] = &[",
                before: "];",
                lines: "    (Score::Toy, \"toy\", toy::contributions),\n",
            },
        ]),
    },
    Edit {
        file: "verify/tests/laws/closed_forms.rs",
        named: "verify/tests/laws",
        change: Change::Lines(&[Lines {
            after: "use crate::heads::{slack, sums};",
            before: "#[test]",
            lines: include_str!("law.rs"),
        }]),
    },
];

/// Named by CONTRIBUTING for a law that bears a claim's number, which the toy's does not.
const LEDGER: &str = "docs/claims.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

impl Lines {
    fn insert(&self, text: &str) -> String {
        let marked = format!("\n{}\n", self.after);
        let start = text.find(&marked).unwrap_or_else(|| panic!("no line {:?}", self.after)) + marked.len() - 1;
        let next = format!("\n{}\n", self.before);
        let place = text[start..]
            .find(&next)
            .unwrap_or_else(|| panic!("no line {:?}", self.before));
        let place = start + place + 1;
        format!("{}{}{}", &text[..place], self.lines, &text[place..])
    }
}

impl Edit {
    /// The text of the file with the toy in it.
    fn text(&self) -> String {
        match self.change {
            Change::New(text) => text.to_owned(),
            Change::Lines(edits) => {
                let text = fs::read_to_string(root().join(self.file)).unwrap();
                edits.iter().fold(text, |text, edit| edit.insert(&text))
            }
        }
    }
}

/// The files that a section of CONTRIBUTING names up to the end of its numbered steps.
fn named(contributing: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) = contributing.split_once(heading).expect("the section is there");
    let steps = section
        .split("\n\n")
        .find(|part| part.starts_with("1. "))
        .expect("it has steps");
    let quoted = steps.split('`').skip(1).step_by(2);
    quoted.filter(|word| word.contains('/')).map(str::to_owned).collect()
}

#[test]
fn contributing_names_the_files_that_a_score_touches_and_no_other() {
    let contributing = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let touched = EDITS.iter().map(|edit| edit.named).chain([LEDGER]);
    let touched: BTreeSet<String> = touched.map(str::to_owned).collect();
    assert_eq!(named(&contributing, "## Add a score in five steps"), touched);
}

#[test]
fn the_toy_can_be_added_as_contributing_says() {
    for edit in &EDITS {
        let (file, text) = (root().join(edit.file), edit.text());
        match edit.change {
            Change::New(_) => assert!(!file.exists(), "{}", edit.file),
            Change::Lines(_) => assert!(text.len() > fs::read_to_string(file).unwrap().len()),
        }
    }
}

/// A copy of the workspace with the toy in it; what is built there is not copied.
fn workspace_with_the_toy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&root(), copy.path());
    for edit in &EDITS {
        fs::write(copy.path().join(edit.file), edit.text()).unwrap();
    }
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Runs cargo in the copy, on what is compiled of its dependencies already; returns what it printed.
fn cargo(workspace: &Path, arguments: &[&str]) -> String {
    let target = root().join("target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(arguments)
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", target);
    let output = cargo.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Tokens of the capture that is scored.
const TOKENS: usize = 24;

/// A capture of one layer, two query heads on one KV head.
fn capture() -> Vec<u8> {
    let tensor = |heads: usize, seed: usize| {
        let number = |place: usize| ((place * 7919 + seed) % 1009) as f32 / 504.5 - 1.0;
        let bytes = (0..heads * TOKENS * 4).flat_map(|place| number(place).to_le_bytes());
        (vec![heads, TOKENS, 4], bytes.collect::<Vec<u8>>())
    };
    let tensors = [("query", tensor(2, 1)), ("key", tensor(1, 2)), ("value", tensor(1, 3))];
    let views = tensors.iter().map(|(part, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (format!("layer.0.{part}"), view)
    });
    let metadata = r#"{"version": 1, "model": "made", "scale": 0.5, "causal": true, "num_query_heads": 2, "num_kv_heads": 1,
        "head_dim": 4, "value_dim": 4}"#;
    let metadata = HashMap::from([("obcache_capture".to_owned(), metadata.to_owned())]);
    safetensors::serialize(views, Some(metadata)).unwrap()
}

#[test]
#[ignore = "compiles the workspace once more, some minutes; CONTRIBUTING says how to run it"]
fn a_score_that_contributing_added_is_in_report_scores_and_counterexamples() {
    let workspace = workspace_with_the_toy();
    let obcache = |arguments: &[&str]| {
        let run = ["run", "--offline", "--quiet", "--bin", "obcache", "--"];
        cargo(workspace.path(), &[&run[..], arguments].concat())
    };

    let found = obcache(&["counterexample", "--score", "toy", "--truth", "removal"]);
    assert!(found.contains("The score `toy` ranks token"), "{found}");

    fs::write(workspace.path().join("toy-capture.safetensors"), capture()).unwrap();
    obcache(&["score", "toy-capture.safetensors", "--out", "toy.safetensors"]);
    let scores = fs::read(workspace.path().join("toy.safetensors")).unwrap();
    let scores = SafeTensors::deserialize(&scores).unwrap();
    assert_eq!(scores.tensor("layer.0.toy").unwrap().shape(), [2, TOKENS]);

    obcache(&["report", "toy-capture.safetensors", "--out", "report"]);
    let table = |name: &str| fs::read_to_string(workspace.path().join("report").join(name)).unwrap();
    for name in ["agreement.csv", "regret.csv", "summary.csv"] {
        let rows = table(name);
        assert!(
            rows.lines().any(|row| row.split(',').any(|cell| cell == "toy")),
            "{name}"
        );
    }
    assert!(table("tokens.csv").lines().next().unwrap().contains(",toy,"));
    assert!(table("field.csv").contains("\"toy, all\""));

    for of in [&["obcache-scores", "--lib"][..], &["verify", "--test", "laws"]] {
        let tests = [&["test", "--offline", "--quiet", "-p"], of, &["toy"]].concat();
        assert!(
            cargo(workspace.path(), &tests).contains("test result: ok. 1 passed"),
            "{of:?}"
        );
    }
}
