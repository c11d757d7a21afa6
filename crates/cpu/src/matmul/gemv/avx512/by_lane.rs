//! The frame for super-blocks of 256 in an order in which lanes keep their scales: most K-quants, IQ4_XS, and the smaller
//! lattices.
//!
//! Activations and stored values come in the order that costs the weights least to be brought to, of those in which
//! all that a 32-bit lane has in the first two vectors shares a scale, and in the last two, or in all four. So its
//! products add up in one chain of dot products, and scales are met once or twice per super-block instead of once per
//! vector. For several tokens that is what counts: beside the dot products there is little to do for each.
//!
//! K-quants come to eights ([`RowOrder::Eights`]): vector `k` holds the elements `8 k` to `8 k + 7` of each of the
//! eight groups of 32. [`lattice`] has the other orders.

pub(super) mod k_quants;
pub(in crate::matmul) mod lattice;

use std::arch::x86_64::*;

use super::super::{RowsDot, Signs};
use super::dot_products::DotProducts;
use super::{negated, prefetch};
use crate::matmul::activation::{RowOrder, RowView};
use crate::matmul::ahead;

/// One super-block type, as the frame reads it.
pub(in crate::matmul) trait Block {
    const BYTES: usize;
    const ORDER: RowOrder = RowOrder::Eights;
    const CHAINS: Chains;
    /// The stored value that stands for zero.
    const ZERO: u8 = 0;
    const MINIMUMS: Minimums = Minimums::None;
    const SIGNS: Signs = Signs::InValues;
    unsafe fn read(block: *const u8) -> Read;
}

/// How many sums of products a lane has, each with a scale of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::matmul) enum Chains {
    /// Over all four vectors.
    One,
    /// Over the first two vectors, and over the others.
    Two,
}

/// What is taken off for each group of 32.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::matmul) enum Minimums {
    None,
    Of32,
}

/// A super-block taken apart.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Read {
    /// Stored values, unsigned, in the block's order.
    pub values: [__m512i; 4],
    /// The scale of each 32-bit lane of the first two vectors, and of the others; the same where there is one chain.
    pub scales: [__m512; 2],
    /// Of the eight groups, where there are minimums.
    pub minimums: __m256,
    /// Where signs are apart, the elements whose stored values are negated.
    pub signs: [u64; 4],
}

pub(super) struct ByLane<B, D>(std::marker::PhantomData<(B, D)>);

impl<B: Block, D: DotProducts> RowsDot for ByLane<B, D> {
    const ORDER: RowOrder = B::ORDER;

    #[inline(always)]
    unsafe fn dot<const R: usize, const T: usize>(rows: [*const u8; R], cols: usize, x: [RowView; T]) -> [[f32; T]; R] {
        const { assert!(B::ZERO == 0 || matches!(B::SIGNS, Signs::InValues), "zero is taken off before the signs") };
        // SAFETY: blocks stay below cols / 256; AVX-512 is the caller's.
        unsafe {
            let ahead = ahead::bytes();
            let mut sums = [[_mm512_setzero_ps(); T]; R];
            for block in 0..cols / 256 {
                step::<B, D, R, T>(&mut sums, rows, block, x, ahead);
            }
            let mut out = [[0.0; T]; R];
            for (out, sums) in out.iter_mut().zip(sums) {
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = _mm512_reduce_add_ps(sum);
                }
            }
            out
        }
    }
}

/// Block `block` of every row.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // several arrays walk together
unsafe fn step<B: Block, D: DotProducts, const R: usize, const T: usize>(
    sums: &mut [[__m512; T]; R],
    rows: [*const u8; R],
    block: usize,
    x: [RowView; T],
    ahead: usize,
) {
    // SAFETY: the caller's rows have the block, the views the block's elements; AVX-512 is the caller's.
    unsafe {
        let values = |t: usize, i: usize| _mm512_loadu_si512(x[t].values.add(block * 256 + 64 * i).cast());
        let mut scales = [_mm512_setzero_ps(); T];
        let mut starts = [[_mm512_setzero_si512(); 2]; T];
        for t in 0..T {
            scales[t] = _mm512_set1_ps(*x[t].scales.add(block * 8));
            if B::ZERO != 0 {
                // Lane by lane, so that the integer sums are those of the signed weights, exactly.
                let [first, second] = dots::<B, D>([_mm512_set1_epi8(B::ZERO as i8); 4], |i| values(t, i), starts[t]);
                let nothing = _mm512_setzero_si512();
                starts[t] = [_mm512_sub_epi32(nothing, first), _mm512_sub_epi32(nothing, second)];
            }
        }
        for r in 0..R {
            let at = rows[r].add(block * B::BYTES);
            match B::BYTES {
                0..=128 => prefetch::<128>(at, ahead),
                129..=192 => prefetch::<192>(at, ahead),
                _ => prefetch::<256>(at, ahead),
            }
            let read = B::read(at);
            for t in 0..T {
                let signed = |i: usize| match B::SIGNS {
                    Signs::InValues => values(t, i),
                    Signs::Apart => negated(values(t, i), read.signs[i]),
                };
                let [first, second] = dots::<B, D>(read.values, signed, starts[t]);
                let mut product = _mm512_mul_ps(_mm512_cvtepi32_ps(first), read.scales[0]);
                if B::CHAINS == Chains::Two {
                    product = _mm512_fmadd_ps(_mm512_cvtepi32_ps(second), read.scales[1], product);
                }
                let mut sum = _mm512_fmadd_ps(product, scales[t], sums[r][t]);
                if B::MINIMUMS == Minimums::Of32 {
                    let of_x = _mm256_loadu_ps(x[t].scaled_sums.add(block * 8));
                    sum = _mm512_fnmadd_ps(_mm512_zextps256_ps512(read.minimums), _mm512_zextps256_ps512(of_x), sum);
                }
                sums[r][t] = sum;
            }
        }
    }
}

/// The sums of products of all four vectors; or of the first two and the last two, where there are two chains.
#[inline(always)]
unsafe fn dots<B: Block, D: DotProducts>(
    w: [__m512i; 4],
    x: impl Fn(usize) -> __m512i,
    starts: [__m512i; 2],
) -> [__m512i; 2] {
    // SAFETY: the level is the caller's.
    unsafe {
        let first = D::add(D::add(starts[0], w[0], x(0)), w[1], x(1));
        match B::CHAINS {
            Chains::Two => [first, D::add(D::add(starts[1], w[2], x(2)), w[3], x(3))],
            Chains::One => [D::add(D::add(first, w[2], x(2)), w[3], x(3)), starts[1]],
        }
    }
}
