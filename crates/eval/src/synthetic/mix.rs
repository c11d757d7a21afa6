//! Which tensor of a model gets which type, by the name the whole file has: `Q4_K_M` is mostly Q4_K, and Q6_K where it
//! matters. The rules are llama.cpp's for dense Llama models and for mixtures of eight experts.

use ascua::gguf::TensorType;

use super::SyntheticError;
use super::shape::{Shape, ShapeTensor};

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Role {
    TokenTable,
    Output,
    Norm,
    Query,
    Key,
    Value,
    AttentionOutput,
    Gate,
    Up,
    Down,
    Router,
}

/// A mix of tensor types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Name, such as `Q4_K_M`.
    pub name: &'static str,
    /// The number GGUF files name the mix by.
    pub file_type: u32,
    /// Type of most matrices.
    pub base: TensorType,
}

macro_rules! mixes {
    ($($name:literal = $file_type:literal, $base:ident;)*) => {
        &[$(Mix { name: $name, file_type: $file_type, base: TensorType::$base },)*]
    };
}

impl Mix {
    /// All mixes.
    pub const ALL: &'static [Mix] = mixes! {
        "F32" = 0, F32;
        "F16" = 1, F16;
        "BF16" = 32, BF16;
        "Q4_0" = 2, Q4_0;
        "Q4_1" = 3, Q4_1;
        "Q5_0" = 8, Q5_0;
        "Q5_1" = 9, Q5_1;
        "Q8_0" = 7, Q8_0;
        "Q2_K" = 10, Q2_K;
        "Q3_K_S" = 11, Q3_K;
        "Q3_K_M" = 12, Q3_K;
        "Q3_K_L" = 13, Q3_K;
        "Q4_K_S" = 14, Q4_K;
        "Q4_K_M" = 15, Q4_K;
        "Q5_K_S" = 16, Q5_K;
        "Q5_K_M" = 17, Q5_K;
        "Q6_K" = 18, Q6_K;
        "IQ4_NL" = 25, IQ4_NL;
        "IQ4_XS" = 30, IQ4_XS;
        "MXFP4" = 38, MXFP4;
        "TQ1_0" = 36, TQ1_0;
        "TQ2_0" = 37, TQ2_0;
    };

    /// The mix called `name`, in any case.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> Result<Mix, SyntheticError> {
        let found = Mix::ALL.iter().copied().find(|mix| mix.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| SyntheticError::UnknownMix { name: name.to_owned() })
    }

    /// All names, for messages.
    pub fn names() -> String {
        Mix::ALL.iter().map(|mix| mix.name).collect::<Vec<_>>().join(", ")
    }

    /// The type of a tensor: what the mix wants, or what is nearest where rows are not whole blocks of that.
    pub(super) fn tensor_type(&self, shape: &Shape, tensor: &ShapeTensor) -> TensorType {
        let wanted = self.wanted(shape, tensor);
        let columns = tensor.shape[0] as usize;
        if columns.is_multiple_of(wanted.block_len()) {
            return wanted;
        }
        let second = match wanted {
            TensorType::IQ4_XS => TensorType::IQ4_NL,
            TensorType::Q4_K => TensorType::Q5_0,
            TensorType::Q5_K => TensorType::Q5_1,
            TensorType::Q6_K => TensorType::Q8_0,
            _ => TensorType::Q4_0,
        };
        if columns.is_multiple_of(second.block_len()) { second } else { TensorType::F16 }
    }

    fn wanted(&self, shape: &Shape, tensor: &ShapeTensor) -> TensorType {
        use TensorType::{F16, F32, MXFP4, Q3_K, Q4_K, Q5_K, Q6_K, Q8_0};
        let whole = self.base.block_len() == 1; // no blocks: one type throughout
        let (layer, layers) = (tensor.layer, shape.layers);
        let few_values = shape.heads / shape.key_value_heads >= 4;
        let mixture = shape.experts == 8;
        match tensor.role {
            Role::Norm | Role::Router => F32,
            _ if whole => self.base,
            Role::Output => output_type(self.base),
            Role::TokenTable if shape.tied => output_type(self.base),
            Role::TokenTable if matches!(self.base, TensorType::TQ1_0 | TensorType::TQ2_0) => Q4_K,
            Role::TokenTable if self.base == MXFP4 => Q8_0,
            // A mixture spends most bits on its experts: those of all others hardly count.
            Role::Key | Role::Value if mixture && self.base != F16 => Q8_0,
            Role::Value => match self.name {
                "Q2_K" if few_values => Q4_K,
                "Q2_K" => Q3_K,
                "Q3_K_M" if layer < 2 => Q5_K,
                "Q3_K_M" => Q4_K,
                "Q3_K_L" => Q5_K,
                "IQ4_NL" | "IQ4_XS" if few_values => Q5_K,
                "Q4_K_M" | "Q5_K_M" if more_bits(layer, layers) => Q6_K,
                "Q4_K_S" if layer < 4 => Q5_K,
                _ => self.base,
            },
            Role::Down => match self.name {
                "Q2_K" => Q3_K,
                "Q3_K_M" if layer < layers / 16 => Q5_K,
                "Q3_K_M" => Q4_K,
                "Q3_K_L" => Q5_K,
                "Q4_K_M" | "Q5_K_M" if more_bits(layer, layers) => Q6_K,
                "IQ4_NL" | "IQ4_XS" | "Q4_K_S" if layer < layers / 8 => Q5_K,
                _ => self.base,
            },
            Role::AttentionOutput => match self.name {
                "Q2_K" | "Q3_K_S" | "Q3_K_M" | "Q4_K_S" | "Q4_K_M" | "IQ4_NL" | "IQ4_XS" if mixture => Q5_K,
                "Q2_K" => Q3_K,
                "Q3_K_M" => Q4_K,
                "Q3_K_L" => Q5_K,
                _ => self.base,
            },
            Role::TokenTable | Role::Query | Role::Key | Role::Gate | Role::Up => self.base,
        }
    }
}

/// The matrix that gives the logits is kept better than the rest.
fn output_type(base: TensorType) -> TensorType {
    match base {
        TensorType::Q8_0 | TensorType::MXFP4 => TensorType::Q8_0,
        _ => TensorType::Q6_K,
    }
}

/// The first and last eighth of the layers, and every third between.
fn more_bits(layer: u32, layers: u32) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}
