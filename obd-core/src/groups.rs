//! Grouped-query attention: several query heads read one KV head.

use std::ops::Range;

use crate::ProblemError;

/// How query heads share KV heads: query head h reads KV head `h / group_size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadGroups {
    num_query_heads: usize,
    num_kv_heads: usize,
}

impl HeadGroups {
    /// Groups of `num_query_heads / num_kv_heads` query heads each.
    ///
    /// # Errors
    /// [`ProblemError::HeadCounts`] unless the first is a positive multiple of the second.
    pub fn new(num_query_heads: usize, num_kv_heads: usize) -> Result<Self, ProblemError> {
        if num_kv_heads == 0 || num_query_heads == 0 || !num_query_heads.is_multiple_of(num_kv_heads) {
            return Err(ProblemError::HeadCounts {
                query_heads: num_query_heads,
                kv_heads: num_kv_heads,
            });
        }
        Ok(Self {
            num_query_heads,
            num_kv_heads,
        })
    }

    /// Number of query heads.
    pub fn num_query_heads(self) -> usize {
        self.num_query_heads
    }

    /// Number of KV heads.
    pub fn num_kv_heads(self) -> usize {
        self.num_kv_heads
    }

    /// Query heads that read one KV head.
    pub fn group_size(self) -> usize {
        self.num_query_heads / self.num_kv_heads
    }

    /// The KV head that `query_head` reads.
    pub fn kv_head(self, query_head: usize) -> usize {
        query_head / self.group_size()
    }

    /// The query heads that read `kv_head`.
    pub fn query_heads(self, kv_head: usize) -> Range<usize> {
        kv_head * self.group_size()..(kv_head + 1) * self.group_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_query_heads_share_a_kv_head() {
        let groups = HeadGroups::new(6, 2).unwrap();
        assert_eq!(
            (groups.num_query_heads(), groups.num_kv_heads(), groups.group_size()),
            (6, 2, 3)
        );
        assert_eq!([0, 2, 3, 5].map(|head| groups.kv_head(head)), [0, 0, 1, 1]);
        assert_eq!(groups.query_heads(1), 3..6);
    }

    #[test]
    fn counts_must_divide() {
        for (query_heads, kv_heads) in [(6, 4), (0, 1), (4, 0), (0, 0)] {
            assert_eq!(
                HeadGroups::new(query_heads, kv_heads),
                Err(ProblemError::HeadCounts { query_heads, kv_heads })
            );
        }
    }
}
