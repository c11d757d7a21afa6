//! Token ids against llama.cpp's, for real vocabularies.
//!
//! `data/oracles/NAME.txt` holds llama.cpp's ids for each string of `strings.bin` (separated by zero bytes), four lines a
//! string: with add_special / parse_special no/no, yes/no, no/yes, yes/yes. `data/golden/NAME.inp` and `.out` are the pairs
//! of llama.cpp's own tests. The vocabularies are downloaded, see [`asset`], but for the smallest, which is
//! `data/stories260K.vocab`: the 512 tokens of the TinyStories models of llama2.c (MIT), text and score a line.

use std::path::{Path, PathBuf};

use ascua_gguf::{Gguf, Metadata, StringArray};
use ascua_tokenizer::{AddSpecial, EncodeOptions, ParseSpecial, SpecialRendering, Tokenizer, TokenizerOptions};

/// The file under the assets' directory, the oracle's name, and whether there is a golden pair.
struct Case {
    file: &'static str,
    oracle: &'static str,
    golden: Option<&'static str>,
}

const fn vocabulary(file: &'static str, oracle: &'static str) -> Case {
    Case { file, oracle, golden: Some(oracle) }
}

const fn without_golden(file: &'static str, oracle: &'static str) -> Case {
    Case { file, oracle, golden: None }
}

const CASES: &[Case] = &[
    without_golden("vocab/ggml-vocab-aquila.gguf", "ggml-vocab-aquila"),
    without_golden("vocab/ggml-vocab-baichuan.gguf", "ggml-vocab-baichuan"),
    vocabulary("vocab/ggml-vocab-bert-bge.gguf", "ggml-vocab-bert-bge"),
    vocabulary("vocab/ggml-vocab-command-r.gguf", "ggml-vocab-command-r"),
    vocabulary("vocab/ggml-vocab-deepseek-coder.gguf", "ggml-vocab-deepseek-coder"),
    vocabulary("vocab/ggml-vocab-deepseek-llm.gguf", "ggml-vocab-deepseek-llm"),
    vocabulary("vocab/ggml-vocab-falcon.gguf", "ggml-vocab-falcon"),
    vocabulary("vocab/ggml-vocab-gemma-4.gguf", "ggml-vocab-gemma-4"),
    vocabulary("vocab/ggml-vocab-gpt-2.gguf", "ggml-vocab-gpt-2"),
    without_golden("vocab/ggml-vocab-gpt-neox.gguf", "ggml-vocab-gpt-neox"),
    vocabulary("vocab/ggml-vocab-llama-bpe.gguf", "ggml-vocab-llama-bpe"),
    vocabulary("vocab/ggml-vocab-llama-spm.gguf", "ggml-vocab-llama-spm"),
    vocabulary("vocab/ggml-vocab-mpt.gguf", "ggml-vocab-mpt"),
    without_golden("vocab/ggml-vocab-nomic-bert-moe.gguf", "ggml-vocab-nomic-bert-moe"),
    vocabulary("vocab/ggml-vocab-phi-3.gguf", "ggml-vocab-phi-3"),
    vocabulary("vocab/ggml-vocab-qwen2.gguf", "ggml-vocab-qwen2"),
    vocabulary("vocab/ggml-vocab-qwen35.gguf", "ggml-vocab-qwen35"),
    vocabulary("vocab/ggml-vocab-refact.gguf", "ggml-vocab-refact"),
    vocabulary("vocab/ggml-vocab-starcoder.gguf", "ggml-vocab-starcoder"),
    without_golden("stories260K.vocab", "stories260K"),
    without_golden("models/SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct.Q4_1"),
    without_golden("vocab/ggml-vocab-qwen2.gguf", "Qwen2.5-Coder-0.5B-Instruct-AWQ.Q4_K_M"),
];

/// Vocabularies inside models that are too large to ask everybody for: compared where they are, and wherever the
/// environment names itself `CI`.
const LARGE_CASES: &[Case] = &[
    without_golden("models/Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf", "Qwen2.5-Coder-0.5B-Instruct-AWQ.Q4_K_M"),
    without_golden("models/gemma-3-270m.Q4_K_M.gguf", "gemma-3-270m-q4_k_m"),
];

const MODES: [(AddSpecial, ParseSpecial); 4] = [
    (AddSpecial::No, ParseSpecial::No),
    (AddSpecial::Yes, ParseSpecial::No),
    (AddSpecial::No, ParseSpecial::Yes),
    (AddSpecial::Yes, ParseSpecial::Yes),
];

/// All cases but large ones whose file is not there.
fn present_cases() -> impl Iterator<Item = &'static Case> {
    let large = LARGE_CASES.iter().filter(|case| {
        let wanted = std::env::var_os("CI").is_some() || asset_path(case.file).is_file();
        if !wanted {
            println!("{} is not compared; fetch it with `python3 .ci/assets.py --all`", case.file);
        }
        wanted
    });
    CASES.iter().chain(large)
}

/// Where a downloaded file is: under `ASCUA_TEST_ASSETS`, else under `target/test-assets` of the workspace.
fn asset_path(file: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let assets =
        std::env::var_os("ASCUA_TEST_ASSETS").map_or_else(|| workspace.join("target/test-assets"), PathBuf::from);
    assets.join(file)
}

/// A downloaded file.
fn asset(file: &str) -> PathBuf {
    let path = asset_path(file);
    assert!(path.is_file(), "{} is missing; fetch it with `python3 .ci/assets.py --all`", path.display());
    path
}

fn data(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metadata of a committed list of tokens, or of a downloaded file.
fn metadata(file: &str) -> Metadata {
    if !file.ends_with(".vocab") {
        let path = asset(file);
        let gguf = Gguf::open_header(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return gguf.metadata().clone();
    }
    let lines = String::from_utf8(data(file)).expect("text");
    let rows: Vec<(&str, &str)> = lines.lines().map(|line| line.split_once('\t').expect("text and score")).collect();
    let token_type = |text: &str| match text {
        "<unk>" => 2,
        "<s>" | "</s>" => 3,
        _ if text.starts_with("<0x") => 6,
        _ => 1,
    };
    let mut metadata = Metadata::new();
    metadata.insert("tokenizer.ggml.model", "llama");
    let texts: StringArray = rows.iter().map(|(text, _)| text).collect();
    metadata.insert("tokenizer.ggml.tokens", texts);
    let scores: Vec<f32> = rows.iter().map(|(_, score)| score.parse().expect("a score")).collect();
    metadata.insert("tokenizer.ggml.scores", scores);
    metadata.insert("tokenizer.ggml.token_type", rows.iter().map(|(text, _)| token_type(text)).collect::<Vec<i32>>());
    metadata
}

fn tokenizer(file: &str) -> Tokenizer {
    Tokenizer::from_metadata(&metadata(file), &TokenizerOptions::default())
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn ids(line: &str) -> Vec<u32> {
    line.split_whitespace().map(|id| id.parse().expect("an id")).collect()
}

/// Compares and describes the first difference.
fn difference(tokenizer: &Tokenizer, text: &str, options: EncodeOptions, expected: &[u32]) -> Option<String> {
    let found = tokenizer.encode(text, options);
    if found == expected {
        return None;
    }
    let at = found.iter().zip(expected).take_while(|(left, right)| left == right).count();
    let show = |ids: &[u32]| {
        let shown = ids
            .iter()
            .skip(at)
            .take(6)
            .map(|id| format!("{id} {:?}", String::from_utf8_lossy(tokenizer.token_text(*id).unwrap_or_default())));
        shown.collect::<Vec<_>>().join(", ")
    };
    Some(format!("{text:?} {options:?}, from token {at}:\n  found    {}\n  expected {}", show(&found), show(expected)))
}

fn check(case: &Case) {
    let tokenizer = tokenizer(case.file);
    let mut differences = Vec::new();
    let mut compared = 0;
    let strings = data("oracles/strings.bin");
    let lines = String::from_utf8(data(&format!("oracles/{}.txt", case.oracle))).expect("text");
    let mut lines = lines.lines();
    for text in strings.split(|byte| *byte == 0) {
        let text = std::str::from_utf8(text).expect("text");
        for (add_special, parse_special) in MODES {
            let expected = ids(lines.next().expect("four lines a string"));
            differences.extend(difference(&tokenizer, text, EncodeOptions { add_special, parse_special }, &expected));
            compared += 1;
        }
    }
    assert_eq!((compared, lines.next()), (384, None), "{}: strings and lines do not match", case.oracle);
    if let Some(golden) = case.golden {
        let texts = String::from_utf8(data(&format!("golden/{golden}.inp"))).expect("text");
        let expected = String::from_utf8(data(&format!("golden/{golden}.out"))).expect("text");
        let texts: Vec<&str> =
            texts.trim_end_matches("\n__ggml_vocab_test__\n").split("\n__ggml_vocab_test__\n").collect();
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(texts.len(), expected.len(), "{golden}: texts and lines do not match");
        for (text, expected) in texts.iter().zip(&expected) {
            let options = EncodeOptions { add_special: AddSpecial::No, parse_special: ParseSpecial::No };
            differences.extend(difference(&tokenizer, text, options, &ids(expected)));
        }
    }
    assert!(
        differences.is_empty(),
        "{}: {} differences\n{}",
        case.oracle,
        differences.len(),
        differences.iter().take(8).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn ids_agree_with_llama_cpp() {
    let mut failures = Vec::new();
    for case in present_cases() {
        if let Err(panic) = std::panic::catch_unwind(|| check(case)) {
            failures.push(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| case.oracle.to_owned()));
        }
    }
    assert!(failures.is_empty(), "{} vocabularies fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn byte_level_and_sentencepiece_vocabularies_give_the_text_back() {
    let strings = data("oracles/strings.bin");
    for case in present_cases().filter(|case| !case.oracle.contains("bert")) {
        let tokenizer = tokenizer(case.file);
        for text in strings.split(|byte| *byte == 0) {
            let text = std::str::from_utf8(text).expect("text");
            let options = EncodeOptions { add_special: AddSpecial::No, parse_special: ParseSpecial::No };
            let back = tokenizer.decode_as(&tokenizer.encode(text, options), SpecialRendering::Show);
            // SentencePiece writes spaces as U+2581 and so cannot tell the two apart.
            assert_eq!(back.replace('\u{2581}', " "), text.replace('\u{2581}', " "), "{}", case.oracle);
        }
    }
}
