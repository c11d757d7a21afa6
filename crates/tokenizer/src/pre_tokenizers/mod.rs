//! The named pre-tokenizers of byte-level BPE: how text is cut into words before merging.
//!
//! `tokenizer.ggml.pre` names one. A pre-tokenizer is a list of stages ([`stage`]) plus a few habits that go with the
//! name; adding one is a line of [`TABLE`], and a set of rules in [`words`] or [`scripts`] if its pattern is new.
//! Source: the names, patterns and habits of llama.cpp (`src/llama-vocab.cpp`).

mod gpt2;
mod kimi;
mod scripts;
mod stage;
mod words;

use stage::Stage;
use words::{AfterSymbols, Contractions, Glued, LETTER_MARK, LETTER_NUMBER, Spaces, Symbols, Word, WordRules};

use crate::unicode::Class;

/// What else a pre-tokenizer's name says about the vocabulary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    /// A word that is a token is not merged.
    pub(crate) ignore_merges: bool,
    /// A beginning-of-sequence token is added unless the file says otherwise.
    pub(crate) add_bos: bool,
    /// The default beginning-of-sequence token does not exist.
    pub(crate) no_bos: bool,
    /// Spaces become U+2581, and words are merged as text, not as GPT-2's byte letters.
    pub(crate) plain_text: bool,
    /// [`Habits::plain_text`] without the change of spaces.
    pub(crate) keep_spaces: bool,
    /// A word of line feeds that is a token is not merged, and a beginning-of-sequence token is always added.
    pub(crate) gemma4: bool,
}

/// A line of the table.
pub(crate) struct PreTokenizer {
    names: &'static [&'static str],
    stages: &'static [Stage],
    pub(crate) habits: Habits,
}

impl PreTokenizer {
    /// Hands out the words of `text`.
    pub(crate) fn words<'t>(&self, text: &'t [u8], emit: &mut dyn FnMut(&'t [u8])) {
        stage::cut_all(self.stages, text, emit);
    }

    /// The first of its names.
    pub(crate) fn name(&self) -> &'static str {
        self.names[0]
    }

    const fn ignore_merges(mut self) -> PreTokenizer {
        self.habits.ignore_merges = true;
        self
    }

    const fn add_bos(mut self) -> PreTokenizer {
        self.habits.add_bos = true;
        self
    }

    const fn no_bos(mut self) -> PreTokenizer {
        self.habits.no_bos = true;
        self
    }

    const fn plain_text(mut self) -> PreTokenizer {
        self.habits.plain_text = true;
        self
    }

    const fn keep_spaces(mut self) -> PreTokenizer {
        self.habits.keep_spaces = true;
        self
    }

    const fn gemma4(mut self) -> PreTokenizer {
        self.habits.gemma4 = true;
        self
    }
}

const fn entry(names: &'static [&'static str], stages: &'static [Stage]) -> PreTokenizer {
    let habits = Habits {
        ignore_merges: false,
        add_bos: false,
        no_bos: false,
        plain_text: false,
        keep_spaces: false,
        gemma4: false,
    };
    PreTokenizer { names, stages, habits }
}

use Stage::{
    BeforeThousands, Each, Find, Gpt2, KimiK2, LineFeeds, NumberGroups, NumberThousands, Runs, TrailingWhitespace,
    Words,
};

const LLAMA3: WordRules = WordRules::LLAMA3;
const QWEN2: WordRules = WordRules { numbers: 1, ..LLAMA3 };
const QWEN35: WordRules = WordRules {
    word: Word::Run(LETTER_MARK),
    symbols: Symbols::Not(LETTER_MARK.or(words::SPACE_LETTER_NUMBER)),
    ..QWEN2
};
const MINICPM5: WordRules = WordRules { numbers: usize::MAX, ..LLAMA3 };
const JAIS2: WordRules = WordRules { whitespace: Spaces::PowersOfTwo, ..LLAMA3 };
const SEED_CODER: WordRules = WordRules {
    symbols: Symbols::NotNorNewline(words::SPACE_LETTER_NUMBER),
    after_symbols: AfterSymbols::Nothing,
    ..QWEN2
};
const UFAKZEKA: WordRules = WordRules { contractions: Contractions::Nowhere, ..QWEN2 };
const EXAONE_MOE: WordRules = WordRules { word: Word::Spaced, after_symbols: AfterSymbols::OneNewlineOrSlash, ..QWEN2 };
const DEEPSEEK3: WordRules = WordRules {
    contractions: Contractions::Nowhere,
    glued: Glued::Yes,
    not_before_word: Class::LETTER.or(Class::PUNCTUATION).or(Class::SYMBOL),
    word: Word::Run(LETTER_MARK),
    numbers: 0,
    symbols: Symbols::Only(Class::PUNCTUATION.or(Class::SYMBOL)),
    ..LLAMA3
};
const SPARK: WordRules =
    WordRules { after_symbols: AfterSymbols::Nothing, whitespace: Spaces::SingleNewlines, ..DEEPSEEK3 };
const TEKKEN: WordRules = WordRules {
    contractions: Contractions::Nowhere,
    not_before_word: LETTER_NUMBER,
    word: Word::Cased(Class::LETTER),
    numbers: 1,
    after_symbols: AfterSymbols::NewlinesAndSlashes,
    ..LLAMA3
};
const GPT4O: WordRules = WordRules { contractions: Contractions::Suffix, numbers: 3, ..TEKKEN };
const GRANITE_EMBED: WordRules = WordRules { word: Word::Cased(LETTER_MARK), ..GPT4O };
const TINY_AYA: WordRules = WordRules { word: Word::Run(LETTER_MARK), ..GPT4O };
const YOUTU: WordRules = WordRules { numbers: 1, ..TINY_AYA };

const DEEPSEEK3_STAGES: &[Stage] = &[NumberGroups(3), Runs(scripts::chinese_japanese), Words(&DEEPSEEK3)];

/// Every pre-tokenizer, the most usual ones first: of two names equally near to an unknown one, the first is chosen.
#[rustfmt::skip]
static TABLE: &[PreTokenizer] = &[
    entry(&["default"], &[Runs(scripts::default_symbol), Gpt2, Runs(scripts::number), Find(scripts::three_digits)]),
    entry(&["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"], &[Words(&LLAMA3)]).ignore_merges().add_bos(),
    entry(&["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"], &[Words(&QWEN2)]),
    entry(&["qwen35"], &[Words(&QWEN35)]),
    entry(&["gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum", "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "exaone4", "mpt", "olmo", "jais", "trillion", "granite-docling"], &[Gpt2]),
    entry(&["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"], &[Each(scripts::number), Gpt2]),
    entry(&["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], DEEPSEEK3_STAGES),
    entry(&["deepseek-llm"], &[Each(scripts::newline), Find(scripts::cased_letters), Find(scripts::wide_punctuation), TrailingWhitespace, Runs(scripts::eastern), Runs(scripts::number)]),
    entry(&["deepseek-coder"], &[Each(scripts::newline), Find(scripts::letters), Find(scripts::punctuation), Runs(scripts::eastern), Each(scripts::number)]),
    entry(&["falcon"], &[Runs(scripts::falcon_symbol), Gpt2, Find(scripts::three_digits)]),
    entry(&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], &[Words(&GPT4O)]),
    entry(&["tekken"], &[Words(&TEKKEN)]).ignore_merges().add_bos(),
    entry(&["glm4", "glm5"], &[Words(&LLAMA3)]).ignore_merges().no_bos(),
    entry(&["chatglm-bpe"], &[Words(&LLAMA3)]).no_bos(),
    entry(&["gemma4", "granite-embed-multi-311m"], &[LineFeeds]).plain_text().gemma4(),
    entry(&["kimi-k2"], &[KimiK2]),
    entry(&["bailingmoe", "bailingmoe2", "llada-moe"], &[Words(&QWEN2)]),
    entry(&["dbrx", "smaug-bpe"], &[Words(&LLAMA3)]),
    entry(&["bloom", "poro-chat", "gpt3-finnish"], &[Find(scripts::bloom_word)]),
    entry(&["viking"], &[Find(scripts::bloom_word), Each(scripts::number)]),
    entry(&["chameleon"], &[Find(scripts::sentinel), Find(scripts::image_token), Find(scripts::chameleon_space), Each(scripts::number), Each(scripts::any_punctuation), Gpt2]).add_bos(),
    entry(&["jais-2"], &[Words(&JAIS2)]),
    entry(&["minicpm5"], &[NumberGroups(3), Words(&MINICPM5)]).ignore_merges(),
    entry(&["spark2_5"], &[NumberGroups(3), Runs(scripts::chinese_japanese), Words(&SPARK), Each(scripts::number)]),
    entry(&["youtu"], &[Find(scripts::youtu_scripts), Words(&YOUTU)]).ignore_merges(),
    entry(&["granite-embed-multi-97m"], &[Words(&GRANITE_EMBED)]).ignore_merges(),
    entry(&["tiny_aya", "cohere2moe"], &[NumberThousands, Words(&TINY_AYA)]),
    entry(&["superbpe"], &[Runs(scripts::number), BeforeThousands]),
    entry(&["seed-coder"], &[Words(&SEED_CODER)]),
    entry(&["ufakzeka"], &[Words(&UFAKZEKA)]),
    entry(&["afmoe"], &[NumberThousands, Runs(scripts::asian), Words(&DEEPSEEK3)]),
    entry(&["laguna"], &[LineFeeds, Words(&QWEN2)]),
    entry(&["exaone-moe"], &[Words(&EXAONE_MOE)]),
    entry(&["sarvam-moe"], &[LineFeeds]).plain_text(),
    entry(&["whitespace"], &[Runs(scripts::not_whitespace)]).plain_text().keep_spaces(),
];

/// The pre-tokenizer of that name.
pub(crate) fn find(name: &str) -> Option<&'static PreTokenizer> {
    TABLE.iter().find(|entry| entry.names.contains(&name))
}

/// The one for files that name none.
pub(crate) fn default() -> &'static PreTokenizer {
    &TABLE[0]
}

/// The known name that is nearest to an unknown one, or `default` if none is near.
pub(crate) fn nearest(unknown: &str) -> (&'static str, &'static PreTokenizer) {
    let mut best = (usize::MAX, default().name(), default());
    // The name comes from a file: what is longer than any name is near to none.
    if unknown.len() <= 64 {
        for entry in TABLE {
            for name in entry.names {
                let distance = edit_distance(unknown.as_bytes(), name.as_bytes());
                if distance * 2 <= unknown.len().max(name.len()) && distance < best.0 {
                    best = (distance, name, entry);
                }
            }
        }
    }
    (best.1, best.2)
}

/// The first name of each line of the table.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(PreTokenizer::name)
}

/// All names, in the order of the table.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|entry| entry.names.iter().copied())
}

/// Levenshtein's distance.
fn edit_distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, byte) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for column in 0..right.len() {
            let replaced = diagonal + usize::from(*byte != right[column]);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `strings.bin` holds texts separated by zero bytes; `NAME.txt` the lengths in bytes of the words that llama.cpp's
    /// `unicode_regex_split` makes of each, a line a text.
    fn data(file: &str) -> Vec<u8> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pre_tokenizers").join(file);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn words<'t>(entry: &PreTokenizer, text: &'t [u8]) -> Vec<&'t [u8]> {
        let mut words = Vec::new();
        entry.words(text, &mut |word| words.push(word));
        words
    }

    #[test]
    fn words_agree_with_llama_cpp() {
        let strings = data("strings.bin");
        let mut differences = Vec::new();
        for entry in TABLE {
            let lines = String::from_utf8(data(&format!("{}.txt", entry.name()))).expect("text");
            let texts: Vec<&[u8]> = strings.split(|byte| *byte == 0).collect();
            assert_eq!(texts.len(), lines.lines().count(), "{}: texts and lines do not match", entry.name());
            for (text, line) in texts.iter().zip(lines.lines()) {
                let mut rest = *text;
                let expected = line.split_whitespace().map(|length| {
                    let (word, behind) = rest.split_at(length.parse().expect("a length"));
                    rest = behind;
                    word
                });
                let expected: Vec<&[u8]> = expected.collect();
                let found = words(entry, text);
                if found != expected {
                    let show = |words: &[&[u8]]| {
                        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>()
                    };
                    let at = found.iter().zip(&expected).take_while(|(left, right)| left == right).count();
                    let near = |words: &[&[u8]]| show(&words[at.min(words.len())..words.len().min(at + 4)]);
                    differences.push(format!("{}: {:?} for {:?}", entry.name(), near(&found), near(&expected)));
                }
            }
        }
        assert!(
            differences.is_empty(),
            "{} differences\n{}",
            differences.len(),
            differences.iter().take(30).cloned().collect::<Vec<_>>().join("\n")
        );
    }

    #[test]
    fn words_join_to_the_text() {
        let strings = data("strings.bin");
        for entry in TABLE {
            let found = words(entry, &strings);
            assert!(found.iter().all(|word| !word.is_empty()), "{} makes empty words", entry.name());
            assert_eq!(found.concat(), strings, "{}", entry.name());
            assert!(words(entry, b"").is_empty(), "{} makes words of nothing", entry.name());
        }
    }

    #[test]
    fn long_runs_end() {
        for unit in
            [" ", "a", "A", "é", "1", "\n", " \n", "!", "'", "中", "a ", "é A", "IMGIMG", "<sentinel:1", "\u{301}"]
        {
            let text = unit.repeat(200_000 / unit.len());
            for entry in TABLE {
                let mut length = 0;
                entry.words(text.as_bytes(), &mut |word| length += word.len());
                assert_eq!(length, text.len(), "{} of {unit:?}", entry.name());
            }
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        let mut all: Vec<&str> = names().collect();
        assert!(all.iter().all(|name| find(name).is_some()));
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn nearest_names() {
        for (unknown, chosen) in [
            ("qwen3", "qwen2"),
            ("llama4x", "llama4"),
            ("deepseek-v4", "deepseek-v3"),
            ("gpt4o", "gpt-4o"),
            ("Tekken", "tekken"),
            ("something-entirely-new", "default"),
            ("", "default"),
        ] {
            assert_eq!(nearest(unknown).0, chosen, "{unknown}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20)).0, "default");
    }
}
