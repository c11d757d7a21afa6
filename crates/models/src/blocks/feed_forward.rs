//! Gated feed-forward block.

use ascua_graph::ValueId;
use ascua_graph::ops::{Gate, GateActivation, Slice};

use super::{Linear, MixtureOfExperts, TensorScales};
use crate::builder::GraphBuilder;
use crate::config::ModelConfig;
use crate::error::ModelError;

/// What follows the attention in a layer.
#[derive(Clone, Debug)]
pub enum FeedForward {
    /// One gated block.
    Gated(Gated),
    /// Several, of which each token sees a few.
    Mixture(MixtureOfExperts),
}

/// `down(activation(gate x) * up x)`
#[derive(Clone, Debug)]
pub struct Gated {
    activation: GateActivation,
    width: usize,
    scales: TensorScales,
    /// Suffix of the tensor names (`_shexp` for a shared expert).
    suffix: &'static str,
}

impl FeedForward {
    /// SiLU gate.
    pub fn swiglu(config: &ModelConfig, layer: usize) -> FeedForward {
        FeedForward::Gated(Gated::new(GateActivation::Silu, config.feed_forward_length[layer]))
    }

    /// GELU gate.
    pub fn geglu(config: &ModelConfig, layer: usize) -> FeedForward {
        FeedForward::Gated(Gated::new(GateActivation::Gelu, config.feed_forward_length[layer]))
    }

    /// A dense block's own tensor scales are left out.
    pub fn ignore_scales(self) -> FeedForward {
        match self {
            FeedForward::Gated(gated) => FeedForward::Gated(Gated { scales: TensorScales::Ignore, ..gated }),
            mixture => mixture,
        }
    }

    /// Another width than the configuration's.
    pub fn with_width(self, width: usize) -> FeedForward {
        match self {
            FeedForward::Gated(gated) => FeedForward::Gated(Gated { width, ..gated }),
            mixture => mixture,
        }
    }

    /// Records the block.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn record(
        &self,
        builder: &mut GraphBuilder<'_>,
        config: &ModelConfig,
        prefix: &str,
        x: ValueId,
    ) -> Result<ValueId, ModelError> {
        match self {
            FeedForward::Gated(gated) => gated.record(builder, config, prefix, x),
            FeedForward::Mixture(mixture) => mixture.record(builder, config, prefix, x),
        }
    }
}

impl Gated {
    pub(super) fn new(activation: GateActivation, width: usize) -> Gated {
        Gated { activation, width, scales: TensorScales::ApplyToSum, suffix: "" }
    }

    pub(super) fn shared_expert(width: usize, scales: TensorScales) -> Gated {
        Gated { activation: GateActivation::Silu, width, scales, suffix: "_shexp" }
    }

    pub(super) fn record(
        &self,
        builder: &mut GraphBuilder<'_>,
        config: &ModelConfig,
        prefix: &str,
        x: ValueId,
    ) -> Result<ValueId, ModelError> {
        let suffix = self.suffix;
        let (columns, width) = (config.embedding_length, self.width);
        let stacked = !builder.has(&format!("{prefix}.ffn_gate{suffix}.weight"))
            && builder.has(&format!("{prefix}.ffn_up{suffix}.weight"));
        let (gate, up) = if !stacked {
            let gate = Linear::new(builder, &format!("{prefix}.ffn_gate{suffix}"), (columns, width), self.scales)?;
            let up = Linear::new(builder, &format!("{prefix}.ffn_up{suffix}"), (columns, width), self.scales)?;
            (gate.apply(builder, x)?, up.apply(builder, x)?)
        } else {
            // Gate and up stacked in one tensor, the gate first.
            let both = Linear::new(builder, &format!("{prefix}.ffn_up{suffix}"), (columns, 2 * width), self.scales)?;
            let both = both.apply(builder, x)?;
            let gate = builder.record(Slice { start: 0, width }, &[both])?;
            (gate, builder.record(Slice { start: width, width }, &[both])?)
        };
        let hidden = builder.record(Gate { activation: self.activation }, &[gate, up])?;
        let down = Linear::new(builder, &format!("{prefix}.ffn_down{suffix}"), (width, columns), self.scales)?;
        down.apply(builder, hidden)
    }
}
