//! The cluster recipes of the page on scores run as they stand there.

#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use safetensors::SafeTensors;
use tempfile::TempDir;

use super::{Kind, PLAIN, folder, score};

/// The code blocks of the page on scores.
fn recipes() -> Vec<String> {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/score.md"));
    let blocks = page.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix("sh\n"))
        .map(str::to_owned)
        .collect()
}

/// Runs a script of the page with the command on the path.
fn run_recipe(folder: &Path, script: &str, variables: &[(&str, &str)]) {
    let bin = assert_cmd::cargo::cargo_bin!("obcache");
    let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-euc", script]).current_dir(folder).env("PATH", path);
    let output = bash.envs(variables.iter().copied()).output().unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A folder with `my-model.safetensors`, which has KV heads for eight shards, and the bytes of an unsplit run.
fn split_in_eight() -> (TempDir, Vec<u8>) {
    let folder = folder(Kind {
        tokens: 20,
        kv_heads: 4,
        ..PLAIN
    });
    let expected = score(folder.path(), "expected.safetensors", &[]);
    std::fs::rename(
        folder.path().join("made.safetensors"),
        folder.path().join("my-model.safetensors"),
    )
    .unwrap();
    (folder, expected)
}

/// The tensors of a file of scores, without its metadata.
fn numbers(file: &[u8]) -> &[u8] {
    let (size, _) = SafeTensors::read_metadata(file).unwrap();
    &file[8 + size..]
}

#[test]
fn the_slurm_recipe_works_task_by_task() {
    let (folder, expected) = split_in_eight();
    let recipes = recipes();
    let job = recipes.iter().find(|block| block.starts_with("#!/bin/bash")).unwrap();
    assert!(job.contains("#SBATCH --array=1-8\n"));
    for task in ["3", "1", "2", "8", "5", "4", "7", "6"] {
        let variables = [("SLURM_ARRAY_TASK_ID", task), ("SLURM_CPUS_PER_TASK", "2")];
        run_recipe(folder.path(), job, &variables);
    }
    let submit = recipes
        .iter()
        .find(|block| block.contains("sbatch --parsable"))
        .unwrap();
    let merge = submit
        .split('"')
        .find(|words| words.starts_with("obcache merge"))
        .unwrap();
    run_recipe(folder.path(), merge, &[]);
    let merged = std::fs::read(folder.path().join("scores.safetensors")).unwrap();
    assert!(numbers(&merged) == numbers(&expected));
}

#[test]
fn the_gnu_parallel_recipe_works_on_one_machine() {
    if Command::new("parallel").arg("--version").output().is_err() {
        eprintln!("skipped: GNU parallel is not installed");
        return;
    }
    let (folder, expected) = split_in_eight();
    let recipes = recipes();
    let script = recipes.iter().find(|block| block.contains("parallel --jobs")).unwrap();
    let here = script.replace("node1,node2,node3", ":");
    assert_ne!(&here, script);
    run_recipe(folder.path(), &here, &[]);
    let merged = std::fs::read(folder.path().join("scores.safetensors")).unwrap();
    assert!(numbers(&merged) == numbers(&expected));
}
