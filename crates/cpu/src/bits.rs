//! The bits of a word.

/// The places of the bits that are set, lowest first.
#[inline(always)]
pub(crate) fn set_bits(word: u64) -> impl Iterator<Item = usize> {
    let rest = |left: &u64| Some(left & left.wrapping_sub(1));
    let words = std::iter::successors(Some(word), rest).take_while(|left| *left != 0);
    words.map(|left| left.trailing_zeros() as usize)
}
