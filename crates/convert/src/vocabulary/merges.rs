//! The merges of BPE: read from strings, checked against the tokens, turned into GGUF's lines or into scores.

use std::collections::HashMap;

use ascua_gguf::StringArray;

use super::Problem;
use super::tokenizer_json::MergeJson;
use super::tokens::{Kind, TokenTable};

/// A merge: its parts.
pub(super) type Merge = (String, String);

/// The merges of `tokenizer.json`.
pub(super) fn from_json(merges: Vec<MergeJson>) -> Result<Vec<Merge>, Problem> {
    let numbered = merges.into_iter().enumerate();
    numbered
        .map(|(index, merge)| match merge {
            MergeJson::Pair(left, right) => Ok((left, right)),
            MergeJson::Line(line) => split(&line).ok_or(Problem::MergeForm { number: index + 1, found: line }),
        })
        .collect()
}

/// The merges of `merges.txt`: one a line, after an optional line with the version.
pub(super) fn from_text(text: &str) -> Result<Vec<Merge>, Problem> {
    let lines = text.lines().skip(usize::from(text.starts_with('#')));
    let filled = lines.map(str::trim_end).filter(|line| !line.is_empty()).enumerate();
    filled
        .map(|(index, line)| {
            split(line).ok_or_else(|| Problem::MergeForm { number: index + 1, found: line.to_owned() })
        })
        .collect()
}

fn split(line: &str) -> Option<Merge> {
    let (left, right) = line.split_once(' ')?;
    let whole = !left.is_empty() && !right.is_empty() && !right.contains(' ');
    whole.then(|| (left.to_owned(), right.to_owned()))
}

/// Every part and every product must be a token. A merge makes its parts longer, so none can lead back to itself.
pub(super) fn check(merges: &[Merge], tokens: &TokenTable) -> Result<(), Problem> {
    for (index, (left, right)) in merges.iter().enumerate() {
        let product = format!("{left}{right}");
        if let Some(missing) = [left, right, &product].into_iter().find(|text| tokens.id(text).is_none()) {
            let (number, missing) = (index + 1, missing.clone());
            return Err(Problem::MergeToken { number, left: left.clone(), right: right.clone(), missing });
        }
    }
    Ok(())
}

/// The lines of `tokenizer.ggml.merges`. A space within a part is written as the letter of the byte 0x20.
pub(super) fn lines(merges: &[Merge]) -> StringArray {
    let mut lines = StringArray::with_capacity(merges.len(), merges.len() * 10);
    for (left, right) in merges {
        lines.push(format!("{} {}", left.replace(' ', "Ġ"), right.replace(' ', "Ġ")));
    }
    lines
}

/// Gives each token the score that makes SentencePiece's BPE join it when the merges would: the earlier its merge, the
/// higher. Returns whether that is exact: each token is joined at one place in the list, and from any two tokens that
/// spell it.
pub(super) fn score(merges: &[Merge], tokens: &mut TokenTable) -> bool {
    let mut first: HashMap<u32, usize> = HashMap::new();
    let mut pairs = vec![0_u32; tokens.len()];
    let (mut previous, mut exact) = (None, true);
    for (rank, (left, right)) in merges.iter().enumerate() {
        let Some(product) = tokens.id(&format!("{left}{right}")) else { continue };
        let known = first.contains_key(&product);
        exact &= !known || previous == Some(product);
        first.entry(product).or_insert(rank);
        pairs[product as usize] += 1;
        previous = Some(product);
    }
    let lowest = merges.len() as f32;
    for (product, count) in pairs.iter().enumerate() {
        let rank = first.get(&(product as u32)).map_or(lowest, |rank| *rank as f32);
        let Some(token) = tokens.get_mut(product as u64) else { continue };
        if token.kind != Kind::Normal {
            continue;
        }
        token.score = -rank;
        let text = token.text.clone();
        let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        let possible = cuts.filter(|(left, right)| tokens.id(left).is_some() && tokens.id(right).is_some()).count();
        exact &= possible == *count as usize;
    }
    exact
}
