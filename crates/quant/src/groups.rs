//! The two loops nearly all formats share: integers times the scale of their group, and integer products per group.
//!
//! Most formats are "small integers, and a scale (perhaps a minimum too) for every 16 or 32 of them"; a format's file
//! unpacks both, and these loops finish. Fixed group sizes let the compiler vectorise.

/// `out = scale * quant`, one scale per `GROUP` elements.
#[inline(always)]
pub(crate) fn decode_scaled<const GROUP: usize>(quants: &[i8], scales: &[f32], out: &mut [f32]) {
    let groups = quants.as_chunks::<GROUP>().0.iter().zip(out.as_chunks_mut::<GROUP>().0);
    for ((quants, out), &scale) in groups.zip(scales) {
        for (out, &quant) in out.iter_mut().zip(quants) {
            *out = scale * f32::from(quant);
        }
    }
}

/// `out = scale * quant - minimum`, one of both per `GROUP` elements.
#[inline(always)]
pub(crate) fn decode_affine<const GROUP: usize>(quants: &[i8], scales: &[f32], minimums: &[f32], out: &mut [f32]) {
    let groups = quants.as_chunks::<GROUP>().0.iter().zip(out.as_chunks_mut::<GROUP>().0);
    for ((quants, out), (&scale, &minimum)) in groups.zip(scales.iter().zip(minimums)) {
        decode_affine_group(quants, scale, minimum, out);
    }
}

/// Out of line: inlined, the compiler vectorises across the groups, with strided loads, at a third of the speed.
#[inline(never)]
fn decode_affine_group<const GROUP: usize>(quants: &[i8; GROUP], scale: f32, minimum: f32, out: &mut [f32; GROUP]) {
    for (out, &quant) in out.iter_mut().zip(quants) {
        *out = scale * f32::from(quant) - minimum;
    }
}

/// The integer product of two equally long runs.
#[inline(always)]
pub(crate) fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// The integer product with a weight per `GROUP` elements: what a super-block of scaled groups comes to.
#[inline(always)]
pub(crate) fn dot_scaled<const GROUP: usize>(quants: &[i8], scales: &[i8], activations: &[i8]) -> i32 {
    let groups = quants.as_chunks::<GROUP>().0.iter().zip(activations.as_chunks::<GROUP>().0);
    groups.zip(scales).map(|((quants, activations), &scale)| i32::from(scale) * dot(quants, activations)).sum()
}

/// Splits packed nibbles: all low ones first, then all high ones.
#[inline(always)]
pub(crate) fn split_nibbles<const BYTES: usize>(packed: &[u8; BYTES], out: &mut [u8]) {
    let (low, high) = out.split_at_mut(BYTES);
    for ((&byte, low), high) in packed.iter().zip(low).zip(high) {
        *low = byte & 0xF;
        *high = byte >> 4;
    }
}

/// The inverse of [`split_nibbles`], of 32 codes.
#[inline(always)]
pub(crate) fn join_nibbles(codes: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|i| codes[i] | codes[i + 16] << 4)
}

/// Splits 2-bit fields: each run of 32 bytes holds 128 elements, byte `i` those at `i`, `i + 32`, `i + 64` and `i + 96`.
#[inline(always)]
pub(crate) fn split_pairs(packed: &[u8; 64]) -> [i8; 256] {
    let mut quants = [0; 256];
    for (packed, quants) in packed.as_chunks::<32>().0.iter().zip(quants.as_chunks_mut::<128>().0) {
        for (pair, quants) in quants.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            for (quant, byte) in quants.iter_mut().zip(packed) {
                *quant = (byte >> (2 * pair) & 3) as i8;
            }
        }
    }
    quants
}

/// Splits nibbles in runs of 32 bytes: the low ones are 32 elements, the high ones the next 32.
#[inline(always)]
pub(crate) fn split_nibble_groups(packed: &[u8; 128]) -> [i8; 256] {
    let mut quants = [0; 256];
    for (packed, quants) in packed.as_chunks::<32>().0.iter().zip(quants.as_chunks_mut::<64>().0) {
        let (low, high) = quants.split_at_mut(32);
        for ((&byte, low), high) in packed.iter().zip(low).zip(high) {
            *low = (byte & 0xF) as i8;
            *high = (byte >> 4) as i8;
        }
    }
    quants
}

/// The inverse of [`split_nibble_groups`]; of wider integers the low four bits.
#[inline(always)]
pub(crate) fn join_nibble_groups(quants: &[u8; 256]) -> [u8; 128] {
    let mut packed = [0; 128];
    for (packed, quants) in packed.as_chunks_mut::<32>().0.iter_mut().zip(quants.as_chunks::<64>().0) {
        for i in 0..32 {
            packed[i] = quants[i] & 0xF | quants[i + 32] << 4;
        }
    }
    packed
}

/// The inverse of [`split_pairs`]; of wider integers the low two bits.
#[inline(always)]
pub(crate) fn join_pairs(quants: &[u8; 256]) -> [u8; 64] {
    let mut packed = [0; 64];
    for (packed, quants) in packed.as_chunks_mut::<32>().0.iter_mut().zip(quants.as_chunks::<128>().0) {
        for i in 0..32 {
            let pair = |place: usize| (quants[i + 32 * place] & 3) << (2 * place);
            packed[i] = pair(0) | pair(1) | pair(2) | pair(3);
        }
    }
    packed
}

/// One bit of each integer, counted from the lowest: a byte has those of eight integers 32 apart.
#[inline(always)]
pub(crate) fn join_bits(quants: &[u8; 256], bit: usize) -> [u8; 32] {
    let mut packed = [0; 32];
    for (place, quants) in quants.as_chunks::<32>().0.iter().enumerate() {
        for (packed, quant) in packed.iter_mut().zip(quants) {
            *packed |= (quant >> bit & 1) << place;
        }
    }
    packed
}
