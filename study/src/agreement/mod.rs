//! How a score agrees with a truth: rank correlation, overlap of the best, and the error of what is evicted.

mod bootstrap;
mod correlation;
mod overlap;

pub use bootstrap::{Interval, bootstrap};
pub use correlation::{kendall, log_pearson, spearman};
pub use overlap::overlap;
