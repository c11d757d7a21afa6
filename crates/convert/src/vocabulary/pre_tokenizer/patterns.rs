//! Which pre-tokenizer it is, told by its steps in `tokenizer.json`.
//!
//! More general than a sum over ids: it knows the pattern whatever the vocabulary. Patterns are those in the files of the
//! models that the names come from.

use serde_json::Value;

use crate::vocabulary::tokenizer_json::{kind, steps};

const CONTRACTIONS: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACES: &str = r"\s*[\r\n]+|\s+(?!\S)|\s+";
const UPPER: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+";
const LOWER: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*";

/// Gemma's one step, after spaces have become U+2581: nothing is ever cut.
pub(super) const GEMMA: &str = "SplitMergedWithPrevious  ";

/// Steps that leave text as it is, or only write bytes as letters, are left out; the rest in words.
pub(super) fn describe(pre_tokenizer: &Value) -> Vec<String> {
    let described = steps(pre_tokenizer, "pretokenizers").into_iter().map(|step| {
        let flag = |name: &str, default: bool| step.get(name).and_then(Value::as_bool).unwrap_or(default);
        match kind(step) {
            "ByteLevel" if !flag("use_regex", true) => String::new(),
            "ByteLevel" => "ByteLevel".to_owned(),
            "Digits" if flag("individual_digits", false) => "Digits one by one".to_owned(),
            "Split" => {
                let pattern = step.pointer("/pattern/Regex").or_else(|| step.pointer("/pattern/String"));
                let behaviour = step.get("behavior").and_then(Value::as_str).unwrap_or("");
                let behaviour = match (behaviour, flag("invert", false)) {
                    // To cut the matches out, or what is between them, and keep both, is the same.
                    ("Isolated" | "Removed", inverted) if (behaviour == "Removed") == inverted => "",
                    _ => behaviour,
                };
                format!("Split{behaviour} {}", pattern.and_then(Value::as_str).unwrap_or(""))
            }
            "Punctuation" => {
                format!("Punctuation {}", step.get("behavior").and_then(Value::as_str).unwrap_or("Isolated"))
            }
            other => other.to_owned(),
        }
    });
    described.filter(|step| !step.is_empty()).collect()
}

/// The name of the pre-tokenizer with these steps.
pub(super) fn name(steps: &[String], ignore_merges: bool) -> Option<&'static str> {
    let split = |pattern: &str| vec![format!("Split {pattern}")];
    let three = |numbers: &str| {
        format!(r"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}")
    };
    let llama3 = if ignore_merges { "llama-bpe" } else { "dbrx" };
    let symbols = r" ?[^\s\p{L}\p{N}]+[\r\n/]*";
    let words = |list: &[&str]| list.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
    let known = [
        (words(&["ByteLevel"]), "gpt-2"),
        (words(&[GEMMA]), "gemma4"),
        (words(&["Digits one by one", "ByteLevel"]), "smollm"),
        (split(&three(r"\p{N}{1,3}")), llama3),
        (split(&three(r"\p{N}")), "qwen2"),
        (
            split(&format!(
                r"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{SPACES}"
            )),
            "qwen35",
        ),
        (split(&format!(r"{UPPER}|{LOWER}|\p{{N}}|{symbols}|{SPACES}")), "tekken"),
        (split(&format!(r"{UPPER}{CONTRACTIONS}?|{LOWER}{CONTRACTIONS}?|\p{{N}}{{1,3}}|{symbols}|{SPACES}")), "gpt-4o"),
        (
            vec![
                r"Split \p{N}{1,3}".to_owned(),
                "Split [一-龥぀-ゟ゠-ヿ]+".to_owned(),
                format!(
                    "Split {}|{}| ?[\\p{{P}}\\p{{S}}]+[\r\n]*|{SPACES}",
                    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"##, "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                ),
            ],
            "deepseek-v3",
        ),
        (words(&["Punctuation Contiguous", "ByteLevel", "Digits", "Split [0-9][0-9][0-9]"]), "falcon"),
    ];
    known.into_iter().find(|(known, _)| known == steps).map(|(_, name)| name)
}
