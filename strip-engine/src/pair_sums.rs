//! What pairs of a query and a token add up to.

/// Numbers in [`PairSums`].
pub(crate) const SUMS: usize = 11;

/// Sums over queries, of one token or of a vector of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairSums<N> {
    pub weight: N,
    pub squared_weight: N,
    /// (a f)² ‖v - o‖² for f measured from each of the three reference levels.
    pub key: [N; 3],
    /// a² f v·(v - o), likewise.
    pub cross: [N; 3],
    pub removal: N,
    pub key_zeroing: N,
    pub joint_zeroing: N,
}

impl<N: Copy> PairSums<N> {
    /// The same number everywhere.
    #[inline(always)]
    pub fn all(number: N) -> Self {
        Self::from_array([number; SUMS])
    }

    /// As [`PairSums::into_array`] left them.
    #[inline(always)]
    pub fn from_array(sums: [N; SUMS]) -> Self {
        let [weight, squared_weight, key @ .., removal, key_zeroing, joint_zeroing] = sums;
        let [key_0, key_1, key_2, cross @ ..] = key;
        Self {
            weight,
            squared_weight,
            key: [key_0, key_1, key_2],
            cross,
            removal,
            key_zeroing,
            joint_zeroing,
        }
    }

    /// One after another.
    #[inline(always)]
    pub fn into_array(self) -> [N; SUMS] {
        let ([key_0, key_1, key_2], [cross_0, cross_1, cross_2]) = (self.key, self.cross);
        [
            self.weight,
            self.squared_weight,
            key_0,
            key_1,
            key_2,
            cross_0,
            cross_1,
            cross_2,
            self.removal,
            self.key_zeroing,
            self.joint_zeroing,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_holds_them_one_after_another() {
        let numbers = std::array::from_fn(|number| number);
        let sums = PairSums::from_array(numbers);
        assert_eq!(
            (sums.weight, sums.squared_weight, sums.key, sums.cross),
            (0, 1, [2, 3, 4], [5, 6, 7])
        );
        assert_eq!((sums.removal, sums.key_zeroing, sums.joint_zeroing), (8, 9, 10));
        assert_eq!(sums.into_array(), numbers);
        assert_eq!(PairSums::all(3).into_array(), [3; SUMS]);
    }
}
