//! The commands that run a model.

mod toy;

use std::path::{Path, PathBuf};
use std::process::Command;

use capture::Capture;
use indicatif::ProgressBar;
use ndarray::Array3;
use reference_model::{Model, Source, Tokenizer};
use toy::{obcache, stdout};
use verify::evaluate::{Grouping, HELD_OUT, Method, Plan, Results, Task, When, run};

/// Absolute, as for the logits (C39): queries and keys go up to 20 or so, in 32 bits.
const IN_32_BITS: f64 = 1e-4;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn committed() -> Capture {
    Capture::read(&root().join("captures/needle-512.safetensors")).unwrap()
}

fn farthest(left: &Array3<f64>, right: &Array3<f64>) -> f64 {
    assert_eq!(left.shape(), right.shape());
    (left - right).fold(0.0, |most: f64, x| most.max(x.abs()))
}

/// The text of the committed capture in a file, and a place for another capture.
fn prepared() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (text, out) = (folder.path().join("text"), folder.path().join("new.safetensors"));
    std::fs::write(&text, committed().metadata().text.as_ref().unwrap()).unwrap();
    (folder, text, out)
}

fn assert_same(capture: &Capture, other: &Capture) {
    assert_eq!(capture.tokens(), other.tokens());
    assert_eq!(capture.layers().len(), other.layers().len());
    for (layer, expected) in capture.layers().iter().zip(other.layers()) {
        assert_eq!((layer.index, &layer.o_proj), (expected.index, &expected.o_proj));
        for (part, expected) in [
            (&layer.query, &expected.query),
            (&layer.key, &expected.key),
            (&layer.value, &expected.value),
        ] {
            assert!(
                farthest(part, expected) < IN_32_BITS,
                "layer {}: {:e}",
                layer.index,
                farthest(part, expected)
            );
        }
    }
    let (mut metadata, expected) = (capture.metadata().clone(), other.metadata());
    assert!((metadata.scale - expected.scale).abs() < 1e-15);
    metadata.scale = expected.scale;
    assert_eq!(&metadata, expected);
}

#[test]
fn c40_a_capture_is_what_transformers_recorded() {
    let (_folder, text, out) = prepared();
    stdout(obcache().args(["capture", "--text"]).arg(&text).arg("--out").arg(&out));
    assert_same(&Capture::read(&out).unwrap(), &committed());
}

#[test]
fn layers_and_window_choose_what_is_captured() {
    let (folder, text, out) = prepared();
    let chosen = ["--layers", "1,3", "--window", "last-8", "--dtype", "bf16"];
    stdout(
        obcache()
            .args(["capture", "--text"])
            .arg(&text)
            .arg("--out")
            .arg(&out)
            .args(chosen),
    );
    let capture = Capture::read(&out).unwrap();
    let layers: Vec<usize> = capture.layers().iter().map(|layer| layer.index).collect();
    assert_eq!((layers, capture.metadata().num_layers), (vec![1, 3], Some(4)));
    let layer = &capture.layers()[1];
    assert_eq!(
        (layer.query.shape(), layer.key.shape()),
        (&[6, 8, 32][..], &[2, 512, 32][..])
    );
    assert_eq!(layer.dtype, "BF16");
    let refused = |arguments: &[&str]| {
        let mut command = obcache();
        command
            .args(["capture", "--text"])
            .arg(&text)
            .arg("--out")
            .arg(&out)
            .args(arguments);
        String::from_utf8(command.assert().code(2).get_output().stderr.clone()).unwrap()
    };
    assert!(refused(&["--layers", "4"]).contains("the model has no layer 4, expected layers below 4"));
    assert!(refused(&["--model", "nowhere"]).contains("nowhere/config.json: No such file"));
    std::fs::write(folder.path().join("text"), "x".repeat(2049)).unwrap();
    assert!(refused(&[]).contains("2049 tokens, expected at most 2048 (max_position_embeddings of config.json)"));
    assert!(out.exists(), "a refusal leaves the earlier capture");
}

/// `tools/capture_hf.py` against `obcache capture`; `OBCACHE_PYTHON` names a Python that has torch and transformers.
#[test]
fn the_python_tool_captures_the_same() {
    let python = std::env::var("OBCACHE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_torch = Command::new(&python)
        .args(["-c", "import torch, transformers, safetensors"])
        .output();
    if !has_torch.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no torch with transformers and safetensors");
        return;
    }
    let (_folder, text, out) = prepared();
    let tool = root().join("tools/capture_hf.py");
    let mut command = Command::new(&python);
    command
        .arg(tool)
        .arg(root().join("models/llama-tiny"))
        .arg("--text")
        .arg(&text)
        .arg("--out")
        .arg(&out);
    let output = command.args(["--dtype", "f32", "--device", "cpu"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = Capture::read(&out).unwrap();
    stdout(obcache().args(["capture", "--text"]).arg(&text).arg("--out").arg(&out));
    assert_same(&Capture::read(&out).unwrap(), &theirs);
}

/// A plan small enough for a test.
fn small(budgets: Vec<u32>, methods: Vec<Method>) -> Plan {
    Plan {
        model: "llama-tiny".to_owned(),
        tasks: Task::ALL.to_vec(),
        methods,
        budgets,
        groupings: Grouping::ALL.to_vec(),
        when: When::ALL.to_vec(),
        lengths: vec![160],
        depths: vec![50],
        documents: 1,
        text: String::new(),
    }
}

fn evaluated(plan: &Plan) -> Results {
    let source = Source::llama_tiny();
    let model = Model::load(&source).unwrap();
    let tokenizer = Tokenizer::load(&source, model.config()).unwrap();
    let mut documents = plan.documents(model.config(), &tokenizer, HELD_OUT).unwrap();
    // What follows is cut short: each token of it costs a step for every method.
    documents
        .iter_mut()
        .for_each(|document| document.continuation.truncate(document.judged_from + 3));
    let out = tempfile::tempdir().unwrap();
    run(&model, plan, &documents, out.path(), &ProgressBar::hidden(), &|| false).unwrap()
}

/// The divergence is a difference of log-probabilities in 32 bits: logits of up to 30, to 6e-8 of their size through four layers,
/// stay within C39's 1e-4.
const SAME_PREDICTIONS: f64 = 1e-4;

#[test]
fn c42_a_budget_of_everything_changes_no_prediction() {
    let methods = [
        "full",
        "random",
        "streaming-llm",
        "greedy",
        "h2o",
        "tova+joint",
        "snapkv+removal",
    ];
    let results = evaluated(&small(vec![100], methods.map(|name| name.parse().unwrap()).to_vec()));
    assert!(results.rows.len() > 50);
    for row in results.rows.iter().filter(|row| row.when == When::Prefill) {
        assert!(row.divergence < SAME_PREDICTIONS && row.agreement == 1.0, "{row:?}");
    }
}

#[test]
fn c42_what_is_forgotten_is_missed() {
    let results = evaluated(&small(vec![3], vec!["random".parse().unwrap()]));
    for row in &results.rows {
        assert!(row.divergence > 100.0 * SAME_PREDICTIONS, "{row:?}");
    }
}

#[test]
fn an_evaluation_goes_on_where_it_stopped_and_refuses_another_plan() {
    let folder = tempfile::tempdir().unwrap();
    let evaluate = |budget: &str| {
        let mut command = obcache();
        command.args([
            "evaluate",
            "--tasks",
            "recall",
            "--scores",
            "full,h2o,h2o+joint",
            "--budgets",
            budget,
        ]);
        command.args([
            "--groups",
            "kv-sum",
            "--lengths",
            "160",
            "--depths",
            "50",
            "--documents",
            "2",
            "--out",
        ]);
        command.arg(folder.path());
        command
    };
    let first = stdout(&mut evaluate("10"));
    assert!(
        first.contains("h2o+joint against h2o") && first.contains("index.html"),
        "{first}"
    );
    let rows = || std::fs::read_to_string(folder.path().join("rows.csv")).unwrap();
    let whole = rows();
    let part = folder.path().join("parts/document-recall-160-50-1.json");
    std::fs::write(&part, "{").unwrap();
    assert_eq!(stdout(&mut evaluate("10")), first);
    assert_eq!(rows(), whole, "a damaged part is made again");
    let refused = evaluate("20").assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8(refused).unwrap().contains("other settings"));
}

#[test]
fn a_text_is_written_on_from_a_thinned_cache() {
    let generate = |arguments: &[&str]| {
        let prompt = [
            "generate",
            "--prompt",
            " The code of river is 5260. We go on. The code of river is",
            "--tokens",
            "5",
        ];
        stdout(obcache().args(prompt).args(arguments))
    };
    assert!(generate(&["--score", "full"]).contains("\x1b[1m 5260\x1b[0m"));
    let thinned = generate(&["--budget", "0.2"]);
    assert!(thinned.contains("kept by joint at 11 tokens a head"), "{thinned}");
    let drawn = ["--temperature", "2", "--seed", "3"];
    assert_eq!(generate(&drawn), generate(&drawn));
}
