//! Everything measured on captures and models, and the reports.
//!
//! ```
//! use obd_core::Perturbation;
//! use study::counterexample::{Outcome, search};
//!
//! // The smallest problem in which the summed attention weight ranks two tokens against the true error of evicting them.
//! let weight = "weight".parse().unwrap();
//! let Outcome::Found(counterexample) = search(weight, Perturbation::Removal, 0) else { panic!() };
//! println!("{counterexample}");
//!
//! // Exact removal is that error: there is none.
//! let removal = "removal".parse().unwrap();
//! assert!(matches!(search(removal, Perturbation::Removal, 0), Outcome::NoneFound { .. }));
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`measure`] | what every score is worth on the heads of captures |
//! | [`report`] | those measurements as sentences, figures and tables |
//! | [`evaluate`] | what a model still predicts after each score evicted from its cache |
//! | [`simulate`] | errors along decoding under a budget |
//! | [`allocate`] | bits for tokens and channels beside eviction |
//! | [`counterexample`] | the smallest problem in which a score is wrong |
//! | [`agreement`] | rank correlation, overlap, confidence intervals |
//! | [`names`] | everything that a table names, as types |
//! | [`output`] | files written at once or not at all |

pub mod agreement;
pub mod allocate;
pub mod counterexample;
pub mod evaluate;
pub mod measure;
pub mod names;
pub mod output;
mod page;
mod place;
pub mod report;
pub mod simulate;
mod table;
