//! Non-linearities of feed-forward blocks, alone and as gates.
//!
//! An addition is a variant of [`Activation`], its formula, and its line in `by_function!`.

use super::arithmetic::{Binary, BinaryFunction, Unary, UnaryFunction};
use crate::isa::Isa;
use crate::lanes::{Lanes, dispatch, erfc, sigmoid, tanh};

/// A non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x * sigmoid(x)`
    Silu,
    /// `0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))`
    Gelu,
    /// `0.5 x (1 + erf(x / sqrt(2)))`
    GeluErf,
    /// `x * sigmoid(1.702 x)`
    GeluQuick,
    /// `max(x, 0)`
    Relu,
    /// `max(x, 0)²`
    ReluSquared,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// Every non-linearity.
    pub const ALL: &'static [Activation] = &[
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluErf,
        Activation::GeluQuick,
        Activation::Relu,
        Activation::ReluSquared,
        Activation::Sigmoid,
        Activation::Tanh,
    ];
}

macro_rules! formulas {
    ($($name:ident => |$x:ident| $formula:expr;)*) => {$(
        #[derive(Clone, Copy)]
        struct $name;

        impl UnaryFunction for $name {
            #[inline(always)]
            unsafe fn apply<V: Lanes>(self, $x: V) -> V {
                // SAFETY: the machine has the level, says the caller.
                unsafe { $formula }
            }
        }
    )*};
}

formulas! {
    Silu => |x| x.mul(sigmoid(x));
    // 0.5 (1 + tanh u) = sigmoid(2u)
    Gelu => |x| {
        let inner = x.mul(x).mul_add(V::splat(0.044_715 * 2.0 * SQRT_2_OVER_PI), V::splat(2.0 * SQRT_2_OVER_PI));
        x.mul(sigmoid(x.mul(inner)))
    };
    GeluErf => |x| x.mul(V::splat(0.5)).mul(erfc(x.mul(V::splat(-std::f32::consts::FRAC_1_SQRT_2))));
    GeluQuick => |x| x.mul(sigmoid(x.mul(V::splat(1.702))));
    Relu => |x| V::splat(0.0).max(x);
    ReluSquared => |x| { let y = V::splat(0.0).max(x); y.mul(y) };
    Sigmoid => |x| sigmoid(x);
    Tanh => |x| tanh(x);
}

const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// `function(gate) * up`
#[derive(Clone, Copy)]
struct Gated<F>(F);

impl<F: UnaryFunction> BinaryFunction for Gated<F> {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, gate: V, up: V) -> V {
        // SAFETY: the machine has the level, says the caller.
        unsafe { self.0.apply(gate) }.mul(up)
    }
}

/// Chooses the function once per row; `$work` names it `$f`.
macro_rules! by_function {
    ($function:expr, $f:ident => $work:expr) => {
        match $function {
            Activation::Silu => {
                let $f = Silu;
                $work
            }
            Activation::Gelu => {
                let $f = Gelu;
                $work
            }
            Activation::GeluErf => {
                let $f = GeluErf;
                $work
            }
            Activation::GeluQuick => {
                let $f = GeluQuick;
                $work
            }
            Activation::Relu => {
                let $f = Relu;
                $work
            }
            Activation::ReluSquared => {
                let $f = ReluSquared;
                $work
            }
            Activation::Sigmoid => {
                let $f = Sigmoid;
                $work
            }
            Activation::Tanh => {
                let $f = Tanh;
                $work
            }
        }
    };
}

/// # Safety
/// As [`super::Elementwise::activate`]; the machine has the level.
pub(super) unsafe fn activate(isa: Isa, function: Activation, x: *const f32, n: usize, out: *mut f32) {
    // SAFETY: passed on from the caller.
    unsafe { by_function!(function, f => dispatch(isa, Unary { function: f, x, n, out })) }
}

/// # Safety
/// As [`super::Elementwise::gate`]; the machine has the level.
pub(super) unsafe fn gate(isa: Isa, function: Activation, gate: *const f32, up: *const f32, n: usize, out: *mut f32) {
    // SAFETY: passed on from the caller.
    unsafe { by_function!(function, f => dispatch(isa, Binary { function: Gated(f), a: gate, b: up, n, out })) }
}
