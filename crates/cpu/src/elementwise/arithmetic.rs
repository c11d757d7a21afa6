//! Loops over one or two rows, generic over the function applied.

use crate::lanes::{Kernel, Lanes, tanh};

/// A function of one number.
pub(super) trait UnaryFunction: Copy {
    /// # Safety
    /// The machine has the instructions of `V`.
    unsafe fn apply<V: Lanes>(self, x: V) -> V;
}

/// A function of two numbers.
pub(super) trait BinaryFunction: Copy {
    /// # Safety
    /// The machine has the instructions of `V`.
    unsafe fn apply<V: Lanes>(self, a: V, b: V) -> V;
}

/// `out = function(x)`.
pub(super) struct Unary<F> {
    pub(super) function: F,
    pub(super) x: *const f32,
    pub(super) n: usize,
    pub(super) out: *mut f32,
}

impl<F: UnaryFunction> Kernel for Unary<F> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let mut i = 0;
        // SAFETY: whole vectors below `n`, then the rest; each element is read before it is written.
        unsafe {
            while i + V::LANES <= self.n {
                self.function.apply(V::load(self.x.add(i))).store(self.out.add(i));
                i += V::LANES;
            }
            if i < self.n {
                let x = V::load_first(self.x.add(i), self.n - i);
                self.function.apply(x).store_first(self.out.add(i), self.n - i);
            }
        }
    }
}

/// `out = function(a, b)`.
pub(super) struct Binary<F> {
    pub(super) function: F,
    pub(super) a: *const f32,
    pub(super) b: *const f32,
    pub(super) n: usize,
    pub(super) out: *mut f32,
}

impl<F: BinaryFunction> Kernel for Binary<F> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let mut i = 0;
        // SAFETY: whole vectors below `n`, then the rest; each element is read before it is written.
        unsafe {
            while i + V::LANES <= self.n {
                self.function.apply(V::load(self.a.add(i)), V::load(self.b.add(i))).store(self.out.add(i));
                i += V::LANES;
            }
            if i < self.n {
                let left = self.n - i;
                let (a, b) = (V::load_first(self.a.add(i), left), V::load_first(self.b.add(i), left));
                self.function.apply(a, b).store_first(self.out.add(i), left);
            }
        }
    }
}

/// `x * factor`
#[derive(Clone, Copy)]
pub(super) struct Scale(pub(super) f32);

impl UnaryFunction for Scale {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, x: V) -> V {
        // SAFETY: as the caller promises.
        x.mul(unsafe { V::splat(self.0) })
    }
}

/// `limit * tanh(x / limit)`
#[derive(Clone, Copy)]
pub(super) struct Softcap(pub(super) f32);

impl UnaryFunction for Softcap {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, x: V) -> V {
        // SAFETY: as the caller promises.
        unsafe {
            let limit = V::splat(self.0);
            tanh(x.div(limit)).mul(limit)
        }
    }
}

/// `a + b`
#[derive(Clone, Copy)]
pub(super) struct Add;

impl BinaryFunction for Add {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, a: V, b: V) -> V {
        a.add(b)
    }
}

/// `a * b`
#[derive(Clone, Copy)]
pub(super) struct Mul;

impl BinaryFunction for Mul {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, a: V, b: V) -> V {
        a.mul(b)
    }
}

/// `a * factor + b`
#[derive(Clone, Copy)]
pub(super) struct ScaleAdd(pub(super) f32);

impl BinaryFunction for ScaleAdd {
    #[inline(always)]
    unsafe fn apply<V: Lanes>(self, a: V, b: V) -> V {
        // SAFETY: as the caller promises.
        a.mul_add(unsafe { V::splat(self.0) }, b)
    }
}
