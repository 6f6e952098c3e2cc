//! Which files of a crate need each other.
//!
//! A file needs another where it mentions a name that the other defines. A name is followed through `use` to the file that defines it,
//! so a file that only passes a name on (`pub use`) neither needs its definer nor is needed for it. Fields and methods are named by no
//! path and are not seen; code under `#[cfg(test)]` does not count.

mod circles;
mod mentions;
mod modules;

use std::collections::BTreeMap;

use modules::Modules;

/// One sentence for each circle of files, of a crate given as the texts of its files by their paths from `src`.
///
/// # Panics
/// Where a file is not Rust.
pub fn circles(files: &BTreeMap<String, String>) -> Vec<String> {
    let modules = Modules::read(files);
    circles::circles(&modules.needs())
}
