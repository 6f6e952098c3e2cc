//! Arrows point one way. The siblings never depend on each other, since independence is what makes their agreement mean something; and
//! no two files of a crate need each other, so that each can be read without the other.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::module_graph::circles;
use crate::root;
use crate::rust_files::{crates, rust_files};

/// Our crates, and which of ours each may depend on, for building, testing and running alike.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("obd-core", &[]),
    ("reference-attention", &["obd-core"]),
    ("obcache-scores", &["obd-core"]),
    ("golden", &["obd-core", "golden-macros"]),
    ("golden-macros", &[]),
    ("capture", &["obd-core"]),
    ("plots", &[]),
    ("strip-engine", &["obd-core", "obcache-scores"]),
    (
        "reference-model",
        &["obd-core", "reference-attention", "obcache-scores", "strip-engine"],
    ),
    (
        "study",
        &[
            "obd-core",
            "reference-attention",
            "obcache-scores",
            "strip-engine",
            "capture",
            "plots",
            "reference-model",
        ],
    ),
    (
        "verify",
        &[
            "obd-core",
            "reference-attention",
            "obcache-scores",
            "strip-engine",
            "golden",
            "capture",
        ],
    ),
    (
        "obcache",
        &[
            "obd-core",
            "reference-attention",
            "obcache-scores",
            "strip-engine",
            "golden",
            "capture",
            "reference-model",
            "study",
            "verify",
        ],
    ),
];

type Arrows = BTreeMap<String, Vec<String>>;

/// Each package of `metadata` with the names of its dependencies of every kind.
fn arrows(metadata: &Value) -> Arrows {
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| (name(package), dependencies(package)))
        .collect()
}

fn name(package: &Value) -> String {
    package["name"].as_str().expect("a package has a name").to_owned()
}

fn dependencies(package: &Value) -> Vec<String> {
    let listed = package["dependencies"].as_array().expect("dependencies");
    listed.iter().map(name).collect()
}

/// One sentence for each arrow that is not allowed, each unknown package and each missing one.
fn violations(arrows: &Arrows) -> Vec<String> {
    let allowed = BTreeMap::from(ALLOWED);
    let mut violations = Vec::new();
    for (package, dependencies) in arrows {
        let Some(permitted) = allowed.get(package.as_str()) else {
            violations.push(format!("{package} is not in the list of crates"));
            continue;
        };
        for dependency in dependencies {
            if arrows.contains_key(dependency) && !permitted.contains(&dependency.as_str()) {
                violations.push(format!("{package} depends on {dependency}"));
            }
        }
    }
    let missing = allowed.keys().filter(|package| !arrows.contains_key(**package));
    violations.extend(missing.map(|package| format!("{package} is missing")));
    violations
}

fn workspace() -> Arrows {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    arrows(&serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON"))
}

#[test]
fn no_crate_depends_on_one_it_must_not_know() {
    assert_eq!(violations(&workspace()), Vec::<String>::new());
}

#[test]
fn an_arrow_between_the_siblings_is_caught() {
    let mut arrows = workspace();
    arrows
        .get_mut("obcache-scores")
        .unwrap()
        .push("reference-attention".to_owned());
    assert_eq!(violations(&arrows), ["obcache-scores depends on reference-attention"]);
}

#[test]
fn a_crate_that_is_new_or_gone_is_caught() {
    let mut arrows = workspace();
    arrows.remove("plots");
    arrows.insert("utils".to_owned(), Vec::new());
    assert_eq!(
        violations(&arrows),
        ["utils is not in the list of crates", "plots is missing"]
    );
}

#[test]
fn dependencies_of_every_kind_count() {
    let metadata = serde_json::json!({"packages": [{"name": "plots", "dependencies": [
        {"name": "resvg", "kind": null}, {"name": "obd-core", "kind": "dev"}, {"name": "capture", "kind": "build"},
    ]}]});
    assert_eq!(arrows(&metadata)["plots"], ["resvg", "obd-core", "capture"]);
}

#[test]
fn no_two_files_of_a_crate_need_each_other() {
    let mut found = Vec::new();
    for name in crates() {
        let circles = circles(&rust_files(&root().join(&name).join("src")));
        found.extend(circles.into_iter().map(|circle| format!("{name}: {circle}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The circles of a crate of these files.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    circles(
        &files
            .iter()
            .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
            .collect(),
    )
}

#[test]
fn two_files_that_need_each_other_are_a_circle() {
    let expected = ["one.rs needs Two of two.rs; two.rs needs f of one.rs"];
    let found = circles_of(&[
        ("lib.rs", "mod one; mod two;"),
        ("one.rs", "use crate::two::Two; pub fn f(_: Two) {}"),
        (
            "two.rs",
            "pub struct Two; impl Two { fn g(self) { super::one::f(self) } }",
        ),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn a_circle_may_pass_through_a_third_file() {
    let found = circles_of(&[
        ("lib.rs", "mod one; mod two; mod three;"),
        ("one.rs", "pub const A: u8 = crate::two::B;"),
        ("two.rs", "pub const B: u8 = crate::three::C;"),
        ("three.rs", "use super::one; pub const C: u8 = one::A;"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_child_that_takes_what_its_parent_defines_and_is_used_there_is_in_a_circle() {
    let found = circles_of(&[
        ("lib.rs", "pub mod parent;"),
        (
            "parent/mod.rs",
            "mod child; pub const SIZE: usize = 1; pub fn f() { child::g() }",
        ),
        ("parent/child.rs", "pub fn g() { assert!(super::SIZE == 1) }"),
    ]);
    let expected = "parent/child.rs needs SIZE of parent/mod.rs; parent/mod.rs needs g of parent/child.rs";
    assert_eq!(found, [expected]);
}

#[test]
fn a_file_that_only_passes_names_on_is_in_no_circle() {
    // The children take each other's names from their parent, one way; the parent defines nothing that they need.
    let found = circles_of(&[
        ("lib.rs", "pub mod parent; pub use parent::*;"),
        (
            "parent/mod.rs",
            "mod first; mod second; pub use first::First; pub(crate) use second::Second as Other;",
        ),
        ("parent/first.rs", "pub struct First;"),
        (
            "parent/second.rs",
            "use super::First; pub struct Second(First, crate::First);",
        ),
    ]);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn tests_fields_and_methods_make_no_circle() {
    let found = circles_of(&[
        ("lib.rs", "mod one; mod two;"),
        (
            "one.rs",
            "pub struct One; #[cfg(test)] mod tests { use crate::two::two; }",
        ),
        (
            "two.rs",
            "pub fn two(one: &crate::one::One) { assert!(one.two == two.one()) }",
        ),
    ]);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_name_inside_a_macro_or_behind_a_star_counts() {
    let inside = circles_of(&[
        ("lib.rs", "mod one; mod two;"),
        (
            "one.rs",
            "pub fn f() { println!(\"{}\", 1..crate::two::TWO) } pub const ONE: u8 = 1;",
        ),
        ("two.rs", "use super::one::*; pub const TWO: u8 = ONE;"),
    ]);
    assert_eq!(inside.len(), 1, "{inside:?}");
}

/// Packages that a crate brings along where it is depended on.
fn brought(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("names of packages");
    let names = lines.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn formulas_and_golden_vectors_cost_their_users_nothing_heavy() {
    const HEAVY: [&str; 7] = [
        "faer",
        "lax",
        "ndarray-linalg",
        "openblas-src",
        "pulp",
        "resvg",
        "tokenizers",
    ];
    for package in ["obcache-scores", "golden"] {
        let brought = brought(package);
        assert!(brought.iter().any(|name| name == "ndarray"), "{brought:?}");
        let heavy: Vec<&&str> = HEAVY
            .iter()
            .filter(|heavy| brought.iter().any(|name| name == **heavy))
            .collect();
        assert_eq!(heavy, Vec::<&&str>::new(), "{package}");
    }
    assert!(
        brought("strip-engine").iter().any(|name| name == "faer"),
        "the names are those of cargo"
    );
}
