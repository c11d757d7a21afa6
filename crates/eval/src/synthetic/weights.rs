//! Random blocks of every type: random codes, and scales that make the weights about as large as real ones.

use ascua::gguf::TensorType;
use half::{bf16, f16};

/// Smallest scale: below it half precision has subnormal numbers only.
const LEAST_SCALE: f32 = 6.2e-5;

/// A source of blocks of one type.
pub struct RandomBlocks {
    tensor_type: TensorType,
    /// Wanted size of the weights: products keep the size of their inputs.
    size: f32,
    state: u64,
}

impl RandomBlocks {
    /// Blocks for rows of `columns` weights.
    pub fn new(tensor_type: TensorType, columns: usize, seed: u64) -> RandomBlocks {
        let state = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        RandomBlocks { tensor_type, size: 1.0 / (columns as f32).sqrt(), state }
    }

    /// Fills `bytes`, whole blocks, with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        match self.tensor_type {
            TensorType::F32 => self.numbers(bytes, f32::to_le_bytes),
            TensorType::F16 => self.numbers(bytes, |x| f16::from_f32(x).to_le_bytes()),
            TensorType::BF16 => self.numbers(bytes, |x| bf16::from_f32(x).to_le_bytes()),
            _ => self.blocks(bytes),
        }
    }

    fn numbers<const BYTES: usize>(&mut self, bytes: &mut [u8], encode: impl Fn(f32) -> [u8; BYTES]) {
        for number in bytes.chunks_exact_mut(BYTES) {
            // Evenly spread with a variance of one; the lowest bit keeps it off zero.
            let even = ((self.next() >> 40) as f32 + 0.5) / (1 << 24) as f32 - 0.5;
            number.copy_from_slice(&encode(even * 12f32.sqrt() * self.size));
        }
    }

    fn blocks(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            word.copy_from_slice(&random[..word.len()]);
        }
        let halves = halves(self.tensor_type);
        for block in bytes.chunks_exact_mut(self.tensor_type.block_bytes()) {
            let spread = 0.75 + (self.next() >> 40) as f32 / (1 << 25) as f32;
            match self.tensor_type {
                // A power of two with an exponent in excess of 127; the codes are about 4.5 (doubled values of E2M1).
                TensorType::MXFP4 => block[0] = (127.0 + (self.size / 3.0).log2().round()) as u8,
                // The scales are bytes of any size: small ones, so that the block's own is not subnormal.
                TensorType::Q6_K => block[192..208].iter_mut().for_each(|scale| *scale = (*scale & 15).wrapping_sub(8)),
                _ => {}
            }
            for &(at, factor) in halves {
                let scale = self.size * spread * factor;
                let scale = scale.abs().max(LEAST_SCALE).copysign(scale);
                block[at..at + 2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
            }
        }
    }

    /// An xorshift generator (Marsaglia 2003, multiplied as in xorshift64*).
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Where a block has its half-precision scales, and what they are for weights of size one: about the inverse of the
/// size of (sub-scale times code), and the code's mean times that where the block has a minimum.
fn halves(tensor_type: TensorType) -> &'static [(usize, f32)] {
    match tensor_type {
        TensorType::Q4_0 => &[(0, 1.0 / 4.6)],
        TensorType::Q4_1 => &[(0, 1.0 / 4.6), (2, -7.5 / 4.6)],
        TensorType::Q5_0 => &[(0, 1.0 / 9.2)],
        TensorType::Q5_1 => &[(0, 1.0 / 9.2), (2, -15.5 / 9.2)],
        TensorType::Q8_0 => &[(0, 1.0 / 74.0)],
        TensorType::Q2_K => &[(80, 1.0 / 12.0), (82, 1.5 / 12.0)],
        TensorType::Q3_K => &[(108, 1.0 / 42.0)],
        TensorType::Q4_K => &[(0, 1.0 / 250.0), (2, 7.5 / 250.0)],
        TensorType::Q5_K => &[(0, 1.0 / 500.0), (2, 15.5 / 500.0)],
        TensorType::Q6_K => &[(208, 1.0 / 85.0)],
        TensorType::IQ4_NL => &[(0, 1.0 / 70.0)],
        TensorType::IQ4_XS => &[(0, 1.0 / 1300.0)],
        TensorType::TQ1_0 => &[(52, 1.2)],
        TensorType::TQ2_0 => &[(64, 1.0)],
        _ => &[],
    }
}
