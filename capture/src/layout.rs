//! Which tensors make a capture: names and shapes are settled from the headers, before any number is read.

use std::collections::{BTreeMap, BTreeSet};

use crate::Metadata;
use crate::container::{Header, ReadError, count, refused};

/// Numbers that a capture may hold in all; in 64 bits each they take 8 GiB of memory.
pub const LARGEST_CAPTURE: usize = 1 << 30;

/// The checked shapes of one layer.
pub(crate) struct LayerLayout {
    pub index: usize,
    pub query: [usize; 3],
    pub key: [usize; 3],
    pub value: [usize; 3],
    pub o_proj: Option<[usize; 2]>,
    pub dtype: String,
    /// Whether 32 bits hold every query, key and value as it is stored.
    pub fits_f32: bool,
}

/// Whether a tensor of this name belongs to a capture; others are ignored.
pub(crate) fn is_part(name: &str) -> bool {
    name == "tokens" || layer_index(name).is_some()
}

/// L of a name `layer.L.part`.
fn layer_index(name: &str) -> Option<usize> {
    let (index, part) = name.strip_prefix("layer.")?.split_once('.')?;
    ["query", "key", "value", "o_proj"]
        .contains(&part)
        .then(|| index.parse().ok())?
}

/// The layers, ascending, of a capture with these headers.
pub(crate) fn layers(headers: &BTreeMap<String, Header>, metadata: &Metadata) -> Result<Vec<LayerLayout>, ReadError> {
    let indices: BTreeSet<usize> = headers.keys().filter_map(|name| layer_index(name)).collect();
    if indices.is_empty() {
        return Err(refused("layer.L.query", "is missing, expected at least one layer"));
    }
    let layers = indices
        .into_iter()
        .map(|index| layer(index, headers, metadata))
        .collect::<Result<Vec<_>, _>>()?;
    let kv_len = layers[0].key[1];
    if let Some(tokens) = headers.get("tokens")
        && tokens.shape != [kv_len]
    {
        let reason = format!("shape {:?}, expected [{kv_len}] (kv_len)", tokens.shape);
        return Err(refused("tokens", reason));
    }
    Ok(layers)
}

fn layer(index: usize, headers: &BTreeMap<String, Header>, metadata: &Metadata) -> Result<LayerLayout, ReadError> {
    let Metadata {
        num_query_heads,
        num_kv_heads,
        head_dim,
        value_dim,
        ..
    } = *metadata;
    let name = |part: &str| format!("layer.{index}.{part}");
    let find = |part: &str| {
        headers
            .get(&name(part))
            .ok_or_else(|| refused(&name(part), "is missing"))
    };
    let (query, key, value) = (find("query")?, find("key")?, find("value")?);
    let dtype = query.dtype.clone();
    let fits_f32 = [query, key, value].iter().all(|header| header.fits_f32());
    let query = three_axes(&name("query"), query, [Some(num_query_heads), None, Some(head_dim)])?;
    let key = three_axes(&name("key"), key, [Some(num_kv_heads), None, Some(head_dim)])?;
    let value = three_axes(
        &name("value"),
        value,
        [Some(num_kv_heads), Some(key[1]), Some(value_dim)],
    )?;
    let o_proj = headers.get(&name("o_proj"));
    let o_proj = o_proj
        .map(|header| output_projection(&name("o_proj"), header, num_query_heads * value_dim))
        .transpose()?;
    Ok(LayerLayout {
        index,
        query,
        key,
        value,
        o_proj,
        dtype,
        fits_f32,
    })
}

/// A shape of three axes with the lengths that are known; no axis may be empty.
fn three_axes(name: &str, header: &Header, expected: [Option<usize>; 3]) -> Result<[usize; 3], ReadError> {
    let fits = |shape: &[usize; 3]| {
        let pairs = expected.iter().zip(shape);
        pairs
            .into_iter()
            .all(|(expected, &found)| expected.map_or(found > 0, |expected| found == expected))
    };
    let shape = <[usize; 3]>::try_from(header.shape.as_slice()).ok().filter(fits);
    shape.ok_or_else(|| {
        let words = expected.map(|length| length.map_or("at least 1".to_owned(), |length| length.to_string()));
        refused(
            name,
            format!("shape {:?}, expected [{}]", header.shape, words.join(", ")),
        )
    })
}

fn output_projection(name: &str, header: &Header, inputs: usize) -> Result<[usize; 2], ReadError> {
    match *header.shape.as_slice() {
        [hidden, found] if found == inputs => Ok([hidden, found]),
        _ => Err(refused(
            name,
            format!("shape {:?}, expected [hidden, {inputs}]", header.shape),
        )),
    }
}

/// Refuses the largest tensor of a capture that outgrows [`LARGEST_CAPTURE`].
pub(crate) fn check_size(headers: &BTreeMap<String, Header>) -> Result<(), ReadError> {
    // A count beyond usize is larger than any capture may be.
    let elements = |header: &Header| count(&header.shape).unwrap_or(usize::MAX);
    let total = headers
        .values()
        .fold(0usize, |total, header| total.saturating_add(elements(header)));
    let largest = headers.iter().max_by_key(|(_, header)| elements(header));
    match largest {
        Some((name, header)) if total > LARGEST_CAPTURE => {
            let shape = &header.shape;
            let reason = format!("shape {shape:?}, expected at most {LARGEST_CAPTURE} numbers in the whole capture");
            Err(refused(name, reason))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_of_layers_are_wanted() {
        assert_eq!(["layer.12.o_proj", "layer.3.key", "tokens"].map(is_part), [true; 3]);
        assert_eq!(
            ["layer.x.key", "layer.1.mlp", "model.layers.0.key"].map(is_part),
            [false; 3]
        );
    }

    #[test]
    fn the_sum_of_all_tensors_counts() {
        let header = |length: usize| Header {
            shape: vec![length],
            dtype: "F32".to_owned(),
        };
        let headers = |last: usize| {
            BTreeMap::from([
                ("a".to_owned(), header(LARGEST_CAPTURE - 1)),
                ("b".to_owned(), header(last)),
            ])
        };
        assert!(check_size(&headers(1)).is_ok());
        let Err(ReadError::Tensor { tensor, reason }) = check_size(&headers(2)) else {
            panic!("let in");
        };
        assert_eq!(
            (tensor.as_str(), reason.as_str()),
            (
                "a",
                "shape [1073741823], expected at most 1073741824 numbers in the whole capture"
            )
        );
    }
}
