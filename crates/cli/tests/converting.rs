//! `ascua convert`, and a checkpoint's directory in the place of a model.

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use support::Bench;

const WIDTH: usize = 32;
/// The bytes and the end of text.
const TOKENS: usize = 257;

/// Writes a checkpoint of Llama's shape with a vocabulary of bytes.
fn checkpoint(directory: &Path) {
    write_checkpoint(directory, WIDTH, 1);
}

/// The same in any size.
fn write_checkpoint(directory: &Path, width: usize, layers: usize) {
    fs::create_dir(directory).unwrap();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": width, "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": TOKENS, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "eos_token_id": 256, "tie_word_embeddings": true,
    });
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    fs::write(directory.join("tokenizer.json"), tokenizer().to_string()).unwrap();
    let mut shapes = vec![("model.embed_tokens".to_owned(), vec![TOKENS, width]), ("model.norm".into(), vec![width])];
    for layer in 0..layers {
        for (name, shape) in [
            ("input_layernorm", vec![width]),
            ("post_attention_layernorm", vec![width]),
            ("self_attn.q_proj", vec![width, width]),
            ("self_attn.k_proj", vec![width / 2, width]),
            ("self_attn.v_proj", vec![width / 2, width]),
            ("self_attn.o_proj", vec![width, width]),
            ("mlp.gate_proj", vec![2 * width, width]),
            ("mlp.up_proj", vec![2 * width, width]),
            ("mlp.down_proj", vec![width, 2 * width]),
        ] {
            shapes.push((format!("model.layers.{layer}.{name}"), shape));
        }
    }
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (number, (name, shape)) in shapes.into_iter().enumerate() {
        let start = data.len();
        for element in 0..shape.iter().product::<usize>() {
            let value = ((element * 7919 + number * 104_729) % 2003) as f32 / 1001.5 - 1.0;
            data.extend_from_slice(&value.to_le_bytes());
        }
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(format!("{name}.weight"), entry);
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    fs::write(directory.join("model.safetensors"), file).unwrap();
}

/// Byte-level BPE without merges.
fn tokenizer() -> Value {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..);
    let mut vocabulary = Map::new();
    let mut next = 256;
    for byte in 0..=255u8 {
        let letter = if printable(byte) { u32::from(byte) } else { next };
        next += u32::from(!printable(byte));
        vocabulary.insert(char::from_u32(letter).unwrap().into(), json!(byte));
    }
    json!({
        "version": "1.0",
        "added_tokens": [{"id": 256, "content": "<|end|>", "special": true, "single_word": false, "lstrip": false,
                          "rstrip": false, "normalized": false}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": []},
    })
}

#[test]
fn a_directory_is_converted_once_and_answers_as_its_file_does() {
    let bench = Bench::new();
    let directory = bench.directory.path().join("tiny");
    checkpoint(&directory);
    let converted = bench.run(&["convert", "tiny", "-o", "tiny-f32.gguf", "--type", "F32"]).success();
    assert!(converted.contains("32.00 bits per weight") && converted.contains("tiny-f32.gguf"), "{converted}");
    let answer = |model: &str, more: &[&str]| {
        let words = ["run", "--raw", "--ignore-eos", "--temp", "0", "-n", "12", "-m", model, "-p", "the cat"];
        bench.run(&[&words, more].concat())
    };
    let expected = answer("tiny-f32.gguf", &[]).success();
    assert!(!expected.is_empty());
    let first = answer("tiny", &["--checkpoint-type", "F32"]);
    assert!(first.stderr.contains("converting tiny to F32 into the cache"), "{first:?}");
    assert_eq!(first.success(), expected);
    // From the cache, without a word; then anew, since the files changed.
    let again = answer("tiny", &["--checkpoint-type", "F32"]);
    assert_eq!((again.stderr.as_str(), again.stdout.as_str()), ("", expected.as_str()));
    fs::write(directory.join("generation_config.json"), "{}").unwrap();
    assert!(answer("tiny", &["--checkpoint-type", "F32"]).stderr.contains("converting"));
    // A small model gets eight bits.
    assert!(bench.run(&["info", "tiny"]).stderr.contains("converting tiny to Q8_0"));

    let listed: Value = serde_json::from_str(&bench.run(&["list", "--json"]).success()).unwrap();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert!(names.len() == 2 && names[0].ends_with("tiny:F32") && names[1].ends_with("tiny:Q8_0"), "{names:?}");
    assert!(bench.run(&["rm", names[0]]).stderr.contains("deleted"));
    assert!(directory.join("model.safetensors").exists());
}

#[test]
fn what_cannot_be_converted_is_said_and_leaves_nothing() {
    let bench = Bench::new();
    let directory = bench.directory.path().join("tiny");
    checkpoint(&directory);
    let plan: Value =
        serde_json::from_str(&bench.run(&["convert", "tiny", "--type", "Q8_0", "--dry-run", "--json"]).success())
            .unwrap();
    assert_eq!((plan["file_type"].as_str(), plan["output"].as_array().map(Vec::len)), (Some("Q8_0"), Some(0)));
    let before = fs::read_dir(bench.directory.path()).unwrap().count();
    fs::create_dir(bench.directory.path().join("empty")).unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["convert"], 2, "required"),
        (&["convert", "tiny", "--type", "Q9"], 2, "one of `ascua quantize --list-types`"),
        (&["convert", "missing"], 1, "missing: is not a directory"),
        (&["convert", "empty"], 1, "empty: has no `config.json`\nhint: a checkpoint is a directory"),
        (&["convert", "tiny", "-o", "{model}"], 1, "tiny.gguf exists\nhint: --force replaces it"),
        (&["convert", "tiny", "-o", "no/such/place.gguf"], 1, "no/such/place.gguf: "),
        (&["convert", "tiny", "-o", "tiny/model.safetensors", "--force"], 1, "is the input too"),
        (&["quantize", "tiny", "Q8_0"], 2, "hint: ascua convert tiny --type Q8_0"),
        #[cfg(target_os = "linux")]
        (&["convert", "tiny", "-o", "/dev/full"], 1, "/dev/full: No space left on device"),
    ];
    for (arguments, code, expected) in cases {
        let ended = bench.run(arguments);
        assert!(ended.code == Some(*code) && ended.stderr.contains(expected), "{arguments:?}: {ended:?}");
    }
    let weights = directory.join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let ended = bench.run(&["run", "tiny", "hello"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("`tiny` cannot be converted"), "{ended:?}");
    assert!(ended.stderr.contains("model.safetensors: tensor `") && ended.stderr.contains("was it cut?"), "{ended:?}");
    assert_eq!(bench.run(&["list", "--json"]).success().trim(), "[]");
    assert_eq!(fs::read_dir(bench.directory.path()).unwrap().count(), before + 1, "nothing but `empty`");
}

#[test]
fn parts_are_those_of_gguf_split() {
    let bench = Bench::new();
    checkpoint(&bench.directory.path().join("tiny"));
    bench.run(&["convert", "tiny", "-o", "whole.gguf", "--type", "F16"]).success();
    for (limit, more) in
        [("--split-max-tensors", &["4"][..]), ("--split-max-size", &["8000", "--no-tensor-first-split"])]
    {
        let flags = [&[limit], more].concat();
        let split = bench.run(&[&["gguf", "split", "whole.gguf", "expected", "--json"], &flags[..]].concat()).success();
        let parts = serde_json::from_str::<Value>(&split).unwrap()["parts"].as_array().unwrap().len();
        assert!(parts > 2, "{limit}: {parts} parts");
        let convert = [&["convert", "tiny", "-o", "parts.gguf", "--type", "F16", "--json"], &flags[..]].concat();
        let planned = bench.run(&[&convert[..], &["--dry-run"]].concat()).success();
        assert_eq!(serde_json::from_str::<Value>(&planned).unwrap()["parts"], parts, "{limit}");
        let report: Value = serde_json::from_str(&bench.run(&convert).success()).unwrap();
        let written = report["output"].as_array().unwrap();
        assert_eq!(written.len(), parts, "{limit}");
        for (number, path) in (1..).zip(written) {
            assert_eq!(*path, format!("parts-{number:05}-of-{parts:05}.gguf"));
            let read = |name: &str| fs::read(bench.directory.path().join(name)).unwrap();
            let expected = read(&format!("expected-{number:05}-of-{parts:05}.gguf"));
            assert!(read(path.as_str().unwrap()) == expected, "{limit}: part {number}");
        }
        assert!(!bench.directory.path().join("parts.gguf").exists());
        // What is there stays.
        let again = bench.run(&convert);
        assert!(again.code == Some(1) && again.stderr.contains("exists\nhint: --force replaces it"), "{again:?}");
        let first = format!("parts-00001-of-{parts:05}.gguf");
        let answer =
            |model: &str| bench.run(&["run", "--raw", "--temp", "0", "-n", "4", "-m", model, "-p", "a"]).success();
        assert_eq!(answer(&first), answer("whole.gguf"), "{limit}");
    }
    // One part is no split.
    bench.run(&["convert", "tiny", "-o", "one.gguf", "--split-max-size", "1G"]).success();
    assert!(bench.directory.path().join("one.gguf").exists());
}

#[test]
fn a_pre_tokenizer_can_be_named() {
    let bench = Bench::new();
    checkpoint(&bench.directory.path().join("tiny"));
    bench.run(&["convert", "tiny", "-o", "named.gguf", "--pre", "qwen2"]).success();
    let dump = bench.run(&["gguf", "dump", "named.gguf", "--json", "--no-tensors"]).success();
    let dump: Value = serde_json::from_str(&dump).unwrap();
    assert_eq!(dump["metadata"]["tokenizer.ggml.pre"]["value"], "qwen2");
    let unknown = bench.run(&["convert", "tiny", "-o", "unknown.gguf", "--pre", "qwen99"]);
    assert_eq!(unknown.code, Some(1));
    for part in ["qwen99", "llama-bpe", "qwen2"] {
        assert!(unknown.stderr.contains(part), "no `{part}` in {unknown:?}");
    }
    let config = bench.directory.path().join("tiny/tokenizer.json");
    let words = r#"{"model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "a": 1}}}"#;
    std::fs::write(&config, words).unwrap();
    let unused = bench.run(&["convert", "tiny", "-o", "unknown.gguf", "--pre", "qwen2"]);
    assert_eq!(unused.code, Some(1));
    for part in ["`qwen2`", "WordPiece", "hint: leave --pre-tokenizer out"] {
        assert!(unused.stderr.contains(part), "no `{part}` in {unused:?}");
    }
    let nothing = bench.run(&["convert", "tiny", "--no-tokenizer", "-o", "unknown.gguf", "--no-tensor-first-split"]);
    assert!(nothing.code == Some(2) && nothing.stderr.contains("cuts nothing"), "{nothing:?}");
    assert!(!bench.directory.path().join("unknown.gguf").exists());
}

/// Where nobody can write, whoever runs the test: under a file, and where the system makes all names itself.
const UNWRITABLE: &[&str] = &[
    "tiny.gguf/out.gguf",
    #[cfg(target_os = "linux")]
    "/proc/ascua/out.gguf",
];

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let bench = Bench::new();
    checkpoint(&bench.directory.path().join("tiny"));
    let names = || fs::read_dir(bench.directory.path()).unwrap().count();
    let before = names();
    for &place in UNWRITABLE {
        for arguments in [&["quantize", "{model}", place, "Q8_0"][..], &["convert", "tiny", "-o", place]] {
            let ended = bench.run(arguments);
            let named = ended.stderr.contains(&format!("{place}: ")) && !ended.stderr.contains("panicked");
            assert!(ended.code == Some(1) && named, "{arguments:?}: {ended:?}");
        }
    }
    assert_eq!(names(), before);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_writing_and_leaves_nothing() {
    use std::io::{BufRead as _, BufReader, Read as _};

    use ascua_convert::quantize::FileType;
    use ascua_eval::synthetic::{self, Shape};
    use rustix::process::{Pid, Signal, kill_process};

    // Large enough that nine tenths of the slowest type take seconds.
    const LARGE: Shape = Shape {
        name: "large",
        layers: 8,
        width: 512,
        heads: 4,
        key_value_heads: 4,
        feed_forward: 1024,
        vocabulary: 512,
        tied: true,
        experts: 0,
        experts_used: 0,
    };
    let bench = Bench::new();
    let path = |name: &str| bench.directory.path().join(name);
    synthetic::write(&LARGE, FileType::F16, &path("large.gguf")).unwrap();
    write_checkpoint(&path("large"), 512, 8);
    let names = || fs::read_dir(bench.directory.path()).unwrap().count();
    let before = names();
    for arguments in [
        &["quantize", "large.gguf", "out.gguf", "IQ3_S"][..],
        &["convert", "large", "-o", "out.gguf", "--type", "IQ3_S"],
        &["convert", "large", "-o", "out.gguf", "--type", "IQ3_S", "--split-max-tensors", "8"],
    ] {
        let mut child = bench.start(arguments);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        while !told.contains(" % of ") {
            assert!(stderr.read_line(&mut told).unwrap() > 0, "{arguments:?} ended without progress: {told}");
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        stderr.read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments:?}: {told}");
        assert!(told.contains("stopped; nothing was written"), "{arguments:?}: {told}");
        assert_eq!(names(), before, "{arguments:?}");
    }
}
