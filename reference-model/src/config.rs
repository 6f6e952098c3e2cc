//! What `config.json` says of a model, checked once.

use obd_core::HeadGroups;

use crate::file_config::{FileConfig, FileRope};
use crate::{ModelError, Source};

/// The architectures that this crate runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `LlamaForCausalLM`.
    Llama,
    /// `Qwen2ForCausalLM`: a bias on query, key and value.
    Qwen2,
    /// `Qwen3ForCausalLM`: queries and keys normalised head by head.
    Qwen3,
}

/// How the frequencies of the rotary position encoding are scaled for contexts longer than those trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rope {
    /// Not at all.
    Default,
    /// All divided by `factor`.
    Linear {
        /// Divisor.
        factor: f64,
    },
    /// LLaMA 3: long wavelengths divided by `factor`, short ones left, those between interpolated.
    Llama3 {
        /// Divisor of the long wavelengths.
        factor: f64,
        /// Wavelengths above `original / low` are long.
        low: f64,
        /// Wavelengths below `original / high` are short.
        high: f64,
        /// Context length of the training.
        original: f64,
    },
    /// YaRN (2309.00071): a ramp over the channels between dividing and leaving, and a factor on cosine and sine.
    Yarn {
        /// Divisor of the slow channels.
        factor: f64,
        /// Factor on cosine and sine.
        attention: f64,
        /// Rotations over the training context above which a channel is left.
        fast: f64,
        /// Rotations below which it is divided.
        slow: f64,
        /// Context length of the training.
        original: f64,
        /// Whether the ramp's ends are rounded outwards to whole channels.
        truncate: bool,
    },
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Kind of decoder.
    pub architecture: Architecture,
    /// Number of token ids.
    pub vocabulary: usize,
    /// Channels of the residual stream.
    pub hidden: usize,
    /// Channels of the feed-forward block.
    pub intermediate: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Query heads and the KV heads they read.
    pub groups: HeadGroups,
    /// Channels of a query, a key and a value; even.
    pub head_dim: usize,
    /// Positions that the model has.
    pub max_positions: usize,
    /// Term under the root of the norm.
    pub norm_epsilon: f64,
    /// Whether the output head is the embedding.
    pub tied: bool,
    /// Whether query, key and value have a bias.
    pub qkv_bias: bool,
    /// Whether the output projection has a bias.
    pub output_bias: bool,
    /// Whether the feed-forward block has biases.
    pub mlp_bias: bool,
    /// Token that starts a document.
    pub start_token: Option<u32>,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How they are scaled.
    pub rope: Rope,
    /// Sliding window of each layer, where it has one.
    pub sliding_windows: Vec<Option<usize>>,
}

/// Layers that a model may have: a bound on what a hostile file makes us reserve.
const MOST_LAYERS: usize = 4096;

/// Length that an axis may have, so that no product of two overflows.
const LONGEST_AXIS: usize = 1 << 28;

impl Config {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// [`ModelError`] where it is missing, no JSON, of an unknown architecture, activation or scaling, or where its numbers
    /// make no model.
    pub fn load(source: &Source) -> Result<Self, ModelError> {
        let (name, text) = (source.name_of("config.json"), source.read("config.json")?);
        let file: FileConfig = serde_json::from_slice(&text).map_err(|error| ModelError::Damaged {
            file: name.clone(),
            reason: error.to_string(),
        })?;
        Checker { file: &name }.check(&file)
    }

    /// Channels of all query heads.
    pub fn query_width(&self) -> usize {
        self.groups.num_query_heads() * self.head_dim
    }

    /// Channels of all KV heads.
    pub fn kv_width(&self) -> usize {
        self.groups.num_kv_heads() * self.head_dim
    }

    /// Factor on the dot product of query and key.
    pub fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }
}

/// Turns what stands in the file into a model's configuration.
struct Checker<'a> {
    file: &'a str,
}

impl Checker<'_> {
    fn refused(&self, key: &'static str, reason: impl Into<String>) -> ModelError {
        ModelError::Config {
            file: self.file.to_owned(),
            key,
            reason: reason.into(),
        }
    }

    /// A key that the file may leave out has the value that `transformers` gives it, here and below.
    fn check(&self, file: &FileConfig) -> Result<Config, ModelError> {
        let architecture = self.architecture(file)?;
        if let Some(activation) = file.hidden_act.as_deref().filter(|&activation| activation != "silu") {
            return Err(self.refused("hidden_act", format!("is {activation:?}, expected \"silu\"")));
        }
        let hidden = self.length("hidden_size", file.hidden_size)?;
        let heads = self.length("num_attention_heads", file.num_attention_heads)?;
        let kv_heads = self.length("num_key_value_heads", file.num_key_value_heads.or(Some(heads)))?;
        let groups =
            HeadGroups::new(heads, kv_heads).map_err(|error| self.refused("num_key_value_heads", error.to_string()))?;
        let head_dim = self.length("head_dim", file.head_dim.or(Some(hidden / heads)))?;
        if !head_dim.is_multiple_of(2) {
            return Err(self.refused("head_dim", format!("is {head_dim}, expected an even number")));
        }
        if head_dim.saturating_mul(heads) > LONGEST_AXIS {
            return Err(self.refused(
                "head_dim",
                format!("is {head_dim} for {heads} heads, expected at most {LONGEST_AXIS} channels"),
            ));
        }
        let num_layers = self.length("num_hidden_layers", file.num_hidden_layers)?;
        if num_layers > MOST_LAYERS {
            return Err(self.refused(
                "num_hidden_layers",
                format!("is {num_layers}, expected at most {MOST_LAYERS}"),
            ));
        }
        let norm_epsilon = self.number("rms_norm_eps", file.rms_norm_eps.or(Some(1e-6)), |x| x >= 0.0)?;
        let max_positions = self.length("max_position_embeddings", file.max_position_embeddings)?;
        let bias = file.attention_bias.unwrap_or(false);
        let (rope_theta, rope) = self.rope(file, max_positions)?;
        Ok(Config {
            architecture,
            vocabulary: self.length("vocab_size", file.vocab_size)?,
            hidden,
            intermediate: self.length("intermediate_size", file.intermediate_size)?,
            num_layers,
            groups,
            head_dim,
            max_positions,
            norm_epsilon,
            tied: file.tie_word_embeddings.unwrap_or(false),
            qkv_bias: bias || architecture == Architecture::Qwen2,
            output_bias: bias && architecture != Architecture::Qwen2,
            mlp_bias: file.mlp_bias.unwrap_or(false) && architecture == Architecture::Llama,
            start_token: start_token(file).filter(|_| architecture == Architecture::Llama),
            rope_theta,
            rope,
            sliding_windows: self.sliding_windows(file, architecture, num_layers)?,
        })
    }

    fn architecture(&self, file: &FileConfig) -> Result<Architecture, ModelError> {
        let first = file.architectures.as_ref().and_then(|names| names.first());
        match first.map(String::as_str) {
            Some("LlamaForCausalLM") => Ok(Architecture::Llama),
            Some("Qwen2ForCausalLM") => Ok(Architecture::Qwen2),
            Some("Qwen3ForCausalLM") => Ok(Architecture::Qwen3),
            other => Err(self.refused(
                "architectures",
                format!(
                    "is {}, expected LlamaForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM",
                    other.unwrap_or("missing")
                ),
            )),
        }
    }

    fn length(&self, key: &'static str, found: Option<usize>) -> Result<usize, ModelError> {
        match found {
            None => Err(self.refused(key, "is missing")),
            Some(length @ 1..=LONGEST_AXIS) => Ok(length),
            Some(other) => Err(self.refused(key, format!("is {other}, expected a number from 1 to {LONGEST_AXIS}"))),
        }
    }

    fn number(&self, key: &'static str, found: Option<f64>, fits: fn(f64) -> bool) -> Result<f64, ModelError> {
        match found {
            None => Err(self.refused(key, "is missing")),
            Some(number) if number.is_finite() && fits(number) => Ok(number),
            Some(other) => Err(self.refused(key, format!("is {other}, which is out of its range"))),
        }
    }

    fn rope(&self, file: &FileConfig, max_positions: usize) -> Result<(f64, Rope), ModelError> {
        let rope = file.rope_parameters.as_ref().or(file.rope_scaling.as_ref());
        // A file that says nothing about the rotation has the plain one.
        let rope = rope.cloned().unwrap_or_default();
        let theta = rope.rope_theta.or(file.rope_theta).or(Some(10000.0));
        let theta = self.number("rope_theta", theta, |x| x > 1.0)?;
        if rope.partial_rotary_factor.is_some_and(|factor| factor != 1.0) {
            return Err(self.refused("partial_rotary_factor", "is not 1, the only one known"));
        }
        let factor = || self.number("factor", rope.factor, |x| x >= 1.0);
        let original = rope.original_max_position_embeddings.unwrap_or(max_positions);
        let original = self.length("original_max_position_embeddings", Some(original))? as f64;
        let scaling = match rope.rope_type.as_deref().unwrap_or("default") {
            "default" => Rope::Default,
            "linear" => Rope::Linear { factor: factor()? },
            "llama3" => {
                let low = self.number("low_freq_factor", rope.low_freq_factor, |x| x > 0.0)?;
                let high = self.number("high_freq_factor", rope.high_freq_factor, |x| x > 0.0)?;
                if high <= low {
                    return Err(self.refused(
                        "high_freq_factor",
                        format!("is {high}, expected more than {low} (low_freq_factor)"),
                    ));
                }
                Rope::Llama3 {
                    factor: factor()?,
                    low,
                    high,
                    original,
                }
            }
            "yarn" => {
                let factor = factor()?;
                let attention = rope.attention_factor.unwrap_or_else(|| attention_factor(factor, &rope));
                Rope::Yarn {
                    factor,
                    attention: self.number("attention_factor", Some(attention), |x| x > 0.0)?,
                    fast: self.number("beta_fast", rope.beta_fast.or(Some(32.0)), |x| x > 0.0)?,
                    slow: self.number("beta_slow", rope.beta_slow.or(Some(1.0)), |x| x > 0.0)?,
                    original,
                    truncate: rope.truncate.unwrap_or(true),
                }
            }
            other => {
                let reason = format!("is {other:?}, expected default, linear, llama3 or yarn");
                return Err(self.refused("rope_type", reason));
            }
        };
        Ok((theta, scaling))
    }

    fn sliding_windows(
        &self,
        file: &FileConfig,
        architecture: Architecture,
        num_layers: usize,
    ) -> Result<Vec<Option<usize>>, ModelError> {
        let none = vec![None; num_layers];
        if architecture == Architecture::Llama || !file.use_sliding_window.unwrap_or(false) {
            return Ok(none);
        }
        let Some(window) = file.sliding_window else {
            return Ok(none);
        };
        let window = self.length("sliding_window", Some(window))?;
        let Some(types) = &file.layer_types else {
            let first = file.max_window_layers.unwrap_or(28);
            return Ok((0..num_layers)
                .map(|layer| (layer >= first).then_some(window))
                .collect());
        };
        if types.len() != num_layers {
            return Err(self.refused(
                "layer_types",
                format!("has {} entries, expected {num_layers}", types.len()),
            ));
        }
        let window_of = |kind: &String| match kind.as_str() {
            "full_attention" => Ok(None),
            "sliding_attention" => Ok(Some(window)),
            other => Err(self.refused(
                "layer_types",
                format!("holds {other:?}, expected full_attention or sliding_attention"),
            )),
        };
        types.iter().map(window_of).collect()
    }
}

/// YaRN's factor on cosine and sine where the file does not say it.
fn attention_factor(factor: f64, rope: &FileRope) -> f64 {
    let mscale = |weight: f64| {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * weight * factor.ln() + 1.0
        }
    };
    match (rope.mscale, rope.mscale_all_dim) {
        (Some(one), Some(all)) if one != 0.0 && all != 0.0 => mscale(one) / mscale(all),
        _ => mscale(1.0),
    }
}

/// `bos_token_id`, one or the first of a list.
fn start_token(file: &FileConfig) -> Option<u32> {
    let id = match file.bos_token_id.as_ref()? {
        serde_json::Value::Array(ids) => ids.first()?.as_u64()?,
        id => id.as_u64()?,
    };
    id.try_into().ok()
}
