//! Heads of a trained model, from the captures in this repository.

use std::path::Path;

use capture::{Capture, CaptureError};
use golden::{AttentionProblem, Dtype, Mask, OutputKind, OutputSpec};
use ndarray::s;

use crate::golden::draft::Draft;

/// One KV head with its query heads from each capture: the last queries of a prefix.
///
/// # Errors
/// [`CaptureError`] where a capture cannot be read.
pub(in crate::golden) fn captured(folder: &Path) -> Result<Vec<Draft>, CaptureError> {
    let sources = [
        ("needle-512", Dtype::F32, 1, 1),
        ("recall-480", Dtype::F16, 2, 0),
        ("text-384", Dtype::Bf16, 3, 1),
    ];
    sources.into_iter().map(|source| of_capture(folder, source)).collect()
}

fn of_capture(
    folder: &Path,
    (name, dtype, layer, kv_head): (&str, Dtype, usize, usize),
) -> Result<Draft, CaptureError> {
    const TOKENS: usize = 160;
    const QUERIES: usize = 16;
    let capture = Capture::read(&folder.join(name).with_extension("safetensors"))?;
    let group = capture.groups().query_heads(kv_head);
    let layer = &capture.layers()[layer.min(capture.layers().len() - 1)];
    let queries = s![group, TOKENS - QUERIES..TOKENS, ..];
    let tokens = s![kv_head..kv_head + 1, ..TOKENS, ..];
    let problem = AttentionProblem {
        query: layer.query.slice(queries).to_owned(),
        key: layer.key.slice(tokens).to_owned(),
        value: layer.value.slice(tokens).to_owned(),
        scale: capture.metadata().scale,
        mask: Mask::causal(),
        softcap: None,
        sinks: None,
    };
    let draft = Draft {
        family: "captured",
        name: name.to_owned(),
        comment: format!(
            "A trained model's KV head {kv_head} with its query heads, layer {}: the last {QUERIES} of the first {TOKENS} \
             queries.",
            layer.index
        ),
        flags: vec!["accumulate-precision", "group-mapping", "real-data"],
        dtype,
        problem,
        outputs: OutputKind::ALL.map(OutputSpec::from).to_vec(),
        twin: None,
    };
    Ok(draft.also(&["removal.group-sum", "weight.last-8.max-pool-7.group-mean"]))
}
