//! Why a checkpoint cannot be loaded or run.

use obcache_scores::PolicyError;
use obd_core::{ProblemError, SlotsError};
use thiserror::Error;

/// Why a checkpoint cannot be loaded or run; whatever comes from a file names it, and the tensor where there is one.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file cannot be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` asks for something that cannot be, or that this crate does not know.
    #[error("{file}: {key}: {reason}")]
    Config {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file is damaged: no JSON, a hostile header, lengths that do not add up.
    #[error("{file}: damaged file: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What does not hold.
        reason: String,
    },
    /// A tensor is missing, misshapen, of an unknown dtype, or not finite.
    #[error("{file}: {tensor}: {reason}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// The tokenizer cannot be read, or knows more tokens than the model.
    #[error("{file}: {reason}")]
    Tokenizer {
        /// The file.
        file: String,
        /// What does not hold.
        reason: String,
    },
    /// A token id that the model has no embedding for.
    #[error("token {position} has id {id}, expected one below the model's vocabulary of {vocabulary}")]
    Token {
        /// Its place in the prompt.
        position: usize,
        /// The id.
        id: u32,
        /// Number of ids that the model knows.
        vocabulary: usize,
    },
    /// No token to run.
    #[error("the prompt is empty, expected at least 1 token")]
    EmptyPrompt,
    /// More tokens than the model has positions for.
    #[error("{tokens} tokens, expected at most {limit} (max_position_embeddings of config.json)")]
    TooLong {
        /// Tokens of the prompt and before it.
        tokens: usize,
        /// Positions that the model has.
        limit: usize,
    },
    /// A cache that holds tokens where an empty one is needed, or that was made for another model.
    #[error("the cache {0}")]
    Cache(&'static str),
    /// Queries, keys or values are no attention problem: what the model computed is not finite.
    #[error("layer {layer}: {source}")]
    Attention {
        /// Index of the layer.
        layer: usize,
        /// What does not hold.
        source: ProblemError,
    },
    /// Slots to keep that do not ascend or are not in the cache.
    #[error(transparent)]
    Slots(#[from] SlotsError),
    /// A tracker refuses what it is given or asked.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Whoever observes the model fails.
    #[error(transparent)]
    Observer(Box<dyn std::error::Error + Send + Sync>),
}
