//! Where queries and tokens stand, in one sequence or in several that are packed one after the other.

use std::ops::Range;

use crate::ProblemError;

/// Where a query or a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Counted in tokens; of a query negative where there are more queries than tokens.
    pub position: isize,
    /// Which of the packed sequences; 0 where there is only one.
    pub segment: usize,
}

/// Places of one sequence's queries and tokens: token j stands at position j, the last query at the last token.
pub(super) fn sequence(
    segment: usize,
    queries: Range<usize>,
    tokens: Range<usize>,
) -> (impl Iterator<Item = Place>, impl Iterator<Item = Place>) {
    let place = move |position| Place { position, segment };
    let ahead = tokens.end as isize - queries.end as isize;
    (
        queries.map(move |i| place(i as isize + ahead)),
        tokens.map(move |j| place(j as isize)),
    )
}

/// Places of the queries and tokens of several sequences with these cumulative lengths.
///
/// # Errors
/// [`ProblemError::Segments`] where bounds do not rise from 0, or there are not as many for queries as for tokens.
pub(super) fn packed(query_bounds: &[usize], kv_bounds: &[usize]) -> Result<(Vec<Place>, Vec<Place>), ProblemError> {
    check_bounds("query_len", query_bounds)?;
    check_bounds("kv_len", kv_bounds)?;
    if query_bounds.len() != kv_bounds.len() {
        return Err(ProblemError::Segments {
            axis: "kv_len",
            found: kv_bounds.to_vec(),
            expected: "as many as for query_len",
        });
    }
    let (mut queries, mut tokens) = (Vec::new(), Vec::new());
    let bounds = query_bounds.windows(2).zip(kv_bounds.windows(2));
    for (segment, (query, kv)) in bounds.enumerate() {
        let places = sequence(segment, query[0]..query[1], kv[0]..kv[1]);
        queries.extend(places.0);
        tokens.extend(places.1);
    }
    Ok((queries, tokens))
}

fn check_bounds(axis: &'static str, bounds: &[usize]) -> Result<(), ProblemError> {
    if bounds.first() == Some(&0) && bounds.is_sorted() {
        return Ok(());
    }
    Err(ProblemError::Segments {
        axis,
        found: bounds.to_vec(),
        expected: "cumulative lengths that rise from 0",
    })
}

/// Whether the places follow one another in one sequence without a gap.
pub(super) fn follow(places: &[Place]) -> bool {
    let next = |place: Place| Place {
        position: place.position + 1,
        ..place
    };
    places.windows(2).all(|pair| pair[1] == next(pair[0]))
}

/// The first and the last position; `None` where there is no place.
pub(super) fn ends(places: &[Place]) -> Option<(isize, isize)> {
    let positions = places.iter().map(|place| place.position);
    positions.clone().min().zip(positions.max())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_are_no_cumulative_lengths_are_refused() {
        let refused = |query: &[usize], kv: &[usize]| packed(query, kv).unwrap_err().to_string();
        assert_eq!(
            refused(&[0, 2, 1], &[0, 1, 2]),
            "segments: bounds of query_len are [0, 2, 1], expected cumulative lengths that rise from 0"
        );
        assert_eq!(
            refused(&[0, 2], &[1, 2]),
            "segments: bounds of kv_len are [1, 2], expected cumulative lengths that rise from 0"
        );
        assert_eq!(
            refused(&[0, 2], &[0, 1, 2]),
            "segments: bounds of kv_len are [0, 1, 2], expected as many as for query_len"
        );
        assert!(packed(&[], &[]).is_err());
    }
}
