//! The weights of one query, its largest set apart.
//!
//! The token of the largest logit, the *first*, is the only one whose weight can pass 1/2. It is left out of the
//! softmax's exponentials and of the products and set apart in `first.rs`, so that 1 - a is never subtracted where a
//! nears 1 (C12). The others are measured from the largest logit among themselves, so that the output without the first
//! stands even where their weights underflow.

use crate::element::Element;
use crate::lanes::MOST_LANES;

/// Softmax of a query's tokens but for the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Others {
    /// The stored logit that exponents are measured from: the largest of theirs and of the sink.
    pub shift: f64,
    /// Sum of e^x.
    pub sum: f64,
    /// Sum of x e^x.
    pub moment: f64,
}

/// Takes the first of a query's tokens out of the logits of its tile, given the two largest of all tiles, and measures
/// the others from the second, or from the sink. The first is named by its column and its logit; there is none where no
/// token is seen.
#[inline(always)]
pub(crate) fn set_apart<T: Element>(
    two: [T; 2],
    sink: Option<f64>,
    logits: &mut [T],
) -> (Option<(usize, f64)>, Others) {
    let hidden = T::HIDDEN.to_f64() / 2.0;
    let [first, second] = two.map(T::to_f64);
    let seen = first > hidden;
    let column = seen.then(|| position(logits, two[0])).flatten();
    let first = column.map(|column| {
        logits[column] = T::HIDDEN;
        (column, first)
    });
    let highest = second.max(sink.unwrap_or(T::HIDDEN.to_f64()));
    let shift = if highest > hidden {
        highest
    } else {
        // There are no others. Of a query that sees nothing no exponent is read, whatever it is measured from.
        first.map_or(0.0, |(_, logit)| logit)
    };
    let others = Others {
        // Rounded, so that the vectors measure from the same number.
        shift: T::from_f64(shift).to_f64(),
        sum: 0.0,
        moment: 0.0,
    };
    (first, others)
}

/// Where a number stands first.
#[inline(always)]
fn position<T: Element>(numbers: &[T], number: T) -> Option<usize> {
    // Whole vectors at a time: which of its lanes it is, is asked of one alone.
    let among = |vector: &[T; MOST_LANES]| vector.iter().fold(false, |found, other| found | (*other == number));
    let vectors = numbers.as_chunks().0;
    let start = vectors.iter().position(among).unwrap_or(vectors.len()) * MOST_LANES;
    let place = numbers[start..].iter().position(|other| *other == number);
    place.map(|place| start + place)
}

/// The weights of a query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights {
    pub others: Others,
    /// What the stored logits lack: the query's logit of the mean key.
    pub offset: f64,
    /// Sum of e^x of the others and the sink.
    pub total: f64,
    /// Weight of the first token.
    pub first: f64,
    /// What it leaves to the others and the sink.
    pub rest: f64,
    /// Weight of a token with x = 0.
    pub unit: f64,
    /// Log of the first token's weight.
    pub log_first: f64,
    pub log_sum_exp: f64,
    /// Weighted mean of x over the visible tokens.
    pub mean: f64,
    /// The first token's logit above the mean.
    pub first_above_mean: f64,
}

impl Weights {
    /// From the first token's stored logit and the others.
    pub fn new(first_logit: f64, others: Others, offset: f64, sink: Option<f64>) -> Self {
        // No sink adds nothing to the denominator.
        let total = others.sum + sink.map_or(0.0, |sink| (sink - offset - others.shift).exp());
        let top = first_logit.max(others.shift);
        let (of_first, of_others) = ((first_logit - top).exp(), (others.shift - top).exp());
        let sum = of_first + total * of_others;
        let log_sum = if of_first == 1.0 {
            (total * of_others).ln_1p()
        } else {
            sum.ln()
        };
        let (first, unit) = (of_first / sum, of_others / sum);
        let visible = first + others.sum * unit;
        let lead = first_logit - others.shift;
        // Where a sink leaves the tokens nothing, no weight asks for their mean.
        let mean = |sum: f64| if visible > 0.0 { sum / visible } else { 0.0 };
        Self {
            others,
            offset,
            total,
            first,
            rest: total * unit,
            unit,
            log_first: first_logit - top - log_sum,
            log_sum_exp: top + log_sum + offset,
            mean: mean(first * lead + others.moment * unit),
            first_above_mean: mean(unit * (lead * others.sum - others.moment)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_where_it_stands_first() {
        let mut numbers = [0.0f32; 2 * MOST_LANES];
        assert_eq!((position(&numbers, 0.0), position(&numbers, 7.0)), (Some(0), None));
        for place in [MOST_LANES + 2, MOST_LANES + 5] {
            numbers[place] = 7.0;
        }
        assert_eq!(position(&numbers, 7.0), Some(MOST_LANES + 2));
    }
}
