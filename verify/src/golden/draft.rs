//! A case before its answers are known.

use golden::{AttentionProblem, Dtype, Mask, OutputKind, OutputSpec, Twin};

use super::numbers::Numbers;

/// A problem with what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub family: &'static str,
    /// Name within the family; the dtype is appended to make the identifier.
    pub name: String,
    pub comment: String,
    pub flags: Vec<&'static str>,
    pub dtype: Dtype,
    pub problem: AttentionProblem,
    pub outputs: Vec<OutputSpec>,
    pub twin: Option<Twin>,
}

/// The sizes of a problem.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub query_heads: usize,
    pub kv_heads: usize,
    pub query_len: usize,
    pub kv_len: usize,
    pub head_dim: usize,
    pub value_dim: usize,
}

impl Size {
    /// One head with as many queries as tokens and as many value channels as key channels.
    pub fn square(tokens: usize, channels: usize) -> Self {
        Self {
            query_heads: 1,
            kv_heads: 1,
            query_len: tokens,
            kv_len: tokens,
            head_dim: channels,
            value_dim: channels,
        }
    }

    pub fn queries(self, query_len: usize) -> Self {
        Self { query_len, ..self }
    }

    pub fn heads(self, query_heads: usize, kv_heads: usize) -> Self {
        Self {
            query_heads,
            kv_heads,
            ..self
        }
    }

    pub fn values(self, value_dim: usize) -> Self {
        Self { value_dim, ..self }
    }
}

impl Draft {
    /// A causal problem whose heads, tokens and channels all differ: logits spread by about 1 to 3 with the head, values
    /// of lengths a factor 16 apart around a common part. Asks for every plain output.
    ///
    /// The numbers depend on family, name and size, and on the dtype only by rounding.
    pub fn new(family: &'static str, name: impl Into<String>, dtype: Dtype, size: Size) -> Self {
        let name = name.into();
        let mut numbers = Numbers::new(&format!("{family}/{name}"));
        let problem = AttentionProblem {
            query: numbers.tensor(size.query_heads, size.query_len, size.head_dim, |h, _| {
                1.0 + 0.5 * (h % 5) as f64
            }),
            key: numbers.tensor(size.kv_heads, size.kv_len, size.head_dim, |_, _| 1.0),
            value: numbers.values(size.kv_heads, size.kv_len, size.value_dim),
            scale: 1.0 / (size.head_dim as f64).sqrt(),
            mask: Mask::causal(),
            softcap: None,
            sinks: None,
        };
        Self {
            family,
            name,
            comment: String::new(),
            flags: Vec::new(),
            dtype,
            problem,
            outputs: OutputKind::ALL.map(OutputSpec::from).to_vec(),
            twin: None,
        }
        .rounded()
    }

    /// The identifier of the case.
    pub fn id(&self) -> String {
        format!("{}/{}.{}", self.family, self.name, self.dtype.name())
    }

    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = comment.into();
        self
    }

    pub fn flags(mut self, flags: &[&'static str]) -> Self {
        self.flags.extend_from_slice(flags);
        self
    }

    pub fn mask(mut self, mask: Mask) -> Self {
        self.problem.mask = mask;
        self
    }

    /// Asks for further outputs, by their names.
    pub fn also(mut self, names: &[&str]) -> Self {
        self.outputs.extend(names.iter().map(|name| spec(name)));
        self
    }

    /// Asks for these outputs and no others.
    pub fn only(mut self, names: &[&str]) -> Self {
        self.outputs = names.iter().map(|name| spec(name)).collect();
        self
    }

    /// Another problem made from this one, rounded again.
    pub fn change(mut self, change: impl FnOnce(&mut AttentionProblem)) -> Self {
        change(&mut self.problem);
        self.rounded()
    }

    fn rounded(mut self) -> Self {
        let dtype = self.dtype;
        let problem = &mut self.problem;
        for tensor in [&mut problem.query, &mut problem.key, &mut problem.value] {
            tensor.mapv_inplace(|x| dtype.round(x));
        }
        if let Some(sinks) = &mut problem.sinks {
            sinks.iter_mut().for_each(|sink| *sink = dtype.round(*sink));
        }
        self
    }
}

fn spec(name: &str) -> OutputSpec {
    name.parse().expect("a name in the source is the name of an output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dtypes_differ_by_rounding_only() {
        let [f32, f16] = [Dtype::F32, Dtype::F16].map(|dtype| Draft::new("plain", "x", dtype, Size::square(3, 4)));
        assert_eq!(f32.problem.key.mapv(|x| Dtype::F16.round(x)), f16.problem.key);
        assert_eq!(
            (f32.id(), f16.id()),
            ("plain/x.f32".to_owned(), "plain/x.f16".to_owned())
        );
    }
}
