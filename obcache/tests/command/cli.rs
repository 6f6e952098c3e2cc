//! Help, listings, reports and searches.

use std::path::Path;

use assert_cmd::Command;

use crate::toy::{TOKENS, files, folder, obcache, stdout};

#[test]
fn every_help_shows_examples() {
    for subcommand in [
        &[][..],
        &["report"],
        &["inspect"],
        &["claims"],
        &["counterexample"],
        &["capture"],
        &["evaluate"],
        &["generate"],
        &["score"],
        &["merge"],
        &["allocate"],
        &["simulate"],
        &["golden"],
        &["golden", "inputs"],
        &["golden", "check"],
        &["golden", "generate"],
        &["golden", "tables"],
    ] {
        let help = stdout(obcache().args(subcommand).arg("--help"));
        let example = ["obcache"]
            .iter()
            .chain(subcommand.iter())
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        let (_, examples) = help.split_once("Examples:").expect("examples");
        assert!(examples.contains(&format!("  {example}")), "{help}");
    }
}

#[test]
fn claims_are_listed_by_number() {
    let all = stdout(obcache().arg("claims"));
    assert!(all.contains("\nC14 ") && all.contains("test: "), "{all}");
    let one = stdout(obcache().args(["claims", "C14"]));
    assert!(one.starts_with("C14 ") && !one.contains("\nC9 "), "{one}");
}

#[test]
fn a_committed_capture_is_described() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures/needle-512.safetensors");
    let text = stdout(obcache().arg("inspect").arg(file));
    for expected in [
        "6 query heads on 2 KV heads",
        "6 x 512 x 32",
        "2 x 512 x 32",
        "F32",
        "causal",
    ] {
        assert!(text.contains(expected), "{expected} not in\n{text}");
    }
}

#[test]
fn the_key_score_has_a_counterexample_and_value_zeroing_has_none() {
    let search = |score, truth| stdout(obcache().args(["counterexample", "--score", score, "--truth", truth]));
    let key = search("key", "removal");
    assert!(
        key.contains("says the opposite") && key.contains("a² · z² · ‖v - o‖²"),
        "{key}"
    );
    let value = search("value", "value-zeroing");
    assert!(value.contains("None found") && value.contains("claim C9"), "{value}");
}

#[test]
fn a_reader_that_stops_early_sees_no_panic() {
    let bin = assert_cmd::cargo::cargo_bin!("obcache");
    let script = format!("{} claims | true", bin.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn a_report_is_the_same_bytes_whatever_the_thread_count() {
    let folder = folder();
    let report = |threads: &str| {
        let out = folder.path().join(threads);
        let run = obcache()
            .env("RAYON_NUM_THREADS", threads)
            .current_dir(folder.path())
            .args(["report", "toy.safetensors", "--out", threads])
            .assert()
            .success();
        assert!(run.get_output().stderr.is_empty());
        files(&out)
    };
    let (one, two) = (report("1"), report("2"));
    assert!(one.contains_key("index.html"));
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(bytes == &two[name], "{name} differs");
    }
}

#[test]
fn the_folder_captures_is_the_default() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("captures")).unwrap();
    std::fs::rename(
        folder.path().join("toy.safetensors"),
        folder.path().join("captures/toy.safetensors"),
    )
    .unwrap();
    obcache().current_dir(folder.path()).arg("report").assert().success();
    let page = std::fs::read_to_string(folder.path().join("report/index.html")).unwrap();
    for part in [
        r#"<figure id="field">"#,
        "<td>addition</td>",
        "protection none (beam: 2 heads of at most 384 tokens)",
        "<td>removal, optimal in model</td>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let allocations = std::fs::read_to_string(folder.path().join("report/allocation.csv")).unwrap();
    // 3 scores at 2 budgets: 3 allocations of the one layer and 5 of the model.
    assert_eq!(allocations.lines().count(), 1 + 3 * 2 * (3 + 5));
}

#[test]
fn bits_are_allocated_and_decoding_is_simulated_from_a_capture() {
    let folder = folder();
    let allocated = stdout(
        obcache()
            .current_dir(folder.path())
            .args(["allocate", "toy.safetensors", "--bits", "3"]),
    );
    assert!(
        allocated.contains("bits per number") && allocated.contains("uniform bits"),
        "{allocated}"
    );
    let bits = std::fs::read_to_string(folder.path().join("allocation/bits.csv")).unwrap();
    // One KV head of 48 tokens and 2 channels.
    assert_eq!(bits.lines().count(), 1 + TOKENS + 2);
    let simulated =
        stdout(
            obcache()
                .current_dir(folder.path())
                .args(["simulate", "toy.safetensors", "--budget", "0.5"]),
        );
    assert!(
        simulated.contains("streaming-llm") && simulated.contains("prefill of 24 of 48"),
        "{simulated}"
    );
    let lives = std::fs::read_to_string(folder.path().join("simulation/lives.csv")).unwrap();
    assert_eq!(lives.lines().count(), 1 + 7 * TOKENS);
    for (page, figures, rows) in [
        ("allocation/index.html", 1, "<td>0</td><td>0</td><td>"),
        ("simulation/index.html", 2, "<td>joint-mean</td>"),
    ] {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert_eq!(text.matches("<svg").count(), figures, "{page}");
        assert!(
            text.contains(rows) && text.contains("toy") && !text.contains("src="),
            "{page}"
        );
    }
    assert!(allocated.trim_end().ends_with("allocation/index.html"));
    assert!(simulated.trim_end().ends_with("simulation/index.html"));
    for figure in [
        "allocation/rate-distortion.png",
        "simulation/growth.png",
        "simulation/deaths.png",
    ] {
        assert!(folder.path().join(figure).is_file(), "{figure}");
    }
}

#[test]
fn two_tokens_cost_more_or_less_together() {
    for (interaction, word) in [("super-additive", "costs more"), ("sub-additive", "costs less")] {
        let text = stdout(obcache().args(["counterexample", "--interaction", interaction]));
        assert!(text.contains(word) && text.contains("one by one"), "{text}");
    }
    obcache().arg("counterexample").assert().code(2);
}

#[test]
fn a_selection_is_beaten_by_a_set_that_brute_force_found() {
    let text = stdout(obcache().args(["counterexample", "--selection", "greedy"]));
    assert!(
        text.contains("would cost less") && text.contains("1 against 0, the least of all sets of 2"),
        "{text}"
    );
    obcache()
        .args(["counterexample", "--selection", "greedy", "--score", "key"])
        .assert()
        .code(2);
}
