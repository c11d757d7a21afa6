//! Tokenizer files of checkpoints → GGUF keys → the engine's tokenizer: the ids are those of the checkpoint's own tokenizer,
//! and the keys those of llama.cpp's converter. `generate_vocabularies.py` made the files, the ids and the keys.

use std::fs;
use std::path::{Path, PathBuf};

use ascua_convert::vocabulary::{Facts, Problem, Vocabulary, VocabularyError, VocabularyWarning, read};
use ascua_gguf::{Array, Value};
use ascua_tokenizer::{AddSpecial, EncodeOptions, ParseSpecial, Tokenizer, TokenizerOptions};
use tempfile::TempDir;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vocabularies")
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn converted(name: &str) -> Vocabulary {
    let folder = data().join(name);
    let architecture = text(folder.join("architecture"));
    let facts = Facts { architecture: architecture.trim(), pre_tokenizer: None };
    read(&folder, &facts).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn folders() -> Vec<String> {
    let entries = fs::read_dir(data()).expect("the folder of fixtures");
    let entries = entries.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().expect("a name")).collect();
    names.sort();
    assert!(names.len() >= 11, "only {names:?}");
    names
}

#[test]
fn ids_are_those_of_the_checkpoint() {
    let probes: Vec<String> = serde_json::from_str(&text(data().join("probes.json"))).expect("texts");
    let options = EncodeOptions { add_special: AddSpecial::Yes, parse_special: ParseSpecial::Yes };
    let (mut differences, mut compared) = (Vec::new(), 0);
    for name in folders() {
        let vocabulary = converted(&name);
        let tokenizer = Tokenizer::from_metadata(&vocabulary.metadata, &TokenizerOptions::default());
        let tokenizer = tokenizer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let ids = text(data().join(&name).join("ids"));
        assert_eq!(ids.lines().count(), probes.len(), "{name}");
        for (probe, line) in probes.iter().zip(ids.lines()).filter(|(_, line)| !line.is_empty()) {
            // The peers of these leave the names of special tokens out of the text.
            let plain = ["llama2-fast", "t5"].contains(&name.as_str());
            let probe = if plain { probe.replace("<s>", "").replace("</s>", "") } else { probe.clone() };
            let found = tokenizer.encode(&probe, options).iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
            compared += 1;
            if found != line {
                differences.push(format!("{name}: {probe:?}\n  {found}\n  {line}"));
            }
        }
    }
    assert!(compared > 120, "only {compared} texts");
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

/// A value as `keys.json` writes it.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(Array::String(list)) => {
            list.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
        }
        Value::Array(array) => array.numbers().expect("numbers").map(serde_json::Value::from).collect(),
        other => other.number().expect("a number").into(),
    }
}

fn same(left: &serde_json::Value, right: &serde_json::Value) -> bool {
    match (left.as_array(), right.as_array()) {
        (Some(left), Some(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        _ => {
            left == right || left.as_f64().zip(right.as_f64()).is_some_and(|(left, right)| left as f32 == right as f32)
        }
    }
}

#[test]
fn keys_are_those_of_llama_cpp() {
    let (mut differences, mut compared) = (Vec::new(), 0);
    for name in folders() {
        let path = data().join(&name).join("keys.json");
        if !path.exists() {
            continue; // Kinds that llama.cpp's converter refuses.
        }
        let vocabulary = converted(&name);
        let expected: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text(path)).expect("keys");
        for (key, expected) in &expected {
            compared += 1;
            let found = vocabulary.metadata.get(key).map(json);
            if !found.as_ref().is_some_and(|found| same(found, expected)) {
                differences.push(format!("{name}: {key}: {found:.300?} for {:.300}", expected.to_string()));
            }
        }
    }
    assert!(compared > 60, "only {compared} keys");
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}

/// A copy of a fixture that a test may damage.
fn copy(name: &str) -> TempDir {
    let place = tempfile::tempdir().expect("a directory");
    for entry in fs::read_dir(data().join(name)).expect("a fixture") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), place.path().join(entry.file_name())).expect("a copy");
    }
    place
}

fn fault(place: &Path) -> String {
    read(place, &Facts { architecture: "llama", pre_tokenizer: None }).expect_err("a damaged checkpoint").to_string()
}

/// The error after a text in a file was replaced.
fn after(name: &str, file: &str, from: &str, to: &str) -> String {
    let place = copy(name);
    let path = place.path().join(file);
    let whole = text(path.clone());
    assert!(whole.contains(from), "{file} has no {from}");
    fs::write(&path, whole.replacen(from, to, 1)).expect("a write");
    fault(place.path())
}

#[test]
fn every_cut_of_a_sentence_piece_model_is_an_error_or_a_smaller_model() {
    let place = copy("llama2");
    let path = place.path().join("tokenizer.model");
    let whole = fs::read(&path).expect("a model");
    let mut errors = 0;
    for length in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole[..length]).expect("a write");
        match read(place.path(), &Facts { architecture: "llama", pre_tokenizer: None }) {
            Err(VocabularyError::File { problem: Problem::Protobuf { at, .. }, .. }) => {
                assert!(at <= length);
                errors += 1;
            }
            Err(VocabularyError::Tokenizer(_)) | Ok(_) => {}
            Err(other) => panic!("{length}: {other}"),
        }
    }
    assert!(errors > 50, "only {errors} errors");
}

#[test]
fn damaged_files_are_named_with_what_is_wrong() {
    let cases = [
        (after("llama3", "tokenizer.json", "\"id\": 1,", "\"id\": 99999999,"), "tokenizer.json: 100000000 tokens"),
        (after("llama3", "config.json", "512", "100000000000"), "100000000000 tokens; between 1 and 4194304"),
        (after("llama3", "config.json", "512", "300"), "but config.json says that there are 300 tokens"),
        (after("gpt2", "vocab.json", ":1,", ":2,"), "have the same id 2"),
        (
            after("gpt2", "merges.txt", "\n", "\nq\u{4e9c} z\n"),
            "merge 1 joins \"q亜\" and \"z\", but \"q亜\" is no token",
        ),
        (after("gpt2", "merges.txt", "\n", "\none two three\n"), "merge 1: \"one two three\" is not two parts"),
        (after("gpt2", "vocab.json", "{", "["), "vocab.json: "),
        (after("unigram", "tokenizer.json", "\"type\": \"Unigram\"", "\"type\": \"Words\""), "of type `Words`"),
        (after("qwen1", "qwen.tiktoken", "IQ==", "I!=="), "line 1: not base64"),
        (after("qwen1", "qwen.tiktoken", "IQ== 0", "IQ== 0\nIQ== 9999"), "a token that stands in an earlier line"),
        (after("qwen1", "qwen.tiktoken", "IQ== 0", "enp6 600\nIQ== 0"), "rank 600 is not two tokens"),
        (after("llama2", "config.json", "\"bos_token_id\": 1", "\"bos_token_id\": -7"), "`bos_token_id` is -7"),
    ];
    for (found, expected) in cases {
        assert!(found.contains(expected), "{found:?} does not say {expected:?}");
    }
    let place = tempfile::tempdir().expect("a directory");
    assert!(fault(place.path()).contains("no tokenizer"));
    let place = copy("bert-text");
    fs::write(place.path().join("vocab.txt"), b"[PAD]\n\xff\n").expect("a write");
    assert!(fault(place.path()).contains("byte 6 is not UTF-8"));
}

#[test]
fn unknown_pre_tokenizers_need_a_name() {
    let message = after("qwen2", "tokenizer.json", "\\\\p{N}|", "\\\\p{N}{7}|");
    assert!(message.contains("none of the known ones") && message.contains("{7}"), "{message}");
    let folder = data().join("qwen2");
    let named = |name| read(&folder, &Facts { architecture: "qwen2", pre_tokenizer: Some(name) });
    let vocabulary = named("tekken").expect("a known name");
    assert_eq!(vocabulary.metadata.string("tokenizer.ggml.pre").expect("a text"), Some("tekken"));
    let message = named("tekkenn").expect_err("no such name").to_string();
    assert!(message.contains("`tekkenn`") && message.contains("qwen2"), "{message}");
    for (folder, kind) in [("llama2", "SentencePiece"), ("t5", "Unigram"), ("bert", "WordPiece")] {
        let facts = Facts { architecture: "llama", pre_tokenizer: Some("qwen2") };
        let message = read(&data().join(folder), &facts).expect_err("no byte-level BPE").to_string();
        assert!(message.contains("`qwen2`") && message.contains(kind), "{folder}: {message}");
    }
    assert!(
        converted("qwen2")
            .warnings
            .iter()
            .any(|warning| { matches!(warning, VocabularyWarning::ByPattern { name } if name == "qwen2") })
    );
}

#[test]
fn tokens_beyond_the_embedding_are_left_out_and_said() {
    let place = copy("qwen2");
    let config = text(place.path().join("config.json")).replace("520", "481");
    fs::write(place.path().join("config.json"), config).expect("a write");
    let vocabulary = read(place.path(), &Facts { architecture: "qwen2", pre_tokenizer: None }).expect("a tokenizer");
    assert_eq!(vocabulary.metadata.strings("tokenizer.ggml.tokens").expect("a list").map(|list| list.len()), Some(481));
    let left_out = |warning: &&VocabularyWarning| matches!(warning, VocabularyWarning::BeyondModel { limit: 481, .. });
    assert_eq!(vocabulary.warnings.iter().filter(left_out).count(), 2);
}

#[test]
fn templates_and_sampling_are_taken_over() {
    let metadata = converted("llama3").metadata;
    let string = |key: &str| metadata.string(key).expect("a text");
    assert_eq!(string("tokenizer.chat_template"), Some("{{ messages[0].content }}"));
    assert_eq!(string("tokenizer.chat_template.tool_use"), Some("{{ tools }}"));
    assert_eq!(metadata.get("general.sampling.top_k"), Some(&Value::I32(40)));
    assert_eq!(metadata.get("general.sampling.penalty_repeat"), Some(&Value::F32(1.1)));
    assert!(metadata.get("general.sampling.min_p").is_none());
    let template = converted("qwen2").metadata;
    let template = template.string("tokenizer.chat_template").expect("a text");
    assert!(template.is_some_and(|text| text.contains("for message in messages")));
}
