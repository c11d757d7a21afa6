//! Sizes of well-known models, and the tensors a model of such a size has.

use ascua::gguf::{TensorInfo, TensorType, WriteError};

use super::SyntheticError;

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

    /// The tensors in the order of the file, in F32.
    ///
    /// # Errors
    /// A dimension is zero, or their product beyond what a file can hold.
    pub fn tensors(&self) -> Result<Vec<TensorInfo>, SyntheticError> {
        let [width, feed_forward] = [self.width, self.feed_forward].map(u64::from);
        let (vocabulary, experts) = (u64::from(self.vocabulary), u64::from(self.experts));
        let keys = u64::from(self.key_value_heads * self.head_size());
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[u64]| {
            let tensor = TensorInfo::new(format!("{name}.weight"), shape, TensorType::F32);
            tensors.push(tensor.map_err(WriteError::from)?);
            Ok::<(), SyntheticError>(())
        };
        add("token_embd".into(), &[width, vocabulary])?;
        for layer in 0..self.layers {
            let mut add = |name: &str, shape: &[u64]| add(format!("blk.{layer}.{name}"), shape);
            add("attn_norm", &[width])?;
            add("attn_q", &[width, width])?;
            add("attn_k", &[width, keys])?;
            add("attn_v", &[width, keys])?;
            add("attn_output", &[width, width])?;
            add("ffn_norm", &[width])?;
            if experts == 0 {
                add("ffn_gate", &[width, feed_forward])?;
                add("ffn_up", &[width, feed_forward])?;
                add("ffn_down", &[feed_forward, width])?;
            } else {
                add("ffn_gate_inp", &[width, experts])?;
                add("ffn_gate_exps", &[width, feed_forward, experts])?;
                add("ffn_up_exps", &[width, feed_forward, experts])?;
                add("ffn_down_exps", &[feed_forward, width, experts])?;
            }
        }
        add("output_norm".into(), &[width])?;
        if !self.tied {
            add("output".into(), &[width, vocabulary])?;
        }
        Ok(tensors)
    }
}
