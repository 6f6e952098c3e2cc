//! The smallest attention problem in which a score ranks two tokens against the truth.
//!
//! Problems of small whole numbers are drawn size by size, smallest first; the first that misranks a pair is shrunk
//! by proptest towards zeros. The truth is brute force, so no closed form judges another.

mod arithmetic;
mod by_hand;
mod doubted;
mod draw;
mod field;
pub mod interaction;
mod misranked;
mod printed;
mod search;
pub mod selection;
mod small_heads;

pub use doubted::Doubted;
pub use field::FieldDefinition;
pub use search::{Counterexample, Outcome, search};
