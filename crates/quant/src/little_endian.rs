//! Numbers as they lie in a file: little-endian, at any address.
//!
//! Blocks are built from these, so every block has alignment 1 and a byte slice from a memory-mapped file can be viewed
//! as blocks without a copy. Conversions are branch-free where loops over them must vectorise.

use bytemuck::{Pod, Zeroable};

macro_rules! little_endian {
    ($($name:ident: $number:ty, $bytes:literal, $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
        #[repr(transparent)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Stores a number.
            #[inline(always)]
            pub const fn new(value: $number) -> Self {
                $name(value.to_le_bytes())
            }

            /// Loads the number.
            #[inline(always)]
            pub const fn get(self) -> $number {
                <$number>::from_le_bytes(self.0)
            }
        }
    )*};
}

little_endian! {
    LeF32: f32, 4, "A 32-bit float.";
    LeF64: f64, 8, "A 64-bit float.";
    LeI16: i16, 2, "A signed 16-bit integer.";
    LeI32: i32, 4, "A signed 32-bit integer.";
    LeI64: i64, 8, "A signed 64-bit integer.";
    LeU16: u16, 2, "An unsigned 16-bit integer.";
    LeU32: u32, 4, "An unsigned 32-bit integer.";
}

/// An IEEE 754 binary16 number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct LeF16(pub [u8; 2]);

impl LeF16 {
    /// The number with these bits.
    #[inline(always)]
    pub const fn from_bits(bits: u16) -> Self {
        LeF16(bits.to_le_bytes())
    }

    /// The 16 bits.
    #[inline(always)]
    pub const fn to_bits(self) -> u16 {
        u16::from_le_bytes(self.0)
    }

    /// Widens; exact for every number.
    #[inline(always)]
    pub const fn to_f32(self) -> f32 {
        let bits = self.to_bits() as u32;
        let sign = (bits & 0x8000) << 16;
        let magnitude = bits & 0x7FFF;
        // The exponent's bias grows from 15 to 127.
        let normal = (magnitude << 13) + (112 << 23);
        // Below 2^-14: as the last places of 0.5, which subtracting leaves alone. No operand is subnormal: that is slow.
        let subnormal = (f32::from_bits(0.5f32.to_bits() + magnitude) - 0.5).to_bits();
        // Infinity and NaN: the exponent is all ones in both widths.
        let special = (magnitude << 13) | 0x7F80_0000;
        let widened = if magnitude >= 0x7C00 {
            special
        } else if magnitude < 0x0400 {
            subnormal
        } else {
            normal
        };
        f32::from_bits(widened | sign)
    }

    /// Rounds to nearest, ties to even; too large becomes infinity, every NaN the quiet one of its sign.
    #[inline(always)]
    pub const fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let sign = (bits >> 16) & 0x8000;
        let magnitude = bits & 0x7FFF_FFFF;
        // From 2^16 on; between 65520 and 2^16 the carry of the rounding below already gives infinity.
        let special = if magnitude > 0x7F80_0000 { 0x7E00 } else { 0x7C00 };
        let normal = (magnitude.wrapping_add(0x0FFF + ((magnitude >> 13) & 1)) >> 13).wrapping_sub(112 << 10);
        // Below 2^-14: adding 0.5, whose last place is 2^-24, lets the adder round to the subnormal step.
        let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
        let nonsign = if magnitude >= 0x4780_0000 {
            special
        } else if magnitude < 0x3880_0000 {
            subnormal
        } else {
            normal
        };
        LeF16::from_bits((sign | nonsign) as u16)
    }
}

/// A bfloat16 number: the upper half of a 32-bit float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct LeBf16(pub [u8; 2]);

impl LeBf16 {
    /// The number with these bits.
    #[inline(always)]
    pub const fn from_bits(bits: u16) -> Self {
        LeBf16(bits.to_le_bytes())
    }

    /// The 16 bits.
    #[inline(always)]
    pub const fn to_bits(self) -> u16 {
        u16::from_le_bytes(self.0)
    }

    /// Widens; exact for every number.
    #[inline(always)]
    pub const fn to_f32(self) -> f32 {
        f32::from_bits((self.to_bits() as u32) << 16)
    }

    /// Rounds to nearest, ties to even; a NaN keeps its upper bits and becomes quiet.
    #[inline(always)]
    pub const fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let quiet = (bits >> 16) | 0x40;
        let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16;
        LeBf16::from_bits(if bits & 0x7FFF_FFFF > 0x7F80_0000 { quiet } else { rounded } as u16)
    }
}
