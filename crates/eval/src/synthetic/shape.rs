//! Sizes of well-known models, and the tensors a model of such a size has.

use super::SyntheticError;
use super::mix::Role;

/// Sizes of a model of Llama's architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Name on the command line.
    pub name: &'static str,
    /// Layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub width: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub key_value_heads: u32,
    /// Width of the feed-forward block, or of an expert.
    pub feed_forward: u32,
    /// Tokens.
    pub vocabulary: u32,
    /// Whether the token table is also the output matrix.
    pub tied: bool,
    /// Experts of a layer; 0: a dense model.
    pub experts: u32,
    /// Experts a token visits.
    pub experts_used: u32,
}

/// A tensor of a shape.
#[derive(Clone, Debug)]
pub struct ShapeTensor {
    /// Name in the file.
    pub name: String,
    /// Dimensions, the fastest first.
    pub shape: Vec<u64>,
    /// What it is for.
    pub role: Role,
    /// Its layer; 0 outside the layers.
    pub layer: u32,
}

const DENSE: Shape = Shape {
    name: "",
    layers: 0,
    width: 0,
    heads: 0,
    key_value_heads: 0,
    feed_forward: 0,
    vocabulary: 0,
    tied: false,
    experts: 0,
    experts_used: 0,
};

impl Shape {
    /// All shapes: the models they are taken from stand beside them.
    pub const ALL: &'static [Shape] = &[
        // SmolLM2-135M.
        Shape {
            name: "135m",
            layers: 30,
            width: 576,
            heads: 9,
            key_value_heads: 3,
            feed_forward: 1536,
            vocabulary: 49_152,
            tied: true,
            ..DENSE
        },
        // Llama 3.2 1B.
        Shape {
            name: "1b",
            layers: 16,
            width: 2048,
            heads: 32,
            key_value_heads: 8,
            feed_forward: 8192,
            vocabulary: 128_256,
            tied: true,
            ..DENSE
        },
        // Llama 3.2 3B.
        Shape {
            name: "3b",
            layers: 28,
            width: 3072,
            heads: 24,
            key_value_heads: 8,
            feed_forward: 8192,
            vocabulary: 128_256,
            tied: true,
            ..DENSE
        },
        // Llama 2 7B.
        Shape {
            name: "7b",
            layers: 32,
            width: 4096,
            heads: 32,
            key_value_heads: 32,
            feed_forward: 11_008,
            vocabulary: 32_000,
            ..DENSE
        },
        // Llama 3.1 8B.
        Shape {
            name: "8b",
            layers: 32,
            width: 4096,
            heads: 32,
            key_value_heads: 8,
            feed_forward: 14_336,
            vocabulary: 128_256,
            ..DENSE
        },
        // Llama 2 13B.
        Shape {
            name: "13b",
            layers: 40,
            width: 5120,
            heads: 40,
            key_value_heads: 40,
            feed_forward: 13_824,
            vocabulary: 32_000,
            ..DENSE
        },
        // Mixtral's mixture (8 experts, 2 used) at a size of 1.7 billion weights.
        Shape {
            name: "moe",
            layers: 16,
            width: 2048,
            heads: 32,
            key_value_heads: 8,
            feed_forward: 2048,
            vocabulary: 32_000,
            experts: 8,
            experts_used: 2,
            ..DENSE
        },
        // Mixtral 8x7B.
        Shape {
            name: "8x7b",
            layers: 32,
            width: 4096,
            heads: 32,
            key_value_heads: 8,
            feed_forward: 14_336,
            vocabulary: 32_000,
            experts: 8,
            experts_used: 2,
            ..DENSE
        },
    ];

    /// The shape called `name`, in any case.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> Result<Shape, SyntheticError> {
        let found = Shape::ALL.iter().copied().find(|shape| shape.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| SyntheticError::UnknownShape { name: name.to_owned() })
    }

    /// All names, for messages.
    pub fn names() -> String {
        Shape::ALL.iter().map(|shape| shape.name).collect::<Vec<_>>().join(", ")
    }

    /// Elements of a head.
    pub fn head_size(&self) -> u32 {
        self.width / self.heads
    }

    /// The tensors in the order of the file.
    pub(super) fn tensors(&self) -> Vec<ShapeTensor> {
        let [width, feed_forward] = [self.width, self.feed_forward].map(u64::from);
        let (vocabulary, experts) = (u64::from(self.vocabulary), u64::from(self.experts));
        let keys = u64::from(self.key_value_heads * self.head_size());
        let mut tensors = Vec::new();
        let mut add = |layer: Option<u32>, name: &str, shape: Vec<u64>, role: Role| {
            let name = match layer {
                Some(layer) => format!("blk.{layer}.{name}.weight"),
                None => format!("{name}.weight"),
            };
            tensors.push(ShapeTensor { name, shape, role, layer: layer.unwrap_or(0) });
        };
        add(None, "token_embd", vec![width, vocabulary], Role::TokenTable);
        for layer in (0..self.layers).map(Some) {
            add(layer, "attn_norm", vec![width], Role::Norm);
            add(layer, "attn_q", vec![width, width], Role::Query);
            add(layer, "attn_k", vec![width, keys], Role::Key);
            add(layer, "attn_v", vec![width, keys], Role::Value);
            add(layer, "attn_output", vec![width, width], Role::AttentionOutput);
            add(layer, "ffn_norm", vec![width], Role::Norm);
            if experts == 0 {
                add(layer, "ffn_gate", vec![width, feed_forward], Role::Gate);
                add(layer, "ffn_up", vec![width, feed_forward], Role::Up);
                add(layer, "ffn_down", vec![feed_forward, width], Role::Down);
            } else {
                add(layer, "ffn_gate_inp", vec![width, experts], Role::Router);
                add(layer, "ffn_gate_exps", vec![width, feed_forward, experts], Role::Gate);
                add(layer, "ffn_up_exps", vec![width, feed_forward, experts], Role::Up);
                add(layer, "ffn_down_exps", vec![feed_forward, width, experts], Role::Down);
            }
        }
        add(None, "output_norm", vec![width], Role::Norm);
        if !self.tied {
            add(None, "output", vec![width, vocabulary], Role::Output);
        }
        tensors
    }
}
