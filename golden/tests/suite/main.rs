//! What a kernel crate does with the suite: read it from files, and be tested by it.

mod conformance;
mod read;
