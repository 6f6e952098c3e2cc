//! The siblings never depend on each other: independence is what makes their agreement mean something.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Our crates, and which of ours each may depend on, for building, testing and running alike.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("obd-core", &[]),
    ("reference-attention", &["obd-core"]),
    ("obcache-scores", &["obd-core"]),
    ("golden", &["obd-core", "golden-macros"]),
    ("golden-macros", &[]),
    ("capture", &["obd-core"]),
    ("plots", &[]),
    (
        "reference-model",
        &["obd-core", "reference-attention", "obcache-scores"],
    ),
    (
        "verify",
        &[
            "obd-core",
            "reference-attention",
            "obcache-scores",
            "golden",
            "capture",
            "plots",
            "reference-model",
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
