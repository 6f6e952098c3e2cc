//! Eviction in a model whose layers have a sliding window: refused while decoding, allowed once after the prompt.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::toy::{obcache, stdout};

/// The fixture with a window of 7 tokens in layer 1, with room for a document, a tokenizer of 32 words and a text of them.
fn model() -> (tempfile::TempDir, PathBuf) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reference-model/tests/fixtures/qwen2-window");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        fixture.join("model.safetensors"),
        folder.path().join("model.safetensors"),
    )
    .unwrap();
    let mut config: Value = serde_json::from_slice(&std::fs::read(fixture.join("config.json")).unwrap()).unwrap();
    config["max_position_embeddings"] = json!(200);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let vocabulary: serde_json::Map<String, Value> = (0..32).map(|id| (format!("w{id}"), json!(id))).collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"},
    });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let words: Vec<String> = (0..300).map(|place| format!("w{}", place * place % 31)).collect();
    std::fs::write(folder.path().join("text"), words.join(" ")).unwrap();
    let out = folder.path().join("out");
    (folder, out)
}

fn refusal(command: &mut assert_cmd::Command) -> String {
    String::from_utf8(command.assert().code(2).get_output().stderr.clone()).unwrap()
}

#[test]
fn evaluate_evicts_after_the_prompt_and_refuses_to_while_decoding() {
    let (folder, out) = model();
    let evaluate = |scores: &str, when: &[&str]| {
        let mut command = obcache();
        command.args(["evaluate", "--tasks", "text", "--budgets", "10", "--groups", "kv-sum"]);
        command.args(["--lengths", "160", "--documents", "1", "--scores", scores]);
        command.arg("--model").arg(folder.path());
        command.arg("--text").arg(folder.path().join("text"));
        command.arg("--out").arg(&out).args(when);
        command
    };
    let refused = refusal(&mut evaluate("full,h2o", &[]));
    let place = folder.path().display();
    assert!(
        refused.contains(&format!(
            "error: {place}: layer 1 has a sliding window of 7 tokens, fewer than the 159 that are read and decoded"
        )) && refused.contains("use --when prefill"),
        "{refused}"
    );
    assert!(!out.join("parts").exists(), "nothing is run");
    stdout(&mut evaluate("full,h2o", &["--when", "prefill"]));
    let rows = std::fs::read_to_string(out.join("rows.csv")).unwrap();
    assert_eq!(rows.lines().filter(|row| row.contains(",h2o,")).count(), 2, "{rows}");
    assert!(!rows.contains("decode"), "{rows}");
    // Without a score there is no saliency to lose.
    std::fs::remove_dir_all(&out).unwrap();
    stdout(&mut evaluate("random,streaming-llm", &[]));
}

#[test]
fn generate_evicts_after_the_prompt_and_refuses_to_while_decoding() {
    let (folder, _) = model();
    let generate = |arguments: &[&str]| {
        let mut command = obcache();
        command
            .args(["generate", "--prompt", "w1 w2 w3 w4 w5 w6"])
            .args(arguments);
        command.arg("--model").arg(folder.path());
        command
    };
    let refused = refusal(&mut generate(&["--tokens", "3"]));
    assert!(
        refused.contains("layer 1 has a sliding window of 7 tokens, fewer than the 8 that are read and decoded"),
        "{refused}"
    );
    stdout(&mut generate(&["--tokens", "2"]));
    stdout(&mut generate(&["--tokens", "20", "--score", "full"]));
    let once = stdout(&mut generate(&[
        "--tokens", "20", "--score", "greedy", "--when", "prefill",
    ]));
    assert!(once.contains("kept by greedy at 1 tokens a head"), "{once}");
    let refused = refusal(&mut generate(&["--score", "greedy"]));
    assert!(refused.contains("use --when prefill"), "{refused}");
}

#[test]
fn recall_is_not_decoded_long_enough_to_evict() {
    let refused = refusal(obcache().args(["evaluate", "--when", "decode"]));
    assert!(refused.contains("--when decode: expected --tasks text"), "{refused}");
    assert!(
        refusal(obcache().args(["generate", "--prompt", "x", "--when", "never"]))
            .contains("expected prefill or decode")
    );
}
