//! `obcache score` and `obcache merge`: the same bytes however the work is laid out, split, interrupted or killed.

mod toy;

use std::cell::Cell;
use std::collections::HashMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use capture::Capture;
use indicatif::ProgressBar;
use ndarray::Array2;
use obcache_scores::strip::{Engine, Problem};
use obcache_scores::{GroupReduction, accumulate, exact};
use obd_core::{Perturbation, QueryWindow};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;
use toy::{files, obcache, stdout};
use verify::scoring::{self, Column, Heads, Request, ScoringError};

/// Layers of the captures made here.
const LAYERS: usize = 3;

/// What tells one capture made here from another.
#[derive(Clone, Copy)]
struct Kind {
    tokens: usize,
    dtype: Dtype,
    kv_heads: usize,
    more: &'static str,
    seed: u64,
}

/// 4 query heads on 2 KV heads.
const PLAIN: Kind = Kind {
    tokens: 70,
    dtype: Dtype::F32,
    kv_heads: 2,
    more: r#""causal": true"#,
    seed: 1,
};

/// A capture of 3 layers, 4 query heads, head_dim 4 and value_dim 3.
fn write_capture(path: &Path, kind: Kind) {
    let mut random = ChaCha8Rng::seed_from_u64(kind.seed);
    let mut tensors = Vec::new();
    for layer in 0..LAYERS {
        for (part, heads, channels) in [("query", 4, 4), ("key", kind.kv_heads, 4), ("value", kind.kv_heads, 3)] {
            let shape = vec![heads, kind.tokens, channels];
            let numbers = (0..shape.iter().product()).map(|_| random.random_range(-2.0..2.0));
            let bytes: Vec<u8> = match kind.dtype {
                Dtype::F32 => numbers.flat_map(|number: f64| (number as f32).to_le_bytes()).collect(),
                _ => numbers.flat_map(f64::to_le_bytes).collect(),
            };
            tensors.push((format!("layer.{layer}.{part}"), shape, bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(kind.dtype, shape.clone(), bytes).unwrap()));
    let metadata = format!(
        r#"{{"version": 1, "model": "made", "scale": 0.5, "num_query_heads": 4, "num_kv_heads": {}, "head_dim": 4,
        "value_dim": 3, {}}}"#,
        kind.kv_heads, kind.more
    );
    let metadata = HashMap::from([("obcache_capture".to_owned(), metadata)]);
    std::fs::write(path, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// A folder with such a capture in it, `made.safetensors`.
fn folder(kind: Kind) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_capture(&folder.path().join("made.safetensors"), kind);
    folder
}

/// Runs `obcache score made.safetensors --out OUT ...` in the folder and returns what OUT then holds.
fn score(folder: &Path, out: &str, options: &[&str]) -> Vec<u8> {
    let arguments = ["score", "made.safetensors", "--out", out];
    stdout(obcache().current_dir(folder).args(arguments).args(options));
    assert!(!folder.join(format!("{out}.parts")).exists());
    std::fs::read(folder.join(out)).unwrap()
}

/// Runs the command in the folder: it must end with this code and these words, and leave every file as it was.
fn refused(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let before = files(folder);
    let run = obcache().current_dir(folder).args(arguments).assert().code(2);
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    for word in expected {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
    assert!(files(folder) == before, "files changed");
}

/// A tensor of a file of scores.
fn tensor(file: &[u8], name: &str) -> Array2<f64> {
    let file = SafeTensors::deserialize(file).unwrap();
    let view = file.tensor(name).unwrap();
    let (words, _) = view.data().as_chunks::<8>();
    let numbers = words.iter().map(|&word| f64::from_le_bytes(word)).collect();
    Array2::from_shape_vec((view.shape()[0], view.shape()[1]), numbers).unwrap()
}

fn request(folder: &Path) -> Request {
    Request {
        capture: folder.join("made.safetensors"),
        out: folder.join("scores.safetensors"),
        window: QueryWindow::All,
        heads: Heads::Each,
        precision: None,
        layers: None,
        shard: None,
        memory: 1 << 30,
        threads: NonZero::<usize>::MIN,
    }
}

#[test]
fn every_number_is_the_engines_at_its_place() {
    let folder = folder(PLAIN);
    let file = score(folder.path(), "scores.safetensors", &["--window", "last-9"]);
    let capture = Capture::read(&folder.path().join("made.safetensors")).unwrap();
    for (position, layer) in capture.layers().iter().enumerate() {
        let narrow = |tensor: &ndarray::Array3<f64>| tensor.map(|&number| number as f32);
        let (query, key, value) = (narrow(&layer.query), narrow(&layer.key), narrow(&layer.value));
        for head in 0..4 {
            let rows =
                |tensor: &ndarray::Array3<f32>, head: usize| tensor.index_axis(ndarray::Axis(0), head).to_owned();
            let (query, key, value) = (rows(&query, head), rows(&key, head / 2), rows(&value, head / 2));
            let problem = Problem::one_head(query.view(), key.view(), value.view()).unwrap();
            let problem = problem.with_scale(0.5).unwrap().with_queries(QueryWindow::Last(9));
            let expected = &Engine::new().run(&problem)[0];
            for column in Column::all() {
                let expected = match column {
                    Column::Score(score) => expected.score(score),
                    Column::Exact(perturbation) => expected.exact(perturbation),
                };
                let name = format!("layer.{position}.{}", column.name());
                assert_eq!(tensor(&file, &name).row(head), expected, "{name}, head {head}");
            }
        }
    }
}

#[test]
fn windows_sinks_and_order_reach_the_engine() {
    let folder = folder(Kind {
        dtype: Dtype::F64,
        kv_heads: 4,
        more: r#""causal": false, "sliding_window": 5, "sinks": [0.5, -1.0, 2.0, 0.0]"#,
        ..PLAIN
    });
    let file = score(folder.path(), "scores.safetensors", &[]);
    let capture = Capture::read(&folder.path().join("made.safetensors")).unwrap();
    for head in 0..4 {
        let problem = capture.head(1, head).unwrap();
        let expected = &Engine::new().run(&Problem::try_from(&problem).unwrap())[0];
        assert_eq!(tensor(&file, "layer.1.removal").row(head), expected.removal);
        assert_eq!(tensor(&file, "layer.1.key-zeroing").row(head), expected.key_zeroing);
    }
}

#[test]
fn a_soft_cap_is_scored_from_traces() {
    let folder = folder(Kind {
        more: r#""causal": true, "softcap": 2.0"#,
        ..PLAIN
    });
    let file = score(folder.path(), "scores.safetensors", &["--window", "9"]);
    let capture = Capture::read(&folder.path().join("made.safetensors")).unwrap();
    for query_head in 0..4 {
        let head = capture.head(2, query_head).unwrap();
        let trace = reference_attention::attend(&head);
        let zeroing = exact::contributions(Perturbation::JointZeroing, &head, &trace);
        let expected = accumulate(&zeroing, QueryWindow::Last(9));
        assert_eq!(tensor(&file, "layer.2.joint-zeroing").row(query_head), expected);
    }
    let arguments = [
        "score",
        "made.safetensors",
        "--out",
        "x.safetensors",
        "--memory",
        "100KB",
    ];
    // 6 · 70² numbers of a trace, 2 · 70 · 4 + 70 · 7 of the tensors, 2 · 13 · 2 · 70 of the columns, 8 bytes each.
    let expected = " needs 266.3 KiB at least, --memory allows 97.7 KiB: with a soft-cap, which the engine";
    refused(folder.path(), &arguments, &["made.safetensors: ", expected]);
}

#[test]
fn heads_are_reduced_within_their_group() {
    let folder = folder(PLAIN);
    let each = tensor(&score(folder.path(), "each.safetensors", &[]), "layer.1.joint");
    for (name, reduction) in [
        ("sum", GroupReduction::Sum),
        ("mean", GroupReduction::Mean),
        ("max", GroupReduction::Max),
    ] {
        let file = score(folder.path(), &format!("{name}.safetensors"), &["--heads", name]);
        let reduced = tensor(&file, "layer.1.joint");
        assert_eq!(reduced.dim(), (2, PLAIN.tokens));
        for kv_head in 0..2 {
            let heads: Vec<_> = (0..2).map(|head| each.row(2 * kv_head + head).to_owned()).collect();
            assert_eq!(reduced.row(kv_head), reduction.reduce(&heads).unwrap());
        }
    }
}

#[test]
fn the_file_says_what_it_holds() {
    let folder = folder(PLAIN);
    let file = score(
        folder.path(),
        "scores.safetensors",
        &["--layers", "0,2", "--window", "32"],
    );
    let (_, header) = SafeTensors::read_metadata(&file).unwrap();
    let text = &header.metadata().as_ref().unwrap()["obcache_scores"];
    let metadata: serde_json::Value = serde_json::from_str(text).unwrap();
    for (key, expected) in [
        ("version", "1"),
        ("capture", "\"made\""),
        ("model", "\"made\""),
        ("window", "\"last-32\""),
        ("heads", "\"each\""),
        ("precision", "\"f32\""),
    ] {
        assert_eq!(metadata[key].to_string(), expected);
    }
    assert_eq!(metadata["capture_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(metadata["layers"][1]["layer"], 2);
    let layers = SafeTensors::deserialize(&file).unwrap();
    let columns = Column::all().count();
    assert_eq!(
        (layers.len(), layers.tensor("layer.1.key").is_err()),
        (2 * columns, true)
    );
    assert_eq!(layers.tensor("layer.2.key").unwrap().shape(), [4, PLAIN.tokens]);
}

#[test]
fn threads_and_memory_move_no_bit() {
    let folder = folder(PLAIN);
    let expected = score(folder.path(), "one.safetensors", &["--threads", "1"]);
    for (name, options) in [
        ("a", &["--threads", "5"][..]),
        ("b", &["--threads", "3", "--memory", "600KB"]),
        ("c", &["--memory", "400KB", "--threads", "2"]),
    ] {
        assert!(score(folder.path(), name, options) == expected, "{options:?}");
    }
}

#[test]
fn three_shards_merge_to_the_bytes_of_an_unsplit_run() {
    let folder = folder(PLAIN);
    let expected = score(folder.path(), "whole.safetensors", &[]);
    for shard in ["1/3", "2/3", "3/3"] {
        score(
            folder.path(),
            &format!("{}.part", &shard[..1]),
            &["--shard", shard, "--threads", "2"],
        );
    }
    let merge = ["merge", "2.part", "3.part", "1.part", "--out", "merged.safetensors"];
    stdout(obcache().current_dir(folder.path()).args(merge));
    assert!(std::fs::read(folder.path().join("merged.safetensors")).unwrap() == expected);
}

#[test]
fn parts_that_do_not_make_a_whole_are_refused_by_name() {
    let folder = folder(PLAIN);
    let path = folder.path();
    for shard in ["1/3", "2/3", "3/3"] {
        score(path, &format!("{}.part", &shard[..1]), &["--shard", shard]);
    }
    score(path, "half.part", &["--shard", "1/2"]);
    score(path, "window.part", &["--shard", "3/3", "--window", "last-7"]);
    let whole = score(path, "whole.safetensors", &[]);
    write_capture(&path.join("made.safetensors"), Kind { seed: 2, ..PLAIN });
    score(path, "other.part", &["--shard", "3/3"]);
    std::fs::write(path.join("short.part"), &whole[..100]).unwrap();
    let merge = |parts: &[&str], expected: &[&str]| {
        refused(path, &[&["merge", "--out", "merged"], parts].concat(), expected);
    };
    merge(
        &["1.part", "3.part"],
        &["no part holds layer 1, KV head 0; layer 1, KV head 1 (shard 2/3)"],
    );
    merge(
        &["1.part", "half.part"],
        &["half.part: holds layer 0, KV head 0, which 1.part holds too"],
    );
    merge(
        &["1.part", "2.part", "window.part"],
        &["window.part: does not belong to 1.part: its window is \"last-7\", expected \"all\""],
    );
    merge(
        &["1.part", "2.part", "other.part"],
        &["other.part: does not belong to 1.part: its capture_sha256 is \""],
    );
    merge(
        &["whole.safetensors"],
        &["whole.safetensors: no metadata obcache_scores_part"],
    );
    merge(&["short.part"], &["short.part: damaged file: "]);
    merge(&["none.part"], &["none.part: No such file"]);
    refused(
        path,
        &["merge", "1.part", "2.part", "3.part", "--out", "3.part"],
        &["3.part: is one of the parts"],
    );
    refused(path, &["merge", "--out", "merged"], &["<PARTS>..."]);
}

/// A run that stops after so many groups.
fn interrupted_run(request: &Request, after: usize) -> ScoringError {
    let parts = PathBuf::from(format!("{}.parts", request.out.display()));
    let kept = || std::fs::read_dir(&parts).map_or(0, |files| files.filter(is_part).count());
    scoring::run(request, &ProgressBar::hidden(), &|| kept() >= after).unwrap_err()
}

fn is_part(file: &std::io::Result<std::fs::DirEntry>) -> bool {
    file.as_ref()
        .is_ok_and(|file| file.path().extension().is_some_and(|kind| kind == "safetensors"))
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let folder = folder(PLAIN);
    let expected = score(folder.path(), "unbroken.safetensors", &[]);
    let request = request(folder.path());
    let ScoringError::Unfinished { done, all, .. } = interrupted_run(&request, 2) else {
        panic!("another error");
    };
    assert_eq!((done, all, request.out.exists()), (2, 6, false));
    // What a process that was killed while it wrote leaves behind.
    std::fs::write(folder.path().join("scores.safetensors.parts/.tmpAbC123"), "half").unwrap();
    let outcome = scoring::run(&request, &ProgressBar::hidden(), &|| false).unwrap();
    assert_eq!((outcome.kept, outcome.computed), (2, 4));
    assert!(std::fs::read(&request.out).unwrap() == expected);
    assert_eq!(files(folder.path()).len(), 3);
    let again = scoring::run(&request, &ProgressBar::hidden(), &|| false).unwrap();
    assert_eq!((again.kept, again.computed), (6, 0));
}

#[test]
fn an_interrupt_while_the_parts_are_joined_leaves_no_half_file() {
    let folder = folder(PLAIN);
    let request = request(folder.path());
    let looked_up = Cell::new(0);
    // Six groups are looked up once each at least; far beyond that, the file is being written.
    let late = || {
        looked_up.set(looked_up.get() + 1);
        let parts = std::fs::read_dir(folder.path().join("scores.safetensors.parts")).unwrap();
        parts.filter(is_part).count() == 6 && looked_up.get() > 20
    };
    let stopped = scoring::run(&request, &ProgressBar::hidden(), &late).unwrap_err();
    assert!(
        matches!(stopped, ScoringError::Unfinished { done: 6, all: 6, .. }),
        "{stopped}"
    );
    assert!(
        files(folder.path())
            .keys()
            .all(|name| !name.contains(".tmp") && name != "scores.safetensors")
    );
    let outcome = scoring::run(&request, &ProgressBar::hidden(), &|| false).unwrap();
    assert_eq!((outcome.kept, outcome.computed), (6, 0));
}

#[test]
fn parts_of_another_run_are_refused_and_kept() {
    let folder = folder(PLAIN);
    interrupted_run(&request(folder.path()), 1);
    let score = ["score", "made.safetensors", "--out", "scores.safetensors"];
    refused(
        folder.path(),
        &[&score[..], &["--window", "last-3"]].concat(),
        &["belongs to another run: its window is \"all\", expected \"last-3\"; finish that run, or delete scores"],
    );
    write_capture(&folder.path().join("made.safetensors"), Kind { seed: 2, ..PLAIN });
    refused(
        folder.path(),
        &score,
        &["belongs to another run: its capture_sha256 is "],
    );
}

/// Starts a run that takes a while, and waits for its first part.
fn started(folder: &Path) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("obcache"));
    command.args([
        "score",
        "made.safetensors",
        "--out",
        "scores.safetensors",
        "--threads",
        "1",
    ]);
    command.current_dir(folder).stderr(Stdio::piped()).stdout(Stdio::null());
    let child = command.spawn().unwrap();
    let parts = folder.join("scores.safetensors.parts");
    while std::fs::read_dir(&parts).map_or(0, |files| files.filter(is_part).count()) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn a_killed_run_goes_on_to_the_bytes_of_an_unbroken_one() {
    let folder = folder(Kind { tokens: 400, ..PLAIN });
    let mut child = started(folder.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !folder.path().join("scores.safetensors").exists(),
        "it was done before it was killed"
    );
    let resumed = score(folder.path(), "scores.safetensors", &[]);
    assert!(score(folder.path(), "unbroken.safetensors", &[]) == resumed);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_whole_parts_and_says_how_to_go_on() {
    let folder = folder(Kind { tokens: 400, ..PLAIN });
    let child = started(folder.path());
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.starts_with("error: interrupted: ")
            && stderr.contains(" of 6 KV heads are done and kept in scores.safetensors.parts; the same"),
        "{stderr}"
    );
    assert!(
        files(folder.path())
            .keys()
            .all(|name| !name.contains(".tmp") && name != "scores.safetensors")
    );
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_computed() {
    let folder = folder(PLAIN);
    let path = folder.path();
    let score = |options: &[&str], expected: &[&str]| {
        let arguments = ["score", "made.safetensors", "--out", "scores.safetensors"];
        refused(path, &[&arguments[..], options].concat(), expected);
        assert!(!path.join("scores.safetensors.parts").exists());
    };
    score(
        &["--layers", "1,9"],
        &["made.safetensors: has no layer 9, expected some of 0, 1, 2"],
    );
    score(&["--layers", "2-1"], &["expected layers by their index"]);
    score(&["--window", "last-0"], &["expected all, or the last so many queries"]);
    score(&["--shard", "0/3"], &["expected I/N with I from 1 to N"]);
    score(
        &["--shard", "1/7"],
        &["made.safetensors: has 6 KV heads to score", "expected at most 6 shards"],
    );
    score(&["--memory", "1KB"], &[" KiB at least", "--memory allows 1000 B"]);
    score(&["--memory", "much"], &["--memory"]);
    score(&["--threads", "0"], &["--threads"]);
    refused(path, &["score", "made.safetensors"], &["--out <FILE>"]);
    refused(path, &["score", "none.npz", "--out", "x"], &["none.npz: No such file"]);
    refused(
        path,
        &["score", "made.safetensors", "--out", "."],
        &[".: is a directory, expected a file"],
    );
    refused(
        path,
        &["score", "made.safetensors", "--out", "made.safetensors/x"],
        &["error: made.safetensors/x: "],
    );
    refused(
        path,
        &["score", "made.safetensors", "--out", "made.safetensors"],
        &["made.safetensors: is the capture"],
    );
    self::score(path, "part", &["--shard", "1/3"]);
    refused(
        path,
        &["score", "made.safetensors", "--out", "part", "--shard", "2/3"],
        &["part: holds shard 1/3 of this run, expected another --out for each shard"],
    );
}

#[test]
fn sixty_four_bits_are_not_narrowed() {
    let folder = folder(Kind {
        dtype: Dtype::F64,
        ..PLAIN
    });
    let arguments = [
        "score",
        "made.safetensors",
        "--out",
        "x.safetensors",
        "--precision",
        "f32",
    ];
    refused(folder.path(), &arguments, &["made.safetensors: is stored in 64 bits"]);
}

#[test]
fn a_number_that_is_none_is_named_with_its_tensor() {
    let folder = folder(PLAIN);
    let path = folder.path().join("made.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    // The last number of the file: value of layer 2, the last KV head, token and channel.
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let run = obcache()
        .current_dir(folder.path())
        .args(["score", "made.safetensors", "--out", "scores.safetensors"])
        .assert()
        .code(2);
    let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    let expected = "made.safetensors: layer.2.value: element [1, 69, 2] is NaN, expected a finite number";
    assert!(stderr.contains(expected), "{stderr}");
    assert!(!folder.path().join("scores.safetensors").exists());
}

/// The code blocks of the page on scores.
fn recipes() -> Vec<String> {
    let page = include_str!("../../docs/score.md");
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

#[cfg(unix)]
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

#[cfg(unix)]
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
