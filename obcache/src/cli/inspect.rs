//! `obcache inspect`: what a capture holds.

use std::fmt::Write;
use std::path::PathBuf;

use capture::{Capture, Layer, Metadata};
use clap::Args;
use comfy_table::{Table, presets};
use ndarray::{Array3, Axis};

use super::failure::Failure;

/// Shows the model, the layers, their shapes and dtypes, and how long keys and values are.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A capture, .safetensors or .npz.
    file: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  obcache inspect captures/needle-512.safetensors
  obcache inspect my-model.npz";

/// Characters of the captured text that are shown.
const SNIPPET: usize = 72;

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        let capture = Capture::read(&self.file)?;
        let metadata = capture.metadata();
        let mut text = format!("{}\n\n", self.file.display());
        for (name, value) in [
            ("model", metadata.model.clone()),
            ("layers", count(&capture)),
            ("heads", heads(metadata)),
            ("logits", logits(metadata)),
            ("token ids", token_ids(&capture)),
            ("text", snippet(metadata)),
        ] {
            let _ = writeln!(text, "  {name:<10} {value}");
        }
        let _ = writeln!(text, "\n{}", layers(capture.layers()));
        text.push_str("Norms are the least, the mean and the greatest over tokens and KV heads.\n");
        Ok(text)
    }
}

/// The captured layers, and those of the model where the capture says so.
fn count(capture: &Capture) -> String {
    let captured = capture.layers().len();
    match capture.metadata().num_layers {
        Some(all) => format!("{captured} of {all}"),
        None => captured.to_string(),
    }
}

fn heads(metadata: &Metadata) -> String {
    format!(
        "{} query heads on {} KV heads, head_dim {}, value_dim {}",
        metadata.num_query_heads, metadata.num_kv_heads, metadata.head_dim, metadata.value_dim
    )
}

fn logits(metadata: &Metadata) -> String {
    let mut words = vec![format!("scale {:.6}", metadata.scale)];
    words.push(if metadata.causal { "causal" } else { "not causal" }.to_owned());
    words.extend(
        metadata
            .sliding_window
            .map(|window| format!("sliding window of {window} tokens")),
    );
    words.extend(metadata.softcap.map(|cap| format!("soft-cap {cap}")));
    words.extend(
        metadata
            .sinks
            .as_ref()
            .map(|_| "a sink logit per query head".to_owned()),
    );
    words.join(", ")
}

fn token_ids(capture: &Capture) -> String {
    capture
        .tokens()
        .map_or("none".to_owned(), |tokens| tokens.len().to_string())
}

/// The beginning of the text on one line.
fn snippet(metadata: &Metadata) -> String {
    let Some(text) = &metadata.text else {
        return "none".to_owned();
    };
    let start: String = text.chars().take(SNIPPET).collect();
    let more = if start.len() < text.len() { " ..." } else { "" };
    format!("{start:?}{more}")
}

fn layers(layers: &[Layer]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "layer",
        "query",
        "key",
        "value",
        "o_proj",
        "dtype",
        "key norms",
        "value norms",
    ]);
    for layer in layers {
        table.add_row([
            layer.index.to_string(),
            shape(layer.query.shape()),
            shape(layer.key.shape()),
            shape(layer.value.shape()),
            layer
                .o_proj
                .as_ref()
                .map_or("none".to_owned(), |o_proj| shape(o_proj.shape())),
            layer.dtype.clone(),
            norms(&layer.key),
            norms(&layer.value),
        ]);
    }
    table
}

fn shape(lengths: &[usize]) -> String {
    let lengths: Vec<String> = lengths.iter().map(usize::to_string).collect();
    lengths.join(" x ")
}

/// Least, mean and greatest 2-norm of the rows.
fn norms(tensor: &Array3<f64>) -> String {
    let rows = tensor.lanes(Axis(2));
    let norms: Vec<f64> = rows
        .into_iter()
        .map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt())
        .collect();
    let least = norms.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = norms.iter().copied().fold(0.0, f64::max);
    let mean = norms.iter().sum::<f64>() / norms.len() as f64;
    format!("{least:.2} {mean:.2} {greatest:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn norms_by_hand() {
        assert_eq!(norms(&array![[[3.0, 4.0], [0.0, 1.0]]]), "1.00 3.00 5.00");
    }

    #[test]
    fn shapes_read_in_the_order_of_the_axes() {
        assert_eq!(shape(&[6, 512, 32]), "6 x 512 x 32");
    }
}
