//! Text to token ids and back, by the crate `tokenizers`.

use crate::{Config, ModelError, Source};

/// A checkpoint's `tokenizer.json`.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    file: String,
    inner: tokenizers::Tokenizer,
}

impl Tokenizer {
    /// Reads the tokenizer of a checkpoint.
    ///
    /// # Errors
    /// [`ModelError`] where it is missing or damaged, or has an id that the model has no embedding for.
    pub fn load(source: &Source, config: &Config) -> Result<Self, ModelError> {
        let file = source.name_of("tokenizer.json");
        let bytes = source.read("tokenizer.json")?;
        let refused = |reason: String| ModelError::Tokenizer {
            file: file.clone(),
            reason,
        };
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| refused(error.to_string()))?;
        let largest = inner.get_vocab(true).into_values().max();
        if let Some(id) = largest.filter(|&id| id as usize >= config.vocabulary) {
            return Err(refused(format!(
                "holds token id {id}, expected ids below {} (vocab_size of config.json)",
                config.vocabulary
            )));
        }
        Ok(Self { file, inner })
    }

    /// Token ids of a text, with what the tokenizer itself adds.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] where it cannot.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.encode_with(text, true)
    }

    /// Token ids of a text that goes on from another: nothing is added.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] where it cannot.
    pub fn encode_further(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.encode_with(text, false)
    }

    fn encode_with(&self, text: &str, special: bool) -> Result<Vec<u32>, ModelError> {
        let encoded = self.inner.encode(text, special).map_err(|error| self.refused(error))?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The text of token ids; bytes that are no text become replacement characters.
    ///
    /// # Errors
    /// [`ModelError::Tokenizer`] where it cannot.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ModelError> {
        self.inner.decode(ids, false).map_err(|error| self.refused(error))
    }

    fn refused(&self, error: tokenizers::Error) -> ModelError {
        ModelError::Tokenizer {
            file: self.file.clone(),
            reason: error.to_string(),
        }
    }
}
