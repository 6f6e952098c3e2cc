//! Attention and the joint score of OBCache as CubeCL kernels, in f32, on whatever device CubeCL finds.
//!
//! ```text
//! S_KV(j) = sum_i a_ij² ‖v_j + w_ij (v_j - o_i)‖²        a_ij = exp(u_ij - log_sum_exp_i)
//! z = scale q·k        u = softcap(z)        w = z du/dz
//! ```
//! Nothing here knows of the golden suite; `tests/conformance.rs` holds the kernels against it.

mod device;
mod kernels;

pub use device::{Inputs, Joint, joint};
