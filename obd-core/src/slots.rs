//! The slots of a cache that an eviction keeps, checked once for whoever holds something a slot.

use thiserror::Error;

/// Slots to keep that do not ascend, or one that is not in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("slots to keep: found {slot} at place {place}, expected ascending slots below {cached}")]
pub struct SlotsError {
    /// Place among the slots to keep of the first that is refused.
    pub place: usize,
    /// The slot found there.
    pub slot: usize,
    /// Number of cached tokens.
    pub cached: usize,
}

/// Refuses slots that do not ascend strictly or are not among the `cached` ones.
///
/// # Errors
/// [`SlotsError`], which names the first such slot.
pub fn check_slots(slots: &[usize], cached: usize) -> Result<(), SlotsError> {
    let wrong = |&place: &usize| slots[place] >= cached || (place > 0 && slots[place] <= slots[place - 1]);
    match (0..slots.len()).find(wrong) {
        Some(place) => Err(SlotsError {
            place,
            slot: slots[place],
            cached,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_ascend_and_exist() {
        for slots in [&[][..], &[0], &[0, 2]] {
            assert_eq!(check_slots(slots, 3), Ok(()));
        }
        for (slots, place, slot) in [(&[1, 1][..], 1, 1), (&[2, 1], 1, 1), (&[0, 3], 1, 3), (&[5], 0, 5)] {
            let cached = 3;
            assert_eq!(check_slots(slots, cached), Err(SlotsError { place, slot, cached }));
        }
        let text = check_slots(&[0, 3], 3).unwrap_err().to_string();
        assert_eq!(
            text,
            "slots to keep: found 3 at place 1, expected ascending slots below 3"
        );
    }
}
