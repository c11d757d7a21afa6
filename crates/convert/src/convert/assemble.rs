//! Which tensors of the checkpoint make which of the file.
//!
//! Invariant: an [`Assembled`] tensor's rows all lie in its sources, whose shapes agree.

use std::collections::BTreeMap;

use ascua_gguf::TensorInfo;
use ascua_models::hugging_face::{Change, Computed, Config, Family, Part, Piece, place};

use super::{ConvertError, kept_type};
use crate::checkpoint::{BlockScale, Checkpoint, DType, StoredTensor, TensorProblem};

/// A tensor of the file, and what it is made of.
pub(super) struct Assembled {
    pub target: String,
    /// The fastest dimension first.
    pub shape: Vec<u64>,
    pub content: Content,
}

pub(super) enum Content {
    /// Made of the configuration.
    Computed(Vec<f32>),
    /// Matrices of the checkpoint, one after the other.
    Stored(Vec<Source>),
}

/// A tensor of the checkpoint that is, or is part of, one of the file.
pub(super) struct Source {
    /// Its name.
    pub name: String,
    pub dtype: DType,
    pub scale: Option<BlockScale>,
    pub part: Part,
    pub paired_heads: Option<u64>,
    pub change: Change,
    /// What the values are multiplied by in the end.
    pub factor: f32,
}

impl Assembled {
    /// What the file says of it.
    pub fn info(&self) -> Result<TensorInfo, ConvertError> {
        let kept = match &self.content {
            Content::Computed(_) => kept_type(&self.target, &self.shape, None),
            Content::Stored(sources) => {
                let plain = sources.iter().all(|source| source.scale.is_none());
                kept_type(&self.target, &self.shape, plain.then_some(sources[0].dtype))
            }
        };
        Ok(TensorInfo::new(self.target.as_str(), self.shape.as_slice(), kept)?)
    }
}

/// Places every tensor of the checkpoint. `tokens` is the size of the vocabulary, where there is one.
pub(super) fn assemble(
    checkpoint: &Checkpoint,
    config: &Config,
    family: &dyn Family,
    tokens: Option<u64>,
) -> Result<Vec<Assembled>, ConvertError> {
    let block = block_shape(config)?;
    let mut placed: BTreeMap<String, Vec<(Piece, &StoredTensor)>> = BTreeMap::new();
    for tensor in checkpoint.tensors().filter(|tensor| !checkpoint.is_auxiliary(&tensor.name)) {
        let pieces = place(family, config, &tensor.name)?;
        let pieces = pieces.ok_or_else(|| ConvertError::UnknownTensor {
            path: checkpoint.file_of(tensor).to_owned(),
            name: tensor.name.clone(),
            class: config.class().to_owned(),
        })?;
        for piece in pieces {
            placed.entry(piece.target.clone()).or_default().push((piece, tensor));
        }
    }
    let mut assembled = Vec::with_capacity(placed.len());
    for (target, pieces) in placed {
        assembled.push(stacked(checkpoint, target, pieces, block)?);
    }
    if let Some(tokens) = tokens.filter(|_| family.drops_surplus_tokens())
        && let Some(table) = assembled.iter_mut().find(|tensor| tensor.target == "token_embd.weight")
        && let Some(rows) = table.shape.get_mut(1)
    {
        *rows = (*rows).min(tokens);
    }
    for Computed { target, values } in family.computed(config)? {
        let shape = vec![values.len() as u64];
        assembled.push(Assembled { target, shape, content: Content::Computed(values) });
    }
    Ok(assembled)
}

/// One tensor of the file of all its pieces.
fn stacked(
    checkpoint: &Checkpoint,
    target: String,
    mut pieces: Vec<(Piece, &StoredTensor)>,
    block: [u64; 2],
) -> Result<Assembled, ConvertError> {
    pieces.sort_by_key(|(piece, _)| piece.expert);
    let count = pieces.len();
    let wanted = &pieces[0].1.shape;
    let of_experts = pieces[0].0.expert.is_some();
    for (place, pair) in pieces.windows(2).enumerate() {
        let ((first, one), (second, other)) = (&pair[0], &pair[1]);
        if first.expert == second.expert || first.expert.is_none() {
            let (first, second) = (one.name.clone(), other.name.clone());
            return Err(ConvertError::Twice { first, second, target });
        }
        if second.expert != Some(place + 1) {
            let count = pieces.last().and_then(|(piece, _)| piece.expert).map_or(count, |last| last + 1);
            return Err(ConvertError::MissingExpert { target, expert: place + 1, count });
        }
        if other.shape != *wanted {
            return Err(ConvertError::ExpertShape {
                name: other.name.clone(),
                found: other.shape.clone(),
                wanted: wanted.clone(),
            });
        }
    }
    if pieces[0].0.expert.is_some_and(|first| first > 0) {
        return Err(ConvertError::MissingExpert { target, expert: 0, count: count + 1 });
    }
    let mut shape: Vec<u64> = wanted.iter().rev().copied().collect();
    // The rows that are shared are the last but one dimension; of a list its elements.
    let rows = if shape.len() > 1 { 1 } else { 0 };
    if let Some(rows) = shape.get_mut(rows) {
        *rows = divided(pieces[0].1, *rows, pieces[0].0.part.count)?;
        if let Some(heads) = pieces[0].0.paired_heads {
            divided(pieces[0].1, *rows, heads.saturating_mul(2))?;
        }
    }
    if of_experts {
        shape.push(count as u64);
    }
    let sources = pieces.into_iter().map(|(piece, tensor)| source(checkpoint, piece, tensor, block));
    let sources = sources.collect::<Result<_, _>>()?;
    Ok(Assembled { target, shape, content: Content::Stored(sources) })
}

pub(super) fn divided(tensor: &StoredTensor, rows: u64, by: u64) -> Result<u64, ConvertError> {
    if by == 0 || !rows.is_multiple_of(by) {
        return Err(ConvertError::Rows { name: tensor.name.clone(), rows, by });
    }
    Ok(rows / by)
}

fn source(
    checkpoint: &Checkpoint,
    piece: Piece,
    tensor: &StoredTensor,
    block: [u64; 2],
) -> Result<Source, ConvertError> {
    let scale = checkpoint.scale_of(tensor, block)?;
    if !tensor.dtype.is_decoded() || tensor.dtype.needs_scale() && scale.is_none() {
        return Err(checkpoint.problem(tensor, TensorProblem::NotFloats { dtype: tensor.dtype }).into());
    }
    let Piece { part, paired_heads, change, .. } = piece;
    Ok(Source { name: tensor.name.clone(), dtype: tensor.dtype, scale, part, paired_heads, change, factor: 1.0 })
}

/// Rows and columns that share a scale, of weights in 8 bits.
fn block_shape(config: &Config) -> Result<[u64; 2], ConvertError> {
    /// What DeepSeek's and Qwen's checkpoints have.
    const USUAL: [u64; 2] = [128, 128];
    /// Methods whose weights are floats or bytes with factors.
    const READ: [&str; 5] = ["fp8", "compressed-tensors", "modelopt", "fbgemm_fp8", "finegrained_fp8"];
    let Some(quantised) = config.get("quantization_config") else { return Ok(USUAL) };
    let method = quantised.get("quant_method").and_then(|method| method.as_str()).unwrap_or("an unnamed method");
    let format = quantised.get("format").and_then(|format| format.as_str()).unwrap_or("");
    if !READ.contains(&method) || format.contains("pack") {
        let method = if format.is_empty() { method.to_owned() } else { format!("{method} ({format})") };
        return Err(ConvertError::Quantised { method: method.escape_debug().to_string() });
    }
    let block = quantised.get("weight_block_size").and_then(|block| {
        let size = |index: usize| block.get(index).and_then(|size| size.as_u64());
        Some([size(0)?, size(1)?])
    });
    Ok(block.unwrap_or(USUAL))
}
