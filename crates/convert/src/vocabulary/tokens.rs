//! The table of tokens in the making: one row per row of the model's embedding.
//!
//! Invariant: an id has one token, a token of the base vocabulary one id; rows that no token has are filled with `[PADn]`
//! of type "unused", as llama.cpp's converter does.

use std::collections::HashMap;

use ascua_gguf::{StringArray, Value};

use super::{Problem, VocabularyWarning};

/// More rows than any real vocabulary has.
pub(super) const MOST_TOKENS: u64 = 1 << 22;

/// Score of tokens that were added, as llama.cpp's converter writes it.
pub(super) const ADDED_SCORE: f32 = -1000.0;
/// Score of rows that no token has.
const PADDING_SCORE: f32 = -10000.0;

/// The types of GGUF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Kind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: Kind,
}

/// A token that was added to the vocabulary by hand.
#[derive(Clone, Debug)]
pub(super) struct Added {
    pub(super) text: String,
    pub(super) id: u64,
    pub(super) special: bool,
}

impl Added {
    /// Control tokens are those that say so, and some that should.
    pub(super) fn kind(&self) -> Kind {
        if self.special || looks_special(&self.text) { Kind::Control } else { Kind::UserDefined }
    }
}

/// The rows.
#[derive(Default)]
pub(super) struct TokenTable {
    rows: Vec<Option<Token>>,
    ids: HashMap<String, u32>,
    /// Whether config.json says how many there are.
    fixed: bool,
}

impl TokenTable {
    /// A table of `size` rows, or of as many as tokens come.
    pub(super) fn new(size: Option<u64>) -> Result<TokenTable, Problem> {
        if let Some(found) = size.filter(|size| !(1..=MOST_TOKENS).contains(size)) {
            return Err(Problem::TokenCount { found, limit: MOST_TOKENS });
        }
        let rows = vec![None; size.unwrap_or(0) as usize];
        Ok(TokenTable { rows, ids: HashMap::new(), fixed: size.is_some() })
    }

    /// Puts a token of the base vocabulary.
    pub(super) fn insert(&mut self, id: u64, token: Token) -> Result<(), Problem> {
        if id >= MOST_TOKENS {
            return Err(Problem::TokenCount { found: id.saturating_add(1), limit: MOST_TOKENS });
        }
        let row = id as usize;
        if row >= self.rows.len() {
            if self.fixed {
                return Err(Problem::IdRange { token: token.text, id, limit: self.rows.len() as u64 });
            }
            self.rows.resize(row + 1, None);
        }
        if let Some(old) = &self.rows[row] {
            return Err(Problem::SharedId { id, first: old.text.clone(), second: token.text });
        }
        if let Some(first) = self.ids.insert(token.text.clone(), id as u32) {
            return Err(Problem::TokenTwice { token: token.text, first: first.into(), second: id });
        }
        self.rows[row] = Some(token);
        Ok(())
    }

    /// Puts a token that was added, in a new row or in place of the one it renames.
    pub(super) fn add(&mut self, added: &Added, warnings: &mut Vec<VocabularyWarning>) -> Result<(), Problem> {
        let (id, kind) = (added.id, added.kind());
        if id >= MOST_TOKENS {
            return Err(Problem::TokenCount { found: id.saturating_add(1), limit: MOST_TOKENS });
        }
        let row = id as usize;
        if row >= self.rows.len() {
            if self.fixed {
                let limit = self.rows.len() as u64;
                warnings.push(VocabularyWarning::BeyondModel { token: added.text.clone(), id, limit });
                return Ok(());
            }
            self.rows.resize(row + 1, None);
        }
        // The text is looked for in the prompt as it stands, so a space must be one.
        let text = if kind == Kind::UserDefined { added.text.replace('▁', " ") } else { added.text.clone() };
        if let Some(old) = &self.rows[row].as_ref().filter(|old| old.text != added.text && old.text != text) {
            warnings.push(VocabularyWarning::Replaced { id, old: old.text.clone(), new: text.clone() });
        }
        self.ids.insert(added.text.clone(), id as u32);
        self.rows[row] = Some(Token { text, score: ADDED_SCORE, kind });
        Ok(())
    }

    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn tokens_mut(&mut self) -> impl Iterator<Item = &mut Token> {
        self.rows.iter_mut().flatten()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Token> {
        self.rows.get_mut(usize::try_from(id).ok()?)?.as_mut()
    }

    /// Texts, scores and types.
    pub(super) fn arrays(self) -> Result<[Value; 3], Problem> {
        if self.rows.is_empty() {
            return Err(Problem::TokenCount { found: 0, limit: MOST_TOKENS });
        }
        let mut texts = StringArray::with_capacity(self.rows.len(), self.rows.len() * 8);
        let (mut scores, mut kinds) = (Vec::with_capacity(self.rows.len()), Vec::with_capacity(self.rows.len()));
        for (id, row) in self.rows.into_iter().enumerate() {
            let token =
                row.unwrap_or_else(|| Token { text: format!("[PAD{id}]"), score: PADDING_SCORE, kind: Kind::Unused });
            texts.push(token.text);
            scores.push(token.score);
            kinds.push(token.kind as i32);
        }
        Ok([texts.into(), scores.into(), kinds.into()])
    }
}

/// Some models do not mark all their control tokens. The list is llama.cpp's.
fn looks_special(text: &str) -> bool {
    let between = |open: &str, close: &str| text.starts_with(open) && text.ends_with(close);
    ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(&text)
        || between("<|", "|>")
        || between("<｜", "｜>")
        || between("<unused", ">")
}

/// Whether a token is written `<0x0A>`.
pub(super) fn is_byte(text: &str) -> bool {
    let digits = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
