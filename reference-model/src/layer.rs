//! One decoder layer: attention and a gated feed-forward block, each on the normalised residual stream.

use ndarray::{Array2, Array3, Axis, Zip};
use rayon::prelude::*;

use crate::attended::Projected;
use crate::config::Architecture;
use crate::linear::Linear;
use crate::norm::Norm;
use crate::rope::{Rotation, rotate};
use crate::tensors::Tensors;
use crate::{Config, ModelError, Number};

#[derive(Debug, Clone)]
pub(crate) struct Layer<T> {
    attention_norm: Norm<T>,
    query: Linear<T>,
    key: Linear<T>,
    value: Linear<T>,
    /// Norms of each query and each key, where the architecture has them.
    head_norms: Option<[Norm<T>; 2]>,
    pub output: Linear<T>,
    mlp_norm: Norm<T>,
    gate: Linear<T>,
    up: Linear<T>,
    down: Linear<T>,
}

impl<T: Number> Layer<T> {
    pub fn load(tensors: &mut Tensors, config: &Config, layer: usize) -> Result<Self, ModelError> {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let (hidden, inner, epsilon) = (config.hidden, config.intermediate, config.norm_epsilon);
        let (queries, pairs) = (config.query_width(), config.kv_width());
        let mut norm = |part: &str, length: usize| {
            let weight = tensors.vector(&name(part), length)?;
            Ok::<_, ModelError>(Norm { weight, epsilon })
        };
        let attention_norm = norm("input_layernorm.weight", hidden)?;
        let mlp_norm = norm("post_attention_layernorm.weight", hidden)?;
        let head_norms = match config.architecture {
            Architecture::Qwen3 => Some([
                norm("self_attn.q_norm.weight", config.head_dim)?,
                norm("self_attn.k_norm.weight", config.head_dim)?,
            ]),
            Architecture::Llama | Architecture::Qwen2 => None,
        };
        let mut linear =
            |part: &str, shape: (usize, usize), bias: bool| Linear::load(tensors, &name(part), shape, bias);
        Ok(Self {
            attention_norm,
            query: linear("self_attn.q_proj", (queries, hidden), config.qkv_bias)?,
            key: linear("self_attn.k_proj", (pairs, hidden), config.qkv_bias)?,
            value: linear("self_attn.v_proj", (pairs, hidden), config.qkv_bias)?,
            head_norms,
            output: linear("self_attn.o_proj", (hidden, queries), config.output_bias)?,
            mlp_norm,
            gate: linear("mlp.gate_proj", (inner, hidden), config.mlp_bias)?,
            up: linear("mlp.up_proj", (inner, hidden), config.mlp_bias)?,
            down: linear("mlp.down_proj", (hidden, inner), config.mlp_bias)?,
        })
    }

    /// Queries, keys and values of the tokens at positions `start` on, from the residual stream (tokens, hidden).
    pub fn project(&self, stream: &Array2<T>, rotation: &Rotation, start: usize, config: &Config) -> Projected<T> {
        let normed = self.attention_norm.apply(stream);
        let mut query = by_heads(self.query.apply(&normed), config.head_dim);
        let mut key = by_heads(self.key.apply(&normed), config.head_dim);
        let value = by_heads(self.value.apply(&normed), config.head_dim);
        let turns: Vec<_> = (0..stream.nrows()).map(|token| rotation.at(start + token)).collect();
        for (place, rows) in [&mut query, &mut key].into_iter().enumerate() {
            for mut head in rows.outer_iter_mut() {
                for (mut row, turn) in head.rows_mut().into_iter().zip(&turns) {
                    if let Some(norms) = &self.head_norms {
                        norms[place].apply_row(row.view_mut());
                    }
                    rotate(row, turn);
                }
            }
        }
        Projected { query, key, value }
    }

    /// Adds what attention gave, shape (tokens, query heads times head_dim), and the feed-forward block.
    pub fn finish(&self, mut stream: Array2<T>, attention: &Array2<T>) -> Array2<T> {
        add(&mut stream, &self.output.apply(attention));
        let normed = self.mlp_norm.apply(&stream);
        let mut gated = self.gate.apply(&normed);
        let up = self.up.apply(&normed);
        let product = "products are in standard layout";
        let (gates, up) = (gated.as_slice_mut().expect(product), up.as_slice().expect(product));
        let pairs = gates.par_iter_mut().zip(up).with_min_len(1 << 12);
        pairs.for_each(|(gate, &up)| *gate = gate.silu() * up);
        add(&mut stream, &self.down.apply(&gated));
        stream
    }
}

fn add<T: Number>(stream: &mut Array2<T>, change: &Array2<T>) {
    Zip::from(stream).and(change).for_each(|x, &change| *x += change);
}

/// (tokens, heads times head_dim) to (heads, tokens, head_dim).
fn by_heads<T: Number>(rows: Array2<T>, head_dim: usize) -> Array3<T> {
    let heads = rows.ncols() / head_dim;
    Array3::from_shape_fn((heads, rows.nrows(), head_dim), |(head, token, c)| {
        rows[[token, head * head_dim + c]]
    })
}

/// Outputs of the heads, each (tokens, head_dim), side by side: (tokens, heads times head_dim).
pub(crate) fn side_by_side<T: Number>(outputs: &[Array2<T>], tokens: usize, head_dim: usize) -> Array2<T> {
    let mut joined = Array2::from_elem((tokens, outputs.len() * head_dim), T::default());
    for (mut place, output) in joined.axis_chunks_iter_mut(Axis(1), head_dim).zip(outputs) {
        place.assign(output);
    }
    joined
}
