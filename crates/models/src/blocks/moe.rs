//! Mixture of experts (Shazeer et al. 2017), with an optional shared expert.

use ascua_graph::ValueId;
use ascua_graph::ops::{
    Add, ExpertCombine, ExpertMatMul, Gate, GateActivation, GateRows, Gating, MatMul, Normalise, Route,
};

use super::TensorScales;
use super::feed_forward::Gated;
use crate::builder::GraphBuilder;
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
        let router = builder.required(&format!("{prefix}.ffn_gate_inp.weight"), &[columns, experts])?;
        let logits = builder.record(MatMul::new(router), &[x])?;
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
        let gate = builder.record(gate, &[x, route])?;
        let up = builder.record(up, &[x, route])?;
        let hidden = builder.record(Gate { activation: GateActivation::Silu }, &[gate, up])?;
        let answers = builder.record(down, &[hidden, route])?;
        let mixed = builder.record(ExpertCombine, &[answers, route])?;
        let Some(shared_width) = self.shared else { return Ok(mixed) };
        let gate = builder.required(&format!("{prefix}.ffn_gate_inp_shexp.weight"), &[columns, 1])?;
        let gate = builder.record(MatMul::new(gate), &[x])?;
        let shared = Gated::shared_expert(shared_width, self.scales).record(builder, config, prefix, x)?;
        let shared = builder.record(GateRows, &[shared, gate])?;
        builder.record(Add, &[mixed, shared])
    }

    fn expert(&self, builder: &mut GraphBuilder<'_>, name: &str, shape: &[usize]) -> Result<ExpertMatMul, ModelError> {
        let weight = builder.required(&format!("{name}.weight"), shape)?;
        let scale_name = format!("{name}.scale");
        let scale = match self.scales {
            TensorScales::Apply | TensorScales::ApplyToSum => builder.optional(&scale_name, &shape[2..])?,
            TensorScales::Ignore => {
                builder.ignore(&scale_name);
                None
            }
        };
        builder.ignore(&format!("{name}.input_scale"));
        Ok(ExpertMatMul { weight, scale })
    }
}
