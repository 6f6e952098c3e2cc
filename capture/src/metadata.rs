//! What a capture says about itself.

use ndarray::Array2;
use obd_core::{Head, HeadGroups, ProblemError, Softcap, Visibility};
use serde::{Deserialize, Serialize};

/// The JSON object under the metadata key `obcache_capture`; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Metadata {
    /// Version of the format; 1.
    pub version: u64,
    /// Name of the model.
    #[serde(default)]
    pub model: String,
    /// Factor on the dot product of query and key.
    pub scale: f64,
    /// Whether a query sees only the tokens up to its own position (bottom-right aligned).
    pub causal: bool,
    /// Tokens that a query sees back from its own position, itself included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<usize>,
    /// Bound of the logit soft-cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub softcap: Option<f64>,
    /// Sink logit of every query head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinks: Option<Vec<f64>>,
    /// Layers of the model, captured or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_layers: Option<usize>,
    /// Query heads per layer.
    pub num_query_heads: usize,
    /// KV heads per layer.
    pub num_kv_heads: usize,
    /// Channels of queries and keys.
    pub head_dim: usize,
    /// Channels of values.
    pub value_dim: usize,
    /// What the writer says of the position encoding: `"applied"` in captures of ours; nothing reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope: Option<serde_json::Value>,
    /// Base of the rotary encoding that queries and keys carry, halves paired as in LLaMA; `None` where there is none or it is
    /// another kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// The captured text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Metadata {
    /// Parses and checks the JSON text; the error is a sentence.
    pub(crate) fn parse(json: Option<&str>) -> Result<Self, String> {
        let json = json.ok_or("is missing, expected a JSON object")?;
        let metadata: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if metadata.version != 1 {
            return Err(format!("version is {}, expected 1", metadata.version));
        }
        metadata.check().map_err(|error| error.to_string())?;
        if let Some(sinks) = &metadata.sinks
            && (sinks.len() != metadata.num_query_heads || sinks.iter().any(|sink| !sink.is_finite()))
        {
            return Err(format!(
                "sinks are {sinks:?}, expected {} finite numbers",
                metadata.num_query_heads
            ));
        }
        Ok(metadata)
    }

    fn check(&self) -> Result<(), ProblemError> {
        self.groups()?;
        self.softcap()?;
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(ProblemError::Parameter {
                parameter: "scale",
                value: self.scale,
                expected: "a finite number above 0",
            });
        }
        if let Some(theta) = self.rope_theta
            && !(theta.is_finite() && theta > 0.0)
        {
            return Err(ProblemError::Parameter {
                parameter: "rope_theta",
                value: theta,
                expected: "a finite number above 0",
            });
        }
        if self.sliding_window == Some(0) {
            return Err(ProblemError::Parameter {
                parameter: "sliding_window",
                value: 0.0,
                expected: "at least 1 token",
            });
        }
        Ok(())
    }

    /// How the query heads share the KV heads.
    ///
    /// # Errors
    /// [`ProblemError::HeadCounts`]; never for metadata of a [`crate::Capture`].
    pub fn groups(&self) -> Result<HeadGroups, ProblemError> {
        HeadGroups::new(self.num_query_heads, self.num_kv_heads)
    }

    /// The attention problem of `query_head` with these queries, keys and values.
    ///
    /// # Errors
    /// [`ProblemError`] where they make none.
    pub fn head(
        &self,
        query_head: usize,
        query: Array2<f64>,
        key: Array2<f64>,
        value: Array2<f64>,
    ) -> Result<Head, ProblemError> {
        let mut visibility = Visibility::all(query.nrows(), key.nrows());
        if self.causal {
            visibility = visibility.causal();
        }
        if let Some(window) = self.sliding_window {
            visibility = visibility.sliding_window(window)?;
        }
        let mut head = Head::new(query, key, value)?
            .with_scale(self.scale)?
            .with_visibility(visibility)?;
        if let Some(softcap) = self.softcap()? {
            head = head.with_softcap(softcap);
        }
        match self.sinks.as_ref().and_then(|sinks| sinks.get(query_head)) {
            Some(&sink) => head.with_sink(sink),
            None => Ok(head),
        }
    }

    /// The soft-cap, if any.
    ///
    /// # Errors
    /// [`ProblemError::Parameter`]; never for metadata of a [`crate::Capture`].
    pub fn softcap(&self) -> Result<Option<Softcap>, ProblemError> {
        self.softcap.map(Softcap::new).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(change: &str) -> String {
        let text = r#"{"version": 1, "scale": 0.5, "causal": true, "num_query_heads": 4, "num_kv_heads": 2,
            "head_dim": 4, "value_dim": 2, "later": [1]}"#;
        let (from, to) = change.split_once("->").unwrap_or(("", ""));
        text.replace(from, to)
    }

    #[test]
    fn unknown_keys_are_ignored_and_optional_ones_default() {
        let metadata = Metadata::parse(Some(&json("\"later\"->\"rope\""))).unwrap();
        assert_eq!(
            (
                metadata.model.as_str(),
                metadata.softcap,
                metadata.sinks,
                metadata.num_layers
            ),
            ("", None, None, None)
        );
    }

    #[test]
    fn each_refusal_names_the_key() {
        for (change, expected) in [
            ("\"version\": 1->\"version\": 2", "version is 2, expected 1"),
            (
                "\"scale\": 0.5->\"scale\": 0.0",
                "scale is 0, expected a finite number above 0",
            ),
            (
                "\"num_kv_heads\": 2->\"num_kv_heads\": 3",
                "4 query heads cannot share 3 KV heads",
            ),
            ("\"later\": [1]->\"softcap\": -1.0", "softcap is -1"),
            ("\"later\": [1]->\"sliding_window\": 0", "sliding_window is 0"),
            ("\"later\": [1]->\"rope_theta\": 0.0", "rope_theta is 0"),
            ("\"later\": [1]->\"sinks\": [1.0]", "expected 4 finite numbers"),
            ("\"causal\": true,->", "missing field `causal`"),
        ] {
            let refused = Metadata::parse(Some(&json(change))).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(Metadata::parse(None).is_err());
    }
}
