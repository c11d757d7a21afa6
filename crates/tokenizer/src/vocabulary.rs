//! The tokens of a model and what the file says about them: texts, scores, types, special roles, flags.
//!
//! Comes from the metadata (`tokenizer.ggml.*`) and is read by every algorithm. Defaults, and the roles that are known by
//! a token's text, follow llama.cpp (`src/llama-vocab.cpp`), so that the same file gives the same ids.
//! Invariant: every array has one element per token, every special id is below the number of tokens.

use std::fmt;

use ascua_gguf::{Metadata, MetadataError};

use crate::pre_tokenizers::{self, PreTokenizer};
use crate::roles;
use crate::text_index::TextIndex;
use crate::{TokenizerError, Warning};

/// The family of a tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerKind {
    /// SentencePiece's BPE by token scores (`llama`).
    SentencePiece,
    /// BPE by a list of merges (`gpt2`, `gemma4`).
    BytePair,
    /// WordPiece (`bert`).
    WordPiece,
    /// SentencePiece's unigram model (`t5`).
    Unigram,
    /// The longest match in a byte trie (`rwkv`).
    Rwkv,
    /// PLaMo 2's cheapest segmentation (`plamo2`).
    Plamo2,
}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenizerKind::SentencePiece => "SentencePiece",
            TokenizerKind::BytePair => "byte-level BPE",
            TokenizerKind::WordPiece => "WordPiece",
            TokenizerKind::Unigram => "Unigram",
            TokenizerKind::Rwkv => "RWKV",
            TokenizerKind::Plamo2 => "PLaMo-2",
        })
    }
}

/// The type of a token, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// None of the others.
    Undefined,
    /// Ordinary text.
    Normal,
    /// Stands for what has no token.
    Unknown,
    /// Steers the model; never comes from ordinary text.
    Control,
    /// Added by hand: found in text before anything else.
    UserDefined,
    /// Not in use.
    Unused,
    /// One byte, written `<0x0A>`.
    Byte,
}

/// Types as bits: roles found by text add to what the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes(u8);

impl Attributes {
    pub(crate) const UNKNOWN: Attributes = Attributes(1);
    pub(crate) const UNUSED: Attributes = Attributes(2);
    pub(crate) const NORMAL: Attributes = Attributes(4);
    pub(crate) const CONTROL: Attributes = Attributes(8);
    pub(crate) const USER_DEFINED: Attributes = Attributes(16);
    pub(crate) const BYTE: Attributes = Attributes(32);

    /// The token types of GGUF.
    fn from_file(number: i64) -> Attributes {
        match number {
            1 => Attributes::NORMAL,
            2 => Attributes::UNKNOWN,
            3 => Attributes::CONTROL,
            4 => Attributes::USER_DEFINED,
            5 => Attributes::UNUSED,
            6 => Attributes::BYTE,
            _ => Attributes(0),
        }
    }

    pub(crate) const fn or(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }

    pub(crate) const fn is(self, any_of: Attributes) -> bool {
        self.0 & any_of.0 != 0
    }

    fn token_type(self) -> TokenType {
        let order = [
            (Attributes::CONTROL, TokenType::Control),
            (Attributes::UNKNOWN, TokenType::Unknown),
            (Attributes::USER_DEFINED, TokenType::UserDefined),
            (Attributes::BYTE, TokenType::Byte),
            (Attributes::NORMAL, TokenType::Normal),
            (Attributes::UNUSED, TokenType::Unused),
        ];
        order.iter().find(|(bit, _)| self.is(*bit)).map_or(TokenType::Undefined, |(_, token_type)| *token_type)
    }
}

/// Tokens with a role of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Beginning of sequence.
    pub bos: Option<u32>,
    /// End of sequence.
    pub eos: Option<u32>,
    /// End of turn.
    pub eot: Option<u32>,
    /// End of message.
    pub eom: Option<u32>,
    /// Stands for what has no token.
    pub unknown: Option<u32>,
    /// Separator.
    pub separator: Option<u32>,
    /// Padding.
    pub padding: Option<u32>,
    /// Mask.
    pub mask: Option<u32>,
    /// Fill in the middle: before the text that precedes the gap.
    pub fim_prefix: Option<u32>,
    /// Fill in the middle: before the text that follows the gap.
    pub fim_suffix: Option<u32>,
    /// Fill in the middle: before the text of the gap.
    pub fim_middle: Option<u32>,
    /// Fill in the middle: padding.
    pub fim_padding: Option<u32>,
    /// Fill in the middle: name of the repository.
    pub fim_repository: Option<u32>,
    /// Fill in the middle: between files.
    pub fim_separator: Option<u32>,
}

/// Choices of the user about the tokenizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizerOptions {
    /// Use this pre-tokenizer instead of the one the file names.
    pub pre_tokenizer_override: Option<String>,
}

/// The contents of `tokenizer.ggml.*`.
pub(crate) struct Vocabulary {
    pub(crate) kind: TokenizerKind,
    /// `tokenizer.ggml.model`.
    pub(crate) model: String,
    /// Cuts words; only byte-pair kinds use it.
    pub(crate) pre_tokenizer: &'static PreTokenizer,
    /// The name in the file, or the one that stands in.
    pub(crate) pre_tokenizer_name: String,
    pub(crate) texts: TextIndex,
    /// Log probabilities or merge priorities; zero where the file has none.
    pub(crate) scores: Vec<f32>,
    pub(crate) attributes: Vec<Attributes>,
    pub(crate) special: SpecialTokens,
    /// Sorted ids at which generation stops.
    pub(crate) end_of_generation: Vec<u32>,
    pub(crate) add_bos: bool,
    pub(crate) add_eos: bool,
    pub(crate) add_space_prefix: bool,
    pub(crate) remove_extra_whitespaces: bool,
    pub(crate) lowercase: bool,
    pub(crate) strip_accents: bool,
    /// Bytes of the longest token.
    pub(crate) longest_token: usize,
}

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";

impl Vocabulary {
    pub(crate) fn from_metadata(
        metadata: &Metadata,
        options: &TokenizerOptions,
        warnings: &mut Vec<Warning>,
    ) -> Result<Vocabulary, TokenizerError> {
        let (model, kind) = kind_of(metadata)?;
        let (pre_tokenizer, pre_tokenizer_name) = choose_pre_tokenizer(metadata, options, &model, kind, warnings)?;
        let habits = pre_tokenizer.habits;
        let (texts, longest_token) = read_tokens(metadata)?;
        let tokens = texts.len();
        let mut vocabulary = Vocabulary {
            kind,
            pre_tokenizer,
            pre_tokenizer_name,
            scores: per_token(SCORES, metadata.floats(SCORES)?, tokens, 0.0)?,
            attributes: per_token(
                TOKEN_TYPES,
                metadata.integers(TOKEN_TYPES)?.map(|types| types.into_iter().map(Attributes::from_file).collect()),
                tokens,
                Attributes::NORMAL,
            )?,
            special: default_special_tokens(&model, kind, habits),
            end_of_generation: Vec::new(),
            add_bos: matches!(kind, TokenizerKind::SentencePiece | TokenizerKind::WordPiece) || habits.add_bos,
            add_eos: kind == TokenizerKind::Unigram,
            add_space_prefix: metadata
                .boolean("tokenizer.ggml.add_space_prefix")?
                .unwrap_or(kind == TokenizerKind::SentencePiece),
            remove_extra_whitespaces: metadata.boolean("tokenizer.ggml.remove_extra_whitespaces")?.unwrap_or(false),
            lowercase: metadata.boolean("tokenizer.ggml.normalizer.lowercase")?.unwrap_or(model != "whitespace"),
            strip_accents: true,
            longest_token,
            model,
            texts,
        };
        vocabulary.strip_accents =
            metadata.boolean("tokenizer.ggml.normalizer.strip_accents")?.unwrap_or(vocabulary.lowercase);
        vocabulary.read_special_tokens(metadata, warnings)?;
        vocabulary.read_additions(metadata, warnings)?;
        roles::assign(&mut vocabulary);
        Ok(vocabulary)
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.attributes.len()
    }

    /// What a token is; nothing for ids beyond the vocabulary.
    pub(crate) fn attributes(&self, id: u32) -> Attributes {
        self.attributes.get(id as usize).copied().unwrap_or(Attributes(0))
    }

    pub(crate) fn token_type(&self, id: u32) -> TokenType {
        self.attributes(id).token_type()
    }

    /// The ids of all tokens.
    pub(crate) fn ids(&self) -> std::ops::Range<u32> {
        0..self.len() as u32
    }

    /// The token `<0x0A>` of a byte, or the token whose text is the byte.
    pub(crate) fn byte_token(&self, byte: u8) -> Option<u32> {
        self.texts.get(byte_text(byte).as_bytes()).or_else(|| self.texts.get(&[byte]))
    }

    fn read_special_tokens(&mut self, metadata: &Metadata, warnings: &mut Vec<Warning>) -> Result<(), MetadataError> {
        let tokens = self.len();
        let special = &mut self.special;
        let keys: [(&'static str, &mut Option<u32>); 14] = [
            ("tokenizer.ggml.bos_token_id", &mut special.bos),
            ("tokenizer.ggml.eos_token_id", &mut special.eos),
            ("tokenizer.ggml.eot_token_id", &mut special.eot),
            ("tokenizer.ggml.eom_token_id", &mut special.eom),
            ("tokenizer.ggml.unknown_token_id", &mut special.unknown),
            ("tokenizer.ggml.seperator_token_id", &mut special.separator), // the key's own spelling
            ("tokenizer.ggml.padding_token_id", &mut special.padding),
            ("tokenizer.ggml.mask_token_id", &mut special.mask),
            ("tokenizer.ggml.fim_pre_token_id", &mut special.fim_prefix),
            ("tokenizer.ggml.fim_suf_token_id", &mut special.fim_suffix),
            ("tokenizer.ggml.fim_mid_token_id", &mut special.fim_middle),
            ("tokenizer.ggml.fim_pad_token_id", &mut special.fim_padding),
            ("tokenizer.ggml.fim_rep_token_id", &mut special.fim_repository),
            ("tokenizer.ggml.fim_sep_token_id", &mut special.fim_separator),
        ];
        for (key, id) in keys {
            *id = id.filter(|id| (*id as usize) < tokens);
            read_special_token(metadata, key, id, tokens, warnings)?;
        }
        for (key, id) in [
            ("tokenizer.ggml.prefix_token_id", &mut special.fim_prefix), // older spellings
            ("tokenizer.ggml.suffix_token_id", &mut special.fim_suffix),
            ("tokenizer.ggml.middle_token_id", &mut special.fim_middle),
        ] {
            read_special_token(metadata, key, id, tokens, warnings)?;
        }
        Ok(())
    }

    /// Whether tokens are added around a text.
    fn read_additions(&mut self, metadata: &Metadata, warnings: &mut Vec<Warning>) -> Result<(), MetadataError> {
        self.add_bos = metadata.boolean(ADD_BOS)?.unwrap_or(self.add_bos);
        self.add_eos = metadata.boolean(ADD_EOS)?.unwrap_or(self.add_eos);
        // Gemma 4's files say false where the model wants it.
        self.add_bos |= self.kind == TokenizerKind::BytePair && self.pre_tokenizer.habits.gemma4;
        for (key, adds, token) in
            [(ADD_BOS, &mut self.add_bos, self.special.bos), (ADD_EOS, &mut self.add_eos, self.special.eos)]
        {
            if *adds && token.is_none() {
                *adds = false;
                warnings.push(Warning::NothingToAdd { key });
            }
        }
        Ok(())
    }
}

/// The way a byte is written as a token.
pub(crate) fn byte_text(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

/// The byte of a token written `<0x0A>`.
pub(crate) fn byte_of_text(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"<0x")?.get(..2)?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn kind_of(metadata: &Metadata) -> Result<(String, TokenizerKind), TokenizerError> {
    let model = metadata.string("tokenizer.ggml.model")?;
    let kind = match model {
        Some("llama") => TokenizerKind::SentencePiece,
        Some("gpt2" | "gemma4" | "hybriddna" | "whitespace") => TokenizerKind::BytePair,
        Some("bert") => TokenizerKind::WordPiece,
        Some("t5") => TokenizerKind::Unigram,
        Some("rwkv") => TokenizerKind::Rwkv,
        Some("plamo2") => TokenizerKind::Plamo2,
        None | Some("none" | "no_vocab" | "test") => {
            return Err(TokenizerError::NoTokenizer { found: model.map(str::to_owned) });
        }
        Some(other) => return Err(TokenizerError::UnknownModel { found: other.to_owned() }),
    };
    Ok((model.unwrap_or_default().to_owned(), kind))
}

fn choose_pre_tokenizer(
    metadata: &Metadata,
    options: &TokenizerOptions,
    model: &str,
    kind: TokenizerKind,
    warnings: &mut Vec<Warning>,
) -> Result<(&'static PreTokenizer, String), TokenizerError> {
    if let Some(name) = &options.pre_tokenizer_override {
        let Some(chosen) = pre_tokenizers::find(name) else {
            return Err(TokenizerError::UnknownOverride {
                name: name.clone(),
                nearest: pre_tokenizers::nearest(name).0,
            });
        };
        if kind != TokenizerKind::BytePair {
            warnings.push(Warning::UnusedOverride { name: name.clone(), kind });
        }
        return Ok((chosen, name.clone()));
    }
    let name = match model {
        "gemma4" => Some("gemma4"),
        _ => metadata.string("tokenizer.ggml.pre")?.filter(|name| !name.is_empty()),
    };
    if kind != TokenizerKind::BytePair {
        return Ok((pre_tokenizers::default(), name.unwrap_or("default").to_owned()));
    }
    let Some(name) = name else {
        warnings.push(Warning::MissingPreTokenizer);
        return Ok((pre_tokenizers::default(), "default".to_owned()));
    };
    if let Some(chosen) = pre_tokenizers::find(name) {
        return Ok((chosen, name.to_owned()));
    }
    let (nearest, chosen) = pre_tokenizers::nearest(name);
    warnings.push(Warning::UnknownPreTokenizer { name: name.to_owned(), chosen: nearest });
    Ok((chosen, nearest.to_owned()))
}

/// The texts and the length of the longest.
fn read_tokens(metadata: &Metadata) -> Result<(TextIndex, usize), TokenizerError> {
    let tokens = metadata.strings(TOKENS)?.ok_or_else(|| MetadataError::missing(TOKENS))?;
    const LIMIT: usize = i32::MAX as usize;
    if tokens.is_empty() || tokens.len() > LIMIT {
        return Err(TokenizerError::TokenCount { found: tokens.len(), limit: LIMIT });
    }
    let mut texts = TextIndex::default();
    let mut longest = 0;
    for (id, token) in tokens.iter().enumerate() {
        let named = token.is_empty().then(|| format!("[EMPTY_{id}]"));
        let token = named.as_ref().map_or(token, |named| named.as_bytes());
        texts.push(token);
        longest = longest.max(token.len());
    }
    Ok((texts, longest))
}

/// The array of a key with one element per token, or the default for each.
fn per_token<T: Clone>(
    key: &'static str,
    found: Option<Vec<T>>,
    tokens: usize,
    default: T,
) -> Result<Vec<T>, TokenizerError> {
    let Some(mut elements) = found else { return Ok(vec![default; tokens]) };
    if elements.len() < tokens {
        return Err(TokenizerError::TooShort { key, found: elements.len(), wanted: tokens });
    }
    elements.truncate(tokens);
    Ok(elements)
}

fn read_special_token(
    metadata: &Metadata,
    key: &'static str,
    id: &mut Option<u32>,
    tokens: usize,
    warnings: &mut Vec<Warning>,
) -> Result<(), MetadataError> {
    // Some writers have -1 for "none".
    let Some(found) = metadata.signed(key)? else { return Ok(()) };
    match u32::try_from(found) {
        Ok(new) if (new as usize) < tokens => *id = Some(new),
        _ => warnings.push(Warning::SpecialTokenRange { key, found: found as u64, tokens }),
    }
    Ok(())
}

/// What holds where the file is silent.
fn default_special_tokens(model: &str, kind: TokenizerKind, habits: pre_tokenizers::Habits) -> SpecialTokens {
    let none = SpecialTokens::default();
    match kind {
        TokenizerKind::SentencePiece => SpecialTokens { bos: Some(1), eos: Some(2), unknown: Some(0), ..none },
        TokenizerKind::BytePair if model == "gemma4" => none,
        TokenizerKind::BytePair => {
            SpecialTokens { bos: if habits.no_bos { None } else { Some(11) }, eos: Some(11), ..none }
        }
        TokenizerKind::WordPiece => SpecialTokens {
            bos: Some(101),
            unknown: Some(100),
            separator: Some(102),
            padding: Some(0),
            mask: Some(103),
            ..none
        },
        TokenizerKind::Unigram => SpecialTokens { eos: Some(1), unknown: Some(2), padding: Some(0), ..none },
        TokenizerKind::Rwkv => none,
        TokenizerKind::Plamo2 => {
            SpecialTokens { bos: Some(1), eos: Some(2), unknown: Some(0), padding: Some(3), ..none }
        }
    }
}
