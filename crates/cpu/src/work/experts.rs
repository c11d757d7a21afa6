//! Mixture of experts: routing, sorting the tokens by expert, and each expert's product with its own tokens.
//!
//! The sort is made once for a routing and used by all its products. Rows are numbered `token * used + slot`.

use std::ops::Range;

use ascua_gguf::TensorData;
use ascua_graph::Place;
use ascua_graph::ops::Route;

use crate::matmul::{ActivationLayout, InputRows, MatmulKernel, OutputRows};
use crate::pool::Sharing;
use crate::program::{Context, Size, Work};

/// Routes each token.
pub(crate) struct RouteWork {
    pub route: Route,
    pub logits: Place,
    pub out: Place,
}

impl Work for RouteWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Size::chunks(context.rows(&self.out), 8)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, scratch: &mut [u8]) {
        let probabilities = floats(scratch, self.route.experts);
        for row in pieces {
            // SAFETY: the logits are complete; this piece owns the row of the output.
            let (logits, out) = unsafe {
                (
                    context.row(&self.logits, row, 0..self.route.experts),
                    context.row_mut(&self.out, row, 0..2 * self.route.used),
                )
            };
            self.route.row(logits, out, probabilities);
        }
    }
}

/// The start of a thread's scratch as numbers.
fn floats(scratch: &mut [u8], count: usize) -> &mut [f32] {
    // SAFETY: any bytes are numbers; `align_to_mut` finds the aligned middle.
    let (_, numbers, _) = unsafe { scratch.align_to_mut::<f32>() };
    &mut numbers[..count]
}

/// Where the tables of one routing lie in the shared scratch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpertTables {
    pub experts: usize,
    pub used: usize,
    /// `[experts + 1]` first sorted row of each expert, then `[rows]` row numbers by expert, then `[rows]` their tokens.
    pub offset: usize,
    /// Most rows.
    pub rows: usize,
}

impl ExpertTables {
    /// Bytes of the tables.
    pub fn bytes(experts: usize, rows: usize) -> usize {
        (experts + 1 + 2 * rows) * size_of::<u32>()
    }

    /// The tables, filled by [`SortWork`].
    ///
    /// # Safety
    /// The sort is complete.
    unsafe fn read<'a>(&self, context: &'a Context<'_>) -> (&'a [u32], &'a [u32], &'a [u32]) {
        // SAFETY: the compiler reserved the tables; u32 aligned because places are.
        let all = unsafe {
            std::slice::from_raw_parts(context.shared(self.offset).cast::<u32>(), self.experts + 1 + 2 * self.rows)
        };
        let (starts, rest) = all.split_at(self.experts + 1);
        let (rows, tokens) = rest.split_at(self.rows);
        (starts, rows, tokens)
    }

    /// The rows of `input`, with one row a token or one for each of its experts, that an expert sees.
    ///
    /// # Safety
    /// The sort is complete.
    pub unsafe fn rows_of<'a>(&self, context: &'a Context<'_>, expert: usize, input: &Place) -> &'a [u32] {
        // SAFETY: as the caller says.
        let (starts, rows, tokens) = unsafe { self.read(context) };
        let index = if input.shape.rows.per == 1 { tokens } else { rows };
        &index[starts[expert] as usize..starts[expert + 1] as usize]
    }
}

/// Sorts rows by expert.
pub(crate) struct SortWork {
    pub tables: ExpertTables,
    pub route: Place,
}

impl Work for SortWork {
    fn size(&self, _context: &Context<'_>) -> Size {
        Size::chunks(1, 1)
    }

    unsafe fn run(&self, context: &Context<'_>, _pieces: Range<usize>, _scratch: &mut [u8]) {
        let ExpertTables { experts, used, offset, rows: most } = self.tables;
        // SAFETY: one piece, so nobody else writes the tables.
        let all =
            unsafe { std::slice::from_raw_parts_mut(context.shared(offset).cast::<u32>(), experts + 1 + 2 * most) };
        let (starts, rest) = all.split_at_mut(experts + 1);
        let (rows, tokens) = rest.split_at_mut(most);
        starts.fill(0);
        let count = context.rows(&self.route);
        // SAFETY: the routing is complete.
        let expert = |token: usize, slot: usize| unsafe { context.row(&self.route, token, slot..slot + 1)[0] as usize };
        for (token, slot) in (0..count).flat_map(|t| (0..used).map(move |s| (t, s))) {
            starts[expert(token, slot) + 1] += 1;
        }
        for e in 0..experts {
            starts[e + 1] += starts[e];
        }
        // `starts` serves as the write position of each expert, and is moved back after.
        for (token, slot) in (0..count).flat_map(|t| (0..used).map(move |s| (t, s))) {
            let at = &mut starts[expert(token, slot)];
            rows[*at as usize] = (token * used + slot) as u32;
            tokens[*at as usize] = token as u32;
            *at += 1;
        }
        starts.copy_within(0..experts, 1);
        starts[0] = 0;
    }
}

/// Those of some pieces that are one expert's, counted from its first.
fn own_pieces(pieces: &Range<usize>, first: usize, count: usize) -> Range<usize> {
    pieces.start.saturating_sub(first).min(count)..pieces.end.saturating_sub(first).min(count)
}

/// Prepared activations of an expert begin at the bytes its predecessors take at most.
fn prepared_offset(layout: &ActivationLayout, starts: &[u32], expert: usize) -> usize {
    (0..expert).map(|e| prepared_bytes(layout, starts[e + 1] - starts[e])).sum()
}

fn prepared_bytes(layout: &ActivationLayout, tokens: u32) -> usize {
    if tokens == 0 { 0 } else { layout.bytes(tokens as usize).next_multiple_of(ascua_graph::ALIGNMENT) }
}

/// Bytes that hold the prepared activations of `rows` rows, however they fall on the experts.
pub(crate) fn prepared_limit(layout: &ActivationLayout, rows: usize, experts: usize) -> usize {
    /// Rows up to which a layout may round up.
    const ROUNDING: usize = 32;
    let groups = experts.min(rows);
    prepared_bytes(layout, rows as u32) + groups * prepared_bytes(layout, ROUNDING as u32)
}

/// Brings the inputs of each expert to its products' layout.
pub(crate) struct ExpertPrepareWork {
    pub layout: ActivationLayout,
    pub tables: ExpertTables,
    pub input: Place,
    pub prepared: usize,
}

impl ExpertPrepareWork {
    /// Pieces of an expert; experts follow one another.
    fn pieces_of(&self, starts: &[u32], expert: usize) -> usize {
        match (starts[expert + 1] - starts[expert]) as usize {
            0 => 0,
            tokens => self.layout.pieces(tokens),
        }
    }
}

impl Work for ExpertPrepareWork {
    fn size(&self, context: &Context<'_>) -> Size {
        // SAFETY: the sort is complete: it is among what this work reads.
        let (starts, ..) = unsafe { self.tables.read(context) };
        Size::chunks((0..self.tables.experts).map(|expert| self.pieces_of(starts, expert)).sum(), 1)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        // SAFETY: the sort is complete.
        let (starts, ..) = unsafe { self.tables.read(context) };
        let mut first = 0;
        for expert in 0..self.tables.experts {
            let count = self.pieces_of(starts, expert);
            let own = own_pieces(&pieces, first, count);
            first += count;
            if own.is_empty() {
                continue;
            }
            // SAFETY: as above.
            let rows = unsafe { self.tables.rows_of(context, expert, &self.input) };
            let out = context.shared(self.prepared + prepared_offset(&self.layout, starts, expert));
            let input = InputRows {
                data: context.value(&self.input),
                stride: self.input.stride,
                tokens: rows.len(),
                index: Some(rows),
            };
            for piece in own {
                // SAFETY: the input is complete; these pieces own their part of the expert's prepared activations.
                unsafe { self.layout.prepare(input, piece, out) };
            }
        }
    }
}

/// The product of each expert with its tokens.
pub(crate) struct ExpertMatMulWork {
    pub kernel: MatmulKernel,
    pub layout: ActivationLayout,
    pub weight: TensorData,
    pub matrix_bytes: usize,
    pub rows: usize,
    pub scale: Option<Vec<f32>>,
    pub tables: ExpertTables,
    pub prepared: usize,
    pub out: Place,
}

impl ExpertMatMulWork {
    /// Rows of a piece, and pieces of an expert. Experts with tokens have pieces, one after the other.
    fn parts(&self, context: &Context<'_>, most: usize) -> (usize, usize) {
        let size = self.kernel.row_chunk(most, context.threads).min(self.rows).max(1);
        (size, self.rows.div_ceil(size))
    }
}

/// Experts with tokens, and the most tokens that one has.
fn busy(starts: &[u32]) -> (usize, usize) {
    let tokens = || starts.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
    (tokens().filter(|&tokens| tokens > 0).count(), tokens().max().unwrap_or(0))
}

impl Work for ExpertMatMulWork {
    fn size(&self, context: &Context<'_>) -> Size {
        // SAFETY: the sort is complete: it is among what this work reads.
        let (starts, ..) = unsafe { self.tables.read(context) };
        let (experts, most) = busy(starts);
        let (_, parts) = self.parts(context, most);
        let sharing = match self.kernel.row_sharing(most) {
            Sharing::Runs => Sharing::Runs,
            // Experts have unlike numbers of tokens.
            Sharing::Chunks | Sharing::Free => Sharing::Free,
        };
        Size { pieces: experts * parts, chunk: 1, sharing }
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, scratch: &mut [u8]) {
        // SAFETY: the sort is complete.
        let (starts, rows, _) = unsafe { self.tables.read(context) };
        let (_, most) = busy(starts);
        let (size, parts) = self.parts(context, most);
        let experts = (0..self.tables.experts).filter(|&expert| starts[expert] < starts[expert + 1]);
        for (number, expert) in experts.enumerate() {
            let own = own_pieces(&pieces, number * parts, parts);
            if own.is_empty() {
                continue;
            }
            let columns = own.start * size..(own.end * size).min(self.rows);
            let matrix = &self.weight[expert * self.matrix_bytes..][..self.matrix_bytes];
            let prepared = context.shared(self.prepared + prepared_offset(&self.layout, starts, expert));
            let index = &rows[starts[expert] as usize..starts[expert + 1] as usize];
            let out = OutputRows { data: context.value(&self.out), stride: self.out.stride, index: Some(index) };
            // SAFETY: the activations are complete; these pieces own these columns of the expert's rows.
            unsafe {
                self.kernel.run(matrix, prepared, index.len(), columns.clone(), out, scratch);
                if let Some(scale) = &self.scale {
                    for &row in index {
                        let row = context.row_mut(&self.out, row as usize, columns.clone());
                        row.iter_mut().for_each(|y| *y *= scale[expert]);
                    }
                }
            }
        }
    }
}

/// The weighted sum of the experts' answers.
pub(crate) struct CombineWork {
    pub input: Place,
    pub route: Place,
    pub out: Place,
}

impl Work for CombineWork {
    fn size(&self, context: &Context<'_>) -> Size {
        super::Tiles::new(context, &self.out).size()
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, _scratch: &mut [u8]) {
        let tiles = super::Tiles::new(context, &self.out);
        let used = self.route.shape.width / 2;
        for (token, columns) in pieces.map(|piece| tiles.tile(piece)) {
            // SAFETY: inputs are complete; this piece owns these columns of the output.
            unsafe {
                let out = context.row_mut(&self.out, token, columns.clone());
                out.fill(0.0);
                let weights = context.row(&self.route, token, used..2 * used);
                for (slot, weight) in weights.iter().enumerate() {
                    let x = context.row(&self.input, token * used + slot, columns.clone());
                    out.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
                }
            }
        }
    }
}
