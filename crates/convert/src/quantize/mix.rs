//! Which tensor gets which type in a file of a mixed type.
//!
//! Tensors that suffer more, or are small, get more bits: the values of attention, the way down of the feed-forward, the
//! first and last layers, the output. The choices are those of llama.cpp (`llama-quant.cpp`), so that a file of a name has
//! the size and the quality users know. Tensors are to be asked in order of layer, then name: some choices count.

use ascua_gguf::{TensorInfo, TensorType};

use super::file_type::FileType;
use super::tensor_names::{Part, layer};

use FileType as F;
use TensorType as T;

/// What of a model the choices depend on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub architecture: String,
    pub layers: u32,
    pub experts: u32,
    /// Query heads for each head of keys and values.
    pub heads_per_key: u32,
    /// Whether it is of the kind of Llama 2 70B: eighty layers that share keys among heads.
    pub is_70b: bool,
    /// Whether there is an importance matrix.
    pub has_importance: bool,
    /// Whether the token embedding is the output too.
    pub tied: bool,
    /// Tensors that make values of attention.
    pub value_tensors: u32,
}

/// The choices for one file.
pub(crate) struct Mix<'a> {
    model: &'a Model,
    file: FileType,
    values_seen: u32,
    downs_seen: u32,
    gates_seen: u32,
    ups_seen: u32,
}

impl<'a> Mix<'a> {
    pub(crate) fn new(model: &'a Model, file: FileType) -> Mix<'a> {
        Mix { model, file, values_seen: 0, downs_seen: 0, gates_seen: 0, ups_seen: 0 }
    }

    /// The type of the next tensor; `output` is what the user asked for the output to be.
    pub(crate) fn choose(&mut self, tensor: &TensorInfo, output: Option<TensorType>) -> TensorType {
        let part = Part::of(&tensor.name);
        let usual = self.file.tensor_type();
        if let Some(chosen) = self.kept_at_eight_bits(&tensor.name) {
            return chosen;
        }
        if part == Part::Output || self.model.tied && part == Part::TokenEmbedding {
            return output.unwrap_or_else(|| self.output(tensor));
        }
        if self.file == F::MXFP4_MOE {
            return self.expert_or_not(tensor, part);
        }
        if part == Part::TokenEmbedding {
            return self.token_embedding();
        }
        if is_below_three_bits(self.file) {
            return self.below_three_bits(part);
        }
        match part {
            Part::Value | Part::QueryKeyValue | Part::KeyValueB => self.value(),
            Part::Key => self.key(),
            Part::Query => self.query(),
            Part::FeedForwardDown => {
                let place = self.layer_of(&tensor.name, self.downs_seen);
                self.downs_seen += 1;
                self.down(place)
            }
            Part::AttentionOutput => self.attention_output(),
            Part::FeedForwardGate => {
                let place = self.layer_of(&tensor.name, self.gates_seen);
                self.gates_seen += 1;
                self.gate_or_up(place)
            }
            Part::FeedForwardUp => {
                let place = self.layer_of(&tensor.name, self.ups_seen);
                self.ups_seen += 1;
                self.gate_or_up(place)
            }
            Part::TokenEmbedding | Part::Output | Part::Other => usual,
        }
    }

    fn is_falcon(&self) -> bool {
        self.model.architecture == "falcon"
    }

    fn many_heads_per_key(&self) -> bool {
        self.model.heads_per_key >= 4
    }

    /// With experts the layers are not in order of their numbers, so the name counts, not how many came before.
    fn layer_of(&self, name: &str, seen: u32) -> u32 {
        if self.model.experts > 1 { layer(name).unwrap_or(seen) } else { seen }
    }

    fn kept_at_eight_bits(&self, name: &str) -> Option<TensorType> {
        let kept = ["attn_q_a", "attn_q_b", "nextn.eh_proj"].iter().any(|held| name.contains(held));
        let float = matches!(self.file.tensor_type(), T::F32 | T::BF16 | T::F16);
        (self.model.architecture == "glm5-next" && kept && !float).then_some(T::Q8_0)
    }

    fn output(&self, tensor: &TensorInfo) -> TensorType {
        let usual = self.file.tensor_type();
        let whole = tensor.row_elements().is_multiple_of(usual.block_len() as u64);
        match self.file {
            F::MXFP4_MOE => T::Q8_0,
            _ if self.is_falcon() || !whole => T::Q8_0,
            F::IQ2_XXS | F::IQ2_XS | F::IQ3_XXS | F::IQ1_S | F::IQ2_S | F::IQ2_M | F::IQ1_M => T::Q5_K,
            _ if usual == T::Q8_0 => T::Q8_0,
            _ => T::Q6_K,
        }
    }

    fn expert_or_not(&self, tensor: &TensorInfo, part: Part) -> TensorType {
        let several = tensor.shape.get(2).is_some_and(|&matrices| matrices > 1);
        // This family has other tensors of three dimensions.
        let feed_forward = matches!(part, Part::FeedForwardUp | Part::FeedForwardGate | Part::FeedForwardDown);
        let expert = several && (self.model.architecture != "bailingmoe3" || feed_forward);
        if expert { T::MXFP4 } else { T::Q8_0 }
    }

    fn token_embedding(&self) -> TensorType {
        match self.file {
            F::IQ2_XXS | F::IQ2_XS | F::IQ1_S | F::IQ1_M => T::Q2_K,
            F::IQ2_S | F::IQ2_M | F::IQ3_XXS => T::IQ3_S,
            F::TQ1_0 | F::TQ2_0 | F::Q2_0 => T::Q4_K,
            _ => self.file.tensor_type(),
        }
    }

    fn below_three_bits(&mut self, part: Part) -> TensorType {
        let usual = self.file.tensor_type();
        let larger = matches!(self.file, F::IQ2_S | F::IQ2_M);
        match part {
            _ if part.makes_values() => {
                self.values_seen += 1;
                match larger {
                    _ if self.many_heads_per_key() || self.model.experts >= 4 => T::Q4_K,
                    true => T::IQ3_S,
                    false => T::Q2_K,
                }
            }
            Part::Key if self.model.experts == 8 => T::Q4_K,
            Part::FeedForwardDown => {
                let early = self.downs_seen < self.model.layers / 8;
                self.downs_seen += 1;
                match larger {
                    _ if !early => usual,
                    true => T::IQ3_S,
                    false => T::Q2_K,
                }
            }
            Part::AttentionOutput => match self.file {
                _ if self.model.experts == 8 => T::Q5_K,
                F::IQ1_S | F::IQ1_M => T::IQ2_XXS,
                F::IQ2_S | F::IQ2_M => T::IQ3_S,
                _ => usual,
            },
            _ => usual,
        }
    }

    fn value(&mut self) -> TensorType {
        let seen = self.values_seen;
        self.values_seen += 1;
        let many = self.many_heads_per_key();
        let more = more_bits(seen, self.model.value_tensors);
        let chosen = match self.file {
            F::Q2_K if many => T::Q4_K,
            F::Q2_K => T::Q3_K,
            F::Q2_K_S if many => T::Q4_K,
            F::IQ3_XXS if many => T::Q4_K,
            F::IQ3_XXS if self.model.has_importance => T::IQ3_XXS,
            F::IQ3_XXS => T::IQ3_S,
            F::IQ3_XS | F::IQ3_S if many => T::Q4_K,
            F::IQ3_M => T::Q4_K,
            F::Q3_K_M if seen < 2 => T::Q5_K,
            F::Q3_K_M => T::Q4_K,
            F::Q3_K_L => T::Q5_K,
            F::IQ4_NL | F::IQ4_XS if many => T::Q5_K,
            F::Q4_K_M | F::Q5_K_M if more => T::Q6_K,
            F::Q4_K_S if seen < 4 => T::Q5_K,
            _ => self.file.tensor_type(),
        };
        match chosen {
            _ if self.model.experts == 8 => T::Q8_0,
            // Eight heads share each of these: they are small, and matter.
            T::Q3_K | T::Q4_K if self.model.is_70b => T::Q5_K,
            chosen => chosen,
        }
    }

    fn key(&self) -> TensorType {
        if self.model.experts == 8 { T::Q8_0 } else { self.query() }
    }

    fn query(&self) -> TensorType {
        match self.file {
            F::IQ3_XS => T::IQ3_XXS,
            F::IQ3_XXS => T::IQ2_S,
            _ => self.file.tensor_type(),
        }
    }

    fn down(&self, place: u32) -> TensorType {
        let layers = self.model.layers;
        let (early, very_early) = (place < layers / 8, place < layers / 16);
        let more = more_bits(place, layers);
        let falcon = self.is_falcon();
        let has_importance = self.model.has_importance;
        match self.file {
            F::Q2_K => T::Q3_K,
            F::Q2_K_S if early => T::Q4_K,
            F::IQ3_XXS if !has_importance => {
                if early {
                    T::Q4_K
                } else {
                    T::Q3_K
                }
            }
            F::Q3_K_M if very_early => T::Q5_K,
            F::Q3_K_M if !falcon || more => T::Q4_K,
            F::IQ3_M if early || self.model.experts == 8 && more => T::Q4_K,
            F::Q3_K_L => {
                if falcon {
                    T::Q4_K
                } else {
                    T::Q5_K
                }
            }
            F::Q4_K_M if falcon && very_early => T::Q6_K,
            F::Q4_K_M if falcon && more => T::Q5_K,
            F::Q4_K_M if !falcon && more => T::Q6_K,
            F::IQ4_NL | F::IQ4_XS if early && !has_importance => T::Q5_K,
            F::Q5_K_M if more => T::Q6_K,
            F::Q4_K_S if !falcon && early => T::Q5_K,
            // The first of these go wrong in four and five bits around zero, even with importance; without it they stay
            // what they always were.
            F::Q4_0 if has_importance && early => T::Q4_1,
            F::Q5_0 if has_importance && early => T::Q5_1,
            _ => self.file.tensor_type(),
        }
    }

    fn attention_output(&self) -> TensorType {
        let usual = self.file.tensor_type();
        match self.file {
            F::Q3_K_L if self.is_falcon() => T::Q4_K,
            _ if self.is_falcon() => usual,
            F::Q2_K
            | F::IQ3_XS
            | F::IQ3_XXS
            | F::Q3_K_S
            | F::Q3_K_M
            | F::IQ4_NL
            | F::Q4_K_S
            | F::Q4_K_M
            | F::IQ3_S
            | F::IQ3_M
            | F::IQ4_XS
                if self.model.experts == 8 =>
            {
                T::Q5_K
            }
            _ if self.model.experts == 8 => usual,
            F::Q2_K => T::Q3_K,
            F::IQ3_XXS => T::IQ3_S,
            F::Q3_K_M | F::IQ3_M => T::Q4_K,
            F::Q3_K_L => T::Q5_K,
            _ => usual,
        }
    }

    fn gate_or_up(&self, place: u32) -> TensorType {
        let layers = self.model.layers;
        let middle = place >= layers / 8 && place < 7 * layers / 8;
        if self.file == F::IQ3_XS && middle { T::IQ3_XXS } else { self.file.tensor_type() }
    }
}

/// The file types of less than three bits a weight, whose exceptions are their own.
fn is_below_three_bits(file: FileType) -> bool {
    matches!(file, F::IQ2_XXS | F::IQ2_XS | F::IQ1_S | F::IQ2_S | F::IQ2_M | F::IQ1_M)
}

/// Whether a layer is among the first or last eighth, or a third one between.
fn more_bits(layer: u32, layers: u32) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer.wrapping_sub(layers / 8)) % 3 == 2
}

/// The type for a tensor whose rows are not whole blocks of `wanted`.
pub(crate) fn fallback(wanted: TensorType, row: u64) -> TensorType {
    let fits = |tensor_type: TensorType| row.is_multiple_of(tensor_type.block_len() as u64);
    if fits(wanted) {
        return wanted;
    }
    let smaller = match wanted {
        T::IQ1_S | T::IQ1_M | T::IQ2_XXS | T::IQ2_XS | T::IQ2_S | T::IQ3_XXS | T::IQ3_S | T::IQ4_XS => T::IQ4_NL,
        T::Q2_0 | T::Q2_K | T::Q3_K | T::TQ1_0 | T::TQ2_0 => T::Q4_0,
        T::Q4_K => T::Q5_0,
        T::Q5_K => T::Q5_1,
        T::Q6_K => T::Q8_0,
        _ => T::F16,
    };
    if fits(smaller) { smaller } else { T::F16 }
}

/// Whether a tensor in this type is worth nothing without importance.
pub(crate) fn needs_importance(name: &str, tensor_type: TensorType, file: FileType) -> bool {
    let special = matches!(Part::of(name), Part::TokenEmbedding | Part::Output);
    let needs = match tensor_type {
        T::IQ3_XXS | T::IQ2_XXS | T::IQ2_XS | T::IQ2_S | T::IQ1_M | T::IQ1_S => true,
        T::Q2_K => file == F::Q2_K_S,
        _ => false,
    };
    needs && !special
}
