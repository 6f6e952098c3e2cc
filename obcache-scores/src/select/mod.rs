//! Which tokens stay: by a ranking, as a set, by pages, under a budget of one head or shared by many.
//!
//! [`select`] keeps the best of a ranking under a [`Budget`]; [`sets`] chooses tokens together; [`select_pages`] keeps whole
//! pages; [`budgets`] shares a budget among heads and layers.

pub mod budgets;
mod pages;
mod ranking;
pub mod sets;

pub use pages::select_pages;
pub use ranking::{Budget, Protection, evicted, select};
