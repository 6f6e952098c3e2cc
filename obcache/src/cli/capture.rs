//! `obcache capture`: queries, keys and values of a model on a text.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use capture::{CaptureWriter, Metadata, Storage};
use clap::Args;
use ndarray::s;
use obd_core::QueryWindow;
use reference_model::{Attended, Config, Rope};

use super::checkpoint::{Checkpoint, CheckpointArguments};
use super::failure::Failure;
use super::score::{layers, prepare_output};
use study::output::write_atomically;

/// Runs a model over a text and writes its queries, keys and values, for report and score.
///
/// The file holds the tensors as attention sees them: position encoding applied, one key and one value a KV head, and the output
/// projection. tools/capture_hf.py writes the same from transformers, for architectures that this command does not know.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    checkpoint: CheckpointArguments,

    /// Text that the model reads, UTF-8.
    #[arg(long, value_name = "FILE")]
    text: PathBuf,

    /// Capture to write, .safetensors.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Layers by their index, such as 0,4-7 (default: all).
    #[arg(long, value_delimiter = ',', value_parser = layers)]
    layers: Vec<RangeInclusive<usize>>,

    /// Queries to write: all, or the last few (last-32, 32); keys and values are written whole.
    #[arg(long, default_value = "all")]
    window: QueryWindow,

    /// Format of the numbers: bf16, f16 or f32.
    #[arg(long, default_value = "f32")]
    dtype: Storage,
}

const EXAMPLES: &str = "\
Examples:
  obcache capture --model Llama-3.2-1B --text document.txt --out llama.safetensors --dtype bf16
      capture every layer; then obcache report llama.safetensors
  obcache capture --text document.txt --out tiny.safetensors
      capture the embedded llama-tiny in 32 bits
  obcache capture --model Qwen3-0.6B --text book.txt --out qwen.safetensors --layers 0,13,27 --window last-64
      capture three layers of a long text, its last 64 queries";

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        let out = self.out.display();
        if self.out.extension().is_none_or(|extension| extension != "safetensors") {
            return Err(Failure::Input(format!(
                "{out}: expected a name that ends in .safetensors"
            )));
        }
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        prepare_output(&self.out, folder.unwrap_or(Path::new(".")))?;
        let read = std::fs::read_to_string(&self.text);
        let text = read.map_err(|error| Failure::Input(format!("{}: {error}", self.text.display())))?;
        let checkpoint = self.checkpoint.load()?;
        let chosen = self.chosen_layers(checkpoint.model.config())?;
        let sliding_window = common_window(checkpoint.model.config(), &chosen)?;
        let tokens = checkpoint.tokenizer.encode(&text)?;
        let mut writer = CaptureWriter::new(self.dtype);
        let mut cache = checkpoint.model.cache();
        checkpoint.model.prefill(&tokens, &mut cache, &mut |layer, attended| {
            if chosen.contains(&layer) {
                self.keep(&mut writer, layer, attended, &checkpoint);
            }
            Ok(())
        })?;
        let ids: Vec<i64> = tokens.iter().map(|&id| id.into()).collect();
        let metadata = metadata(&checkpoint, sliding_window, text);
        let bytes = writer.finish(&metadata, &ids).map_err(Failure::Ours)?;
        write_atomically(&self.out, &bytes).map_err(|error| Failure::Ours(format!("{out}: {error}")))?;
        Ok(format!(
            "{out}: {}, {} layers, {} tokens",
            checkpoint.name,
            chosen.len(),
            tokens.len()
        ))
    }

    /// Hands the writer what one layer's attention took in, and its output projection. Claim C40.
    fn keep(&self, writer: &mut CaptureWriter, layer: usize, attended: &Attended<f32>, checkpoint: &Checkpoint) {
        let queries = self.window.queries(attended.query.shape()[1]);
        writer.add(layer, "query", attended.query.slice(s![.., queries, ..]));
        writer.add(layer, "key", attended.key.view());
        writer.add(layer, "value", attended.value.view());
        if let Some(projection) = checkpoint.model.output_projection(layer) {
            writer.add(layer, "o_proj", projection.view());
        }
    }

    fn chosen_layers(&self, config: &Config) -> Result<BTreeSet<usize>, Failure> {
        if self.layers.is_empty() {
            return Ok((0..config.num_layers).collect());
        }
        match self.layers.iter().find(|range| *range.end() >= config.num_layers) {
            Some(range) => Err(Failure::Input(format!(
                "--layers: the model has no layer {}, expected layers below {}",
                range.end(),
                config.num_layers
            ))),
            None => Ok(self.layers.iter().cloned().flatten().collect()),
        }
    }
}

/// The sliding window of the chosen layers: a capture has one.
fn common_window(config: &Config, chosen: &BTreeSet<usize>) -> Result<Option<usize>, Failure> {
    let windows: BTreeSet<Option<usize>> = chosen.iter().map(|&layer| config.sliding_windows[layer]).collect();
    if windows.len() > 1 {
        let with: Vec<String> = chosen
            .iter()
            .filter(|&&layer| config.sliding_windows[layer].is_some())
            .map(usize::to_string)
            .collect();
        return Err(Failure::Input(format!(
            "--layers: layers {} have a sliding window and others have none, expected one kind in a capture",
            with.join(",")
        )));
    }
    Ok(windows.into_iter().next().flatten())
}

fn metadata(checkpoint: &Checkpoint, sliding_window: Option<usize>, text: String) -> Metadata {
    let config = checkpoint.model.config();
    Metadata {
        version: 1,
        model: checkpoint.name.clone(),
        scale: config.scale(),
        causal: true,
        sliding_window,
        softcap: None,
        sinks: None,
        num_layers: Some(config.num_layers),
        num_query_heads: config.groups.num_query_heads(),
        num_kv_heads: config.groups.num_kv_heads(),
        head_dim: config.head_dim,
        value_dim: config.head_dim,
        rope: Some("applied".into()),
        rope_theta: matches!(config.rope, Rope::Default).then_some(config.rope_theta),
        text: Some(text),
    }
}
