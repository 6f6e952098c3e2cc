//! The laws of the claims, a module a derivation, and the numbers of others that ours must be.
//!
//! A law is a function from a head, or from whatever a strategy draws, to a result; [`verify::law::for_all`] tries it on many.
//! Beside it stand cases by hand whose arithmetic fits in a comment.

mod bit_allocation;
mod budgets;
mod closed_forms;
mod decode;
mod directions;
mod exact_perturbations;
mod field;
mod gauge;
mod gram;
mod groups;
mod heads;
mod invariances;
mod joint_zeroing;
mod key_zeroing;
mod objective;
mod overflow;
mod quantisation;
mod selections;
mod sets;
mod strip;
mod taylor_remainder;
mod vectors;
