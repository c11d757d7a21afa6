//! Logits of given tokens, a row for each position.

use ascua::engine::{Entry, Wanted};
use ascua::{Error, Model};

/// Evaluates `tokens` in a fresh sequence and hands each row of logits to `sink`, in order of position.
///
/// # Errors
/// A token is outside the vocabulary, or there are more than the context holds.
pub fn logits(model: &mut Model, tokens: &[u32], sink: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
    let sequence = model.engine().create_sequence()?;
    let entry = Entry { sequence, tokens, wanted: Wanted::From(0) };
    let outcome = model.engine().evaluate(&[entry], &mut |logits| sink(logits.values));
    model.engine().release_sequence(sequence);
    Ok(outcome?)
}
