//! Nothing but a link to OpenBLAS: see `build.rs`.
#![no_std]
