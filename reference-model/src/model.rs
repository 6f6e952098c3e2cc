//! The decoder: embedding, layers, norm, output head.

use std::num::NonZero;

use ndarray::{Array1, Array2, ArrayView2, s};
use obcache_scores::accumulate;
use obcache_scores::serve::Tracker;
use obd_core::{ProblemError, QueryWindow};
use reference_attention::attend;
use strip_engine::{Column, Decoder, Step};

use crate::attended::Projected;
use crate::cache::{HeadCache, LayerCache};
use crate::layer::{Layer, side_by_side};
use crate::matrix::Matrix;
use crate::norm::Norm;
use crate::rope::Rotation;
use crate::tensors::Tensors;
use crate::{Attended, Config, KvCache, ModelError, Number, Source};

/// What an observer of a model answers: its error ends the run, as [`ModelError::Observer`].
pub type Observed = Result<(), Box<dyn std::error::Error + Send + Sync>>;

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
    /// over every pair, for short prompts. Claim C39.
    ///
    /// # Errors
    /// [`ModelError`] where there is no token, there are too many, an id is unknown, or a number overflows.
    pub fn reference(&self, tokens: &[u32]) -> Result<Array2<T>, ModelError> {
        let hidden = self.run(tokens, 0, &mut |layer, projected| {
            let outputs = projected.by_reference(&self.config, self.config.sliding_windows[layer]);
            outputs.map_err(|source| ModelError::Attention { layer, source })
        })?;
        Ok(self.logits(hidden.view()))
    }

    /// Runs a prompt through the strip engine into an empty cache; `observe` sees each layer. Yields the last hidden states,
    /// shape (tokens, hidden), for [`Model::logits`]. Claim C39.
    ///
    /// # Errors
    /// As [`Model::reference`], and where the cache is not as [`Model::cache`] makes it for this model, or `observe` fails; it is then
    /// not to be used again.
    pub fn prefill(
        &self,
        tokens: &[u32],
        cache: &mut KvCache<T>,
        observe: &mut dyn FnMut(usize, &Attended<T>) -> Observed,
    ) -> Result<Array2<T>, ModelError> {
        self.check_cache(cache)?;
        if !cache.layers.iter().all(LayerCache::is_new) {
            return Err(ModelError::Cache(
                "holds tokens, is split or is tracked already, expected one as Model::cache makes it",
            ));
        }
        let hidden = self.run(tokens, 0, &mut |layer, projected| {
            let in_layer = |source| ModelError::Attention { layer, source };
            let window = self.config.sliding_windows[layer];
            let attended = Attended::by_strips(projected, &self.config, window).map_err(in_layer)?;
            cache.layers[layer].fill(&attended).map_err(in_layer)?;
            observe(layer, &attended).map_err(ModelError::Observer)?;
            Ok(attended.saliencies.into_iter().map(|head| head.output).collect())
        })?;
        cache.seen = tokens.len();
        Ok(hidden)
    }

    /// Runs further tokens over what the cache holds, which they join; its trackers take them in, and `observe` sees the step of
    /// each token in each layer and set of cached tokens. Yields the last hidden states, shape (tokens, hidden). Claims C39 and C41.
    ///
    /// # Errors
    /// As [`Model::reference`], and where the cache belongs to another model or `observe` fails; it is then not to be used again.
    pub fn decode(
        &self,
        tokens: &[u32],
        cache: &mut KvCache<T>,
        observe: &mut dyn FnMut(usize, usize, &Step<T>) -> Observed,
    ) -> Result<Array2<T>, ModelError> {
        self.check_cache(cache)?;
        let start = cache.seen;
        let hidden = self.run(tokens, start, &mut |layer, projected| {
            let in_layer = |source| ModelError::Attention { layer, source };
            let mut decoder = Decoder::new()
                .with_threads(NonZero::<usize>::MIN)
                .with_scale(self.config.scale())
                .map_err(in_layer)?;
            let shape = (tokens.len(), self.config.head_dim);
            let mut outputs = vec![Array2::from_elem(shape, T::default()); self.config.groups.num_query_heads()];
            let cached: &mut LayerCache<T> = &mut cache.layers[layer];
            for head in 0..cached.heads.len() {
                let readers = cached.readers(head);
                let kv_head = self.config.groups.kv_head(readers.start);
                for token in 0..tokens.len() {
                    let key = projected.key.slice(s![kv_head, token, ..]);
                    let value = projected.value.slice(s![kv_head, token, ..]);
                    let query = projected.query.slice(s![readers.clone(), token, ..]);
                    cached.heads[head].slide(self.config.sliding_windows[layer]);
                    let HeadCache { rows, tracker } = &mut cached.heads[head];
                    rows.push(key, value).map_err(in_layer)?;
                    let step = decoder.step(rows, query).map_err(in_layer)?;
                    let traced = traced(tracker, &step).map_err(in_layer)?;
                    tracker.take_step(step.kv_len(), |reader, score, sums| match Column::of_score(score) {
                        Some(column) => step.add_to(reader, column, sums),
                        None => *sums += &traced[reader],
                    })?;
                    for (place, reader) in readers.clone().enumerate() {
                        outputs[reader].row_mut(token).assign(&step.output(place));
                    }
                    observe(layer, head, &step).map_err(ModelError::Observer)?;
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
        attend: &mut dyn FnMut(usize, Projected<T>) -> Result<Vec<Array2<T>>, ModelError>,
    ) -> Result<Array2<T>, ModelError> {
        self.check_tokens(tokens, start)?;
        let mut stream = Array2::from_elem((tokens.len(), self.config.hidden), T::default());
        for (mut row, &token) in stream.rows_mut().into_iter().zip(tokens) {
            row.assign(&self.embedding.row(token as usize));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let projected = layer.project(&stream, &self.rotation, start, &self.config);
            let outputs = attend(index, projected)?;
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

/// The step's saliencies of a score that the strip engine has no column for, one a query head; none where it has one, or where
/// the tracker scores nothing.
fn traced<T: Number>(tracker: &Tracker, step: &Step<T>) -> Result<Vec<Array1<f64>>, ProblemError> {
    let Some(score) = tracker
        .policy()
        .score
        .filter(|&score| Column::of_score(score).is_none())
    else {
        return Ok(Vec::new());
    };
    let of_reader = |reader| {
        let head = step.head(reader)?;
        Ok(accumulate(
            &score.contributions(&head, &attend(&head)),
            QueryWindow::All,
        ))
    };
    (0..tracker.query_heads()).map(of_reader).collect()
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
        let prefilled = model.prefill(&tokens, &mut whole, &mut |_, _| Ok(())).unwrap();
        for split in [false, true] {
            let mut cache = model.cache();
            model.prefill(&tokens[..10], &mut cache, &mut |_, _| Ok(())).unwrap();
            if split {
                cache.layers_mut().iter_mut().for_each(LayerCache::split);
            }
            let decoded = model.decode(&tokens[10..], &mut cache, &mut |_, _, _| Ok(())).unwrap();
            let expected = prefilled.slice(s![10.., ..]);
            let difference = (&decoded - &expected).fold(0f32, |most, x| most.max(x.abs()));
            assert!(difference < 1e-4, "{difference}");
            assert_eq!((cache.seen(), cache.layers()[0].heads()[0].positions().len()), (28, 28));
        }
    }

    #[test]
    fn an_observer_that_fails_ends_the_run() {
        let (model, mut cache) = (model(), model().cache());
        let mut fail = |layer: usize, _: &Attended<f32>| match layer {
            0 => Ok(()),
            _ => Err("seen enough".into()),
        };
        let failed = model.prefill(&[1, 2], &mut cache, &mut fail).unwrap_err();
        assert_eq!(failed.to_string(), "seen enough");
        assert!(matches!(failed, ModelError::Observer(_)));
        // Its first layers hold tokens.
        assert!(model.prefill(&[1], &mut cache, &mut |_, _| Ok(())).is_err());
        let failed = model.decode(&[1], &mut model.cache(), &mut |_, _, _| Err("enough".into()));
        assert_eq!(failed.unwrap_err().to_string(), "enough");
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let model = model();
        let mut cache = model.cache();
        let mut refused = |tokens: &[u32]| {
            model
                .prefill(tokens, &mut cache, &mut |_, _| Ok(()))
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
        model.prefill(&[1], &mut cache, &mut |_, _| Ok(())).unwrap();
        assert!(model.prefill(&[1], &mut cache, &mut |_, _| Ok(())).is_err());
        cache.layers.pop();
        assert!(model.decode(&[1], &mut cache, &mut |_, _, _| Ok(())).is_err());
    }
}
