//! The scores of the field agree with NVIDIA's kvpress, number for number.
//!
//! The vectors lie in `verify/tests/kvpress`, or in the folder that `OBCACHE_KVPRESS_VECTORS` names; every score of every file
//! is checked, with whatever shape and constructor arguments its metadata states.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2, Array3, Axis, Dimension, s};
use obcache_scores::field::KvGroup;
use obcache_scores::field::Rope;
use obcache_scores::field::kvpress::Press;
use obd_core::{Head, HeadGroups, Visibility};
use reference_attention::attend;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::kvpress_calls::press;
use super::vector_files;

/// Tensors that are no scores.
const INPUTS: [&str; 8] = [
    "query",
    "query_before_rope",
    "key",
    "value",
    "hidden",
    "q_proj",
    "o_proj",
    "attention_block_output",
];

/// Unit roundoffs.
const U32: f64 = f32::EPSILON as f64 / 2.0;

const U64: f64 = f64::EPSILON / 2.0;

#[derive(Deserialize)]
struct Config {
    kv_len: usize,
    num_query_heads: usize,
    num_kv_heads: usize,
    head_dim: usize,
    rope_theta: f64,
    scores: BTreeMap<String, String>,
}

/// One file: the layer that it describes, and the scores that kvpress gave it.
struct Vectors {
    config: Config,
    layer: Vec<KvGroup>,
    /// Sizes that the tolerances are made of.
    sizes: Sizes,
    scores: BTreeMap<String, Array2<f64>>,
}

/// The largest logit, the largest sum of magnitudes that makes one, and the largest that a query of average length makes, all
/// without scale; and the scale.
struct Sizes {
    largest_logit: f64,
    largest_product: f64,
    average_product: f64,
    scale: f64,
}

fn array<D: Dimension>(file: &SafeTensors, name: &str) -> ndarray::Array<f64, D> {
    let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(tensor.dtype(), safetensors::Dtype::F64, "{name}: dtype");
    let (words, _) = tensor.data().as_chunks::<8>();
    let numbers = words.iter().map(|&word| f64::from_le_bytes(word)).collect();
    let array = ndarray::ArrayD::from_shape_vec(tensor.shape(), numbers).unwrap();
    array
        .into_dimensionality()
        .unwrap_or_else(|_| panic!("{name}: shape {:?}", tensor.shape()))
}

impl Vectors {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let config = &metadata.metadata().as_ref().expect("metadata")["config"];
        let config: Config = serde_json::from_str(config).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let names = file.names().into_iter().filter(|name| !INPUTS.contains(name));
        let scores = names.map(|name| (name.to_owned(), array(&file, name))).collect();
        let (query, key, value) = (array(&file, "query"), array(&file, "key"), array(&file, "value"));
        let groups = HeadGroups::new(config.num_query_heads, config.num_kv_heads).unwrap();
        let rope = Rope::new(config.rope_theta, config.head_dim).unwrap();
        let o_proj: Array2<f64> = array(&file, "o_proj");
        let layer = (0..config.num_kv_heads)
            .map(|kv_head| group(kv_head, groups, [&query, &key, &value], &o_proj, &rope))
            .collect::<Vec<_>>();
        check_queries(&config, &layer, &array(&file, "query_before_rope"));
        let sizes = Sizes::of(&layer);
        Self {
            config,
            layer,
            sizes,
            scores,
        }
    }
}

fn group(
    kv_head: usize,
    groups: HeadGroups,
    [query, key, value]: [&Array3<f64>; 3],
    o_proj: &Array2<f64>,
    rope: &Rope,
) -> KvGroup {
    let rows = |tensor: &Array3<f64>, head: usize| tensor.index_axis(Axis(0), head).to_owned();
    let heads = groups.query_heads(kv_head).map(|head| {
        let head = Head::new(rows(query, head), rows(key, kv_head), rows(value, kv_head)).unwrap();
        let visibility = Visibility::all(head.query_len(), head.kv_len()).causal();
        let head = head.with_visibility(visibility).unwrap();
        let trace = attend(&head);
        (head, trace)
    });
    let width = value.len_of(Axis(2));
    let columns = |head: usize| o_proj.slice(s![.., head * width..(head + 1) * width]).to_owned();
    KvGroup::new(heads.collect())
        .and_then(|group| group.with_projections(groups.query_heads(kv_head).map(columns).collect()))
        .and_then(|group| group.with_rope(rope.clone()))
        .unwrap()
}

/// Undoing the rotation gives the queries that it was done to: the angles are the model's own.
///
/// Angles are the same 32-bit numbers, cosines and sines within one unit of 32 bits: 2 · 2u of the pair's length.
fn check_queries(config: &Config, layer: &[KvGroup], before: &Array3<f64>) {
    let undone = layer.iter().flat_map(|group| group.queries_before_rope().unwrap());
    for (head, (undone, before)) in undone.zip(before.outer_iter()).enumerate() {
        let half = config.head_dim / 2;
        for ((i, c), &expected) in before.indexed_iter() {
            let length = before[[i, c % half]].hypot(before[[i, c % half + half]]);
            let gap = (undone[[i, c]] - expected).abs();
            assert!(
                gap <= 4.0 * U32 * length,
                "query_before_rope[{head}, {i}, {c}]: off by {gap:e}"
            );
        }
    }
}

impl Sizes {
    fn of(layer: &[KvGroup]) -> Self {
        let (mut largest_logit, mut largest_product, mut average_product) = (0.0f64, 0.0f64, 0.0f64);
        for (head, _) in layer.iter().flat_map(KvGroup::heads) {
            let logits = head.query().dot(&head.key().t());
            let products = head.query().mapv(f64::abs).dot(&head.key().mapv(f64::abs).t());
            largest_logit = logits.fold(largest_logit, |largest, logit| largest.max(logit.abs()));
            largest_product = products.fold(largest_product, |largest, &product| largest.max(product));
            let pairs = head.key().mapv(f64::abs).dot(&pair_lengths(head.query()));
            average_product = pairs.fold(average_product, |largest, &product| largest.max(product));
        }
        Self {
            largest_logit,
            largest_product,
            average_product,
            scale: layer[0].heads()[0].0.scale(),
        }
    }

    /// Relative error of a weight whose softmax over `tokens` tokens is taken in 32 bits, its logits with `scale`.
    ///
    /// A logit and its difference from the row's maximum are rounded, (1 + 2) max|z| u, above and below the fraction line; the
    /// exponentials and the quotient round four times, the sum in eight lanes or more tokens / 8 + 3 times. The dot products
    /// before it err as sums of 64 bits do.
    fn softmax(&self, scale: f64, tokens: usize) -> f64 {
        let roundings = 6.0 * self.largest_logit * scale + 7.0 + tokens as f64 / 8.0;
        roundings * U32 + relative(tokens) * (1.0 + self.largest_product * scale)
    }
}

/// Root of the mean squared length of each channel's pair, shape (head_dim): a rotation leaves it, and no mean exceeds it.
fn pair_lengths(query: &Array2<f64>) -> Array1<f64> {
    let squares = query.map_axis(Axis(0), |channel| channel.iter().map(|x| x * x).sum::<f64>());
    let half = squares.len() / 2;
    let pair = |c: usize| squares[c] + squares[(c + half) % squares.len()];
    Array1::from_shape_fn(squares.len(), |c| (pair(c) / query.nrows() as f64).sqrt())
}

/// Relative error of sums and products of `n` numbers of one sign in 64 bits, ours and theirs, and of the few operations
/// that follow.
fn relative(n: usize) -> f64 {
    4.0 * (n as f64 + 64.0) * U64
}

/// What `press` may differ by: relative to each score, and relative to the largest.
///
/// kvpress takes the softmax of attention in 32 bits and sums, averages and multiplies its weights in 64. The mean
/// rotation of ExpectedAttention is made of 32-bit cosines and sines, each within one unit u: a pair of length r moves by
/// √2 u r, the exponent s p + s² p²/2, p = Σ r |k|, by √2 u (s p + s² p²), above and below the fraction line.
fn tolerance(vectors: &Vectors, press: &Press) -> (f64, f64) {
    let Config { kv_len, head_dim, .. } = vectors.config;
    let sizes = &vectors.sizes;
    let exact = relative(kv_len + head_dim);
    match press {
        Press::ObservedAttention | Press::Tova | Press::SnapKv { .. } => (sizes.softmax(sizes.scale, kv_len), exact),
        Press::NonCausalAttn { chunk_size } => {
            // Their sums over a chunk's queries are of 32 bits as well; centred scores keep the largest's absolute error.
            let relative = sizes.softmax(1.0, *chunk_size) + *chunk_size as f64 / 8.0 * U32;
            (relative, 4.0 * relative)
        }
        Press::ExpectedAttention(expected) => {
            let input = sizes.average_product * sizes.scale;
            let exponent = if expected.covariance {
                input + input * input
            } else {
                input
            };
            (3.0 * U32 * exponent + exact * (1.0 + exponent), exact)
        }
        Press::CriticalKv { press, .. } => {
            let (relative, of_largest) = tolerance(vectors, press);
            (relative + exact, of_largest + exact)
        }
        _ => (exact, exact),
    }
}

/// Scores agree within the tolerance. `f64::MAX` marks what CriticalKV picks first; where its base ties at the cut, other
/// picks of as many tokens are as right.
fn check(vectors: &Vectors, name: &str, press: &Press, published: &Array2<f64>) -> Result<f64, String> {
    let score = |press: &Press| {
        press
            .score(&vectors.layer)
            .map_err(|missing| format!("{name}: {missing}"))
    };
    let got = score(press)?;
    if got.dim() != published.dim() {
        return Err(format!("{name}: shape {:?}, kvpress {:?}", got.dim(), published.dim()));
    }
    let (relative, of_largest) = tolerance(vectors, press);
    if let Press::CriticalKv { press: base, .. } = press {
        check_picks(name, &score(base)?, [&got, published], relative)?;
    }
    let picked = |score: f64| score == f64::MAX;
    let open = published.iter().filter(|score| !picked(**score));
    let largest = open.fold(0.0, |largest: f64, score| largest.max(score.abs()));
    let mut worst = 0.0f64;
    for ((place, &got), &published) in got.indexed_iter().zip(published) {
        if picked(got) || picked(published) {
            continue;
        }
        let gap = (got - published).abs();
        let allowed = relative * published.abs() + of_largest * largest;
        if gap.is_nan() || gap > allowed {
            return Err(format!(
                "{name}: {place:?} is {got:e}, kvpress {published:e}, allowed {allowed:e}"
            ));
        }
        worst = worst.max(gap / published.abs().max(f64::MIN_POSITIVE));
    }
    Ok(worst)
}

fn check_picks(name: &str, base: &Array2<f64>, [got, published]: [&Array2<f64>; 2], tie: f64) -> Result<(), String> {
    for (head, base) in base.rows().into_iter().enumerate() {
        let picks = |scores: &Array2<f64>| -> Vec<usize> {
            let row = scores.row(head);
            (0..row.len()).filter(|&token| row[token] == f64::MAX).collect()
        };
        let (got, published) = (picks(got), picks(published));
        let only = |these: &[usize], those: &[usize]| -> Vec<f64> {
            these
                .iter()
                .filter(|token| !those.contains(token))
                .map(|&token| base[token])
                .collect()
        };
        let (ours, theirs) = (only(&got, &published), only(&published, &got));
        let largest = ours.iter().fold(f64::NEG_INFINITY, |largest: f64, &x| largest.max(x));
        let tied = theirs.iter().all(|&x| (x - largest).abs() <= 2.0 * tie * largest.abs());
        if got.len() != published.len() || !tied {
            return Err(format!(
                "{name}: head {head} picks {got:?} first, kvpress {published:?}"
            ));
        }
    }
    Ok(())
}

fn check_file(path: &Path) -> Result<(), String> {
    let vectors = Vectors::read(path);
    let place = path.display();
    let listed: Vec<&String> = vectors.config.scores.keys().collect();
    let held: Vec<&String> = vectors.scores.keys().collect();
    if listed != held || listed.is_empty() {
        return Err(format!("{place}: scores {held:?}, in the metadata {listed:?}"));
    }
    for (name, call) in &vectors.config.scores {
        let press = press(call).map_err(|error| format!("{place}: {name}: {error}"))?;
        let worst =
            check(&vectors, name, &press, &vectors.scores[name]).map_err(|error| format!("{place}: {error}"))?;
        println!("{place}: {name}: largest relative difference {worst:.1e}");
    }
    Ok(())
}

#[test]
fn kvpress_vectors() {
    let files = vector_files("OBCACHE_KVPRESS_VECTORS", "kvpress");
    let errors: Vec<String> = files.iter().filter_map(|file| check_file(file).err()).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn a_score_beyond_its_tolerance_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kvpress");
    let vectors = Vectors::read(&folder.join("gqa-t80-d16.safetensors"));
    for (name, call) in &vectors.config.scores {
        let press = press(call).unwrap();
        let (relative, of_largest) = tolerance(&vectors, &press);
        assert!(relative + of_largest < 2e-5, "{name}: {relative:e} and {of_largest:e}");
        let mut scores = vectors.scores[name].clone();
        let open = |score: f64| score < f64::MAX;
        let largest = scores
            .iter()
            .filter(|score| open(**score))
            .fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let token = (10..scores.ncols()).find(|&token| open(scores[[1, token]])).unwrap();
        scores[[1, token]] += 4.0 * (relative * scores[[1, token]].abs() + of_largest * largest);
        assert!(check(&vectors, name, &press, &scores).is_err(), "{name}");
    }
}
