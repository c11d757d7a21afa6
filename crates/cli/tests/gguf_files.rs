//! `ascua gguf`: what it says of files, what it writes, and that what stands in the way leaves everything as it was.

mod support;

use std::fs;

use ascua::gguf::{Gguf, GgufWriter, TensorType};
use support::Bench;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

/// Names in the bench's directory.
fn names(bench: &Bench) -> Vec<String> {
    let entries = fs::read_dir(bench.directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_subcommand_has_help_with_examples_and_exit_codes() {
    let bench = Bench::new();
    for command in ["dump", "set", "remove", "split", "merge", "hash", "diff", "check"] {
        let help = bench.run(&["gguf", command, "--help"]).success();
        for part in ["Examples:", &format!("ascua gguf {command}"), "Exit codes: 0 "] {
            assert!(help.contains(part), "no `{part}` in the help of {command}:\n{help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 120), "long lines in the help of {command}");
    }
}

#[test]
fn a_dump_tells_types_shapes_and_places() {
    let bench = Bench::new();
    let dump = json(&bench.run(&["gguf", "dump", "{model}", "--json"]).success());
    assert_eq!(dump["metadata"]["general.architecture"], serde_json::json!({"type": "string", "value": "llama"}));
    let tokens = &dump["metadata"]["tokenizer.ggml.tokens"];
    assert_eq!((&tokens["element_type"], tokens["value"].as_array().unwrap().len()), (&"string".into(), 8));
    let gguf = Gguf::open(&bench.model).unwrap();
    for (tensor, shown) in gguf.tensors().iter().zip(dump["tensors"].as_array().unwrap()) {
        let expected = serde_json::json!({
            "name": tensor.name, "type": tensor.tensor_type.name(), "shape": tensor.shape,
            "part": 0, "offset": tensor.start(), "bytes": tensor.bytes(),
        });
        assert_eq!(*shown, expected);
    }
    let full = json(&bench.run(&["gguf", "dump", "{model}", "--json", "--full", "--no-tensors"]).success());
    let elements = full["metadata"]["tokenizer.ggml.tokens"]["elements"].as_u64().unwrap();
    assert_eq!(full["metadata"]["tokenizer.ggml.tokens"]["value"].as_array().unwrap().len() as u64, elements);
    assert!(full.get("tensors").is_none());
}

#[test]
fn keys_are_set_and_removed_and_tensors_stay() {
    let bench = Bench::new();
    let before = Gguf::open(&bench.model).unwrap();
    let key = "llama.context_length";
    let arguments = ["gguf", "set", "{model}", "a.b=str:x", &format!("{key}=int:77"), "-o", "out.gguf"];
    bench.run(&arguments).success();
    let path = bench.directory.path().join("out.gguf");
    let after = Gguf::open(&path).unwrap();
    assert_eq!(after.metadata().string("a.b"), Ok(Some("x")));
    assert_eq!(after.metadata().unsigned(key), Ok(Some(77)));
    let types = [&before, &after].map(|gguf| gguf.metadata().get(key).unwrap().value_type());
    assert_eq!(types[0], types[1], "a number keeps the key's type");
    for tensor in before.tensors() {
        assert!(before.data(tensor)[..] == after.data(after.tensor(&tensor.name).unwrap())[..], "{}", tensor.name);
    }
    // Back again, in its own place: the same file as before but for the number.
    bench.run(&["gguf", "remove", "out.gguf", "a.b", "--force"]).success();
    bench
        .run(&[
            "gguf",
            "set",
            "out.gguf",
            &format!("{key}=int:{}", before.metadata().unsigned(key).unwrap().unwrap()),
            "--force",
        ])
        .success();
    assert!(fs::read(&path).unwrap() == fs::read(&bench.model).unwrap());
}

#[test]
fn parts_and_the_whole_are_the_same_model() {
    let bench = Bench::new();
    bench.run(&["gguf", "split", "{model}", "part", "--max-tensors", "8", "--no-tensor-first-split"]).success();
    let whole = Gguf::open(&bench.model).unwrap();
    let count = whole.tensors().len().div_ceil(8) + 1;
    let first = format!("part-00001-of-{count:05}.gguf");
    // The keys of the split, and their order, are those of llama-gguf-split.
    let part = Gguf::open_part(bench.directory.path().join(format!("part-00002-of-{count:05}.gguf"))).unwrap();
    let keys: Vec<(&str, &str)> = part.metadata().iter().map(|(key, value)| (key, value.value_type().name())).collect();
    assert_eq!(keys, [("split.no", "u16"), ("split.tensors.count", "i32"), ("split.count", "u16")]);
    assert_eq!(part.tensors().len(), 8);
    bench.run(&["gguf", "merge", &first, "merged.gguf"]).success();
    let difference = bench.run(&["gguf", "diff", "{model}", "merged.gguf", "--json"]);
    assert_eq!(difference.code, Some(3), "{difference:?}");
    let difference = json(&difference.stdout);
    assert_eq!(difference["metadata"].as_array().unwrap().len(), 3, "the keys of the split stay: {difference}");
    assert_eq!(
        (&difference["tensors"], &difference["equal_tensors"]),
        (&serde_json::json!([]), &whole.tensors().len().into())
    );
    bench.run(&["gguf", "diff", "{model}", &first, "--no-metadata"]).success();
    let plan =
        json(&bench.run(&["gguf", "split", "{model}", "x", "--max-size", "20000", "--dry-run", "--json"]).success());
    let bytes = plan["parts"].as_array().unwrap().iter().map(|part| part["tensor_bytes"].as_u64().unwrap());
    assert_eq!(bytes.sum::<u64>(), whole.tensors().iter().map(|tensor| tensor.bytes()).sum::<u64>());
    assert!(names(&bench).iter().all(|name| !name.starts_with("x-")));
}

#[test]
fn what_stands_in_the_way_leaves_everything_as_it_was() {
    let bench = Bench::new();
    let path = |name: &str| bench.directory.path().join(name);
    fs::write(path("mine"), "mine").unwrap();
    fs::write(path("p-00002-of-00002.gguf"), "mine").unwrap();
    let model = fs::read(&bench.model).unwrap();
    fs::write(path("cut.gguf"), &model[..model.len() - 4096]).unwrap();
    let tensors = Gguf::open(&bench.model).unwrap().tensors().len();
    let half = tensors.div_ceil(2).to_string();
    let before = names(&bench);
    let cases: &[(&[&str], i32, &str, &str)] = &[
        (&["set", "{model}", "a=int:1"], 1, "exists", "--force replaces it"),
        (&["set", "{model}", "a=int:1", "-o", "mine"], 1, "exists", "--force replaces it"),
        (&["set", "{model}", "a=int:1", "-o", "{model}", "--force"], 1, "is the input too", "another name"),
        (&["set", "{model}", "a=int:1", "-o", "nowhere/x.gguf"], 1, "No such file", ""),
        (&["set", "{model}", "a=byte:1", "-o", "x"], 2, "is not KEY=TYPE:VALUE", "for example"),
        (&["set", "{model}", "split.count=int:1", "-o", "x"], 2, "tells the parts", "ascua gguf split"),
        (&["set", "{model}", "general.alignment=int:3", "-o", "x"], 1, "`general.alignment` is 3", ""),
        (&["set", "cut.gguf", "a=int:1", "-o", "x"], 1, "but the file has", "the file was cut"),
        (&["remove", "{model}", "no.such", "-o", "x"], 1, "`no.such` is missing", ""),
        (&["remove", "{model}", "general.architecture", "-o", "x"], 2, "no model", "changes it"),
        (&["split", "{model}", "p", "--max-tensors", &half], 1, "exists", "--force replaces it"),
        (&["split", "{model}", "p", "--max-size", "2T"], 2, "a size is a whole number", ""),
        (&["merge", "{model}", "x"], 2, "is no split model", "first of its parts"),
        (&["hash", "{model}", "--check", "mine"], 1, "no line of a known kind", ""),
        (&["hash", "cut.gguf"], 1, "but the file has", "the file was cut"),
        (&["diff", "{model}", "nosuch.gguf"], 1, "nosuch.gguf", ""),
        (&["check", "nosuch.gguf"], 1, "nosuch.gguf", ""),
    ];
    for (arguments, code, error, hint) in cases {
        let arguments: Vec<&str> = ["gguf"].iter().chain(*arguments).copied().collect();
        let ended = bench.run(&arguments);
        assert_eq!(ended.code, Some(*code), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(error) && ended.stderr.contains(hint), "{arguments:?}: {ended:?}");
        assert_eq!(names(&bench), before, "{arguments:?}");
    }
    assert!(fs::read(&bench.model).unwrap() == model && fs::read(path("mine")).unwrap() == b"mine");
}

#[test]
fn a_manifest_tells_the_file_from_a_changed_one() {
    let bench = Bench::new();
    let manifest = bench.run(&["gguf", "hash", "{model}", "--all", "--uuid"]).success();
    fs::write(bench.directory.path().join("manifest"), &manifest).unwrap();
    let check = |expected: i32, part: &str| {
        let ended = bench.run(&["gguf", "hash", "tiny.gguf", "--check", "manifest"]);
        assert_eq!(ended.code, Some(expected), "{ended:?}");
        assert!(ended.stdout.contains("sha256") && ended.stdout.contains(part), "{ended:?}");
    };
    check(0, "tiny.gguf:output_norm.weight  -  Ok");
    let mut bytes = fs::read(&bench.model).unwrap();
    let tensor = Gguf::open(&bench.model).unwrap().tensor("output_norm.weight").unwrap().start() as usize;
    bytes[tensor] ^= 1;
    fs::write(&bench.model, &bytes).unwrap();
    check(3, "tiny.gguf:output_norm.weight  -  Mismatch");
    fs::write(bench.directory.path().join("manifest"), manifest.replace("tiny", "other")).unwrap();
    check(3, "Not Found");
}

/// The kinds of findings of a file made of the tiny model's tensors.
fn findings(bench: &Bench, keep: impl Fn(&str) -> bool, damage: impl Fn(&str, &mut Vec<u8>)) -> (i32, Vec<String>) {
    let gguf = Gguf::open(&bench.model).unwrap();
    let mut writer = GgufWriter::new(gguf.metadata().clone());
    for tensor in gguf.tensors().iter().filter(|tensor| keep(&tensor.name)) {
        let mut data = gguf.data(tensor).to_vec();
        damage(&tensor.name, &mut data);
        writer.add(&tensor.name, tensor.shape.as_slice(), tensor.tensor_type, data).unwrap();
    }
    writer.add("extra.weight", [4], TensorType::F32, vec![0; 16]).unwrap();
    writer.write_file(bench.directory.path().join("made.gguf")).unwrap();
    let ended = bench.run(&["gguf", "check", "made.gguf", "--json"]);
    let report = json(&ended.stdout);
    let kinds = report["findings"].as_array().unwrap().iter();
    (ended.code.unwrap(), kinds.map(|finding| finding["message"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn a_check_finds_what_is_damaged_and_nothing_else() {
    let bench = Bench::new();
    assert!(bench.run(&["gguf", "check", "{model}"]).success().contains("sound"));
    let (code, found) = findings(&bench, |_| true, |_, _| ());
    assert_eq!(code, 3);
    assert!(found.len() == 1 && found[0].contains("`extra.weight`"), "{found:?}");
    let (_, found) = findings(
        &bench,
        |name| name != "blk.1.attn_k.weight" && name != "blk.0.ffn_norm.weight",
        |name, data| {
            if name == "blk.1.ffn_up.weight" {
                data[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
                data[12..16].copy_from_slice(&f32::INFINITY.to_le_bytes());
            }
            if name == "blk.0.attn_q.weight" {
                data.fill(0);
            }
        },
    );
    for part in [
        "tensor `blk.1.attn_k.weight` is missing",
        "tensor `blk.0.ffn_norm.weight` is missing",
        "`blk.1.ffn_up.weight`: of 2048 values 1 are NaN and 1 infinite, first 1",
        "`blk.0.attn_q.weight` is all zero",
    ] {
        assert!(found.iter().any(|message| message.contains(part)), "no `{part}` in {found:?}");
    }
    assert_eq!(found.len(), 5, "{found:?}");
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_half_way_leaves_no_file() {
    let bench = Bench::new();
    let before = names(&bench);
    let model = bench.model.to_str().unwrap();
    for arguments in [
        &["gguf", "set", model, "a=int:1", "-o", "x.gguf"][..],
        &["gguf", "set", model, "a=int:1", "--force"],
        &["gguf", "split", model, "x", "--max-tensors", "8"],
        &["quantize", model, "x.gguf", "F16"],
    ] {
        // A limit on the size of files stands for the full disk: 32 kB, or 64 where the shell counts in larger blocks.
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ascua")]);
        let output = command.args(arguments).current_dir(bench.directory.path()).output().unwrap();
        let ended = support::Ended::new(output);
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("File too large"), "{arguments:?}: {ended:?}");
        assert_eq!(names(&bench), before, "{arguments:?}");
    }
    Gguf::open(&bench.model).unwrap();
}
