//! RMS norm of rows or heads.

use std::ops::Range;

use ascua_graph::Place;

use super::rows::RowWork;
use crate::elementwise::Elementwise;
use crate::program::Context;

pub(crate) struct RmsNormWork {
    pub kernels: Elementwise,
    /// One entry a column of a group, or of the whole row.
    pub weight: Option<Vec<f32>>,
    pub epsilon: f32,
    pub groups: usize,
    pub input: Place,
    pub out: Place,
}

impl RowWork for RmsNormWork {
    unsafe fn rows(&self, context: &Context<'_>, rows: Range<usize>) {
        let size = self.out.shape.width / self.groups;
        for (row, group) in rows.flat_map(|row| (0..self.groups).map(move |group| (row, group))) {
            let columns = group * size..(group + 1) * size;
            let weight =
                self.weight.as_ref().map(|w| if w.len() == size { w.as_ptr() } else { w[columns.clone()].as_ptr() });
            // SAFETY: the rows of the input are complete; the caller owns these rows of the output; the compiler checked the
            // length of the weight.
            unsafe {
                let x = context.row(&self.input, row, columns.clone()).as_ptr();
                let y = context.row_mut(&self.out, row, columns).as_mut_ptr();
                self.kernels.rms_norm(x, weight, self.epsilon, size, y);
            }
        }
    }
}
