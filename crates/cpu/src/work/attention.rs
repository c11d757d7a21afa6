//! Attention over the paged cache.

use std::ops::Range;

use ascua_gguf::TensorType;
use ascua_graph::{CacheSpec, DeviceError, Place, StateSpec};

use crate::memory::Buffer;
use crate::program::{Context, Size, Work};

/// Keys and values of one layer.
pub(crate) struct LayerCache {
    buffer: Buffer,
    spec: CacheSpec,
    kv_heads: usize,
    key_size: usize,
    value_size: usize,
    key_bytes: usize,
    value_bytes: usize,
}

impl LayerCache {
    pub fn new(state: &StateSpec, spec: &CacheSpec, buffer: Buffer) -> Result<LayerCache, DeviceError> {
        let StateSpec::KeyValue { kv_heads, key_size, values: ascua_graph::CachedValues::Own { size: value_size }, .. } = *state else {
            return Err(DeviceError::Unsupported {
                device: "CPU".into(),
                operation: "state".into(),
                reason: "recurrent".into(),
            });
        };
        let row = |t: TensorType, n: usize| n.div_ceil(t.block_len()) * t.block_bytes();
        Ok(LayerCache {
            buffer,
            spec: *spec,
            kv_heads,
            key_size,
            value_size,
            key_bytes: row(spec.key_type, key_size),
            value_bytes: row(spec.value_type, value_size),
        })
    }
    fn key(&self, blocks: &[u32], p: usize, head: usize) -> *mut u8 {
        let bt = self.spec.block_tokens;
        let row = (blocks[p / bt] as usize * self.kv_heads + head) * bt + p % bt;
        unsafe { self.buffer.start().add(row * self.key_bytes) }
    }
    fn value(&self, blocks: &[u32], p: usize, head: usize) -> *mut u8 {
        let bt = self.spec.block_tokens;
        let row = (blocks[p / bt] as usize * self.kv_heads + head) * bt + p % bt;
        let keys = self.spec.blocks * bt * self.kv_heads * self.key_bytes;
        unsafe { self.buffer.start().add(keys + row * self.value_bytes) }
    }
    pub fn copy_block(&mut self, from: usize, to: usize) {
        let bt = self.spec.block_tokens;
        let k = bt * self.kv_heads * self.key_bytes;
        let v = bt * self.kv_heads * self.value_bytes;
        let keys = self.spec.blocks * k;
        unsafe {
            let s = self.buffer.start();
            std::ptr::copy_nonoverlapping(s.add(from * k), s.add(to * k), k);
            std::ptr::copy_nonoverlapping(s.add(keys + from * v), s.add(keys + to * v), v);
        }
    }
}

pub(crate) struct StoreWork {
    pub state: usize,
    pub key: Place,
    pub value: Place,
}
impl Work for StoreWork {
    fn size(&self, c: &Context<'_>) -> Size {
        Size { pieces: c.step.runs.len(), chunk: 1 }
    }
    unsafe fn run(&self, c: &Context<'_>, pieces: Range<usize>, _s: &mut [u8]) {
        let cache = &c.caches[self.state];
        for r in pieces {
            let run = &c.step.runs[r];
            for (i, t) in run.tokens.clone().enumerate() {
                for h in 0..cache.kv_heads {
                    unsafe {
                        let k = c.row(&self.key, t, h * cache.key_size..(h + 1) * cache.key_size);
                        let v = c.row(&self.value, t, h * cache.value_size..(h + 1) * cache.value_size);
                        let out = std::slice::from_raw_parts_mut(
                            cache.key(run.blocks, run.first_position + i, h),
                            cache.key_bytes,
                        );
                        ascua_quant::format(cache.spec.key_type).encode_row(k, out).unwrap();
                        let out = std::slice::from_raw_parts_mut(
                            cache.value(run.blocks, run.first_position + i, h),
                            cache.value_bytes,
                        );
                        ascua_quant::format(cache.spec.value_type).encode_row(v, out).unwrap();
                    }
                }
            }
        }
    }
}

pub(crate) struct AttendWork {
    pub op: ascua_graph::ops::Attention,
    pub window: Option<usize>,
    pub state: usize,
    pub query: Place,
    pub out: Place,
}
impl Work for AttendWork {
    fn size(&self, c: &Context<'_>) -> Size {
        Size { pieces: c.step.tokens.len() * self.op.heads, chunk: 1 }
    }
    unsafe fn run(&self, c: &Context<'_>, pieces: Range<usize>, _s: &mut [u8]) {
        let cache = &c.caches[self.state];
        let slopes = self.op.alibi_max_bias.map(|m| ascua_graph::ops::alibi_slopes(self.op.heads, m));
        for piece in pieces {
            let (t, h) = (piece / self.op.heads, piece % self.op.heads);
            let run = c.step.runs.iter().find(|r| r.tokens.contains(&t)).unwrap();
            let position = run.first_position + t - run.tokens.start;
            let first = self.window.map_or(0, |w| (position + 1).saturating_sub(w));
            let kvh = h / (self.op.heads / cache.kv_heads);
            unsafe {
                let q = c.row(&self.query, t, h * cache.key_size..(h + 1) * cache.key_size);
                let out = c.row_mut(&self.out, t, h * cache.value_size..(h + 1) * cache.value_size);
                let mut row = vec![0.0; cache.key_size.max(cache.value_size)];
                let mut scores: Vec<f32> = (first..=position)
                    .map(|p| {
                        let bytes = std::slice::from_raw_parts(cache.key(run.blocks, p, kvh), cache.key_bytes);
                        ascua_quant::format(cache.spec.key_type).decode_row(bytes, &mut row[..cache.key_size]).unwrap();
                        let dot: f32 = q.iter().zip(&row).map(|(a, b)| a * b).sum();
                        let mut s = dot * self.op.scale;
                        if let Some(l) = self.op.softcap {
                            s = l * (s / l).tanh();
                        }
                        s - slopes.as_ref().map_or(0.0, |x| x[h] * (position - p) as f32)
                    })
                    .collect();
                let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                scores.iter_mut().for_each(|s| *s = (*s - max).exp());
                let sum: f32 = scores.iter().sum();
                out.fill(0.0);
                for (s, p) in scores.iter().zip(first..) {
                    let bytes = std::slice::from_raw_parts(cache.value(run.blocks, p, kvh), cache.value_bytes);
                    ascua_quant::format(cache.spec.value_type).decode_row(bytes, &mut row[..cache.value_size]).unwrap();
                    out.iter_mut().zip(&row).for_each(|(y, v)| *y += s / sum * v);
                }
            }
        }
    }
}
