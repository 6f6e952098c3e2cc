//! What proves the workspace: strategies, tolerances, the ledger of claims, and the certified writer of the golden suite.
//!
//! ```
//! use verify::ledger::{CLAIMS, parse};
//!
//! let claims = parse(CLAIMS);
//! let removal = claims.iter().find(|claim| claim.number == 12).unwrap();
//! assert_eq!(removal.title, "Exact removal in closed form");
//! assert!(removal.tests.iter().all(|test| test.text.contains("::c12_")));
//! ```
//!
//! | item | what it holds |
//! |---|---|
//! | `tests/` | the laws: every claim against brute force, dual numbers or arithmetic by hand |
//! | [`ledger`] | `docs/claims.md`: each claim with its derivation, code and tests |
//! | [`law`] | how a law is tried on random heads |
//! | [`strategies`] | random heads, every mask and option, edge cases among them |
//! | [`tolerance`] | how far two correct computations may lie apart, derived |
//! | [`golden`] | the only writer of the golden suite: every number certified to its last bit |

pub mod golden;
pub mod law;
pub mod ledger;
pub mod strategies;
pub mod tolerance;

/// The README, whose code compiles and runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
