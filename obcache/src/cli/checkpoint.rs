//! The checkpoint that a command runs.

use std::path::PathBuf;

use clap::Args;
use reference_model::{Model, Source, Tokenizer};

use super::failure::Failure;

#[derive(Args)]
pub(super) struct CheckpointArguments {
    /// Folder of a checkpoint in Hugging Face layout: LLaMA, Qwen2 or Qwen3 (default: the embedded llama-tiny).
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
}

/// A loaded checkpoint.
pub(super) struct Checkpoint {
    pub name: String,
    /// Its folder, for people.
    place: String,
    pub model: Model<f32>,
    pub tokenizer: Tokenizer,
}

impl CheckpointArguments {
    pub fn load(&self) -> Result<Checkpoint, Failure> {
        let source = match &self.model {
            Some(folder) => Source::folder(folder),
            None => Source::llama_tiny(),
        };
        let model = Model::load(&source)?;
        let tokenizer = Tokenizer::load(&source, model.config())?;
        Ok(Checkpoint {
            name: source.name(),
            place: self
                .model
                .as_ref()
                .map_or_else(|| source.name(), |folder| folder.display().to_string()),
            model,
            tokenizer,
        })
    }
}

impl Checkpoint {
    /// Refuses to evict while decoding up to `tokens` tokens where a layer's sliding window drops some of them by itself: the
    /// saliencies would no longer be those of the cached tokens.
    pub fn check_windows(&self, tokens: usize) -> Result<(), Failure> {
        let windows = self.model.config().sliding_windows.iter().enumerate();
        let mut short = windows.filter_map(|(layer, window)| window.filter(|&w| w < tokens).map(|w| (layer, w)));
        match short.next() {
            Some((layer, window)) => Err(Failure::Input(format!(
                "{}: layer {layer} has a sliding window of {window} tokens, fewer than the {tokens} that are read and \
                 decoded: it drops tokens by itself, which an eviction after every decoded token does not allow for; use --when \
                 prefill, or at most {window} tokens",
                self.place
            ))),
            None => Ok(()),
        }
    }
}
