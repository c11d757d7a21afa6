//! `ascua perplexity` on a tiny random model: tasks with choices, and what is refused.

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
