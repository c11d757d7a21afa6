//! The eight 6-bit scales and eight 6-bit minimums that Q4_K and Q5_K pack in twelve bytes.
//!
//! Bytes 0 to 3 hold scales 0 to 3 and bytes 4 to 7 minimums 0 to 3 in their low six bits. Groups 4 to 7 have their low
//! nibbles in bytes 8 to 11 (scale low, minimum high) and their upper two bits at the top of bytes 0 to 7.

use crate::little_endian::LeI16;

/// Scales and minimums of the eight groups of a block, each 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupScales {
    /// Scales.
    pub scales: [i8; 8],
    /// Minimums, to be subtracted.
    pub minimums: [i8; 8],
}

impl GroupScales {
    /// The minimums times the sums of the activations, which Q8_K has for every 16.
    #[inline(always)]
    pub(crate) fn dot_minimums(&self, sums: &[LeI16; 16]) -> i32 {
        let pairs = sums.as_chunks::<2>().0.iter().zip(self.minimums);
        pairs.map(|([a, b], minimum)| i32::from(minimum) * (i32::from(a.get()) + i32::from(b.get()))).sum()
    }
}

/// Unpacks the twelve bytes.
#[inline(always)]
pub fn unpack(packed: &[u8; 12]) -> GroupScales {
    let mut groups = GroupScales { scales: [0; 8], minimums: [0; 8] };
    for i in 0..4 {
        let (scale, minimum, low) = (packed[i], packed[i + 4], packed[i + 8]);
        groups.scales[i] = (scale & 63) as i8;
        groups.minimums[i] = (minimum & 63) as i8;
        groups.scales[i + 4] = (low & 0xF | scale >> 6 << 4) as i8;
        groups.minimums[i + 4] = (low >> 4 | minimum >> 6 << 4) as i8;
    }
    groups
}

/// The inverse of [`unpack`]; each number is 0 to 63.
#[inline(always)]
pub fn pack(scales: &[u8; 8], minimums: &[u8; 8]) -> [u8; 12] {
    let mut packed = [0; 12];
    for i in 0..4 {
        let (scale, minimum) = (scales[i + 4], minimums[i + 4]);
        packed[i] = scales[i] | scale >> 4 << 6;
        packed[i + 4] = minimums[i] | minimum >> 4 << 6;
        packed[i + 8] = scale & 0xF | minimum << 4;
    }
    packed
}
