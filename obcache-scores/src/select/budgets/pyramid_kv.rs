//! PyramidKV gives early layers more and late ones less, in a straight line; it measures nothing.
//!
//! ```text
//! least = mean / beta, most = 2 mean - least; layer l keeps most - l (most - least) / (layers - 1)
//! ```
//! 2406.02069, as kvpress computes it: the most is cut to kv_len - window and the least raised by as much; where the line
//! would fall below the window, every layer keeps the mean.

/// Tokens that each of `layers` layers keeps, `mean` tokens on average before rounding; at least 1. Claim C34.
///
/// `window` is SnapKV's, `beta` (20) at least 1 the slope of the pyramid, taken as 1 where it is less.
pub fn pyramid_kv(layers: usize, kv_len: usize, mean: f64, window: usize, beta: f64) -> Vec<usize> {
    let (tokens, window) = (kv_len as f64, window as f64);
    let mut least = mean / beta.max(1.0);
    let mut most = 2.0 * mean - least;
    if most >= tokens - window {
        most = tokens - window;
        least = 2.0 * mean - most;
    }
    let stands = tokens >= most && most >= least && least >= window;
    if !stands {
        return vec![(mean.round_ties_even() as usize).max(1); layers];
    }
    let step = if layers > 1 {
        (most - least) / (layers - 1) as f64
    } else {
        0.0
    };
    (0..layers)
        .map(|layer| (most - layer as f64 * step).round_ties_even() as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line() {
        // Mean 40, beta 4: least 10, most 70, step 20.
        assert_eq!(pyramid_kv(4, 200, 40.0, 8, 4.0), [70, 50, 30, 10]);
        assert_eq!(pyramid_kv(1, 200, 40.0, 8, 4.0), [70]);
    }

    #[test]
    fn the_most_is_what_lies_before_the_window() {
        // Most 72 - 8 = 64, so least 80 - 64 = 16.
        assert_eq!(pyramid_kv(4, 72, 40.0, 8, 4.0), [64, 48, 32, 16]);
    }

    #[test]
    fn too_steep_a_line_falls_back_to_the_mean() {
        assert_eq!(pyramid_kv(3, 200, 40.0, 16, 4.0), [40, 40, 40]);
        assert_eq!(pyramid_kv(2, 200, 0.0, 16, 0.0), [1, 1]);
        assert_eq!(pyramid_kv(0, 200, 40.0, 8, 4.0), [0usize; 0]);
    }
}
