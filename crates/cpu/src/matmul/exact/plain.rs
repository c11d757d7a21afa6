//! The plain float types, as vectors of F32 at any level.

use ascua_gguf::TensorType;

use crate::lanes::{Kernel, Lanes};

/// A type whose elements are F32 but for their width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::matmul) enum PlainType {
    F32,
    F16,
    Bf16,
}

impl PlainType {
    pub fn of(weight: TensorType) -> Option<PlainType> {
        match weight {
            TensorType::F32 => Some(PlainType::F32),
            TensorType::F16 => Some(PlainType::F16),
            TensorType::BF16 => Some(PlainType::Bf16),
            _ => None,
        }
    }
}

/// How weights are read.
pub(super) trait Weights {
    const BYTES: usize;
    /// # Safety
    /// The machine has the level; a vector of weights is readable.
    unsafe fn lanes<V: Lanes>(from: *const u8) -> V;
    /// # Safety
    /// The machine has the level; a weight is readable.
    unsafe fn one<V: Lanes>(from: *const u8) -> f32;
}

pub(super) struct F32Weights;
pub(super) struct F16Weights;
/// The upper halves of F32 weights.
pub(super) struct Bf16Weights;

impl Weights for F32Weights {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn lanes<V: Lanes>(from: *const u8) -> V {
        // SAFETY: passed on.
        unsafe { V::load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn one<V: Lanes>(from: *const u8) -> f32 {
        // SAFETY: passed on.
        unsafe { from.cast::<f32>().read_unaligned() }
    }
}

impl Weights for F16Weights {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn lanes<V: Lanes>(from: *const u8) -> V {
        // SAFETY: passed on.
        unsafe { V::load_f16(from.cast()) }
    }

    #[inline(always)]
    unsafe fn one<V: Lanes>(from: *const u8) -> f32 {
        // SAFETY: passed on.
        unsafe { V::widen_f16(from.cast::<u16>().read_unaligned()) }
    }
}

impl Weights for Bf16Weights {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn lanes<V: Lanes>(from: *const u8) -> V {
        // SAFETY: passed on.
        unsafe { V::load_bf16(from.cast()) }
    }

    #[inline(always)]
    unsafe fn one<V: Lanes>(from: *const u8) -> f32 {
        // SAFETY: passed on.
        f32::from_bits(u32::from(unsafe { from.cast::<u16>().read_unaligned() }) << 16)
    }
}

/// Brings a row to F32; `bytes` has as many elements as `out`.
pub(super) struct DecodeRow<'a> {
    pub plain: PlainType,
    pub bytes: &'a [u8],
    pub out: &'a mut [f32],
}

impl Kernel for DecodeRow<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: as the maker says.
        unsafe {
            match self.plain {
                PlainType::F32 => decode::<V, F32Weights>(self.bytes, self.out),
                PlainType::F16 => decode::<V, F16Weights>(self.bytes, self.out),
                PlainType::Bf16 => decode::<V, Bf16Weights>(self.bytes, self.out),
            }
        }
    }
}

#[inline(always)]
unsafe fn decode<V: Lanes, W: Weights>(bytes: &[u8], out: &mut [f32]) {
    let (whole, rest) = bytes.split_at(bytes.len() / (W::BYTES * V::LANES) * (W::BYTES * V::LANES));
    let (out, out_rest) = out.split_at_mut(whole.len() / W::BYTES);
    for (bytes, out) in whole.chunks_exact(W::BYTES * V::LANES).zip(out.chunks_exact_mut(V::LANES)) {
        // SAFETY: the chunks are whole vectors; the machine has the level, says the caller.
        unsafe { W::lanes::<V>(bytes.as_ptr()).store(out.as_mut_ptr()) };
    }
    for (bytes, out) in rest.chunks_exact(W::BYTES).zip(out_rest) {
        // SAFETY: the chunk is a whole weight.
        *out = unsafe { W::one::<V>(bytes.as_ptr()) };
    }
}
