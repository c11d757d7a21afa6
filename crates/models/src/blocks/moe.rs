//! Mixture of experts (Shazeer et al. 2017), with an optional shared expert.

use ascua_graph::ValueId;
use ascua_graph::ops::{Add, ExpertCombine, ExpertMatMul, Gate, GateActivation, GateRows, Gating, Normalise, Route};

use super::feed_forward::Gated;
use super::{Linear, TensorScales};
use crate::builder::{GraphBuilder, LowRankPair};
use crate::config::ModelConfig;
use crate::error::ModelError;

/// A mixture.
#[derive(Clone, Debug)]
pub struct MixtureOfExperts {
    normalise: Normalise,
    width: usize,
    scales: TensorScales,
    shared: Option<usize>,
}

impl MixtureOfExperts {
    /// Softmax routing; the weights of the chosen experts sum to one.
    pub fn softmax(config: &ModelConfig, layer: usize) -> MixtureOfExperts {
        MixtureOfExperts {
            normalise: Normalise::SumToOne,
            width: config.expert_feed_forward_length.unwrap_or(config.feed_forward_length[layer]),
            scales: TensorScales::Apply,
            shared: None,
        }
    }

    /// The chosen experts keep their probabilities as weights.
    pub fn keep_probabilities(self) -> MixtureOfExperts {
        MixtureOfExperts { normalise: Normalise::Keep, ..self }
    }

    /// The tensors' own scales are left out.
    pub fn ignore_scales(self) -> MixtureOfExperts {
        MixtureOfExperts { scales: TensorScales::Ignore, ..self }
    }

    /// One more expert that sees every token, behind a sigmoid gate.
    pub fn gated_shared_expert(self, width: usize) -> MixtureOfExperts {
        MixtureOfExperts { shared: Some(width), ..self }
    }

    pub(super) fn record(
        &self,
        builder: &mut GraphBuilder<'_>,
        config: &ModelConfig,
        prefix: &str,
        x: ValueId,
    ) -> Result<ValueId, ModelError> {
        let (columns, width, experts) = (config.embedding_length, self.width, config.experts);
        let router = Linear::bare(builder, &format!("{prefix}.ffn_gate_inp"), (columns, experts))?;
        let logits = router.apply(builder, x)?;
        let route = Route {
            experts,
            used: config.experts_used,
            gating: Gating::Softmax,
            normalise: self.normalise,
            scale: config.expert_weights_scale,
        };
        let route = builder.record(route, &[logits])?;
        let gate = self.expert(builder, &format!("{prefix}.ffn_gate_exps"), &[columns, width, experts])?;
        let up = self.expert(builder, &format!("{prefix}.ffn_up_exps"), &[columns, width, experts])?;
        let down = self.expert(builder, &format!("{prefix}.ffn_down_exps"), &[width, columns, experts])?;
        let gate = gate.apply(builder, [x, route])?;
        let up = up.apply(builder, [x, route])?;
        let hidden = builder.record(Gate { activation: GateActivation::Silu }, &[gate, up])?;
        let answers = down.apply(builder, [hidden, route])?;
        let mixed = builder.record(ExpertCombine, &[answers, route])?;
        let Some(shared_width) = self.shared else { return Ok(mixed) };
        let gate = Linear::bare(builder, &format!("{prefix}.ffn_gate_inp_shexp"), (columns, 1))?.apply(builder, x)?;
        let shared = Gated::shared_expert(shared_width, self.scales).record(builder, config, prefix, x)?;
        let shared = builder.record(GateRows, &[shared, gate])?;
        builder.record(Add, &[mixed, shared])
    }

    fn expert(&self, builder: &mut GraphBuilder<'_>, name: &str, shape: &[usize]) -> Result<Experts, ModelError> {
        let weight_name = format!("{name}.weight");
        let weight = builder.required(&weight_name, shape)?;
        let scale_name = format!("{name}.scale");
        let scale = match self.scales {
            TensorScales::Apply | TensorScales::ApplyToSum => builder.optional(&scale_name, &shape[2..])?,
            TensorScales::Ignore => {
                builder.ignore(&scale_name);
                None
            }
        };
        builder.ignore(&format!("{name}.input_scale"));
        Ok(Experts { product: ExpertMatMul { weight, scale }, adapters: builder.low_rank(&weight_name, shape)? })
    }
}

/// The product with the matrices of a tensor that each token was routed to, and what adapters add beside it.
struct Experts {
    product: ExpertMatMul,
    adapters: Vec<LowRankPair>,
}

impl Experts {
    /// Records the product of a value with the experts of a routing.
    fn apply(&self, builder: &mut GraphBuilder<'_>, inputs: [ValueId; 2]) -> Result<ValueId, ModelError> {
        let mut sum = builder.record(self.product.clone(), &inputs)?;
        for pair in &self.adapters {
            sum = pair.add_expert_product(builder, sum, inputs)?;
        }
        Ok(sum)
    }
}
