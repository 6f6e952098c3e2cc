//! The decoder: embedding, layers, norm, output head.

use std::num::NonZero;

use ndarray::{Array2, ArrayView2, s};
use obcache_scores::strip::{Decoder, Step};
use obd_core::ProblemError;

use crate::attended::Projected;
use crate::cache::LayerCache;
use crate::layer::{Layer, side_by_side};
use crate::matrix::Matrix;
use crate::norm::Norm;
use crate::rope::Rotation;
use crate::tensors::Tensors;
use crate::{Attended, Config, KvCache, ModelError, Number, Source};

/// A loaded model that computes in `T`; weights in 16 bits stay so in memory and are widened a block at a time.
#[derive(Debug, Clone)]
pub struct Model<T> {
    config: Config,
    embedding: Matrix<T>,
    layers: Vec<Layer<T>>,
    norm: Norm<T>,
    /// Output head, unless it is the embedding.
    head: Option<Matrix<T>>,
    rotation: Rotation,
}

impl<T: Number> Model<T> {
    /// Loads `config.json` and `model.safetensors`, or the files that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// [`ModelError`] that names the file, and the tensor or key, for whatever is missing, damaged, misshapen, not finite or
    /// not known.
    pub fn load(source: &Source) -> Result<Self, ModelError> {
        let config = Config::load(source)?;
        let mut tensors = Tensors::open(source)?;
        let shape = (config.vocabulary, config.hidden);
        let embedding = tensors.matrix("model.embed_tokens.weight", shape)?;
        let head = (!config.tied)
            .then(|| tensors.matrix("lm_head.weight", shape))
            .transpose()?;
        let weight = tensors.vector("model.norm.weight", config.hidden)?;
        let layers = (0..config.num_layers).map(|layer| Layer::load(&mut tensors, &config, layer));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            embedding,
            head,
            norm: Norm {
                weight,
                epsilon: config.norm_epsilon,
            },
            rotation: Rotation::new(&config),
            config,
        })
    }

    /// What `config.json` says.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// An empty cache.
    pub fn cache(&self) -> KvCache<T> {
        KvCache::new(&self.config)
    }

    /// Output projection of a layer, shape (hidden, query heads times head_dim); `None` where there is no such layer.
    pub fn output_projection(&self, layer: usize) -> Option<Array2<T>> {
        self.layers.get(layer).map(|layer| layer.output.weight.to_wide())
    }

    /// Logits of every token, shape (tokens, vocabulary), attention by `reference-attention`: explicit loops in 64 bits
    /// over every pair, for short prompts.
    ///
    /// # Errors
    /// [`ModelError`] where there is no token, there are too many, an id is unknown, or a number overflows.
    pub fn reference(&self, tokens: &[u32]) -> Result<Array2<T>, ModelError> {
        let hidden = self.run(tokens, 0, &mut |layer, projected| {
            projected.by_reference(&self.config, self.config.sliding_windows[layer])
        })?;
        Ok(self.logits(hidden.view()))
    }

    /// Runs a prompt through the strip engine into an empty cache; `observe` sees each layer. Yields the last hidden states,
    /// shape (tokens, hidden), for [`Model::logits`].
    ///
    /// # Errors
    /// As [`Model::reference`], and where the cache holds tokens or belongs to another model.
    pub fn prefill(
        &self,
        tokens: &[u32],
        cache: &mut KvCache<T>,
        observe: &mut dyn FnMut(usize, &Attended<T>),
    ) -> Result<Array2<T>, ModelError> {
        self.check_cache(cache)?;
        if cache.seen > 0 {
            return Err(ModelError::Cache("holds tokens already, expected an empty one"));
        }
        let hidden = self.run(tokens, 0, &mut |layer, projected| {
            let attended = Attended::by_strips(projected, &self.config, self.config.sliding_windows[layer])?;
            cache.layers[layer].fill(&attended)?;
            observe(layer, &attended);
            Ok(attended.saliencies.into_iter().map(|head| head.output).collect())
        })?;
        cache.seen = tokens.len();
        Ok(hidden)
    }

    /// Runs further tokens over what the cache holds, which they join; `observe` sees the step of each token in each layer
    /// and set of cached tokens. Yields the last hidden states, shape (tokens, hidden).
    ///
    /// # Errors
    /// As [`Model::reference`], and where the cache belongs to another model; it is then not to be used again.
    pub fn decode(
        &self,
        tokens: &[u32],
        cache: &mut KvCache<T>,
        observe: &mut dyn FnMut(usize, usize, &Step<T>),
    ) -> Result<Array2<T>, ModelError> {
        self.check_cache(cache)?;
        let start = cache.seen;
        let hidden = self.run(tokens, start, &mut |layer, projected| {
            let window = self.config.sliding_windows[layer];
            let mut decoder = Decoder::new()
                .with_threads(NonZero::<usize>::MIN)
                .with_scale(self.config.scale())?;
            let shape = (tokens.len(), self.config.head_dim);
            let mut outputs = vec![Array2::from_elem(shape, T::default()); self.config.groups.num_query_heads()];
            let cached: &mut LayerCache<T> = &mut cache.layers[layer];
            for head in 0..cached.heads.len() {
                let readers = cached.readers(head);
                let kv_head = self.config.groups.kv_head(readers.start);
                for token in 0..tokens.len() {
                    let key = projected.key.slice(s![kv_head, token, ..]);
                    let value = projected.value.slice(s![kv_head, token, ..]);
                    cached.heads[head].push(start + token, (key, value), window)?;
                    let query = projected.query.slice(s![readers.clone(), token, ..]);
                    let step = decoder.step(&cached.heads[head].rows, query)?;
                    for (place, reader) in readers.clone().enumerate() {
                        outputs[reader].row_mut(token).assign(&step.output(place));
                    }
                    observe(layer, head, &step);
                }
            }
            Ok(outputs)
        })?;
        cache.seen += tokens.len();
        Ok(hidden)
    }

    /// Logits of hidden states (tokens, hidden): shape (tokens, vocabulary).
    pub fn logits(&self, hidden: ArrayView2<T>) -> Array2<T> {
        self.head.as_ref().unwrap_or(&self.embedding).product(hidden)
    }

    /// The last hidden states of `tokens` at positions `start` on, attention of each layer by `attend`.
    fn run(
        &self,
        tokens: &[u32],
        start: usize,
        attend: &mut dyn FnMut(usize, Projected<T>) -> Result<Vec<Array2<T>>, ProblemError>,
    ) -> Result<Array2<T>, ModelError> {
        self.check_tokens(tokens, start)?;
        let mut stream = Array2::from_elem((tokens.len(), self.config.hidden), T::default());
        for (mut row, &token) in stream.rows_mut().into_iter().zip(tokens) {
            row.assign(&self.embedding.row(token as usize));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let projected = layer.project(&stream, &self.rotation, start, &self.config);
            let outputs = attend(index, projected).map_err(|source| ModelError::Attention { layer: index, source })?;
            let attention = side_by_side(&outputs, tokens.len(), self.config.head_dim);
            stream = layer.finish(stream, &attention);
        }
        Ok(self.norm.apply(&stream))
    }

    fn check_tokens(&self, tokens: &[u32], start: usize) -> Result<(), ModelError> {
        let (limit, vocabulary) = (self.config.max_positions, self.config.vocabulary);
        if tokens.is_empty() {
            return Err(ModelError::EmptyPrompt);
        }
        if start + tokens.len() > limit {
            return Err(ModelError::TooLong {
                tokens: start + tokens.len(),
                limit,
            });
        }
        match tokens.iter().position(|&id| id as usize >= vocabulary) {
            Some(position) => Err(ModelError::Token {
                position,
                id: tokens[position],
                vocabulary,
            }),
            None => Ok(()),
        }
    }

    fn check_cache(&self, cache: &KvCache<T>) -> Result<(), ModelError> {
        let fits = |layer: &LayerCache<T>| {
            let groups = self.config.groups;
            let heads = [groups.num_kv_heads(), groups.num_query_heads()];
            let rows = layer.heads.first().map(|head| head.rows.head_dim());
            heads.contains(&layer.heads.len()) && rows == Some(self.config.head_dim)
        };
        if cache.layers.len() != self.layers.len() || !cache.layers.iter().all(fits) {
            return Err(ModelError::Cache(
                "belongs to another model, expected one of Model::cache",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model<f32> {
        Model::load(&Source::llama_tiny()).unwrap()
    }

    #[test]
    fn decoding_a_prompt_is_prefilling_it() {
        let (model, tokens) = (model(), b"The cache forgets. The cache".map(u32::from));
        let mut whole = model.cache();
        let prefilled = model.prefill(&tokens, &mut whole, &mut |_, _| {}).unwrap();
        for split in [false, true] {
            let mut cache = model.cache();
            model.prefill(&tokens[..10], &mut cache, &mut |_, _| {}).unwrap();
            if split {
                cache.layers_mut().iter_mut().for_each(LayerCache::split);
            }
            let decoded = model.decode(&tokens[10..], &mut cache, &mut |_, _, _| {}).unwrap();
            let expected = prefilled.slice(s![10.., ..]);
            let difference = (&decoded - &expected).fold(0f32, |most, x| most.max(x.abs()));
            assert!(difference < 1e-4, "{difference}");
            assert_eq!((cache.seen(), cache.layers()[0].heads()[0].positions().len()), (28, 28));
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let model = model();
        let mut cache = model.cache();
        let mut refused = |tokens: &[u32]| {
            model
                .prefill(tokens, &mut cache, &mut |_, _| {})
                .unwrap_err()
                .to_string()
        };
        assert_eq!(refused(&[]), "the prompt is empty, expected at least 1 token");
        assert_eq!(
            refused(&[1, 256]),
            "token 1 has id 256, expected one below the model's vocabulary of 256"
        );
        assert_eq!(
            refused(&[1; 2049]),
            "2049 tokens, expected at most 2048 (max_position_embeddings of config.json)"
        );
        model.prefill(&[1], &mut cache, &mut |_, _| {}).unwrap();
        assert!(model.prefill(&[1], &mut cache, &mut |_, _| {}).is_err());
        cache.layers.pop();
        assert!(model.decode(&[1], &mut cache, &mut |_, _, _| {}).is_err());
    }
}
