//! Causal attention over the paged cache, with grouped heads, sliding windows, ALiBi and soft caps.
//!
//! Keys and values of the step are written to the cache first, so a query also sees itself.

use super::{OpDef, inputs, same};
use crate::graph::{CachedValues, Graph, StateId, StateSpec};
use crate::reference::ReferenceContext;
use crate::shape::{RowUnit, Shape, ShapeError};
use crate::step::Run;

/// `out[t][h] = softmax(scale * q[t][h] · K + bias) V` over the visible history of the token's sequence.
///
/// Inputs: queries `[tokens or outputs, heads * key_size]`, keys `[tokens, kv_heads * key_size]` and, unless the values
/// are a prefix of the keys, values `[tokens, kv_heads * value_size]`.
#[derive(Clone, Debug)]
pub struct Attention {
    /// The cache.
    pub state: StateId,
    /// Query heads.
    pub heads: usize,
    /// Factor on the dot products.
    pub scale: f32,
    /// Soft limit on the scaled dot products.
    pub softcap: Option<f32>,
    /// ALiBi: largest bias (Press et al. 2021).
    pub alibi_max_bias: Option<f32>,
}

/// ALiBi slope of each head.
pub fn alibi_slopes(heads: usize, max_bias: f32) -> Vec<f32> {
    let power = 1usize << heads.max(1).ilog2();
    let base = 2f32.powf(-max_bias / power as f32);
    let between = 2f32.powf(-max_bias / 2.0 / power as f32);
    (0..heads)
        .map(|h| if h < power { base.powi(h as i32 + 1) } else { between.powi(2 * (h - power) as i32 + 1) })
        .collect()
}

impl OpDef for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn shape(&self, shapes: &[Shape], graph: &Graph) -> Result<Shape, ShapeError> {
        let StateSpec::KeyValue { kv_heads, key_size, values, .. } = graph.states()[self.state.0 as usize] else {
            return Err(ShapeError::new(self.name(), "its state is not a key-value cache"));
        };
        let (q, k) = match values {
            CachedValues::KeyPrefix { size } => {
                if size > key_size {
                    return Err(ShapeError::new(self.name(), format!("values of {size} in keys of {key_size}")));
                }
                let [q, k] = inputs(self.name(), shapes)?;
                (q, k)
            }
            CachedValues::Own { size } => {
                let [q, k, v] = inputs(self.name(), shapes)?;
                same(self.name(), "width of the values", v.width, kv_heads * size)?;
                (q, k)
            }
        };
        let kept = Shape::tokens(1).rows;
        if q.rows.per != 1 || shapes[1..].iter().any(|shape| shape.rows != kept) {
            return Err(ShapeError::new(self.name(), format!("queries {q}, and keys {k} to keep for each token")));
        }
        same(self.name(), "width of the queries", q.width, self.heads * key_size)?;
        same(self.name(), "width of the keys", k.width, kv_heads * key_size)?;
        if kv_heads == 0 || !self.heads.is_multiple_of(kv_heads) {
            return Err(ShapeError::new(self.name(), format!("{} heads over {kv_heads} key heads", self.heads)));
        }
        Ok(q.with_width(self.heads * values.size()))
    }

    fn state(&self) -> Option<StateId> {
        Some(self.state)
    }

    fn reference(&self, inputs: &[&[f32]], out: &mut [f32], context: &mut ReferenceContext<'_>) {
        let StateSpec::KeyValue { kv_heads, key_size, values, window } = *context.state_spec(self.state) else {
            return;
        };
        let value_size = values.size();
        let query_runs = match context.unit {
            RowUnit::Outputs => context.step.output_runs(),
            RowUnit::Tokens | RowUnit::Step => context.step.runs.to_vec(),
        };
        let (key_width, value_width) = (kv_heads * key_size, kv_heads * value_size);
        let slopes = self.alibi_max_bias.map(|max| alibi_slopes(self.heads, max));
        let block_tokens = context.block_tokens;
        let step = context.step;
        let (keys, cached) = context.key_value(self.state, key_width, value_width);
        let group = self.heads / kv_heads;
        let cell_of = |run: &Run<'_>, p: usize| run.blocks[p / block_tokens] as usize * block_tokens + p % block_tokens;
        for run in step.runs {
            for (i, t) in run.tokens.clone().enumerate() {
                let cell = cell_of(run, run.first_position + i);
                keys[cell * key_width..][..key_width].copy_from_slice(&inputs[1][t * key_width..][..key_width]);
                let out = &mut cached[cell * value_width..][..value_width];
                match values {
                    CachedValues::Own { .. } => out.copy_from_slice(&inputs[2][t * value_width..][..value_width]),
                    CachedValues::KeyPrefix { .. } => {
                        let heads = inputs[1][t * key_width..][..key_width].chunks_exact(key_size);
                        for (out, head) in out.chunks_exact_mut(value_size).zip(heads) {
                            out.copy_from_slice(&head[..value_size]);
                        }
                    }
                }
            }
        }
        for run in &query_runs {
            let cell = |p| cell_of(run, p);
            for (i, t) in run.tokens.clone().enumerate() {
                let position = run.first_position + i;
                let first = window.map_or(0, |w| (position + 1).saturating_sub(w));
                for h in 0..self.heads {
                    let q = &inputs[0][(t * self.heads + h) * key_size..][..key_size];
                    let mut scores: Vec<f32> = (first..=position)
                        .map(|p| {
                            let k = &keys[cell(p) * key_width + h / group * key_size..][..key_size];
                            let dot: f64 = q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
                            let mut score = dot as f32 * self.scale;
                            if let Some(limit) = self.softcap {
                                score = limit * (score / limit).tanh();
                            }
                            score - slopes.as_ref().map_or(0.0, |s| s[h] * (position - p) as f32)
                        })
                        .collect();
                    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    scores.iter_mut().for_each(|s| *s = (*s - max).exp());
                    let sum: f32 = scores.iter().sum();
                    let y = &mut out[(t * self.heads + h) * value_size..][..value_size];
                    y.fill(0.0);
                    for (s, p) in scores.iter().zip(first..) {
                        let v = &cached[cell(p) * value_width + h / group * value_size..][..value_size];
                        y.iter_mut().zip(v).for_each(|(y, v)| *y += s / sum * v);
                    }
                }
            }
        }
    }
}
