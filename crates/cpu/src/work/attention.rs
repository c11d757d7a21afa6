//! Attention over the paged cache: storing keys and values, then attending.

use std::ops::Range;
use std::sync::Arc;

use ascua_graph::Place;

use super::rows::RowWork;
use crate::attention::{Attend, AttentionKernel, KvLayer};
use crate::matmul::{InputRows, OutputRows};
use crate::memory::Buffer;
use crate::program::{Context, Size, Work};

/// Keys and values of one layer: all blocks of keys, then all blocks of values.
pub(crate) struct LayerCache {
    buffer: Buffer,
    blocks: usize,
    key_block_bytes: usize,
    value_block_bytes: usize,
}

impl LayerCache {
    /// Bytes of a cache of `blocks` blocks.
    pub fn bytes(kernel: &AttentionKernel, blocks: usize) -> usize {
        blocks * (kernel.key_block_bytes() + kernel.value_block_bytes())
    }

    /// A cache in `buffer`, which has the bytes it takes.
    pub fn new(kernel: &AttentionKernel, blocks: usize, buffer: Buffer) -> LayerCache {
        LayerCache {
            buffer,
            blocks,
            key_block_bytes: kernel.key_block_bytes(),
            value_block_bytes: kernel.value_block_bytes(),
        }
    }

    fn layer(&self) -> KvLayer {
        let keys = self.buffer.start();
        // SAFETY: the values follow the keys inside the buffer.
        let values = unsafe { keys.add(self.blocks * self.key_block_bytes) };
        KvLayer { keys, values }
    }

    /// Copies a block; both are below the number of blocks.
    pub fn copy_block(&mut self, from: usize, to: usize) {
        assert!(from.max(to) < self.blocks, "block {} of {}", from.max(to), self.blocks);
        if from == to {
            return;
        }
        let KvLayer { keys, values } = self.layer();
        for (start, bytes) in [(keys, self.key_block_bytes), (values, self.value_block_bytes)] {
            // SAFETY: both blocks lie inside the buffer and are not the same.
            unsafe { std::ptr::copy_nonoverlapping(start.add(from * bytes), start.add(to * bytes), bytes) };
        }
    }
}

fn rows<'a>(context: &Context<'_>, place: &Place) -> InputRows<'a> {
    InputRows { data: context.value(place), stride: place.stride, tokens: context.rows(place), index: None }
}

/// Encodes the step's keys and values into the cache.
pub(crate) struct StoreWork {
    pub kernel: Arc<AttentionKernel>,
    /// Index of the cache.
    pub cache: usize,
    pub key: Place,
    /// The keys again where the values are a part of them.
    pub value: Place,
}

impl RowWork for StoreWork {
    unsafe fn rows(&self, context: &Context<'_>, tokens: Range<usize>) {
        let layer = context.caches[self.cache].layer();
        let (key, value) = (rows(context, &self.key), rows(context, &self.value));
        // SAFETY: the tokens' keys and values are complete; the step was checked to name blocks of the cache only.
        unsafe { self.kernel.store(&layer, context.step.runs, key, value, tokens) };
    }
}

/// Mixes the values each query attends to.
pub(crate) struct AttendWork {
    pub kernel: Arc<AttentionKernel>,
    /// Index of the cache.
    pub cache: usize,
    pub query: Place,
    pub out: Place,
    /// Place of the partial results in the shared scratch.
    pub partial: usize,
}

impl Work for AttendWork {
    fn size(&self, context: &Context<'_>) -> Size {
        Size::chunks(self.kernel.pieces(context.runs(&self.query)), 1)
    }

    unsafe fn run(&self, context: &Context<'_>, pieces: Range<usize>, scratch: &mut [u8]) {
        let attend = Attend {
            cache: context.caches[self.cache].layer(),
            runs: context.runs(&self.query),
            query: rows(context, &self.query),
            out: OutputRows { data: context.value(&self.out), stride: self.out.stride, index: None },
            shared: context.shared(self.partial),
        };
        for piece in pieces {
            // SAFETY: the store is complete; pieces are done once; scratch has the bytes the kernel asked for.
            unsafe { self.kernel.run(&attend, piece, scratch) };
        }
    }
}
