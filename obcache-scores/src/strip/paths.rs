//! Every path that the vectors may take on this machine, for tests.

use pulp::{Arch, WithSimd};

/// Runs `operation` on plain numbers and on each kind of vector that the processor has.
pub(super) fn each_path<O: WithSimd>(operation: impl Fn() -> O) -> Vec<(&'static str, O::Output)> {
    let mut outputs = vec![
        ("native", Arch::new().dispatch(operation())),
        ("scalar", Arch::Scalar.dispatch(operation())),
    ];
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::Simd;
        use pulp::x86::{V3, V4};

        outputs.extend(V3::try_new().map(|simd| ("AVX2", Simd::vectorize(simd, operation()))));
        outputs.extend(V4::try_new().map(|simd| ("AVX-512", Simd::vectorize(simd, operation()))));
    }
    outputs
}
