//! A text in windows of the context length side by side, as llama.cpp cuts it; what is left at the end is not used.
//!
//! The first token of each window is replaced by the beginning-of-sequence token where the model wants one.

use ascua::Model;

/// Shortest window.
const SHORTEST: usize = 4;

/// A text that cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too short for one window.
    #[error("the text has {tokens} tokens, a window takes {window}")]
    TooShort {
        /// Its length.
        tokens: usize,
        /// The window.
        window: usize,
    },
    /// A window shorter than this leaves nothing to score.
    #[error("a window of {window} tokens leaves nothing to score; it must have at least {SHORTEST}")]
    Window {
        /// The window.
        window: usize,
    },
}

/// The windows of a text.
pub(crate) struct Windows<'a> {
    tokens: &'a [u32],
    window: usize,
    count: usize,
    first: Option<u32>,
}

impl<'a> Windows<'a> {
    /// Windows of `window` tokens, at most `chunks` of them.
    pub(crate) fn new(
        model: &Model,
        tokens: &'a [u32],
        window: usize,
        chunks: Option<usize>,
    ) -> Result<Windows<'a>, TextError> {
        if window < SHORTEST {
            return Err(TextError::Window { window });
        }
        let count = (tokens.len() / window).min(chunks.unwrap_or(usize::MAX));
        if count == 0 {
            return Err(TextError::TooShort { tokens: tokens.len(), window });
        }
        let first = model.tokenizer().ok().filter(|t| t.add_bos()).and_then(|t| t.bos());
        Ok(Windows { tokens, window, count, first })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The tokens of all of them.
    pub(crate) fn tokens(&self) -> &'a [u32] {
        &self.tokens[..self.count * self.window]
    }

    /// The tokens of one, as the text has them.
    pub(crate) fn get(&self, index: usize) -> &'a [u32] {
        &self.tokens[index * self.window..][..self.window]
    }

    /// The tokens of one, as the model reads them.
    pub(crate) fn input(&self, index: usize) -> Vec<u32> {
        let mut input = self.get(index).to_vec();
        if let Some(first) = self.first {
            input[0] = first;
        }
        input
    }
}
