//! How much each element counts in a search.
//!
//! With importance, an element counts as its importance times the root of its square plus what is usual around it: large
//! elements matter more, small ones never nothing. Source: llama.cpp, `ggml-quants.c`.

use crate::lanes::Lanes;

/// The importance of a block for which none is given, in the formats that are made for it.
pub(crate) const EVEN: [f32; 256] = [1.0; 256];

/// The weights with importance; `usual` is the square that is usual around the element.
#[inline(always)]
pub(crate) fn with_importance<const G: usize, const N: usize>(
    x: &[Lanes<G>; N],
    importance: &[Lanes<G>; N],
    usual: Lanes<G>,
) -> [Lanes<G>; N] {
    std::array::from_fn(|i| importance[i] * (usual + x[i] * x[i]).sqrt())
}

/// The same for the elements of one group.
#[inline(always)]
pub(crate) fn of_group<const N: usize>(x: &[f32; N], importance: &[f32; N], usual: f32) -> [f32; N] {
    std::array::from_fn(|i| importance[i] * (usual + x[i] * x[i]).sqrt())
}

/// The squares of the elements: the weights of searches without importance.
#[inline(always)]
pub(crate) fn squares<const G: usize, const N: usize>(x: &[Lanes<G>; N]) -> [Lanes<G>; N] {
    x.map(|x| x * x)
}

/// The sum of each group's numbers.
#[inline(always)]
pub(crate) fn sums<const G: usize, const N: usize>(of: &[Lanes<G>; N]) -> Lanes<G> {
    let mut sums = Lanes::ZERO;
    for &of in of {
        sums += of;
    }
    sums
}

/// The sum of the squares, one element after the other as the reference adds them.
#[inline(always)]
pub(crate) fn sum_of_squares(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |sum, value| sum + value * value)
}
