//! RMS norm of rows or heads.

use std::ops::Range;

use ascua_graph::Place;

use crate::program::{Context, Size, Work};

pub(crate) struct RmsNormWork {
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
        Size { pieces, chunk: (pieces / (8 * context.threads)).max(1) }
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let size = self.out.shape.width / self.groups;
        for piece in pieces {
            let (row, group) = (piece / self.groups, piece % self.groups);
            let columns = group * size..(group + 1) * size;
            // SAFETY: the input is complete; this piece owns these columns of the output.
            let (x, y) = unsafe {
                (context.row(&self.input, row, columns.clone()), context.row_mut(&self.out, row, columns.clone()))
            };
            let weight = self.weight.as_ref().map(|w| if w.len() == size { &w[..] } else { &w[columns] });
            rms_norm(x, y, weight, self.epsilon);
        }
    }
}

fn rms_norm(x: &[f32], y: &mut [f32], weight: Option<&[f32]>, epsilon: f32) {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    for part in x.chunks(LANES) {
        for (sum, v) in sums.iter_mut().zip(part) {
            *sum += v * v;
        }
    }
    let mean = sums.iter().map(|s| f64::from(*s)).sum::<f64>() / x.len() as f64;
    let factor = 1.0 / (mean as f32 + epsilon).sqrt();
    match weight {
        None => y.iter_mut().zip(x).for_each(|(y, x)| *y = x * factor),
        Some(weight) => {
            for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                *y = x * factor * w;
            }
        }
    }
}
