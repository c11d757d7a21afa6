//! The instruction-set levels a kernel can be compiled for, and which of them this machine has.
//!
//! Sits before every kernel table: a level is chosen once at start, by detection or by the user, and handed to the
//! kernels' constructors. Invariant: an [`Isa`] obtained from [`Isa::detect`], [`Isa::available`] or parsing is one
//! the machine can execute; the kernels' constructors check again, so that no other level ever reaches a kernel.

use std::fmt;
use std::str::FromStr;
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

/// A level of vector instructions; a higher one is preferred where both are available and the processor suits it
/// ([`Isa::detect`]).
///
/// Levels of different architectures are never available together, so their order among each other means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust, whatever the compiler's baseline for the target is.
    Scalar,
    /// SSE4.1 and SSSE3 (Penryn and Bulldozer onwards).
    Sse41,
    /// AVX2 with FMA and F16C (Haswell and Zen onwards).
    Avx2,
    /// AVX2 with the 8-bit dot products of AVX-VNNI (Alder Lake onwards).
    AvxVnni,
    /// AVX-512 F, BW, DQ and VL (Skylake-X onwards).
    Avx512,
    /// AVX-512 with the 8-bit dot products of VNNI (Cascade Lake, Ice Lake and Zen 4 onwards).
    Avx512Vnni,
    /// The same where additions run beside multiplications, which halves those of the products (Zen 4 onwards).
    Avx512Zen4,
    /// Arm's Advanced SIMD, which every 64-bit Arm processor has.
    Neon,
    /// NEON with 8-bit dot products (Cortex-A75, Neoverse N1 and Apple A12 onwards).
    DotProd,
    /// NEON with dot products and 8-bit matrix products (Cortex-A710, Neoverse V1 and Apple M2 onwards).
    I8mm,
}

/// Why a level cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The name is not one of a level.
    #[error("unknown instruction set `{name}`; valid names are {}", names(Isa::ALL))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The level exists but this machine cannot execute it.
    #[error("this machine has no {isa}; available are {}", names(available))]
    Unavailable {
        /// What was asked for.
        isa: Isa,
        /// What the machine has.
        available: Vec<Isa>,
    },
}

impl Isa {
    /// Every level, lowest first.
    pub const ALL: &'static [Isa] = &[
        Isa::Scalar,
        Isa::Sse41,
        Isa::Avx2,
        Isa::AvxVnni,
        Isa::Avx512,
        Isa::Avx512Vnni,
        Isa::Avx512Zen4,
        Isa::Neon,
        Isa::DotProd,
        Isa::I8mm,
    ];

    /// The best level of this machine: the highest, but for the one that is only faster on processors like Zen 4.
    pub fn detect() -> Isa {
        Isa::best_of(&Isa::available(), is_amd())
    }

    fn best_of(available: &[Isa], amd: bool) -> Isa {
        let suits = |isa: &Isa| *isa != Isa::Avx512Zen4 || amd;
        available.iter().copied().filter(suits).max().unwrap_or(Isa::Scalar)
    }

    /// The levels this machine can execute, lowest first.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.iter().copied().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this machine can execute the level.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = || has!("avx2") && has!("fma") && has!("f16c");
            let avx512 = || avx2() && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            match self {
                Isa::Scalar => true,
                Isa::Sse41 => has!("sse4.1") && has!("ssse3"),
                Isa::Avx2 => avx2(),
                Isa::AvxVnni => avx2() && has!("avxvnni"),
                Isa::Avx512 => avx512(),
                Isa::Avx512Vnni | Isa::Avx512Zen4 => avx512() && has!("avx512vnni"),
                Isa::Neon | Isa::DotProd | Isa::I8mm => false,
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as has;
            match self {
                Isa::Scalar => true,
                Isa::Neon => has!("neon"),
                Isa::DotProd => has!("neon") && has!("dotprod"),
                Isa::I8mm => has!("neon") && has!("dotprod") && has!("i8mm"),
                Isa::Sse41 | Isa::Avx2 | Isa::AvxVnni => false,
                Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Zen4 => false,
            }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            self == Isa::Scalar
        }
    }

    /// The level, or an error when this machine lacks it.
    pub fn require(self) -> Result<Isa, IsaError> {
        match self.is_available() {
            true => Ok(self),
            false => Err(IsaError::Unavailable { isa: self, available: Isa::available() }),
        }
    }

    /// The name under which the level is forced and printed.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Sse41 => "sse4.1",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avx-vnni",
            Isa::Avx512 => "avx512",
            Isa::Avx512Vnni => "avx512-vnni",
            Isa::Avx512Zen4 => "avx512-zen4",
            Isa::Neon => "neon",
            Isa::DotProd => "dotprod",
            Isa::I8mm => "i8mm",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    /// Any case of a name of a level this machine has.
    fn from_str(name: &str) -> Result<Isa, IsaError> {
        Isa::ALL
            .iter()
            .copied()
            .find(|isa| isa.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| IsaError::Unknown { name: name.to_owned() })?
            .require()
    }
}

/// Whether the processor is one of AMD's.
pub(crate) fn is_amd() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        static AMD: OnceLock<bool> = OnceLock::new();
        *AMD.get_or_init(|| {
            let vendor = std::arch::x86_64::__cpuid(0);
            [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
        })
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn names(levels: &[Isa]) -> String {
    levels.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_available_level_parses_from_its_name() {
        for isa in Isa::available() {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        assert_eq!("SCALAR".parse(), Ok(Isa::Scalar));
    }

    #[test]
    fn an_unknown_name_lists_the_valid_ones() {
        let message = "mmx".parse::<Isa>().expect_err("mmx is no level").to_string();
        assert_eq!(
            message,
            "unknown instruction set `mmx`; valid names are scalar, sse4.1, avx2, avx-vnni, avx512, avx512-vnni, \
             avx512-zen4, neon, dotprod, i8mm"
        );
    }

    #[test]
    fn the_best_level_is_the_highest_available_that_suits_the_processor() {
        let x86 = [Isa::Scalar, Isa::Sse41, Isa::Avx2, Isa::Avx512, Isa::Avx512Vnni, Isa::Avx512Zen4];
        assert_eq!((Isa::best_of(&x86, false), Isa::best_of(&x86, true)), (Isa::Avx512Vnni, Isa::Avx512Zen4));
        assert_eq!(Isa::best_of(&x86[..3], true), Isa::Avx2);
        assert_eq!(Isa::best_of(&[Isa::Scalar, Isa::Neon, Isa::I8mm], false), Isa::I8mm);
        assert!(Isa::available().contains(&Isa::detect()));
    }
}
