//! Files of OpenAI's tiktoken: `BASE64 RANK` lines; used by Qwen 1 (`qwen.tiktoken`) and Meta's Llama 3 (`tokenizer.model`).
//!
//! The special tokens are not in the file but in the code that comes with the model; the two families' are known here.

use std::collections::HashMap;

use ascua_tokenizer::byte_level_text;

use super::merges::{self, Merge};
use super::readers::{Context, Tokens};
use super::tokens::{Added, Kind, Token, TokenTable};
use super::{Problem, base64};

/// The longest file; real ones have up to 4 MB.
const MOST_BYTES: usize = 32 << 20;
/// The longest token; real ones have up to 128 bytes.
const MOST_TOKEN_BYTES: usize = 512;

/// Whose special tokens follow the ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Qwen,
    Llama3,
}

/// Whether a file is one of tiktoken's: its first line is base64, a space, and a number.
pub(super) fn is_tiktoken(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.len() < 2 * MOST_TOKEN_BYTES && parse_line(line).is_some()
}

fn parse_line(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let text = std::str::from_utf8(line).ok()?.trim_end();
    let (token, rank) = text.split_once(' ')?;
    let token = base64::decode(token.as_bytes()).filter(|token| !token.is_empty())?;
    Some((token, rank.parse().ok()?))
}

/// Tokens, merges and special tokens of the file.
pub(super) fn read(bytes: &[u8], family: Family, context: Context<'_>) -> Result<Tokens, Problem> {
    let ranks = ranks(bytes)?;
    let mut table = TokenTable::new(context.size)?;
    let mut merges: Vec<Merge> = Vec::new();
    let mut order: Vec<(&[u8], u32)> = ranks.iter().map(|(token, rank)| (token.as_slice(), *rank)).collect();
    order.sort_unstable_by_key(|(_, rank)| *rank);
    for (token, rank) in &order {
        table.insert((*rank).into(), Token { text: byte_level_text(token), score: 0.0, kind: Kind::Normal })?;
        if token.len() > 1 {
            let (left, right) = halves(&ranks, token, *rank).ok_or(Problem::RankParts { rank: *rank })?;
            merges.push((byte_level_text(left), byte_level_text(right)));
        }
    }
    let next = order.last().map_or(0, |(_, rank)| u64::from(*rank) + 1);
    let known = context.added.iter().map(|added| added.id);
    let missing = specials(family).zip(next..).filter(|(_, id)| !known.clone().any(|known| known == *id));
    // A small embedding has no rows for reserved tokens.
    let rows = context.size.unwrap_or(u64::MAX);
    for (text, id) in missing.filter(|(_, id)| *id < rows) {
        table.add(&Added { text, id, special: true }, context.warnings)?;
    }
    for added in context.added {
        table.add(added, context.warnings)?;
    }
    Ok(Tokens { model: "gpt2", table, merges: Some(merges::lines(&merges)), flags: Vec::new() })
}

fn ranks(bytes: &[u8]) -> Result<HashMap<Vec<u8>, u32>, Problem> {
    if bytes.len() > MOST_BYTES {
        return Err(Problem::Size { found: bytes.len() as u64, limit: MOST_BYTES as u64 });
    }
    let mut ranks = HashMap::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let fault = |what| Problem::Rank { line: index + 1, what };
        let (token, rank) = parse_line(line).ok_or_else(|| fault("not base64, a space and a number"))?;
        if token.len() > MOST_TOKEN_BYTES {
            return Err(fault("a token of more than 512 bytes"));
        }
        if ranks.insert(token, rank).is_some() {
            return Err(fault("a token that stands in an earlier line"));
        }
    }
    Ok(ranks)
}

/// The two tokens that are joined last when a token is made by the merges before it.
fn halves<'t>(ranks: &HashMap<Vec<u8>, u32>, token: &'t [u8], rank: u32) -> Option<(&'t [u8], &'t [u8])> {
    let mut cuts: Vec<usize> = (0..=token.len()).collect();
    while cuts.len() > 3 {
        let pairs = cuts.windows(3).enumerate();
        let known = pairs.filter_map(|(at, cut)| Some((*ranks.get(&token[cut[0]..cut[2]])?, at)));
        let (lowest, at) = known.min()?;
        if lowest >= rank {
            return None;
        }
        cuts.remove(at + 1);
    }
    let (left, right) = token.split_at(cuts[1]);
    (ranks.contains_key(left) && ranks.contains_key(right)).then_some((left, right))
}

/// The special tokens behind the ranks, in order of id.
fn specials(family: Family) -> Box<dyn Iterator<Item = String>> {
    match family {
        Family::Qwen => {
            let named = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_owned);
            Box::new(named.into_iter().chain((0..205).map(|number| format!("<|extra_{number}|>"))))
        }
        // Of version 3.1, which gave names to some that were reserved in 3.0.
        Family::Llama3 => {
            let named = [
                "<|begin_of_text|>",
                "<|end_of_text|>",
                "<|reserved_special_token_0|>",
                "<|reserved_special_token_1|>",
                "<|finetune_right_pad_id|>",
                "<|reserved_special_token_2|>",
                "<|start_header_id|>",
                "<|end_header_id|>",
                "<|eom_id|>",
                "<|eot_id|>",
                "<|python_tag|>",
            ];
            let reserved = (3..248).map(|number| format!("<|reserved_special_token_{number}|>"));
            Box::new(named.map(str::to_owned).into_iter().chain(reserved))
        }
    }
}

/// The tokens that begin and end a text, and that stand for what has none, where no file says.
pub(super) fn default_roles(family: Family) -> &'static [(&'static str, &'static str)] {
    match family {
        Family::Qwen => &[("bos", "<|endoftext|>"), ("eos", "<|endoftext|>"), ("unk", "<|endoftext|>")],
        Family::Llama3 => &[("bos", "<|begin_of_text|>"), ("eos", "<|end_of_text|>")],
    }
}
