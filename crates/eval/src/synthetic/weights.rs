//! Random blocks of every type: a pool of encoded random numbers about as large as real weights, drawn from at random.

use ascua::gguf::TensorType;
use ascua_quant::{QuantError, format};

/// Parts of a pool.
const PARTS: usize = 512;
/// Least elements of a part.
const PART_ELEMENTS: usize = 32;

/// Encoded random numbers.
pub(super) struct Pool {
    tensor_type: TensorType,
    bytes: Vec<u8>,
}

impl Pool {
    /// Numbers for rows of `columns` weights: products keep the size of their inputs.
    pub(super) fn new(tensor_type: TensorType, columns: usize) -> Result<Pool, QuantError> {
        let block = tensor_type.block_len();
        let elements = PARTS * block.max(PART_ELEMENTS);
        // Evenly spread with a variance of one over the columns.
        let size = (12.0 / columns as f32).sqrt();
        let mut random = Random::new(columns as u64);
        let values: Vec<f32> =
            (0..elements).map(|_| (((random.next() >> 40) as f32 + 0.5) / (1 << 24) as f32 - 0.5) * size).collect();
        let mut bytes = vec![0; elements / block * tensor_type.block_bytes()];
        format(tensor_type).encode_row(&values, &mut bytes)?;
        Ok(Pool { tensor_type, bytes })
    }
}

/// A source of blocks.
pub(super) struct RandomBlocks<'a> {
    pool: &'a Pool,
    random: Random,
}

impl<'a> RandomBlocks<'a> {
    /// The same seed gives the same blocks.
    pub(super) fn new(pool: &'a Pool, seed: u64) -> RandomBlocks<'a> {
        RandomBlocks { pool, random: Random::new(seed) }
    }

    /// Bytes of so many elements.
    pub(super) fn bytes(&self, elements: u64) -> u64 {
        let tensor_type = self.pool.tensor_type;
        elements / tensor_type.block_len() as u64 * tensor_type.block_bytes() as u64
    }

    /// Bytes of a part of the pool: whole blocks.
    pub(super) fn part_bytes(&self) -> usize {
        self.pool.bytes.len() / PARTS
    }

    /// Fills `bytes` with parts of the pool; only the last may be cut.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        let part = self.part_bytes();
        for out in bytes.chunks_mut(part) {
            let index = (self.random.next() >> 32) as usize % PARTS;
            out.copy_from_slice(&self.pool.bytes[index * part..][..out.len()]);
        }
    }
}

/// An xorshift generator (Marsaglia 2003, multiplied as in xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
