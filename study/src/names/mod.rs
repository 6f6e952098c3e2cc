//! Everything that a table or a sentence names. A type's `Display` is its name in files; inside the program no name is a string.
//!
//! | type | names | column |
//! |---|---|---|
//! | [`Statistic`] | what is averaged | `statistic` |
//! | [`Window`] | the queries that a score sees | `window` |
//! | [`Queries`] | the queries that count in the error | `queries` |
//! | [`Truth`] | the error that a score is compared with | `truth` |
//! | [`Protected`] | the tokens that are kept whatever a score says | `protection` |
//! | [`Kept`] | the fraction of the tokens kept | `budget` |
//! | [`Ranking`], [`SetSelection`], [`Selection`] | how the kept tokens are chosen | `score` |
//! | [`GroupScore`], [`FieldScore`], [`Sharing`] | the same for a KV head, and how a budget is shared among KV heads | `score`, `allocation` |
//! | [`Quantity`] | a number that a token has: a score or an error | columns of `tokens.csv` |
//! | [`Subject`], [`Column`] | row and column of a mean | `summary.csv` |

mod column;
mod field_score;
mod group_score;
mod kept;
mod protected;
mod quantity;
mod queries;
mod ranking;
mod selection;
mod set_selection;
mod sharing;
mod statistic;
mod subject;
mod truth;
mod window;

pub use column::Column;
pub use field_score::FieldScore;
pub use group_score::GroupScore;
pub use kept::Kept;
pub use protected::Protected;
pub use quantity::Quantity;
pub use queries::Queries;
pub use ranking::Ranking;
pub use selection::Selection;
pub use set_selection::SetSelection;
pub use sharing::Sharing;
pub use statistic::Statistic;
pub use subject::Subject;
pub use truth::Truth;
pub use window::Window;

/// Writes these types to files as their names; a schema describes them as strings.
macro_rules! written_as_name {
    ($($name:ident),+ $(,)?) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                String::schema_name()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    )+};
}

written_as_name!(
    FieldScore,
    GroupScore,
    Protected,
    Quantity,
    Queries,
    Ranking,
    Selection,
    SetSelection,
    Sharing,
    Statistic,
    Subject,
    Truth,
    Window,
);

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use strum::VariantArray;

    use super::*;

    /// Every name, in order, after reading it back.
    fn names<T>() -> String
    where
        T: VariantArray + Display + FromStr + PartialEq + Debug,
        T::Err: Debug,
    {
        let names = T::VARIANTS.iter().map(|known| {
            assert_eq!(known.to_string().parse::<T>().unwrap(), *known);
            known.to_string()
        });
        names.collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn names_are_those_of_the_files_and_read_back() {
        assert_eq!(names::<Queries>(), "in-window | future");
        assert_eq!(names::<Protected>(), "none | sinks-and-recent");
        assert_eq!(
            names::<SetSelection>(),
            "halving | exchange | greedy | gram | cholesky | addition | beam"
        );
        assert_eq!(
            names::<Sharing>(),
            "uniform | ada-kv | optimal in layer | pyramid-kv | optimal in model"
        );
        assert_eq!(
            names::<Statistic>(),
            "spearman | kendall | log_pearson | overlap_05 | overlap_10 | overlap_20 | overlap_50 | over_oracle | over_greedy | relative_error | \
             compensation | effective_rank | over_best | over_sum | renormalisation | submodularity | opposed | projected_spearman | projected_ratio | \
             field_over_oracle | layer_over_uniform | model_over_uniform"
        );
        assert!("protect".parse::<Protected>().is_err());
    }

    #[test]
    fn a_name_is_a_string_in_files() {
        assert_eq!(serde_json::to_string(&Statistic::Overlap05).unwrap(), "\"overlap_05\"");
        let schema = schemars::schema_for!(Option<Protected>);
        assert_eq!(schema.get("type"), Some(&serde_json::json!(["string", "null"])));
    }
}
