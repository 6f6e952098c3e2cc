//! Some queries and tokens of a head: each pair keeps what it was.

use ndarray::Axis;

use super::Head;
use crate::ProblemError;

impl<S: Clone> Head<S> {
    /// The head of these queries and these tokens alone, in this order. Each keeps its position, so what a query sees of
    /// the tokens and with which bias stays as it was.
    ///
    /// # Errors
    /// [`ProblemError::Selection`] where there is no such query or token, [`ProblemError::Empty`] where none is selected.
    pub fn select(&self, queries: &[usize], tokens: &[usize]) -> Result<Self, ProblemError> {
        for (tensor, axis, selected) in [("query", "query_len", queries), ("key", "kv_len", tokens)] {
            if selected.is_empty() {
                return Err(ProblemError::Empty { tensor, axis });
            }
        }
        Ok(Self {
            spec: self.spec.select(queries, tokens)?,
            query: self.query.select(Axis(0), queries),
            key: self.key.select(Axis(0), tokens),
            value: self.value.select(Axis(0), tokens),
        })
    }

    /// The problem as it stood when only the first `tokens` were cached: they, and the queries that stood among them.
    ///
    /// `None` where no token or no query is left, or where there are not so many tokens.
    pub fn prefix(&self, tokens: usize) -> Option<Self> {
        if tokens > self.kv_len() {
            return None;
        }
        let queries = self.visibility().queries_before(tokens);
        let cached: Vec<usize> = (0..tokens).collect();
        self.select(&queries, &cached).ok()
    }
}

impl<S> Head<S> {
    /// The same head with `tokens` hidden from every query. Tokens past the end are ignored.
    pub fn without(self, tokens: &[usize]) -> Self {
        let visibility = self.visibility().clone().without(tokens);
        let spec = self.spec.with_visibility(visibility);
        Self { spec, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_heads::two_by_three as head;
    use crate::{Softcap, Visibility};
    use ndarray::array;

    #[test]
    fn what_is_selected_keeps_every_option() {
        let softcap = Softcap::new(30.0).unwrap();
        let whole = head().with_softcap(softcap).with_scale(2.0).unwrap();
        let whole = whole.with_sink(-3.0).unwrap().with_alibi(0.5).unwrap();
        let selected = whole.select(&[1], &[2, 0]).unwrap();
        assert_eq!(selected.query(), array![[5.0, 6.0, 7.0, 8.0]]);
        assert_eq!(selected.key(), array![[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]);
        assert_eq!(selected.value(), array![[5.0, 6.0], [1.0, 2.0]]);
        assert_eq!(
            (selected.softcap(), selected.scale(), selected.sink()),
            (Some(softcap), 2.0, Some(-3.0))
        );
        // Query 1 stands at token 2.
        assert_eq!([selected.bias(0, 0), selected.bias(0, 1)], [0.0, -1.0]);
    }

    #[test]
    fn a_query_sees_of_the_selected_tokens_what_it_saw() {
        // Query 0 stands at token 1.
        let selected = head().select(&[0], &[0, 2]).unwrap();
        assert!(selected.visibility().visible(0, 0) && !selected.visibility().visible(0, 1));
    }

    #[test]
    fn nothing_selected_is_no_head() {
        let refused = |queries: &[usize], tokens: &[usize]| head().select(queries, tokens).unwrap_err().to_string();
        assert_eq!(refused(&[], &[0]), "query: query_len is 0, expected at least 1");
        assert_eq!(refused(&[0], &[]), "key: kv_len is 0, expected at least 1");
        assert_eq!(refused(&[0], &[3]), "selection: kv_len is 3, so there is no index 3");
    }

    #[test]
    fn a_prefix_is_the_problem_of_an_earlier_time() {
        let earlier = head().with_sink(1.0).unwrap().prefix(2).unwrap();
        assert_eq!(earlier.query(), array![[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!(earlier.value(), array![[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(
            (earlier.kv_len(), earlier.key().nrows(), earlier.sink()),
            (2, 2, Some(1.0))
        );
        assert_eq!(head().prefix(1), None);
    }

    #[test]
    fn a_prefix_sees_what_was_seen_then() {
        let over = |visibility: Visibility| {
            let [query, key, value] = [visibility.query_len(), visibility.kv_len(), visibility.kv_len()]
                .map(|rows| ndarray::Array2::<f64>::zeros((rows, 1)));
            Head::new(query, key, value)
                .unwrap()
                .with_visibility(visibility)
                .unwrap()
        };
        let prefix = |visibility: Visibility, tokens| Some(over(visibility).prefix(tokens)?.visibility().clone());
        let mask = Visibility::from_mask(array![[true, false, true], [true, true, true]]).without(&[0]);
        assert_eq!(
            prefix(mask, 2),
            Some(Visibility::from_mask(array![[true, false]]).without(&[0]))
        );
        let causal = Visibility::all(3, 4).causal();
        assert_eq!(prefix(causal, 3), Some(Visibility::all(2, 3).causal()));
        assert_eq!(prefix(Visibility::all(3, 4), 4), Some(Visibility::all(3, 4)));
        assert_eq!(prefix(Visibility::all(3, 4), 1), None);
        assert_eq!(prefix(Visibility::all(4, 4), 0), None);
        assert_eq!(prefix(Visibility::all(9, 4), 0), None);
        assert_eq!(prefix(Visibility::all(4, 4), 5), None);
        // The second sequence begins at token 2 with its queries 1 and 2 at tokens 2 and 3.
        let packed = Visibility::packed(&[0, 1, 3], &[0, 2, 4]).unwrap();
        assert_eq!(prefix(packed.clone(), 2), Some(Visibility::all(1, 2)));
        assert_eq!(prefix(packed, 3), Visibility::packed(&[0, 1, 2], &[0, 2, 3]).ok());
    }

    #[test]
    fn what_is_removed_is_hidden() {
        assert!(!head().without(&[1, 9]).visibility().visible(1, 1));
        assert!(head().without(&[1, 9]).visibility().visible(1, 2));
    }
}
