//! RMS norm of rows or heads.

use std::ops::Range;

use ascua_graph::Place;

use crate::elementwise::Elementwise;
use crate::program::{Context, Size, Work};

pub(crate) struct RmsNormWork {
    pub kernels: Elementwise,
    /// One entry a column of a group, or of the whole row.
    pub weight: Option<Vec<f32>>,
    pub epsilon: f32,
    pub groups: usize,
    pub input: Place,
    pub out: Place,
}

impl Work for RmsNormWork {
    fn size(&self, context: &Context<'_>) -> Size {
        let pieces = context.rows(&self.out) * self.groups;
        Size::chunks(pieces, (pieces / (8 * context.threads)).max(1))
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let size = self.out.shape.width / self.groups;
        for piece in pieces {
            let (row, group) = (piece / self.groups, piece % self.groups);
            let columns = group * size..(group + 1) * size;
            let weight =
                self.weight.as_ref().map(|w| if w.len() == size { w.as_ptr() } else { w[columns.clone()].as_ptr() });
            // SAFETY: the input is complete; this piece owns these columns of the output; the compiler checked the
            // length of the weight.
            unsafe {
                let x = context.row(&self.input, row, columns.clone()).as_ptr();
                let y = context.row_mut(&self.out, row, columns).as_mut_ptr();
                self.kernels.rms_norm(x, weight, self.epsilon, size, y);
            }
        }
    }
}
