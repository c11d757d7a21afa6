//! `ascua tokenize` and `ascua info` on a tiny model with a known vocabulary.

mod support;

use support::{BOS, Bench, END, FIRST_BYTE, USER, piece};

fn ids(tokens: &[u32]) -> String {
    tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn ids_are_separated_by_blanks() {
    let bench = Bench::new();
    let (the, cat) = (piece("▁the"), piece("▁cat"));
    let byte = |byte: u8| FIRST_BYTE + u32::from(byte);
    let written: Vec<u32> = [piece("▁")]
        .into_iter()
        .chain("<|end|>".bytes().map(|b| match b {
            b'e' => piece("e"),
            other => byte(other),
        }))
        .collect();
    let cases: &[(&[&str], &str, Vec<u32>)] = &[
        (&[], "the cat", vec![BOS, the, cat]),
        (&["--no-special"], "the cat", vec![the, cat]),
        (&[], "", vec![BOS]),
        (&["--no-special"], "", vec![]),
        (&[], "中文", vec![BOS, piece("▁中文")]),
        (&["--no-special"], "é", vec![piece("▁"), byte(0xc3), byte(0xa9)]),
        (&["--no-special"], "<|end|>", written),
        (&["--no-special", "--parse-special"], "<|end|>", vec![END]),
        (&["--parse-special"], "<|user|>the", vec![BOS, USER, the]),
    ];
    for (flags, text, expected) in cases {
        let line = format!("{}\n", ids(expected));
        let given = bench.run(&[&["tokenize", "{model}", "--ids", text], *flags].concat()).success();
        assert_eq!(given, line, "{text} {flags:?}");
        let piped = bench.run_with(&[&["tokenize", "{model}", "--ids"], *flags].concat(), text.as_bytes()).success();
        assert_eq!(piped, line, "{text} {flags:?}, piped");
    }
}

#[test]
fn a_file_of_strings_gives_a_line_for_each() {
    let bench = Bench::new();
    let path = bench.directory.path().join("strings.bin");
    std::fs::write(&path, b"the\0\0cat\nthe\0\xff").unwrap();
    let (the, cat) = (piece("▁the"), piece("▁cat"));
    let newline = FIRST_BYTE + 10;
    let (t, h, e) = (piece("the"), piece("▁"), FIRST_BYTE + 0xff);
    let lines =
        bench.run(&["tokenize", "{model}", "--file", "strings.bin", "--nul", "--no-special", "--ids"]).success();
    let expected = format!("{the}\n\n{}\n{}\n", ids(&[cat, newline, t]), ids(&[h, e]));
    assert_eq!(lines, expected);
    let lines = bench.run(&["tokenize", "{model}", "-f", "strings.bin", "--nul", "--ids", "--json"]).success();
    assert_eq!(lines.lines().nth(1), Some("[1]"));
    assert_eq!(lines.lines().count(), 4);
}

#[test]
fn the_table_and_json_show_pieces() {
    let bench = Bench::new();
    let table = bench.run(&["tokenize", "{model}", "the cat\n"]).success();
    for part in ["\" the\"", "\" cat\"", "\"\\n\"  byte", "\"<s>\"  control", "4 tokens"] {
        assert!(table.contains(part), "no `{part}` in\n{table}");
    }
    let json = bench.run(&["tokenize", "{model}", "the", "--json"]).success();
    let tokens: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(tokens[1]["piece"], " the");
    assert_eq!((tokens[0]["id"].as_u64(), tokens[0]["type"].as_str()), (Some(u64::from(BOS)), Some("control")));
}

#[test]
fn info_describes_the_model_and_its_memory() {
    let bench = Bench::new();
    let text = bench.run(&["info", "{model}", "--ctx", "128", "--tensors", "--metadata"]).success();
    for part in [
        "architecture  llama",
        "32.00 bits per weight",
        "F32        21 tensors",
        "SentencePiece (llama)",
        "adds bos",
        "bos 1 <s>",
        "template      yes",
        "for a context of 128",
        "blk.1.ffn_down.weight",
        "64 × 32",
        "tokenizer.ggml.bos_token_id = 1",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let json = bench.run(&["info", "{model}", "--json", "--ctx", "128"]).success();
    let info: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(info["architecture"], "llama");
    assert_eq!(info["parameters"], 278 * 32 * 2 + 32 + 2 * (32 * 2 + 32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 64));
    // Keys and values of 2 heads of 8 in F16, 2 layers.
    assert_eq!(info["memory"]["cache"], 128 * 2 * 2 * 16 * 2);
    assert_eq!(info["memory"]["context"], 128);
    let cpu: serde_json::Value = serde_json::from_str(&bench.run(&["info", "--cpu", "--json"]).success()).unwrap();
    assert_eq!(cpu["instruction_sets"][0], "scalar");
}

#[test]
fn info_describes_what_cannot_be_run() {
    let bench = Bench::new();
    let model = std::fs::read(&bench.model).unwrap();
    std::fs::write(bench.directory.path().join("cut.gguf"), &model[..model.len() - 4096]).unwrap();
    let ended = bench.run(&["info", "cut.gguf"]);
    assert!(ended.stderr.contains("the file was cut"), "{ended:?}");
    assert!(ended.success().contains("architecture  llama"));
    let name = b"general.architecture";
    let at = model.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4 + 8;
    let mut unknown = model;
    unknown[at..at + 5].copy_from_slice(b"blama");
    std::fs::write(bench.directory.path().join("unknown.gguf"), &unknown).unwrap();
    let text = bench.run(&["info", "unknown.gguf"]).success();
    assert!(text.contains("cannot be planned: architecture `blama` is not supported"), "{text}");
    let ended = bench.run(&["run", "unknown.gguf", "hi"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("hint: `ascua info` still shows"), "{ended:?}");
}
