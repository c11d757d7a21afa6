//! `N` floats side by side: what the encoders' searches compute with.
//!
//! A search runs for `N` groups at once, one per lane, with the operations in the order a single group would have them:
//! nothing is summed across lanes, so results do not depend on `N` or on the instruction set. Plain arrays and loops that
//! the compiler turns into vectors of whatever width [`crate::levels`] compiles them for; hence `inline(always)`.

use std::array::from_fn;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// `N` floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes<const N: usize>(pub [f32; N]);

/// For each lane all bits or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask<const N: usize>(pub [i32; N]);

impl<const N: usize> Lanes<N> {
    pub(crate) const ZERO: Self = Lanes([0.0; N]);

    /// The same in every lane.
    #[inline(always)]
    pub(crate) fn splat(value: f32) -> Self {
        Lanes([value; N])
    }

    #[inline(always)]
    pub(crate) fn map(self, of: impl Fn(f32) -> f32) -> Self {
        Lanes(from_fn(|i| of(self.0[i])))
    }

    #[inline(always)]
    fn zip(self, other: Self, of: impl Fn(f32, f32) -> f32) -> Self {
        Lanes(from_fn(|i| of(self.0[i], other.0[i])))
    }

    #[inline(always)]
    fn compare(self, other: Self, of: impl Fn(f32, f32) -> bool) -> Mask<N> {
        Mask(from_fn(|i| -i32::from(of(self.0[i], other.0[i]))))
    }

    #[inline(always)]
    pub(crate) fn abs(self) -> Self {
        self.map(f32::abs)
    }

    #[inline(always)]
    pub(crate) fn sqrt(self) -> Self {
        self.map(f32::sqrt)
    }

    /// The smaller; `other` where one is no number.
    #[inline(always)]
    pub(crate) fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    /// The larger; `other` where one is no number.
    #[inline(always)]
    pub(crate) fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    /// Rounds to nearest, halves to even, for magnitudes up to 2^22.
    #[inline(always)]
    pub(crate) fn round(self) -> Self {
        // In 1.5 * 2^23 the last place is the units place.
        self.map(|value| (value + 12_582_912.0) - 12_582_912.0)
    }

    #[inline(always)]
    pub(crate) fn clamp(self, low: f32, high: f32) -> Self {
        self.max(Lanes::splat(low)).min(Lanes::splat(high))
    }

    #[inline(always)]
    pub(crate) fn lt(self, other: Self) -> Mask<N> {
        self.compare(other, |a, b| a < b)
    }

    #[inline(always)]
    pub(crate) fn gt(self, other: Self) -> Mask<N> {
        self.compare(other, |a, b| a > b)
    }

    #[inline(always)]
    pub(crate) fn ne(self, other: Self) -> Mask<N> {
        self.compare(other, |a, b| a != b)
    }

    #[inline(always)]
    pub(crate) fn eq(self, other: Self) -> Mask<N> {
        self.compare(other, |a, b| a == b)
    }
}

impl<const N: usize> Mask<N> {
    /// `yes` where set, `no` elsewhere.
    #[inline(always)]
    pub(crate) fn select(self, yes: Lanes<N>, no: Lanes<N>) -> Lanes<N> {
        Lanes(from_fn(|i| if self.0[i] != 0 { yes.0[i] } else { no.0[i] }))
    }

    #[inline(always)]
    pub(crate) fn and(self, other: Self) -> Self {
        Mask(from_fn(|i| self.0[i] & other.0[i]))
    }

    #[inline(always)]
    pub(crate) fn or(self, other: Self) -> Self {
        Mask(from_fn(|i| self.0[i] | other.0[i]))
    }

    #[inline(always)]
    pub(crate) fn not(self) -> Self {
        Mask(self.0.map(|lane| !lane))
    }

    #[inline(always)]
    pub(crate) fn any(self) -> bool {
        self.0.iter().fold(0, |any, lane| any | lane) != 0
    }
}

macro_rules! operators {
    ($($name:ident $method:ident $operator:tt;)*) => {$(
        impl<const N: usize> $name for Lanes<N> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.zip(other, |a, b| a $operator b)
            }
        }
    )*};
}

operators! {
    Add add +;
    Sub sub -;
    Mul mul *;
    Div div /;
}

/// Every lane by the same factor.
impl<const N: usize> Mul<f32> for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, factor: f32) -> Self {
        self * Lanes::splat(factor)
    }
}

impl<const N: usize> AddAssign for Lanes<N> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const N: usize> Neg for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|value| -value)
    }
}

/// `GROUPS` groups of `SIZE` consecutive elements → for each element of a group, the lanes of all groups.
#[inline(always)]
pub(crate) fn transpose<const GROUPS: usize, const SIZE: usize>(values: &[f32]) -> [Lanes<GROUPS>; SIZE] {
    let groups: &[[f32; SIZE]; GROUPS] =
        values.as_chunks::<SIZE>().0.try_into().expect("as many elements as groups hold");
    from_fn(|element| Lanes(from_fn(|group| groups[group][element])))
}
