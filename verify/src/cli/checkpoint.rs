//! The checkpoint that a command runs.

use std::path::PathBuf;

use clap::Args;
use reference_model::{Model, Source, Tokenizer};

use super::failure::Failure;

#[derive(Args)]
pub(super) struct CheckpointArguments {
    /// Folder of a checkpoint in Hugging Face layout (LLaMA, Qwen2 or Qwen3); the embedded llama-tiny without.
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
}

/// A loaded checkpoint.
pub(super) struct Checkpoint {
    pub name: String,
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
            model,
            tokenizer,
        })
    }
}
