//! The tokenizer of a model: text to token ids and back.
//!
//! A text first loses the special tokens written out in it ([`crate::partition`]); what is left goes to the algorithm of
//! the vocabulary's kind. Invariant: the ids are llama.cpp's for the same file, text and options; the cost is linear in
//! the text but for a logarithm, whatever the text.

use std::borrow::Cow;

use ascua_gguf::Metadata;

use crate::byte_pair::BytePair;
use crate::partition::{Fragment, Partitioner, SpecialToken, Strip};
use crate::pieces::{self, Pieces};
use crate::plamo2::Plamo2;
use crate::sentence_piece::SentencePiece;
use crate::trie::Trie;
use crate::unicode::{Class, character_at, encode, lowercase, repair};
use crate::unigram::Unigram;
use crate::vocabulary::{Attributes, SpecialTokens, TokenType, TokenizerKind, TokenizerOptions, Vocabulary};
use crate::{TokenizerError, Warning, dna, rwkv, word_piece};

/// Whether the tokens that the model wants around a text are added: beginning and end of sequence, separator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddSpecial {
    /// The text alone.
    No,
    /// As the model wants it.
    #[default]
    Yes,
}

/// Whether control tokens written out in the text become those tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParseSpecial {
    /// They are text. Right for whatever a user typed.
    #[default]
    No,
    /// They are tokens. Right for the output of a chat template.
    Yes,
}

/// How a text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Tokens around the text.
    pub add_special: AddSpecial,
    /// Tokens in the text.
    pub parse_special: ParseSpecial,
}

/// Whether control tokens show in text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpecialRendering {
    /// They are left out.
    #[default]
    Hide,
    /// They are written out.
    Show,
}

/// The algorithm with what it needs besides the vocabulary.
enum Algorithm {
    SentencePiece(SentencePiece),
    BytePair(BytePair),
    WordPiece,
    Unigram(Unigram),
    Rwkv(Trie),
    Plamo2(Plamo2),
}

/// A model's tokenizer. Cheap to share: nothing in it changes.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    algorithm: Algorithm,
    pieces: Pieces,
    /// Finds all special tokens.
    all_special: Partitioner,
    /// Finds user-defined tokens only.
    user_defined: Partitioner,
    warnings: Vec<Warning>,
}

impl Tokenizer {
    /// Builds the tokenizer that a model file describes.
    ///
    /// A file without one gives [`TokenizerError::NoTokenizer`], after which a caller may go on with ids alone.
    pub fn from_metadata(metadata: &Metadata, options: &TokenizerOptions) -> Result<Tokenizer, TokenizerError> {
        let mut warnings = Vec::new();
        let vocabulary = Vocabulary::from_metadata(metadata, options, &mut warnings)?;
        let algorithm = match vocabulary.kind {
            TokenizerKind::SentencePiece => Algorithm::SentencePiece(SentencePiece::new(&vocabulary)),
            TokenizerKind::BytePair => {
                Algorithm::BytePair(BytePair::new(&vocabulary, metadata.strings("tokenizer.ggml.merges")?))
            }
            TokenizerKind::WordPiece => Algorithm::WordPiece,
            TokenizerKind::Unigram => {
                let character_map = metadata.bytes("tokenizer.ggml.precompiled_charsmap")?;
                Algorithm::Unigram(Unigram::new(&vocabulary, character_map.as_deref())?)
            }
            TokenizerKind::Rwkv => Algorithm::Rwkv(rwkv::trie(&vocabulary)),
            TokenizerKind::Plamo2 => Algorithm::Plamo2(Plamo2::new(&vocabulary)),
        };
        let special = special_tokens(&vocabulary, &Stripping::of(metadata, &vocabulary)?);
        let hidden = Attributes::CONTROL.or(Attributes::UNKNOWN);
        let user_defined = special.iter().filter(|token| !vocabulary.attributes(token.id).is(hidden)).copied();
        Ok(Tokenizer {
            all_special: Partitioner::new(special.iter().copied()),
            user_defined: Partitioner::new(user_defined),
            pieces: Pieces::new(&vocabulary),
            algorithm,
            vocabulary,
            warnings,
        })
    }

    /// What is doubtful about the file's tokenizer; to be shown once.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The token ids of a text.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Vec<u32> {
        self.encode_bytes(text.as_bytes(), options)
    }

    /// The token ids of a text that may not be UTF-8: wrong bytes become byte tokens where the vocabulary has them, and
    /// U+FFFD elsewhere.
    pub fn encode_bytes(&self, text: &[u8], options: EncodeOptions) -> Vec<u32> {
        let partitioner = match options.parse_special {
            ParseSpecial::Yes => &self.all_special,
            ParseSpecial::No => &self.user_defined,
        };
        let add = options.add_special == AddSpecial::Yes;
        let mut out = Vec::with_capacity(text.len() / 4 + 2);
        out.extend(self.first_token().filter(|_| add));
        let mut after_token = true;
        for fragment in partitioner.partition(text) {
            match fragment {
                Fragment::Token(id) => out.push(id),
                Fragment::Text(ref range) => self.encode_fragment(&text[range.clone()], after_token, &mut out),
            }
            after_token = matches!(fragment, Fragment::Token(_));
        }
        out.extend(self.last_token().filter(|_| add));
        out
    }

    /// The token that goes before a text.
    fn first_token(&self) -> Option<u32> {
        let always = self.vocabulary.kind == TokenizerKind::WordPiece;
        let takes = !matches!(self.vocabulary.kind, TokenizerKind::Rwkv | TokenizerKind::Plamo2);
        self.vocabulary.special.bos.filter(|_| takes && (always || self.vocabulary.add_bos))
    }

    /// The token that goes behind a text.
    fn last_token(&self) -> Option<u32> {
        match self.vocabulary.kind {
            TokenizerKind::WordPiece => self.vocabulary.special.separator,
            TokenizerKind::Rwkv | TokenizerKind::Plamo2 => None,
            _ => self.vocabulary.special.eos.filter(|_| self.vocabulary.add_eos),
        }
    }

    /// A stretch of ordinary text; `after_token` says that it is the first, or that a special token precedes it.
    fn encode_fragment(&self, text: &[u8], after_token: bool, out: &mut Vec<u32>) {
        let vocabulary = &self.vocabulary;
        match &self.algorithm {
            Algorithm::SentencePiece(algorithm) => {
                let prefix = vocabulary.add_space_prefix && after_token;
                let escaped = escape_spaces(text, if prefix { SPACE } else { b"" });
                algorithm.encode(vocabulary, &escaped, out);
            }
            Algorithm::BytePair(algorithm) if vocabulary.model == "whitespace" => {
                let words = lowercase_words(text, vocabulary.lowercase);
                algorithm.encode(vocabulary, &words, out);
            }
            Algorithm::BytePair(algorithm) if vocabulary.model == "hybriddna" => {
                dna::encode(vocabulary, &repair(text), out, |text, out| algorithm.encode(vocabulary, text, out));
            }
            Algorithm::BytePair(algorithm) => {
                let habits = vocabulary.pre_tokenizer.habits;
                let repaired = repair(text);
                let escaped = match habits.plain_text && !habits.keep_spaces {
                    true => Cow::Owned(escape_spaces(&repaired, b"")),
                    false => repaired,
                };
                algorithm.encode(vocabulary, &escaped, out);
            }
            Algorithm::WordPiece => word_piece::encode_text(vocabulary, text, out),
            Algorithm::Unigram(algorithm) => algorithm.encode(vocabulary, text, out),
            Algorithm::Rwkv(trie) => rwkv::encode(trie, vocabulary, text, out),
            Algorithm::Plamo2(algorithm) => algorithm.encode(&repair(text), out),
        }
    }

    /// The text of tokens, control tokens left out; broken characters become U+FFFD.
    ///
    /// The space that the vocabulary puts before a text is taken off again. For pieces of an answer, which have their
    /// spaces, use a [`crate::StreamDecoder`].
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.decode_as(tokens, SpecialRendering::Hide)
    }

    /// As [`Tokenizer::decode`], with control tokens shown or hidden.
    pub fn decode_as(&self, tokens: &[u32], special: SpecialRendering) -> String {
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        let mut prefixed = self.vocabulary.add_space_prefix || self.vocabulary.kind == TokenizerKind::WordPiece;
        for token in tokens {
            let shown = self.token_bytes_as(*token, special);
            if prefixed && !self.is_special(*token) {
                bytes.extend_from_slice(shown.strip_prefix(b" ").unwrap_or(shown));
                prefixed = false;
            } else {
                bytes.extend_from_slice(shown);
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        match self.vocabulary.kind {
            TokenizerKind::WordPiece => pieces::clean_up_spaces(&text),
            _ => text.into_owned(),
        }
    }

    /// The bytes of a token, control tokens written out; they may be part of a character. Empty for unknown ids.
    pub fn token_bytes(&self, token: u32) -> &[u8] {
        self.pieces.get(token)
    }

    /// The bytes of a token, none for a control token that is to be hidden.
    pub fn token_bytes_as(&self, token: u32, special: SpecialRendering) -> &[u8] {
        if special == SpecialRendering::Hide && self.is_special(token) { &[] } else { self.pieces.get(token) }
    }

    /// Whether a token is a control token or the unknown token.
    pub fn is_special(&self, token: u32) -> bool {
        self.vocabulary.attributes(token).is(Attributes::CONTROL.or(Attributes::UNKNOWN))
    }

    /// The family of the tokenizer.
    pub fn kind(&self) -> TokenizerKind {
        self.vocabulary.kind
    }

    /// `tokenizer.ggml.model` of the file.
    pub fn model_name(&self) -> &str {
        &self.vocabulary.model
    }

    /// The pre-tokenizer in use; meaningful for byte-pair kinds.
    pub fn pre_tokenizer_name(&self) -> &str {
        &self.vocabulary.pre_tokenizer_name
    }

    /// Number of tokens.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// All tokens with a role.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.vocabulary.special
    }

    /// The token at the beginning of a sequence.
    pub fn bos(&self) -> Option<u32> {
        self.vocabulary.special.bos
    }

    /// The token at the end of a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.vocabulary.special.eos
    }

    /// The token at the end of a turn.
    pub fn eot(&self) -> Option<u32> {
        self.vocabulary.special.eot
    }

    /// Whether [`AddSpecial::Yes`] puts [`Tokenizer::bos`] before a text.
    pub fn add_bos(&self) -> bool {
        self.first_token().is_some()
    }

    /// Whether [`AddSpecial::Yes`] puts a token behind a text.
    pub fn add_eos(&self) -> bool {
        self.last_token().is_some()
    }

    /// Whether generation ends at this token.
    pub fn is_end_of_generation(&self, token: u32) -> bool {
        self.vocabulary.end_of_generation.binary_search(&token).is_ok()
    }

    /// All tokens at which generation ends, in rising order.
    pub fn end_of_generation_tokens(&self) -> &[u32] {
        &self.vocabulary.end_of_generation
    }

    /// The token as the file writes it: bytes, since vocabularies hold parts of characters.
    pub fn token_text(&self, token: u32) -> Option<&[u8]> {
        ((token as usize) < self.vocabulary.len()).then(|| self.vocabulary.texts.text(token))
    }

    /// The token that the file writes like that.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.vocabulary.texts.get(text.as_bytes())
    }

    /// What the token is for.
    pub fn token_type(&self, token: u32) -> TokenType {
        self.vocabulary.token_type(token)
    }

    /// The token's score in the file.
    pub fn token_score(&self, token: u32) -> f32 {
        self.vocabulary.scores.get(token as usize).copied().unwrap_or(0.0)
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("model", &self.vocabulary.model)
            .field("pre_tokenizer", &self.vocabulary.pre_tokenizer_name)
            .field("tokens", &self.vocabulary.len())
            .finish_non_exhaustive()
    }
}

/// U+2581, which stands for a space.
const SPACE: &[u8] = "\u{2581}".as_bytes();

fn escape_spaces(text: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(prefix.len() + text.len() + text.len() / 2);
    escaped.extend_from_slice(prefix);
    for (index, word) in text.split(|byte| *byte == b' ').enumerate() {
        if index > 0 {
            escaped.extend_from_slice(SPACE);
        }
        escaped.extend_from_slice(word);
    }
    escaped
}

/// Words in lower case where the vocabulary has it, one space between them.
fn lowercase_words(text: &[u8], lower: bool) -> Vec<u8> {
    let mut words = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let character = character_at(text, at);
        at += character.length;
        match character.is(Class::WHITESPACE) {
            true => words.push(b' '),
            false => encode(if lower { lowercase(character.code) } else { character.code }, &mut words),
        }
    }
    words
}

/// Which special tokens take white space with them; the file does not say, the model's name does.
enum Stripping {
    Nothing,
    /// The mask token, to its left.
    Mask(u32),
    /// Phi-3: to the right of all but a few.
    Phi3,
}

impl Stripping {
    fn of(metadata: &Metadata, vocabulary: &Vocabulary) -> Result<Stripping, TokenizerError> {
        let lower = |key| Ok::<_, TokenizerError>(metadata.string(key)?.unwrap_or_default().to_ascii_lowercase());
        let name = lower("general.name")?;
        let architecture = lower("general.architecture")?;
        let pre = lower("tokenizer.ggml.pre")?;
        let mask = |text: &str| vocabulary.texts.get(text.as_bytes()).map_or(Stripping::Nothing, Stripping::Mask);
        let any = |text: &str, parts: &[&str]| parts.iter().any(|part| text.contains(part));
        Ok(
            if any(&pre, &["jina-v2-de", "jina-v2-es", "jina-v2-code"])
                || any(&architecture, &["nomic-bert-moe", "jina-bert-v3"])
            {
                mask("<mask>")
            } else if any(&name, &["phi-3", "phi3"]) {
                Stripping::Phi3
            } else if any(&name, &["modern-bert"]) {
                mask("[MASK]")
            } else {
                Stripping::Nothing
            },
        )
    }

    fn strip(&self, id: u32, text: &[u8]) -> Strip {
        match self {
            Stripping::Mask(mask) if *mask == id => Strip::Left,
            Stripping::Phi3 if !matches!(text, b"<unk>" | b"<s>" | b"<|endoftext|>") => Strip::Right,
            _ => Strip::Nothing,
        }
    }
}

/// The tokens that are looked for in text before anything else.
fn special_tokens<'a>(vocabulary: &'a Vocabulary, stripping: &Stripping) -> Vec<SpecialToken<'a>> {
    let searched = Attributes::CONTROL.or(Attributes::USER_DEFINED).or(Attributes::UNKNOWN);
    let ids = vocabulary.ids().filter(|id| vocabulary.attributes(*id).is(searched));
    ids.map(|id| {
        let text = vocabulary.texts.text(id);
        SpecialToken { id, text, strip: stripping.strip(id, text) }
    })
    .collect()
}
