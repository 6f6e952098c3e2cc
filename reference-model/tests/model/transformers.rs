//! Logits agree with `transformers`, architecture by architecture, for every rotary scaling and every weight format.
//!
//! The checkpoints and logits in `fixtures` are written by `tools/make_model_fixtures.py`: `stock` by transformers as it
//! comes, in 32 bits, `exact` with its 32-bit steps lifted to 64.

use std::path::PathBuf;

use ndarray::{Array2, s};
use reference_model::{Architecture, Config, Model, Number, Rope, Source};
use safetensors::SafeTensors;

use crate::fixtures;

/// What the issue asks for: absolute, on logits of a few units up to 25.
const IN_32_BITS: f64 = 1e-4;
const IN_64_BITS: f64 = 1e-9;

/// Every fixture: its name and where its checkpoint lies.
fn checkpoints() -> Vec<(String, Source)> {
    let entries = std::fs::read_dir(fixtures()).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let source = |folder: PathBuf| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let source = if name == "llama-tiny" {
            Source::llama_tiny()
        } else {
            Source::folder(folder)
        };
        (name, source)
    };
    folders.into_iter().map(source).collect()
}

struct Expected {
    tokens: Vec<u32>,
    stock: Array2<f64>,
    exact: Array2<f64>,
}

impl Expected {
    fn read(name: &str) -> Self {
        let bytes = std::fs::read(fixtures().join(name).join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let words = |name: &str| file.tensor(name).unwrap().data().as_chunks::<8>().0.to_vec();
        let shape = file.tensor("exact").unwrap().shape().to_vec();
        let array = |numbers| Array2::from_shape_vec((shape[0], shape[1]), numbers).unwrap();
        let halves = file.tensor("stock").unwrap();
        Self {
            tokens: words("tokens")
                .into_iter()
                .map(|word| i64::from_le_bytes(word) as u32)
                .collect(),
            stock: array(
                halves
                    .data()
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|&word| f32::from_le_bytes(word).into())
                    .collect(),
            ),
            exact: array(words("exact").into_iter().map(f64::from_le_bytes).collect()),
        }
    }
}

/// The logits by explicit loops, by strips, and by strips for the first half and decode steps for the rest.
fn logits<T: Number>(source: &Source, tokens: &[u32]) -> [Array2<f64>; 3] {
    let model: Model<T> = Model::load(source).unwrap();
    let mut cache = model.cache();
    let strips = model.prefill(tokens, &mut cache, &mut |_, _| Ok(())).unwrap();
    let (half, mut cache) = (tokens.len() / 2, model.cache());
    let mut steps = strips.clone();
    let first = model.prefill(&tokens[..half], &mut cache, &mut |_, _| Ok(())).unwrap();
    let rest = model
        .decode(&tokens[half..], &mut cache, &mut |_, _, _| Ok(()))
        .unwrap();
    steps.slice_mut(s![..half, ..]).assign(&first);
    steps.slice_mut(s![half.., ..]).assign(&rest);
    let logits = [
        model.reference(tokens).unwrap(),
        model.logits(strips.view()),
        model.logits(steps.view()),
    ];
    logits.map(|logits| logits.map(|x| x.to_f64()))
}

fn distance(left: &Array2<f64>, right: &Array2<f64>) -> f64 {
    (left - right).fold(
        0.0,
        |most, x| if x.is_nan() { f64::INFINITY } else { most.max(x.abs()) },
    )
}

#[test]
fn c39_logits_in_32_bits_are_those_of_transformers() {
    for (name, source) in checkpoints() {
        let expected = Expected::read(&name);
        for (way, logits) in logits::<f32>(&source, &expected.tokens).iter().enumerate() {
            let distance = distance(logits, &expected.stock);
            assert!(distance < IN_32_BITS, "{name}, way {way}: {distance:e}");
        }
    }
}

#[test]
fn c39_logits_in_64_bits_are_those_of_transformers_in_64_bits() {
    for (name, source) in checkpoints() {
        let expected = Expected::read(&name);
        for (way, logits) in logits::<f64>(&source, &expected.tokens).iter().enumerate() {
            let distance = distance(logits, &expected.exact);
            assert!(distance < IN_64_BITS, "{name}, way {way}: {distance:e}");
        }
    }
}

/// No case is missing: a fixture that is gone would otherwise be a test that passes.
#[test]
fn c39_every_architecture_meets_every_rotary_scaling() {
    let configs: Vec<Config> = checkpoints()
        .iter()
        .map(|(_, source)| Config::load(source).unwrap())
        .collect();
    for architecture in [Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3] {
        let kinds = configs.iter().filter(|config| config.architecture == architecture);
        let found = |fits: fn(&Rope) -> bool| kinds.clone().any(|config| fits(&config.rope));
        assert!(found(|rope| matches!(rope, Rope::Default)), "{architecture:?}");
        assert!(found(|rope| matches!(rope, Rope::Linear { .. })), "{architecture:?}");
        assert!(found(|rope| matches!(rope, Rope::Llama3 { .. })), "{architecture:?}");
        assert!(found(|rope| matches!(rope, Rope::Yarn { .. })), "{architecture:?}");
    }
    let any = |fits: fn(&Config) -> bool| configs.iter().any(fits);
    assert!(any(
        |config| config.sliding_windows.contains(&Some(7)) && config.sliding_windows.contains(&None)
    ));
    assert!(any(|config| config.tied) && any(|config| !config.tied));
    assert!(any(|config| config.mlp_bias && config.output_bias));
}
