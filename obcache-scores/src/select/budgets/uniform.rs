//! The uniform budgets give every head the same.

/// `total` tokens shared among `heads` heads, the first of them one more where it does not divide; empty without heads.
/// Claim C34.
pub fn uniform(total: usize, heads: usize) -> Vec<usize> {
    (0..heads)
        .map(|head| total / heads + usize::from(head < total % heads))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_heads_take_the_rest() {
        assert_eq!(uniform(7, 3), [3, 2, 2]);
        assert_eq!(uniform(6, 3), [2, 2, 2]);
        assert_eq!(uniform(6, 0), [0usize; 0]);
    }
}
