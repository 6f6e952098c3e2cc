//! What is done to saliencies after their sum over queries: pooling over tokens, reduction over a group of heads.

use golden::{GroupReduction, Pooling};
use reference_attention::Enclosure;

/// Pools one head's saliency.
pub(super) fn pool<S: Enclosure>(pooling: Option<Pooling>, saliency: &[S]) -> Vec<S> {
    let neighbours = |token: usize, radius: usize| {
        let end = (token + radius + 1).min(saliency.len());
        saliency[token.saturating_sub(radius)..end].iter()
    };
    let tokens = 0..saliency.len();
    match pooling {
        None => saliency.to_vec(),
        Some(Pooling::Max { radius }) => tokens.map(|token| largest(neighbours(token, radius))).collect(),
        Some(pooling @ Pooling::Average { radius }) => tokens
            .map(|token| total(neighbours(token, radius)) / S::from_f64(pooling.kernel() as f64))
            .collect(),
    }
}

/// Joins the saliencies of the heads of a group, of which there is at least one.
pub(super) fn reduce<S: Enclosure>(reduction: GroupReduction, heads: &[Vec<S>]) -> Vec<S> {
    let tokens = 0..heads[0].len();
    let column = |token: usize| heads.iter().map(move |head| &head[token]);
    match reduction {
        GroupReduction::Sum => tokens.map(|token| total(column(token))).collect(),
        GroupReduction::Mean => tokens
            .map(|token| total(column(token)) / S::from_f64(heads.len() as f64))
            .collect(),
        GroupReduction::Max => tokens.map(|token| largest(column(token))).collect(),
    }
}

fn total<'a, S: Enclosure + 'a>(numbers: impl Iterator<Item = &'a S>) -> S {
    numbers.fold(S::from_f64(0.0), |sum, number| sum + number.clone())
}

/// The largest of non-negative numbers.
fn largest<'a, S: Enclosure + 'a>(numbers: impl Iterator<Item = &'a S>) -> S {
    numbers.fold(S::from_f64(0.0), |best, number| best.larger(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reference_attention::{Ball, Scalar};

    #[test]
    fn pools_and_groups_by_hand() {
        let numbers = |values: &[f64]| values.iter().map(|&x| Ball::from_f64(x)).collect::<Vec<_>>();
        let back = |balls: Vec<Ball>| balls.iter().map(|ball| ball.certified().unwrap()).collect::<Vec<_>>();
        let saliency = numbers(&[3.0, 0.0, 6.0, 1.0, 2.0]);
        assert_eq!(
            back(pool(Some(Pooling::Max { radius: 1 }), &saliency)),
            [3.0, 6.0, 6.0, 6.0, 2.0]
        );
        assert_eq!(
            back(pool(Some(Pooling::Average { radius: 1 }), &saliency)),
            [1.0, 3.0, 7.0 / 3.0, 3.0, 1.0]
        );
        let heads = [numbers(&[1.0, 8.0]), numbers(&[3.0, 2.0])];
        assert_eq!(back(reduce(GroupReduction::Sum, &heads)), [4.0, 10.0]);
        assert_eq!(back(reduce(GroupReduction::Mean, &heads)), [2.0, 5.0]);
        assert_eq!(back(reduce(GroupReduction::Max, &heads)), [3.0, 8.0]);
    }
}
