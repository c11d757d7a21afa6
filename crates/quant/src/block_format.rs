//! The contract of a block format: what one file under `formats/` provides.
//!
//! Everything is static, so kernels and row loops compile to straight code per format; [`crate::Format`] is the
//! object-safe face built on top. Invariant: sizes and alignment agree with [`TensorType`], checked at compile time for
//! every registered format by [`assert_geometry`].

use ascua_gguf::TensorType;
use bytemuck::Pod;

/// Encodes a row to as many blocks as it has.
///
/// Meant to be inlined into code compiled for one instruction set, so what it names is `inline(always)`.
pub type Encode<F> = fn(Row<'_, <F as BlockFormat>::Values>, &mut [<F as BlockFormat>::Block]);

/// One encoding of tensor elements.
pub trait BlockFormat: Sized + Send + Sync + 'static {
    /// Its GGUF type.
    const TYPE: TensorType;

    /// The bytes of one block, as in the file; alignment 1.
    type Block: Pod;

    /// The values of one block: `[f32; TYPE.block_len()]`.
    type Values: Pod;

    /// The format activations are brought to for a product with these weights.
    type Partner: BlockFormat;

    /// The partner's blocks that face one block of weights: `[<Self::Partner as BlockFormat>::Block; N]`.
    type Activations: Pod;

    /// The encoder, where there is one.
    const ENCODE: Option<Encode<Self>> = None;

    /// Decodes a block.
    fn decode_block(block: &Self::Block, out: &mut Self::Values);

    /// Whether a scale of the block has a pattern of bits that stands for no number, though it decodes as one.
    fn has_reserved_scale(_block: &Self::Block) -> bool {
        false
    }

    /// The scalar product of a block with quantised activations: integer sums within groups, then 32-bit floats.
    ///
    /// This is the oracle of the fast kernels.
    fn dot_block(block: &Self::Block, activations: &Self::Activations) -> f32;
}

/// A row to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, V> {
    /// Its elements, block by block.
    pub values: &'a [V],
    /// How much the error of each element counts: the mean square of the activation it meets. `None`: all the same.
    pub importance: Option<&'a [V]>,
}

impl<V> Row<'_, V> {
    /// Encodes block by block, whatever the importance.
    #[inline(always)]
    pub(crate) fn each_block<B>(self, out: &mut [B], encode: impl Fn(&V) -> B) {
        for (values, out) in self.values.iter().zip(out) {
            *out = encode(values);
        }
    }

    /// The values of a block, and its importance.
    ///
    /// To be called in a loop that calls the encoder by name: one handed over as a function would be compiled on its own,
    /// without the instructions of the caller.
    #[inline(always)]
    pub(crate) fn block(&self, i: usize) -> (&V, Option<&V>) {
        (&self.values[i], self.importance.map(|importance| &importance[i]))
    }
}

/// Fails at compile time where a format's types disagree with its [`TensorType`].
pub(crate) const fn assert_geometry<F: BlockFormat>() {
    assert!(size_of::<F::Block>() == F::TYPE.block_bytes(), "the block has another size than its type");
    assert!(align_of::<F::Block>() == 1, "a block must be readable at any address");
    assert!(size_of::<F::Values>() == F::TYPE.block_len() * size_of::<f32>(), "the values are not one block");
    let partner_blocks = size_of::<F::Activations>() / size_of::<<F::Partner as BlockFormat>::Block>();
    assert!(
        partner_blocks * <F::Partner as BlockFormat>::TYPE.block_len() == F::TYPE.block_len(),
        "the activations do not face one block"
    );
}
