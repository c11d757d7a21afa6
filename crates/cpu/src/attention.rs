//! Attention over the paged key-value cache, with an online softmax (Milakov & Gimelshein 2018, Dao et al. 2022).
//!
//! Flow: the step's keys and values are encoded into the cache ([`AttentionKernel::store`]); after a barrier each piece of
//! [`AttentionKernel::run`] takes one key head, a tile of a run's tokens with all query heads that share the key head, and
//! a part of the visible history. Where a tile has several parts, whoever finishes last puts them together, so no further
//! barrier is needed.
//!
//! Invariants: no memory grows with tokens × history. How work is cut depends on the runs only, never on the number of
//! threads, and parts are put together in order: the result has the same bits however many threads there are. Keys and
//! values are stored as exactly as their type in the cache can. Arithmetic is F32, but for the products of many rows, which
//! are of 16-bit integers where those are faster, unless F32 was asked for (`docs/decisions/0008-attention-in-16-bits.md`).

mod codec;
mod few_rows;
mod many_rows;
mod partial;
mod tiling;

use std::ops::Range;

use ascua_gguf::TensorType;
use ascua_graph::Run;

use crate::isa::{Isa, IsaError};
use crate::lanes::dispatch;
use crate::matmul::{InputRows, OutputRows, Precision};
use codec::Codec;
use tiling::Tiling;

/// What an attention computes, and how its cache is laid out.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Elements of a query or key head.
    pub key_size: usize,
    /// Elements of a value head.
    pub value_size: usize,
    /// Factor on the dot products.
    pub scale: f32,
    /// Positions a query can look back, itself included; `None`: all.
    pub window: Option<usize>,
    /// Soft limit on the scaled dot products.
    pub softcap: Option<f32>,
    /// ALiBi: largest bias (Press et al. 2021).
    pub alibi_max_bias: Option<f32>,
    /// Attention sinks: for each query head the logit of a key whose value is zero.
    pub sinks: Option<Vec<f32>>,
    /// Encoding of keys in the cache.
    pub key_type: TensorType,
    /// Where values come from.
    pub values: ValueSource,
    /// Tokens in a block of the cache.
    pub block_tokens: usize,
}

/// Where the values of an attention come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueSource {
    /// The cache has a row for each, in this encoding.
    Cache(TensorType),
    /// They are the first elements of the keys (latent attention).
    KeyPrefix,
}

/// Keys and values of one layer.
///
/// Each is `[blocks][kv_heads][block_tokens]` rows, a row being a head's elements in the cache type.
#[derive(Clone, Copy, Debug)]
pub struct KvLayer {
    /// First byte of the keys.
    pub keys: *mut u8,
    /// First byte of the values; not used where values are a prefix of the keys.
    pub values: *mut u8,
}

/// What one step's attention reads and writes.
#[derive(Clone, Copy)]
pub struct Attend<'a> {
    /// The cache, with the step's keys and values already stored.
    pub cache: KvLayer,
    /// The runs of the queries: all tokens of the step, or those whose logits are wanted.
    pub runs: &'a [Run<'a>],
    /// `[rows of the runs][heads * key_size]`
    pub query: InputRows<'a>,
    /// `[rows of the runs][heads * value_size]`
    pub out: OutputRows<'a>,
    /// [`AttentionKernel::shared_bytes`] aligned to 64, zero before their first use.
    pub shared: *mut u8,
}

/// An attention that cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedAttention {
    /// Query heads do not divide evenly among key heads.
    #[error("{heads} query heads cannot share {kv_heads} key heads")]
    Heads {
        /// Query heads.
        heads: usize,
        /// Key heads.
        kv_heads: usize,
    },
    /// A head is not whole blocks of the cache type.
    #[error("a head of {size} elements is not whole blocks of {} elements, as {cache_type} needs", .cache_type.block_len())]
    HeadSize {
        /// Elements of the head.
        size: usize,
        /// Type of the cache.
        cache_type: TensorType,
    },
    /// The cache type has no encoder.
    #[error("{cache_type} cannot be written, so it cannot be the type of a cache")]
    CacheType {
        /// Type of the cache.
        cache_type: TensorType,
    },
    /// Values taken from keys are longer than the keys.
    #[error("values of {value_size} elements cannot be a prefix of keys of {key_size}")]
    Prefix {
        /// Elements of a value head.
        value_size: usize,
        /// Elements of a key head.
        key_size: usize,
    },
    /// There is not one sink for each query head.
    #[error("{found} attention sinks for {heads} query heads")]
    Sinks {
        /// Sinks given.
        found: usize,
        /// Query heads.
        heads: usize,
    },
    /// A block of the cache holds no token.
    #[error("a cache block must hold at least one token")]
    EmptyBlock,
    /// The machine lacks the level.
    #[error(transparent)]
    Isa(#[from] IsaError),
}

/// One attention at one instruction-set level.
#[derive(Clone, Debug)]
pub struct AttentionKernel {
    isa: Isa,
    arithmetic: Arithmetic,
    spec: AttentionSpec,
    keys: Rows,
    values: Rows,
    slopes: Option<Vec<f32>>,
}

/// Rows of one kind in the cache.
#[derive(Clone, Copy, Debug)]
struct Rows {
    codec: Codec,
    /// Elements of a row.
    size: usize,
    /// Bytes of a row.
    bytes: usize,
}

/// Arithmetic of the products of many rows.
#[derive(Clone, Copy, Debug)]
enum Arithmetic {
    F32,
    /// 16-bit integers, where the level multiplies two of them in the time of an F32.
    #[cfg(target_arch = "x86_64")]
    Int16,
}

/// Everything a piece of work needs.
#[derive(Clone, Copy)]
struct Call<'a> {
    kernel: &'a AttentionKernel,
    step: &'a Attend<'a>,
    tile: tiling::Tile<'a>,
    scratch: *mut f32,
}

impl AttentionKernel {
    /// Prepares an attention. With [`Precision::Quantised`] the products of many rows may be of 16-bit integers.
    ///
    /// # Errors
    /// The sizes do not fit together, the cache type cannot hold a head, or the machine lacks the level.
    pub fn new(spec: AttentionSpec, precision: Precision, isa: Isa) -> Result<AttentionKernel, UnsupportedAttention> {
        let isa = isa.require()?;
        let AttentionSpec { heads, kv_heads, key_size, value_size, .. } = spec;
        if heads == 0 || kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(UnsupportedAttention::Heads { heads, kv_heads });
        }
        if spec.block_tokens == 0 {
            return Err(UnsupportedAttention::EmptyBlock);
        }
        if let Some(sinks) = &spec.sinks
            && sinks.len() != heads
        {
            return Err(UnsupportedAttention::Sinks { found: sinks.len(), heads });
        }
        let keys = Rows::new(spec.key_type, key_size)?;
        let values = match spec.values {
            ValueSource::Cache(value_type) => Rows::new(value_type, value_size)?,
            ValueSource::KeyPrefix if value_size > key_size => {
                return Err(UnsupportedAttention::Prefix { value_size, key_size });
            }
            ValueSource::KeyPrefix => keys,
        };
        let slopes = spec.alibi_max_bias.map(|max_bias| ascua_graph::ops::alibi_slopes(heads, max_bias));
        let arithmetic = match precision {
            #[cfg(target_arch = "x86_64")]
            Precision::Quantised if matches!(isa, Isa::Avx512Vnni | Isa::Avx512Zen4) => Arithmetic::Int16,
            _ => Arithmetic::F32,
        };
        Ok(AttentionKernel { isa, arithmetic, spec, keys, values, slopes })
    }

    /// What it computes.
    pub fn spec(&self) -> &AttentionSpec {
        &self.spec
    }

    /// Bytes of one block of keys.
    pub fn key_block_bytes(&self) -> usize {
        self.spec.kv_heads * self.spec.block_tokens * self.keys.bytes
    }

    /// Bytes of one block of values; none where values are a prefix of the keys.
    pub fn value_block_bytes(&self) -> usize {
        match self.spec.values {
            ValueSource::Cache(_) => self.spec.kv_heads * self.spec.block_tokens * self.values.bytes,
            ValueSource::KeyPrefix => 0,
        }
    }

    /// Bytes of scratch each thread needs.
    pub fn scratch_bytes(&self) -> usize {
        let floats = few_rows::Layout::new(self).floats.max(many_rows::Layout::new(self, self.tile_rows()).floats);
        // Room to align the start.
        floats * size_of::<f32>() + 64
    }

    /// Bytes that all threads share; zero before the first use, left to this kernel and others like it afterwards, one
    /// at a time.
    pub fn shared_bytes(&self) -> usize {
        partial::Layout::new(self).bytes
    }

    /// Encodes the keys `[tokens][kv_heads * key_size]` and values `[tokens][kv_heads * value_size]` of some of the
    /// step's tokens into the cache. Where values are a prefix of the keys, `value` is not read.
    ///
    /// # Safety
    /// The rows of `tokens` are readable, and the cache holds all blocks of the runs; nobody else uses the cache rows of
    /// these tokens.
    pub unsafe fn store(
        &self,
        cache: &KvLayer,
        runs: &[Run<'_>],
        key: InputRows<'_>,
        value: InputRows<'_>,
        tokens: Range<usize>,
    ) {
        for run in runs {
            for token in run.tokens.start.max(tokens.start)..run.tokens.end.min(tokens.end) {
                let position = run.first_position + token - run.tokens.start;
                for head in 0..self.spec.kv_heads {
                    // SAFETY: rows of the run and blocks of the cache, says the caller.
                    unsafe {
                        let from = input_row(&key, token).add(head * self.spec.key_size);
                        let to = self.key_row(cache, run.blocks, position, head);
                        codec::encode(self.isa, self.keys.codec, from, self.keys.size, to);
                        if let ValueSource::Cache(_) = self.spec.values {
                            let from = input_row(&value, token).add(head * self.spec.value_size);
                            let to = self.value_row(cache, run.blocks, position, head);
                            codec::encode(self.isa, self.values.codec, from, self.values.size, to);
                        }
                    }
                }
            }
        }
    }

    /// Pieces of work of [`AttentionKernel::run`].
    pub fn pieces(&self, runs: &[Run<'_>]) -> usize {
        Tiling::new(self, runs).pieces()
    }

    /// Computes one piece.
    ///
    /// # Safety
    /// The keys and values of all runs' tokens are stored; rows of the runs are readable in the queries and writable in
    /// the output; each piece is done once; `shared` is as [`AttentionKernel::shared_bytes`] says; `scratch` has
    /// [`AttentionKernel::scratch_bytes`].
    pub unsafe fn run(&self, step: &Attend<'_>, piece: usize, scratch: &mut [u8]) {
        debug_assert!(scratch.len() >= self.scratch_bytes());
        let Some(tile) = Tiling::new(self, step.runs).tile(piece) else { return };
        let start = scratch.as_mut_ptr();
        // SAFETY: `scratch_bytes` includes room for the alignment.
        let scratch = unsafe { start.add(start.align_offset(64)) }.cast();
        let call = Call { kernel: self, step, tile, scratch };
        // SAFETY: passed on from the caller; `new` checked the level.
        unsafe {
            if call.rows() <= tiling::FEW_ROWS {
                dispatch(self.isa, few_rows::FewRows(call));
            } else {
                match self.arithmetic {
                    Arithmetic::F32 => dispatch(self.isa, many_rows::ManyRows(call)),
                    #[cfg(target_arch = "x86_64")]
                    Arithmetic::Int16 => match self.isa {
                        Isa::Avx512Zen4 => many_rows::attend_with_int16::<true>(call),
                        _ => many_rows::attend_with_int16::<false>(call),
                    },
                }
            }
        }
    }

    /// Query heads that share a key head.
    fn group(&self) -> usize {
        self.spec.heads / self.spec.kv_heads
    }

    /// Most rows (tokens × heads of the group) of a tile.
    fn tile_rows(&self) -> usize {
        tiling::tile_tokens(self) * self.group()
    }

    /// # Safety
    /// `blocks` covers the position and its block is inside the cache.
    #[inline(always)]
    unsafe fn key_row(&self, cache: &KvLayer, blocks: &[u32], position: usize, head: usize) -> *mut u8 {
        let row = self.cache_row(blocks, position, head);
        // SAFETY: as the caller promises.
        unsafe { cache.keys.add(row * self.keys.bytes) }
    }

    /// # Safety
    /// As [`AttentionKernel::key_row`].
    #[inline(always)]
    unsafe fn value_row(&self, cache: &KvLayer, blocks: &[u32], position: usize, head: usize) -> *mut u8 {
        let row = self.cache_row(blocks, position, head);
        let start = match self.spec.values {
            ValueSource::Cache(_) => cache.values,
            ValueSource::KeyPrefix => cache.keys,
        };
        // SAFETY: as the caller promises.
        unsafe { start.add(row * self.values.bytes) }
    }

    #[inline(always)]
    fn cache_row(&self, blocks: &[u32], position: usize, head: usize) -> usize {
        let tokens = self.spec.block_tokens;
        (blocks[position / tokens] as usize * self.spec.kv_heads + head) * tokens + position % tokens
    }
}

impl Rows {
    fn new(cache_type: TensorType, size: usize) -> Result<Rows, UnsupportedAttention> {
        let bytes = cache_type.row_bytes(size).ok_or(UnsupportedAttention::HeadSize { size, cache_type })?;
        let codec = Codec::new(cache_type).ok_or(UnsupportedAttention::CacheType { cache_type })?;
        Ok(Rows { codec, size, bytes })
    }
}

impl Call<'_> {
    /// Rows of the tile: tokens × heads of the group, the heads of a token next to each other.
    fn rows(&self) -> usize {
        self.tile.tokens.len() * self.kernel.group()
    }

    /// Token (of the run) and query head of a row.
    fn row(&self, row: usize) -> (usize, usize) {
        let group = self.kernel.group();
        (self.tile.tokens.start + row / group, self.tile.kv_head * group + row % group)
    }

    /// The query of a row.
    /// # Safety
    /// As [`AttentionKernel::run`].
    unsafe fn query_row(&self, row: usize) -> *const f32 {
        let (token, head) = self.row(row);
        // SAFETY: a row of the run.
        unsafe { input_row(&self.step.query, self.tile.run_row + token).add(head * self.kernel.spec.key_size) }
    }

    /// The result of a row.
    /// # Safety
    /// As [`AttentionKernel::run`].
    unsafe fn out_row(&self, row: usize) -> *mut f32 {
        let (token, head) = self.row(row);
        let token = self.tile.run_row + token;
        let token = self.step.out.index.map_or(token, |index| index[token] as usize);
        // SAFETY: a row of the run.
        unsafe { self.step.out.data.add(token * self.step.out.stride + head * self.kernel.spec.value_size) }
    }

    /// The starting point of a row's softmax: largest logit and sum of exponentials so far.
    fn start(&self, row: usize) -> (f32, f32) {
        match &self.kernel.spec.sinks {
            // Only one part may count the sink.
            Some(sinks) if self.tile.part == 0 => (sinks[self.row(row).1], 1.0),
            _ => (f32::MIN, 0.0),
        }
    }
}

/// # Safety
/// The row is readable.
unsafe fn input_row(rows: &InputRows<'_>, token: usize) -> *const f32 {
    let row = rows.index.map_or(token, |index| index[token] as usize);
    // SAFETY: as the caller promises.
    unsafe { rows.data.add(row * rows.stride) }
}

#[cfg(test)]
mod tests;
