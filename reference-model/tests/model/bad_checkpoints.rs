//! A checkpoint that is no checkpoint is refused by the name of its file and of the tensor or key, and never panics.

use std::fs;
use std::path::Path;

use reference_model::{Config, Model, Source, Tokenizer};
use serde_json::{Value, json};

use crate::fixtures;

/// A copy of a fixture that a test may spoil.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures().join(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// What loading says, the folder's own name left out.
fn refusal(folder: &Path) -> String {
    let text = Model::<f32>::load(&Source::folder(folder)).unwrap_err().to_string();
    text.replace(&format!("{}/", folder.display()), "")
}

fn with_config(key: &str, value: Value) -> String {
    let folder = copy("llama-default");
    edit_config(folder.path(), |config| config[key] = value);
    refusal(folder.path())
}

fn edit_config(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn a_configuration_that_makes_no_model() {
    let architectures = with_config("architectures", json!(["GemmaForCausalLM"]));
    assert_eq!(
        architectures,
        "config.json: architectures: is GemmaForCausalLM, expected LlamaForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM"
    );
    for (key, value, expected) in [
        (
            "hidden_act",
            json!("gelu"),
            "config.json: hidden_act: is \"gelu\", expected \"silu\"",
        ),
        (
            "vocab_size",
            json!(0),
            "config.json: vocab_size: is 0, expected a number from 1 to 268435456",
        ),
        ("hidden_size", Value::Null, "config.json: hidden_size: is missing"),
        (
            "head_dim",
            json!(7),
            "config.json: head_dim: is 7, expected an even number",
        ),
        (
            "head_dim",
            json!(1u64 << 27),
            "config.json: head_dim: is 134217728 for 4 heads, expected at most 268435456 channels",
        ),
        (
            "num_hidden_layers",
            json!(100_000),
            "config.json: num_hidden_layers: is 100000, expected at most 4096",
        ),
        (
            "num_key_value_heads",
            json!(3),
            "config.json: num_key_value_heads: 4 query heads cannot share 3 KV heads, expected a positive multiple",
        ),
        (
            "rms_norm_eps",
            json!(-1.0),
            "config.json: rms_norm_eps: is -1, which is out of its range",
        ),
        (
            "rope_parameters",
            json!({"rope_type": "dynamic", "factor": 2.0}),
            "config.json: rope_type: is \"dynamic\", expected default, linear, llama3 or yarn",
        ),
        (
            "rope_parameters",
            json!({"rope_type": "linear"}),
            "config.json: factor: is missing",
        ),
        (
            "vocab_size",
            json!(33),
            "model.safetensors: model.embed_tokens.weight: shape [32, 16], expected [33, 16] by config.json",
        ),
        (
            "num_hidden_layers",
            json!(3),
            "model.safetensors: model.layers.2.input_layernorm.weight: is missing",
        ),
    ] {
        assert_eq!(with_config(key, value.clone()), expected, "{key} {value}");
    }
    assert!(with_config("vocab_size", json!(-5)).starts_with("config.json: damaged file: invalid value"));
}

#[test]
fn files_that_are_missing_or_damaged() {
    let folder = copy("llama-default");
    let model = folder.path().join("model.safetensors");
    let whole = fs::read(&model).unwrap();
    fs::write(&model, &whole[..whole.len() - 1]).unwrap();
    assert!(refusal(folder.path()).starts_with("model.safetensors: damaged file: the header promises"));
    for hostile in [
        &b""[..],
        b"1234567",
        &u64::MAX.to_le_bytes(),
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x02\0\0\0\0\0\0\0{}",
    ] {
        fs::write(&model, hostile).unwrap();
        assert!(refusal(folder.path()).starts_with("model.safetensors: "), "{hostile:?}");
    }
    fs::remove_file(&model).unwrap();
    assert!(refusal(folder.path()).starts_with("model.safetensors: No such file"));
    fs::create_dir(&model).unwrap();
    assert!(refusal(folder.path()).contains("model.safetensors: not a regular file"));
    fs::write(folder.path().join("config.json"), "{").unwrap();
    assert!(refusal(folder.path()).starts_with("config.json: damaged file: EOF"));
    fs::remove_file(folder.path().join("config.json")).unwrap();
    assert!(refusal(folder.path()).starts_with("config.json: No such file"));
}

#[test]
fn a_number_that_is_none() {
    let folder = copy("llama-default");
    let model = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&model, bytes).unwrap();
    assert!(
        refusal(folder.path()).ends_with(": element 15 is not finite"),
        "{}",
        refusal(folder.path())
    );
}

#[test]
fn an_index_that_leads_astray() {
    let folder = copy("llama-bias-f16-shards");
    let index = folder.path().join("model.safetensors.index.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let mut spoilt = |file: &str| {
        json["weight_map"]["model.norm.weight"] = file.into();
        fs::write(&index, json.to_string()).unwrap();
        refusal(folder.path())
    };
    assert_eq!(
        spoilt("../../secret"),
        "model.safetensors.index.json: damaged file: names the file \"../../secret\", expected one of this folder"
    );
    assert!(spoilt("model-00009-of-00003.safetensors").starts_with("model-00009-of-00003.safetensors: No such file"));
    assert_eq!(
        spoilt("model-00001-of-00003.safetensors"),
        "model-00001-of-00003.safetensors: model.norm.weight: is missing"
    );
}

#[test]
fn a_tokenizer_that_knows_more_than_the_model() {
    let tiny = Source::llama_tiny();
    let mut config = Config::load(&tiny).unwrap();
    assert!(Tokenizer::load(&tiny, &config).is_ok());
    config.vocabulary = 255;
    let refused = Tokenizer::load(&tiny, &config).unwrap_err().to_string();
    assert_eq!(
        refused,
        "llama-tiny/tokenizer.json: holds token id 255, expected ids below 255 (vocab_size of config.json)"
    );
    let folder = copy("llama-default");
    let source = Source::folder(folder.path());
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert!(
        Tokenizer::load(&source, &config)
            .unwrap_err()
            .to_string()
            .contains("tokenizer.json: ")
    );
}

#[test]
fn text_goes_through_the_tokenizer_and_back() {
    let tiny = Source::llama_tiny();
    let tokenizer = Tokenizer::load(&tiny, &Config::load(&tiny).unwrap()).unwrap();
    let text = " The code of riv\u{e9}r is 5260.\n";
    let tokens = tokenizer.encode(text).unwrap();
    assert_eq!(tokens, text.bytes().map(u32::from).collect::<Vec<_>>());
    assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
}
