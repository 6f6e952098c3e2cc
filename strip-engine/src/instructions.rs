//! The instructions that a run computes with.

use std::fmt::{self, Display, Formatter};

use pulp::{Arch, WithSimd};

/// A set of vector instructions that this processor has.
///
/// A run takes the widest. The others are for tests, and for the same bits on unlike processors: what an instruction set
/// rounds once another may round twice. C20 holds for each.
///
/// ```
/// use strip_engine::{Engine, Instructions};
///
/// let names: Vec<_> = Instructions::all().iter().map(ToString::to_string).collect();
/// assert_eq!(names[0], "scalar");
/// let engine = Engine::new().with_instructions(Instructions::scalar());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Instructions {
    name: &'static str,
    arch: Arch,
}

impl Instructions {
    /// The widest, as the last of [`Instructions::all`].
    pub fn widest() -> Self {
        Self::all().pop().unwrap_or_else(Self::scalar)
    }

    /// Plain numbers.
    pub fn scalar() -> Self {
        Self {
            name: "scalar",
            arch: Arch::Scalar,
        }
    }

    /// Each set that this processor has, from the plain one up.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::scalar()];
        all.extend(vectors().into_iter().map(|(name, arch)| Self { name, arch }));
        all
    }

    /// Runs `operation` with them.
    pub(crate) fn run<O: WithSimd>(self, operation: O) -> O::Output {
        self.arch.dispatch(operation)
    }
}

impl Default for Instructions {
    fn default() -> Self {
        Self::widest()
    }
}

impl PartialEq for Instructions {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Instructions {}

impl Display for Instructions {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> Vec<(&'static str, Arch)> {
    use pulp::x86::{V3, V4};

    let avx2 = V3::try_new().map(|simd| ("AVX2", Arch::V3(simd)));
    let avx512 = V4::try_new().map(|simd| ("AVX-512", Arch::V4(simd)));
    avx2.into_iter().chain(avx512).collect()
}

#[cfg(target_arch = "aarch64")]
fn vectors() -> Vec<(&'static str, Arch)> {
    let neon = pulp::aarch64::Neon::try_new();
    neon.map(|simd| ("NEON", Arch::Neon(simd))).into_iter().collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vectors() -> Vec<(&'static str, Arch)> {
    Vec::new()
}
