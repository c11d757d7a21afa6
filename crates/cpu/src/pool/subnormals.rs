//! Treats subnormal numbers as zero while a job runs.
//!
//! Kernels meet subnormals in block scales and in the tails of softmax; on x86 each costs a microcode assist. The
//! setting is per thread, so each worker makes it on entering a job and restores it on leaving, also by unwinding.

/// The floating-point state of this thread before the job; restored on drop.
pub(super) struct FlushSubnormals {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    before: ControlWord,
}

#[cfg(target_arch = "x86_64")]
type ControlWord = u32;
#[cfg(target_arch = "aarch64")]
type ControlWord = u64;

/// MXCSR bits 15 (flush results to zero) and 6 (read operands as zero).
#[cfg(target_arch = "x86_64")]
const FLUSH: ControlWord = 1 << 15 | 1 << 6;
/// FPCR bit 24 (flush to zero, results and operands).
#[cfg(target_arch = "aarch64")]
const FLUSH: ControlWord = 1 << 24;

impl FlushSubnormals {
    pub(super) fn new() -> FlushSubnormals {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        {
            let before = control_word();
            set_control_word(before | FLUSH);
            FlushSubnormals { before }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        FlushSubnormals {}
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Drop for FlushSubnormals {
    fn drop(&mut self) {
        set_control_word(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
fn control_word() -> ControlWord {
    let mut word: ControlWord = 0;
    // SAFETY: stores the 32-bit MXCSR register into `word`; every x86-64 processor has it.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack, preserves_flags)) };
    word
}

#[cfg(target_arch = "x86_64")]
fn set_control_word(word: ControlWord) {
    // SAFETY: `word` is a value read from MXCSR with only the two flush bits added, so no reserved bit is set and exceptions
    // stay masked. Numbers below the normal range become zero, which every kernel run under this guard accepts.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
fn control_word() -> ControlWord {
    let word: ControlWord;
    // SAFETY: reads the floating-point control register, which is accessible to user code.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack, preserves_flags)) };
    word
}

#[cfg(target_arch = "aarch64")]
fn set_control_word(word: ControlWord) {
    // SAFETY: `word` was read from FPCR with only the flush bit added.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) word, options(nomem, nostack, preserves_flags)) };
}
