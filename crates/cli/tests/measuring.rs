//! `ascua perplexity`, `imatrix` and `report` on a tiny random model: the numbers, and what is refused.

mod support;

use std::fs;

use support::Bench;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

/// Two tasks in each format, whose texts the tiny model has tokens for.
fn task_files(bench: &Bench) {
    let write = |name: &str, bytes: &[u8]| fs::write(bench.directory.path().join(name), bytes).unwrap();
    write("hellaswag.txt", b"the cat\n0\nthe\ncat\nthe cat\na\nthe\n3\ncat\nthe cat\nthe the\na\n");
    write("winogrande.csv", b"0,the _ the the cat the cat.,cat,hat,1\n1,\"the, _ the cat the cat.\",cat,heat,2\n");
    let text = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let number = |number: u32| number.to_le_bytes().to_vec();
    let task = [text("the"), number(2), text("cat"), text("heat"), number(0), number(1), number(0)].concat();
    let places = [number(2), number(12), number(12 + task.len() as u32)].concat();
    write("choices.bin", &[places, task.clone(), task].concat());
}

#[test]
fn tasks_with_choices_give_an_accuracy() {
    let bench = Bench::new();
    task_files(&bench);
    for (file, flag, choices) in [
        ("hellaswag.txt", "--hellaswag", 4),
        ("winogrande.csv", "--winogrande", 2),
        ("choices.bin", "--multiple-choice", 2),
    ] {
        let report = json(&bench.run(&["perplexity", "{model}", file, flag, "--json"]).success());
        let results = report["results"].as_array().unwrap();
        assert_eq!((report["tasks"].as_u64(), results.len()), (Some(2), 2), "{flag}");
        let correct = results.iter().filter(|result| result["correct"] == true).count();
        assert_eq!(report["correct"], correct, "{flag}");
        assert_eq!(report["accuracy"].as_f64(), Some(correct as f64 / 2.0), "{flag}");
        assert_eq!(report["chance"].as_f64(), Some(1.0 / f64::from(choices)), "{flag}");
        for result in results {
            let scores: Vec<f64> = result["scores"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            assert_eq!(scores.len(), choices as usize, "{flag}");
            assert!(scores.iter().all(|&score| score < 0.0 && score > -100.0), "{flag}: {scores:?}");
            let chosen = result["chosen"].as_u64().unwrap() as usize;
            assert!(scores.iter().all(|&score| score <= scores[chosen]), "{flag}: {result}");
        }
        // Drawn: one of them, with the same scores.
        let one = json(&bench.run(&["perplexity", "{model}", "-f", file, flag, "--tasks", "1", "--json"]).success());
        let drawn = &one["results"][0];
        let same = results.iter().find(|result| result["task"] == drawn["task"]).unwrap();
        assert_eq!((one["tasks"].as_u64(), drawn), (Some(1), same), "{flag}");
        let lines = bench.run(&["perplexity", "{model}", file, flag]).success();
        let lines: Vec<&str> = lines.lines().collect();
        assert!(lines.len() == 3 && lines[0].starts_with("[1/2] ") && lines[1].starts_with("[2/2] "), "{lines:?}");
        assert!(lines[2].contains(&format!("{correct} of 2 correct")), "{lines:?}");
    }
}

#[test]
fn tasks_that_cannot_be_scored_are_named() {
    let bench = Bench::new();
    task_files(&bench);
    let write = |name: &str, text: &str| fs::write(bench.directory.path().join(name), text).unwrap();
    write("five.txt", "scene\n0\na\nb\nc\n");
    write("nine.txt", "scene\n9\na\nb\nc\nd\n");
    write("gap.csv", "0,the _ cat,a,b,1\n\n1,the cat,a,b,1\n");
    write("long.csv", &format!("0,{}_ cat,a,b,1\n", "the cat ".repeat(50)));
    let cases: &[(&[&str], i32, &str)] = &[
        (&["five.txt", "--hellaswag"], 1, "5 lines; a file of HellaSwag tasks has 6 for each"),
        (&["nine.txt", "--hellaswag"], 1, "line 2: `9` is not the number of an ending, 0 to 3"),
        (&["gap.csv", "--winogrande"], 1, "line 3: the sentence has no `_`"),
        (&["long.csv", "--winogrande", "--ctx", "64"], 1, "task 1 has 1"),
        (&["gap.csv", "--multiple-choice"], 1, "not a file of multiple-choice tasks, or cut"),
        (&["missing.csv", "--winogrande"], 1, "cannot read missing.csv"),
        (&["gap.csv", "--winogrande", "--hellaswag"], 2, "cannot be used with"),
        (&["gap.csv", "--winogrande", "--ppl-stride", "4"], 2, "cannot be used with"),
        (&["gap.csv", "--tasks", "4"], 2, "required"),
    ];
    for (arguments, code, part) in cases {
        let ended = bench.run(&[&["perplexity", "{model}"], *arguments].concat());
        assert!(ended.code == Some(*code) && ended.stderr.contains(part), "{arguments:?}: no `{part}` in {ended:?}");
        assert!(*code == 2 || ended.stderr.contains(arguments[0]), "{arguments:?}: the file is not named in {ended:?}");
    }
}

/// A text of some hundred tokens.
fn text_file(bench: &Bench) {
    fs::write(bench.directory.path().join("text.txt"), "the cat caa the the cat a the ".repeat(20)).unwrap();
}

#[test]
fn a_model_is_no_way_from_its_own_probabilities() {
    let bench = Bench::new();
    text_file(&bench);
    let plain = ["perplexity", "{model}", "text.txt", "--ctx", "32", "--chunks", "3", "--json"];
    let save = [&plain[..], &["--save-logits", "base.bin"]].concat();
    let saved = json(&bench.run(&save).success());
    assert_eq!(saved, json(&bench.run(&plain).success()));
    assert_eq!(saved["chunks"].as_array().unwrap().len(), 3);
    let again = bench.run(&save);
    assert!(again.code == Some(2) && again.stderr.contains("base.bin exists"), "{again:?}");
    let compare = ["perplexity", "{model}", "--kl-divergence", "--kl-divergence-base", "base.bin"];
    let found = json(&bench.run(&[&compare[..], &["--json"]].concat()).success());
    // 32 tokens, the second half without the first of it; three times.
    assert_eq!((found["tokens"].as_u64(), found["same_top"]["value"].as_f64()), (Some(45), Some(1.0)));
    assert!(found["kl_divergence"]["value"].as_f64().unwrap().abs() < 1e-4, "{found}");
    let apart = found["ppl"]["value"].as_f64().unwrap() / found["ppl_base"]["value"].as_f64().unwrap() - 1.0;
    assert!(apart.abs() < 1e-3, "{found}");
    bench.run(&["quantize", "{model}", "small.gguf", "Q4_0"]).success();
    let mut small = compare;
    small[1] = "small.gguf";
    let small = json(&bench.run(&[&small[..], &["--json"]].concat()).success());
    assert!(small["kl_divergence"]["value"].as_f64().unwrap() > 1e-3, "{small}");
    let table = bench.run(&compare).success();
    assert!(table.contains("same top") && table.contains("[3/3]"), "{table}");
    let base = fs::read(bench.directory.path().join("base.bin")).unwrap();
    fs::write(bench.directory.path().join("base.bin"), &base[..base.len() - 1]).unwrap();
    let cut = bench.run(&compare);
    assert!(cut.code == Some(1) && cut.stderr.contains("base.bin: ") && cut.stderr.contains("is cut"), "{cut:?}");
}

#[test]
fn an_importance_matrix_is_collected_merged_shown_and_used() {
    let bench = Bench::new();
    text_file(&bench);
    let collect = ["imatrix", "{model}", "-f", "text.txt", "--ctx", "32", "--chunks", "2", "-o", "one.gguf", "--json"];
    let one = json(&bench.run(&collect).success());
    // Two layers of seven matrices.
    assert_eq!(
        (one["entries"].as_u64(), one["chunks"].as_u64(), one["chunk_size"].as_u64()),
        (Some(14), Some(2), Some(32))
    );
    let again = bench.run(&collect);
    assert!(again.code == Some(1) && again.stderr.contains("one.gguf exists\nhint: --force replaces it"), "{again:?}");
    let merge =
        ["imatrix", "--in-file", "one.gguf", "--in-file", "one.gguf", "-o", "two.dat", "--output-format", "dat"];
    bench.run(&merge).success();
    let shown = json(&bench.run(&["imatrix", "--in-file", "two.dat", "--show-statistics", "--json"]).success());
    assert_eq!(shown["chunks"].as_u64(), Some(4));
    let alone = json(&bench.run(&["imatrix", "--in-file", "one.gguf", "--show-statistics", "--json"]).success());
    for (twice, once) in shown["tensors"].as_array().unwrap().iter().zip(alone["tensors"].as_array().unwrap()) {
        // Means: the same text twice weighs as much as once.
        let (twice_total, once_total) = (twice["total"].as_f64().unwrap(), once["total"].as_f64().unwrap());
        assert!(once_total > 0.0 && (twice_total / once_total - 1.0).abs() < 1e-4, "{twice} for {once}");
    }
    let table = bench.run(&["imatrix", "--in-file", "one.gguf", "--show-statistics"]).success();
    assert!(table.contains("ffn_down") && table.contains("14 weights, 2 chunks of 32 tokens of text.txt"), "{table}");
    bench.run(&["quantize", "{model}", "with.gguf", "Q4_0", "--imatrix", "one.gguf"]).success();
    bench.run(&["quantize", "{model}", "without.gguf", "Q4_0"]).success();
    let read = |name: &str| ascua::gguf::Gguf::open(bench.directory.path().join(name)).unwrap();
    let (with, without) = (read("with.gguf"), read("without.gguf"));
    let changed = with.tensors().iter().zip(without.tensors()).filter(|(a, b)| with.data(a)[..] != without.data(b)[..]);
    assert_eq!(changed.count(), 14, "the matrices that importance was collected for");
}

#[test]
fn a_report_has_a_row_a_type_and_goes_on_where_it_was() {
    let bench = Bench::new();
    text_file(&bench);
    let arguments = |types: &'static str| {
        [
            "report",
            "{model}",
            "--text",
            "text.txt",
            "--types",
            types,
            "--ctx",
            "32",
            "--chunks",
            "2",
            "-p",
            "8",
            "-n",
            "4",
            "-r",
            "1",
            "--directory",
            "out",
            "--json",
        ]
    };
    let report = json(&bench.run(&arguments("F16,Q8_0,Q4_0")).success());
    let rows = report["rows"].as_array().unwrap();
    let types: Vec<&str> = rows.iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(types[1..], ["F16", "Q8_0", "Q4_0"]);
    assert_eq!(rows[0]["source"], true);
    for pair in rows.windows(2) {
        assert!(pair[0]["bytes"].as_u64() > pair[1]["bytes"].as_u64(), "{pair:?}");
    }
    let divergence = |row: usize| rows[row]["kl_divergence"]["value"].as_f64().unwrap();
    assert!(divergence(1) < divergence(2) && divergence(2) < divergence(3), "{rows:?}");
    assert!(rows.iter().all(|row| row["prompt_tokens_per_second"].as_f64().unwrap() > 0.0));
    let read = |name: &str| fs::read_to_string(bench.directory.path().join("out").join(name)).unwrap();
    assert_eq!(json(&read("report.json")), report);
    assert!(
        types.iter().all(|name| read("report.md").contains(&format!("| {name}")) && read("report.svg").contains(name))
    );
    assert_eq!(fs::read_dir(bench.directory.path().join("out")).unwrap().count(), 3, "the work was cleared away");
    // Another type is added: the source is read again for its probabilities, the types that are there are not.
    let more = json(&bench.run(&arguments("F16,Q8_0,Q4_0,Q5_0")).success());
    let kept: Vec<_> = more["rows"].as_array().unwrap().iter().filter(|row| row["type"] != "Q5_0").cloned().collect();
    assert_eq!(kept[1..], rows[1..]);
    assert_eq!(more["rows"].as_array().unwrap().len(), 5);
}
