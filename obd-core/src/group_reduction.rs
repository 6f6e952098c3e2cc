//! The query heads of one KV head share its tokens: their saliencies are joined into one.

use std::fmt;
use std::str::FromStr;

use ndarray::Array1;

use crate::UnknownName;

/// How the saliencies of the query heads that read one KV head become one. Claim C17.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupReduction {
    /// Their sum: for squared perturbations the error of all heads together, cross terms behind W_O apart (claim C17).
    Sum,
    /// Their mean, as kvpress takes it; ranks tokens as the sum does.
    Mean,
    /// Their maximum: a token is worth what its best reader gives it.
    Max,
}

impl GroupReduction {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Sum, Self::Mean, Self::Max];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Max => "max",
        }
    }

    /// Joins saliencies of shape (kv_len) each; `None` where there are none or their lengths differ.
    pub fn reduce(self, saliencies: &[Array1<f64>]) -> Option<Array1<f64>> {
        let (first, others) = saliencies.split_first()?;
        if others.iter().any(|saliency| saliency.len() != first.len()) {
            return None;
        }
        Some(match self {
            Self::Sum => others.iter().fold(first.clone(), |sum, saliency| sum + saliency),
            Self::Mean => Self::Sum.reduce(saliencies)? / saliencies.len() as f64,
            Self::Max => Array1::from_shape_fn(first.len(), |j| {
                others.iter().fold(first[j], |best, saliency| best.max(saliency[j]))
            }),
        })
    }
}

impl fmt::Display for GroupReduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for GroupReduction {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|reduction| reduction.name() == name);
        known.ok_or_else(|| UnknownName {
            kind: "group reduction",
            name: name.to_owned(),
            expected: "sum, mean or max",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn sum_mean_and_max() {
        let heads = [array![1.0, 8.0], array![3.0, 2.0]];
        assert_eq!(GroupReduction::Sum.reduce(&heads), Some(array![4.0, 10.0]));
        assert_eq!(GroupReduction::Mean.reduce(&heads), Some(array![2.0, 5.0]));
        assert_eq!(GroupReduction::Max.reduce(&heads), Some(array![3.0, 8.0]));
    }

    #[test]
    fn names_read_back() {
        assert_eq!(
            GroupReduction::ALL.map(|reduction| reduction.to_string()),
            ["sum", "mean", "max"]
        );
        for reduction in GroupReduction::ALL {
            assert_eq!(reduction.to_string().parse(), Ok(reduction));
        }
        assert!("average".parse::<GroupReduction>().is_err());
    }

    #[test]
    fn nothing_to_join_is_nothing() {
        assert_eq!(GroupReduction::Sum.reduce(&[]), None);
        assert_eq!(GroupReduction::Sum.reduce(&[array![1.0], array![1.0, 2.0]]), None);
    }
}
