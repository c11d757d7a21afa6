//! From each kind of tokenizer file to the tokens and the keys that go with them.

use std::path::PathBuf;

use ascua_gguf::{StringArray, Value};

use super::directory::Directory;
use super::merges::{self, Merge};
use super::sentence_piece::{Algorithm, SentencePieceModel};
use super::tokenizer_json::{ModelJson, TokenizerJson, VocabJson, kind, steps};
use super::tokens::{Added, Kind, Token, TokenTable, is_byte};
use super::{Problem, VocabularyWarning, base64, pre_tokenizer};

/// What a reader makes of its files.
#[derive(Default)]
pub(super) struct Tokens {
    /// `tokenizer.ggml.model`.
    pub(super) model: &'static str,
    pub(super) table: TokenTable,
    pub(super) merges: Option<StringArray>,
    /// Other keys that the file decides, without `tokenizer.ggml.`.
    pub(super) flags: Vec<(&'static str, Value)>,
}

/// What all readers get.
pub(super) struct Context<'a> {
    /// Rows of the embedding, where config.json says.
    pub(super) size: Option<u64>,
    /// Tokens that were added, from all files.
    pub(super) added: &'a [Added],
    /// Texts that are special tokens because a role names them.
    pub(super) specials: &'a [String],
    pub(super) warnings: &'a mut Vec<VocabularyWarning>,
}

impl Context<'_> {
    /// A table with these tokens, then with the added ones.
    fn table(&mut self, tokens: impl IntoIterator<Item = (u64, Token)>) -> Result<TokenTable, Problem> {
        let mut table = TokenTable::new(self.size)?;
        for (id, token) in tokens {
            table.insert(id, token)?;
        }
        for added in self.added {
            table.add(added, self.warnings)?;
        }
        Ok(table)
    }

    /// [`Context::table`], with the tokens that have a role made control tokens.
    fn table_with_roles(&mut self, tokens: impl IntoIterator<Item = (u64, Token)>) -> Result<TokenTable, Problem> {
        let mut table = self.table(tokens)?;
        for text in self.specials {
            if let Some(token) = table.id(text).and_then(|id| table.get_mut(id.into()))
                && token.kind == Kind::Normal
            {
                token.kind = Kind::Control;
            }
        }
        Ok(table)
    }
}

fn normal(text: String) -> Token {
    Token { text, score: 0.0, kind: Kind::Normal }
}

/// `tokenizer.json`.
pub(super) fn tokenizer_json(file: TokenizerJson, mut context: Context<'_>) -> Result<Tokens, Problem> {
    let TokenizerJson { normalizer, pre_tokenizer, decoder, model, .. } = file;
    // Files of the first versions do not say.
    let found = model.kind.as_deref().unwrap_or(match (&model.vocab, &model.merges) {
        (VocabJson::Scores(_), _) => "Unigram",
        (_, Some(_)) => "BPE",
        _ => "WordPiece",
    });
    let byte_level = steps(&decoder, "decoders").iter().any(|step| kind(step) == "ByteLevel");
    match found {
        // Gemma's files: GGUF has a pre-tokenizer for them, so that the merges can stand as they are.
        "BPE" if model.byte_fallback == Some(true) && pre_tokenizer::keeps_merges(&pre_tokenizer) => {
            by_merges(model, &mut context)
        }
        "BPE" if model.byte_fallback == Some(true) && !byte_level => {
            byte_fallback(model, &normalizer, &pre_tokenizer, &mut context)
        }
        "BPE" if byte_level => by_merges(model, &mut context),
        "BPE" => Err(Problem::Unsupported { what: "a BPE tokenizer without byte level or byte fallback".to_owned() }),
        "Unigram" => unigram(model, &normalizer, &pre_tokenizer, &mut context),
        "WordPiece" => word_piece(model, &mut context),
        other => Err(Problem::Unsupported { what: format!("a tokenizer of type `{other}`") }),
    }
}

fn ids(vocabulary: VocabJson) -> Result<Vec<(String, u64)>, Problem> {
    match vocabulary {
        VocabJson::Ids(tokens) => Ok(tokens),
        VocabJson::Scores(_) => Err(Problem::Missing { field: "model.vocab with ids" }),
    }
}

fn pairs_of(model: &mut ModelJson) -> Result<Vec<Merge>, Problem> {
    let affixes = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
    if affixes.into_iter().flatten().any(|affix| !affix.is_empty()) {
        return Err(Problem::Unsupported { what: "a BPE tokenizer with marks within or behind words".to_owned() });
    }
    merges::from_json(model.merges.take().unwrap_or_default())
}

/// BPE by merges: on bytes that are written as letters (GPT-2), or on characters (Gemma).
fn by_merges(mut model: ModelJson, context: &mut Context<'_>) -> Result<Tokens, Problem> {
    let merges = pairs_of(&mut model)?;
    let table = context.table_with_roles(ids(model.vocab)?.into_iter().map(|(text, id)| (id, normal(text))))?;
    merges::check(&merges, &table)?;
    Ok(Tokens { model: "gpt2", table, merges: Some(merges::lines(&merges)), flags: Vec::new() })
}

/// BPE on characters, bytes for what has no token: SentencePiece's, as `tokenizers` has it. GGUF has scores for it.
fn byte_fallback(
    mut model: ModelJson,
    normalizer: &serde_json::Value,
    pre_tokenizer: &serde_json::Value,
    context: &mut Context<'_>,
) -> Result<Tokens, Problem> {
    let merges = pairs_of(&mut model)?;
    let unknown = model.unk_token.take();
    let tokens = ids(model.vocab)?.into_iter().map(|(text, id)| {
        let kind = if is_byte(&text) { Kind::Byte } else { Kind::Normal };
        (id, Token { kind, ..normal(text) })
    });
    let mut table = context.table_with_roles(tokens)?;
    merges::check(&merges, &table)?;
    if !merges::score(&merges, &mut table) {
        context.warnings.push(VocabularyWarning::MergesNotScores);
    }
    mark_unknown(&mut table, unknown.as_deref());
    let mut flags = Vec::new();
    if !prepends(normalizer, pre_tokenizer) {
        flags.push(("add_space_prefix", Value::Bool(false)));
    }
    Ok(Tokens { model: "llama", table, merges: None, flags })
}

/// Unigram (SentencePiece), as `tokenizers` has it.
fn unigram(
    model: ModelJson,
    normalizer: &serde_json::Value,
    pre_tokenizer: &serde_json::Value,
    context: &mut Context<'_>,
) -> Result<Tokens, Problem> {
    let VocabJson::Scores(scores) = model.vocab else {
        return Err(Problem::Missing { field: "model.vocab with scores" });
    };
    let fallback = model.byte_fallback == Some(true);
    let own: Vec<f32> = scores.iter().map(|(_, score)| *score as f32).collect();
    let tokens = scores.into_iter().zip(0_u64..).map(|((text, score), id)| {
        let kind = match () {
            () if model.unk_id == Some(id) => Kind::Unknown,
            () if fallback && is_byte(&text) => Kind::Byte,
            () => Kind::Normal,
        };
        (id, Token { text, score: score as f32, kind })
    });
    let mut table = context.table_with_roles(tokens)?;
    for (score, id) in own.into_iter().zip(0..) {
        if let Some(token) = table.get_mut(id) {
            token.score = score; // also of those that were added again
        }
    }
    if let Some(token) = model.unk_id.and_then(|id| table.get_mut(id)) {
        token.kind = Kind::Unknown;
    }
    let normalizers = steps(normalizer, "normalizers");
    let mut flags = vec![
        ("add_space_prefix", Value::Bool(prepends(normalizer, pre_tokenizer))),
        ("remove_extra_whitespaces", Value::Bool(squeezes(&normalizers, pre_tokenizer))),
    ];
    let map = normalizers.iter().find_map(|step| step.get("precompiled_charsmap")?.as_str());
    if let Some(map) = map.filter(|map| !map.is_empty()) {
        let field = "normalizer.precompiled_charsmap";
        let map = base64::decode(map.as_bytes()).ok_or(Problem::Base64 { field })?;
        flags.push(("precompiled_charsmap", map.into()));
    }
    Ok(Tokens { model: "t5", table, merges: None, flags })
}

/// WordPiece: GGUF marks the beginnings of words, not their continuations.
fn word_piece(model: ModelJson, context: &mut Context<'_>) -> Result<Tokens, Problem> {
    if model.continuing_subword_prefix.as_deref().is_some_and(|prefix| prefix != CONTINUATION) {
        return Err(Problem::Unsupported { what: format!("a WordPiece mark other than `{CONTINUATION}`") });
    }
    let table = context.table_with_roles(ids(model.vocab)?.into_iter().map(|(text, id)| (id, normal(text))))?;
    Ok(with_word_marks(table))
}

const CONTINUATION: &str = "##";

fn with_word_marks(mut table: TokenTable) -> Tokens {
    for token in table.tokens_mut().filter(|token| token.kind != Kind::Control) {
        token.text = match token.text.strip_prefix(CONTINUATION) {
            Some(rest) => rest.to_owned(),
            None => format!("▁{}", token.text),
        };
    }
    Tokens { model: "bert", table, merges: None, flags: Vec::new() }
}

/// Whether a space is put before the text.
fn prepends(normalizer: &serde_json::Value, pre_tokenizer: &serde_json::Value) -> bool {
    let metaspace = |step: &&serde_json::Value| {
        kind(step) == "Metaspace"
            && match step.get("prepend_scheme").and_then(|scheme| scheme.as_str()) {
                Some(scheme) => scheme != "never",
                None => step.get("add_prefix_space").and_then(|add| add.as_bool()).unwrap_or(true),
            }
    };
    steps(normalizer, "normalizers").iter().any(|step| kind(step) == "Prepend")
        || steps(pre_tokenizer, "pretokenizers").iter().any(metaspace)
}

/// Whether runs of spaces become one.
fn squeezes(normalizers: &[&serde_json::Value], pre_tokenizer: &serde_json::Value) -> bool {
    let replaces = |step: &&serde_json::Value| {
        kind(step) == "Replace" && step.pointer("/pattern/Regex").and_then(|regex| regex.as_str()) == Some(" {2,}")
    };
    let splits = |step: &&serde_json::Value| kind(step) == "WhitespaceSplit";
    normalizers.iter().any(replaces) || steps(pre_tokenizer, "pretokenizers").iter().any(splits)
}

fn mark_unknown(table: &mut TokenTable, unknown: Option<&str>) {
    if let Some(token) = unknown.and_then(|text| table.id(text)).and_then(|id| table.get_mut(id.into()))
        && token.kind == Kind::Normal
    {
        token.kind = Kind::Unknown;
    }
}

/// `tokenizer.model` of SentencePiece.
///
/// `more` are the added tokens of `tokenizer.json`; they count where the other files have none.
pub(super) fn sentence_piece(bytes: &[u8], more: &[Added], context: Context<'_>) -> Result<Tokens, Problem> {
    let model = SentencePieceModel::parse(bytes)?;
    let base = model.pieces.len() as u64;
    let new = more.iter().filter(|token| token.id >= base && context.added.iter().all(|known| known.id != token.id));
    let added: Vec<Added> = new.chain(context.added).cloned().collect();
    let mut context = Context { added: &added, ..context };
    // Pieces beyond the embedding can never be asked for.
    let rows = context.size.unwrap_or(u64::MAX);
    let (within, beyond): (Vec<_>, Vec<_>) = (0_u64..).zip(model.pieces).partition(|(id, _)| *id < rows);
    for (id, token) in beyond {
        context.warnings.push(VocabularyWarning::BeyondModel { token: token.text, id, limit: rows });
    }
    let pieces = within.into_iter().map(|(id, mut token)| {
        if token.kind == Kind::UserDefined {
            token.text = token.text.replace('▁', " ");
        }
        (id, token)
    });
    let table = context.table(pieces)?;
    let prefix = Value::Bool(model.add_dummy_prefix);
    let mut flags = Vec::new();
    if model.algorithm == Algorithm::BytePair {
        if !model.add_dummy_prefix {
            flags.push(("add_space_prefix", prefix));
        }
        return Ok(Tokens { model: "llama", table, merges: None, flags });
    }
    flags.push(("add_space_prefix", prefix));
    flags.push(("remove_extra_whitespaces", Value::Bool(model.remove_extra_whitespaces)));
    if !model.character_map.is_empty() {
        flags.push(("precompiled_charsmap", model.character_map.into()));
    }
    Ok(Tokens { model: "t5", table, merges: None, flags })
}

/// `vocab.json` and `merges.txt`.
pub(super) fn vocab_and_merges(
    directory: &Directory<'_>,
    mut context: Context<'_>,
) -> Result<Tokens, super::VocabularyError> {
    const FILES: [&str; 2] = ["vocab.json", "merges.txt"];
    let tokens = directory.json::<VocabJson>(FILES[0])?.map_or_else(|| Ok(Vec::new()), ids);
    let table =
        tokens.and_then(|tokens| context.table_with_roles(tokens.into_iter().map(|(text, id)| (id, normal(text)))));
    let table = table.map_err(|problem| directory.fault(FILES[0], problem))?;
    let merges = merges::from_text(&directory.text(FILES[1])?.unwrap_or_default());
    let merges = merges.and_then(|merges| merges::check(&merges, &table).map(|()| merges));
    let merges = merges.map_err(|problem| directory.fault(FILES[1], problem))?;
    Ok(Tokens { model: "gpt2", table, merges: Some(merges::lines(&merges)), flags: Vec::new() })
}

/// `vocab.txt` of WordPiece: a token a line.
pub(super) fn vocab_text(text: &str, mut context: Context<'_>) -> Result<Tokens, Problem> {
    let mut table = context.table_with_roles((0_u64..).zip(text.lines().map(|line| normal(line.to_owned()))))?;
    for special in ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"] {
        if let Some(token) = table.id(special).and_then(|id| table.get_mut(id.into())) {
            token.kind = Kind::Control;
        }
    }
    Ok(with_word_marks(table))
}

/// The file of a directory whose name ends in `.tiktoken`.
pub(super) fn tiktoken_file(directory: &Directory<'_>) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory.0).ok()?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "tiktoken"));
    files.sort();
    files.into_iter().next()
}
