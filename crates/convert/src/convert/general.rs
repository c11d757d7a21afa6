//! The keys that say what a model is, whatever its family: its name, its size.

use std::path::Path;

use ascua_gguf::{Metadata, TensorInfo};

/// Writes `general.*`.
pub(super) fn write(metadata: &mut Metadata, directory: &Path, tensors: &[TensorInfo]) {
    metadata.insert("general.type", "model");
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    if let Some(name) = directory.file_name() {
        metadata.insert("general.name", title(&name.to_string_lossy()));
    }
    metadata.insert("general.size_label", size_label(tensors));
}

/// A directory's name as a title: `my-model-7b` is `My Model 7b`.
fn title(name: &str) -> String {
    let words = name.split(['-', ' ']).filter(|word| !word.is_empty());
    words.map(capitalised).collect::<Vec<_>>().join(" ")
}

/// A word in small letters with a capital at each beginning; versions, sizes and words with capitals as they are.
fn capitalised(word: &str) -> String {
    let is_version =
        |rest: &str| rest.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let is_small = word.chars().any(char::is_lowercase) && !word.chars().any(char::is_uppercase);
    if !is_small || word.starts_with(|c: char| c.is_ascii_digit()) || word.strip_prefix('v').is_some_and(is_version) {
        return word.to_owned();
    }
    let mut before = ' ';
    let letters = word.chars().flat_map(|letter| {
        let begins = !std::mem::replace(&mut before, letter).is_alphabetic();
        if begins { letter.to_uppercase().collect::<Vec<_>>() } else { vec![letter] }
    });
    letters.collect()
}

/// `7B` or, with experts, `8x7B`.
fn size_label(tensors: &[TensorInfo]) -> String {
    let (mut total, mut of_experts, mut experts) = (0, 0, 0);
    for tensor in tensors {
        total += tensor.elements();
        if let Some(&count) = tensor.shape.get(2).filter(|_| tensor.name.contains("_exps")) {
            of_experts += tensor.elements() / count;
            experts = experts.max(count);
        }
    }
    let all_experts: u64 = tensors.iter().filter(|t| t.name.contains("_exps")).map(TensorInfo::elements).sum();
    match experts {
        0 => rounded(total),
        experts => format!("{experts}x{}", rounded(total - all_experts + of_experts)),
    }
}

/// A count in two digits at least.
fn rounded(count: u64) -> String {
    let (scaled, unit) = match count as f64 {
        count if count > 1e12 => (count * 1e-12, "T"),
        count if count > 1e9 => (count * 1e-9, "B"),
        count if count > 1e6 => (count * 1e-6, "M"),
        count => (count * 1e-3, "K"),
    };
    let whole = scaled.round();
    let decimals = if whole < 1.0 { 2 } else { usize::from(whole < 10.0) };
    format!("{scaled:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits() {
        for (count, expected) in [
            (6_738_415_616, "6.7B"),
            (13_015_864_320, "13B"),
            (134_515_008, "135M"),
            (1_235_814_432, "1.2B"),
            (52_000, "52K"),
            (400, "0.40K"),
        ] {
            assert_eq!(rounded(count), expected);
        }
    }

    #[test]
    fn names_are_titles() {
        for (name, expected) in
            [("my-model-7b", "My Model 7b"), ("Qwen2.5-0.5B-it", "Qwen2.5 0.5B It"), ("qwen2moe-v0.2", "Qwen2Moe v0.2")]
        {
            assert_eq!(title(name), expected);
        }
    }
}
