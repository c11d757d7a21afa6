//! Help, wrong usage, and files that are no models: what is said, and the exit codes.

mod support;

use std::fs::{self, File};

use support::{Bench, Template, write_model};

#[test]
fn every_command_has_help_with_examples_and_exit_codes() {
    let bench = Bench::new();
    let overview = bench.run(&["--help"]).success();
    for command in [
        "run",
        "chat",
        "info",
        "tokenize",
        "perplexity",
        "bench",
        "logits",
        "convert",
        "quantize",
        "gguf",
        "pull",
        "list",
        "rm",
    ] {
        assert!(overview.contains(&format!("  {command} ")), "`{command}` is not in the overview:\n{overview}");
        let help = bench.run(&[command, "--help"]).success();
        for part in ["Usage:", "Examples:", &format!("ascua {command}"), "Exit codes: 0 success"] {
            assert!(help.contains(part), "no `{part}` in the help of {command}:\n{help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 120), "long lines in the help of {command}");
    }
    assert!(overview.contains("ASCUA_HOME") && overview.contains("130 interrupted"));
    assert!(bench.run(&["--version"]).success().starts_with("ascua "));
}

#[test]
fn every_sampling_parameter_is_a_flag_with_its_default() {
    let help = Bench::new().run(&["run", "--help"]).success();
    let squeezed = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for parameter in ascua::sampler::PARAMETERS {
        assert!(squeezed.contains(&format!("--{} <", parameter.name)), "--{} is missing", parameter.name);
    }
    for part in ["[default: 0.8]", "[alias: --temperature]", "[default: 40]"] {
        assert!(squeezed.contains(part), "{part}");
    }
}

#[test]
fn wrong_usage_ends_with_code_2_and_says_what_is_wrong() {
    let bench = Bench::new();
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage:"),
        (&["dance"], "unrecognized subcommand 'dance'"),
        (&["run", "--frobnicate"], "unexpected argument '--frobnicate'"),
        (&["run", "a", "b", "c"], "unexpected value 'c'"),
        (&["run", "-m", "x.gguf", "-p", "y", "z"], "`z` is neither model nor prompt"),
        (&["run", "{model}", "--temp", "warm", "hi"], "sampling parameter `temp` is `warm`, but must be a number"),
        (&["run", "{model}", "--top-p", "1.5", "hi"], "sampling parameter `top-p` is 1.5, but must be from 0 to 1"),
        (&["run", "{model}", "--cache-type-k", "q2_k", "hi"], "the cache can be f32, f16, bf16, q8_0, q4_0"),
        (&["run", "{model}", "--isa", "mmx", "hi"], "unknown instruction set `mmx`"),
        (&["run", "{model}", "--threads", "0", "hi"], "a whole number from 1"),
        (&["run", "{model}", "--threads-batch", "x", "hi"], "a whole number from 1"),
        (&["run", "{model}", "--cpu-mask", "0xg", "hi"], "a hexadecimal number is needed"),
        (&["run", "{model}", "--cpu-range", "3-1", "hi"], "the smaller first"),
        (&["run", "{model}", "--cpu-mask", "1", "--numa", "isolate", "hi"], "cannot be used with"),
        (&["run", "{model}", "--raw", "--system", "x", "hi"], "cannot be used with"),
        (&["run", "{model}"], "the prompt is empty"),
        (&["info"], "required"),
        (&["quantize"], "required"),
        (&["quantize", "{model}", "out.gguf", "Q9_K"], "unknown type `Q9_K`"),
        (&["quantize", "{model}", "out.gguf", "Q8_0", "--tensor-type", "attn_q"], "`attn_q` is not PATTERN=TYPE"),
        (&["quantize", "{model}", "out.gguf", "Q8_0", "--output-tensor-type", "q9"], "unknown tensor type `q9`"),
        (&["quantize", "{model}", "out.gguf", "Q8_0", "--override-kv", "a=b"], "`a=b` is not KEY=TYPE:VALUE"),
        (&["tokenize"], "required"),
        (&["rm"], "required"),
    ];
    for (arguments, part) in cases {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(part), "{arguments:?}: no `{part}` in {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[test]
fn a_failure_is_an_error_line_often_a_hint_and_code_1() {
    let bench = Bench::new();
    let path = |name: &str| bench.directory.path().join(name);
    fs::create_dir(path("folder")).unwrap();
    fs::write(path("empty.gguf"), b"").unwrap();
    File::create(path("sparse.gguf")).unwrap().set_len(10 << 30).unwrap();
    fs::write(path("garbage.gguf"), b"<html>not a model</html>").unwrap();
    let model = fs::read(&bench.model).unwrap();
    fs::write(path("cut.gguf"), &model[..model.len() - 4096]).unwrap();
    fs::write(path("header.gguf"), &model[..20]).unwrap();
    // Its cache would take a terabyte.
    write_model(&path("deep.gguf"), Template::Present, 600);
    let cases: &[(&[&str], &str, &str)] = &[
        (&["run", "missing.gguf", "hi"], "there is no file `missing.gguf`", ""),
        #[cfg(target_os = "linux")]
        (&["run", "{model}", "--cpu-range", "1000-1001", "hi"], "processor 1000 is not one of those", ""),
        (&["run", "tyni.gguf", "hi"], "did you mean tiny.gguf?", ""),
        (&["run", "folder", "hi"], "`folder` is a directory, not a model file", ""),
        (&["run", "empty.gguf", "hi"], "the file is empty", "fetch the file again"),
        (&["run", "sparse.gguf", "hi"], "begins with zero bytes", "fetch the file again"),
        (&["run", "garbage.gguf", "hi"], "not with `GGUF`", "GGUF files only"),
        (&["run", "cut.gguf", "hi"], "but the file has", "the file was cut"),
        (&["info", "header.gguf"], "but the file has", "the file was cut"),
        (&["tokenize", "garbage.gguf", "hi"], "not with `GGUF`", "GGUF files only"),
        (&["run", "--offline", "hi"], "the network is switched off", "ascua pull smollm2:135m"),
        (&["run", "smolm2", "hi"], "did you mean smollm2", ""),
        (&["chat", "hf:owner/repository"], "the network is switched off", ""),
        (&["rm", "smollm2"], "the cache has no model `smollm2`", ""),
        (&["run", "{model}", "-f", "missing.txt"], "cannot read prompt file `missing.txt`", ""),
        (&["tokenize", "{model}", "-f", "missing.txt"], "cannot read text file `missing.txt`", ""),
        (&["run", "deep.gguf", "--ctx", "16777216", "--cache-type-k", "f32", "hi"], "are free", "--ctx "),
        (&["run", "{model}", "--ctx", "4", "the cat the cat the cat"], "the context holds 4", "--ctx 768"),
        (&["run", "{model}", "--pre-tokenizer", "nosuch", "hi"], "`nosuch`", "known are: "),
    ];
    for (arguments, error, hint) in cases {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.starts_with("error: ") || ended.stderr.starts_with("warning: "), "{ended:?}");
        assert!(ended.stderr.contains(error), "{arguments:?}: no `{error}` in {ended:?}");
        let hints: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("hint: ")).collect();
        assert!(hint.is_empty() || hints.iter().any(|line| line.contains(hint)), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[test]
fn an_empty_cache_lists_nothing_and_the_catalogue_on_request() {
    let bench = Bench::new();
    let ended = bench.run(&["list"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    assert!(ended.stderr.contains("no models yet"));
    assert_eq!(bench.run(&["list", "--json"]).success().trim(), "[]");
    assert!(bench.run(&["list", "--all"]).success().contains("smollm2:135m"));
    // A file needs no fetching.
    let pulled = bench.run(&["pull", "{model}"]).success();
    assert_eq!(pulled.trim(), bench.model.to_str().unwrap());
}
