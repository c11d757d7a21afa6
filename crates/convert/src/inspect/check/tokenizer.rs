//! The tokenizer and the chat template: whether they can be used with these tensors.

use std::collections::HashSet;

use ascua_chat::ChatTemplate;
use ascua_gguf::Gguf;
use ascua_tokenizer::{EncodeOptions, Tokenizer, TokenizerError, TokenizerKind, TokenizerOptions};

use super::Finding;

/// A text that every vocabulary of bytes or pieces gives back.
const TEXT: &str = "the quick brown fox 123";

pub(super) fn check(gguf: &Gguf, findings: &mut Vec<Finding>) {
    let metadata = gguf.metadata();
    match Tokenizer::from_metadata(metadata, &TokenizerOptions::default()) {
        Ok(tokenizer) => usable(gguf, &tokenizer, findings),
        Err(problem @ TokenizerError::NoTokenizer { .. }) => {
            findings.push(Finding::warning("tokenizer", problem.to_string()));
        }
        Err(problem) => findings.push(Finding::error("tokenizer", problem.to_string())),
    }
    let template = metadata.string("tokenizer.chat_template").unwrap_or_default();
    if let Err(problem) = ChatTemplate::from_metadata(template) {
        findings.push(Finding::warning("chat_template", format!("the chat template cannot be used: {problem}")));
    }
}

fn usable(gguf: &Gguf, tokenizer: &Tokenizer, findings: &mut Vec<Finding>) {
    let tokens = tokenizer.vocabulary_size();
    findings.extend(tokenizer.warnings().iter().map(|warning| Finding::warning("tokenizer", warning.to_string())));
    for table in ["token_embd.weight", "output.weight"] {
        let rows = gguf.tensor(table).and_then(|tensor| tensor.shape.get(1).copied());
        if let Some(rows) = rows.filter(|&rows| rows < tokens as u64) {
            let message = format!("the vocabulary has {tokens} tokens, but `{table}` only {rows} rows");
            findings.push(Finding::error("tokenizer", message));
        }
    }
    if tokenizer.kind() == TokenizerKind::BytePair && !gguf.metadata().contains("tokenizer.ggml.merges") {
        findings.push(Finding::error("tokenizer", "`tokenizer.ggml.merges` is missing: every byte would be a token"));
    }
    if tokenizer.end_of_generation_tokens().is_empty() {
        findings.push(Finding::warning("tokenizer", "no token ends an answer"));
    }
    let mut texts = HashSet::new();
    let repeated = (0..tokens as u32).find(|&id| tokenizer.token_text(id).is_some_and(|text| !texts.insert(text)));
    if let Some(id) = repeated {
        let text = String::from_utf8_lossy(tokenizer.token_text(id).unwrap_or_default()).escape_debug().to_string();
        findings.push(Finding::warning("tokenizer", format!("token {id}, `{text}`, is in the vocabulary twice")));
    }
    if matches!(tokenizer.kind(), TokenizerKind::BytePair | TokenizerKind::SentencePiece) {
        let back = tokenizer.decode(&tokenizer.encode(TEXT, EncodeOptions::default()));
        if back.trim() != TEXT {
            let message = format!("the text `{TEXT}` comes back as `{}`", back.trim().escape_debug());
            findings.push(Finding::warning("tokenizer", message));
        }
    }
}
