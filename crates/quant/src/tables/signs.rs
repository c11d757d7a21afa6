//! Sign patterns of the IQ2_XXS, IQ2_XS and IQ3_XXS formats.
//!
//! Seven bits give the signs of eight values: the eighth is chosen so that the number of minus signs is even
//! (the E8 lattice idea of QuIP#). Bit `i` set means value `i` is negative.

/// The eight sign bits for each 7-bit index.
pub static EVEN_SIGNS: [u8; 128] = even_signs();

const fn even_signs() -> [u8; 128] {
    let mut table = [0; 128];
    let mut index = 0;
    while index < 128 {
        let seven = index as u8;
        let parity = (seven.count_ones() & 1) as u8;
        table[index] = seven | parity << 7;
        index += 1;
    }
    table
}
