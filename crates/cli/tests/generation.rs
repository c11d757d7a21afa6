//! `ascua run` and `ascua chat` on a tiny random model: where prompts come from, what is printed, how it ends.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};

use support::{Bench, Ended, Template, tiny_model};

/// Flags that make the tiny model say always the same.
const FIXED: &[&str] = &["--seed", "7", "-n", "24", "--ignore-eos"];

fn text_of(bench: &Bench, arguments: &[&str]) -> String {
    bench.run(&[&["run", "{model}"], arguments, FIXED].concat()).success()
}

#[test]
fn the_same_seed_gives_the_same_text_with_any_number_of_threads() {
    let bench = Bench::new();
    let first = text_of(&bench, &["the cat", "--threads", "1"]);
    assert!(first.len() > 10);
    assert_eq!(first, text_of(&bench, &["the cat", "--threads", "1"]));
    assert_eq!(first, text_of(&bench, &["the cat", "--threads", "2"]));
    let other = bench.run(&["run", "{model}", "the cat", "--seed", "8", "-n", "24", "--ignore-eos"]).success();
    assert_ne!(first, other);
    let greedy = |threads| text_of(&bench, &["the cat", "--temp", "0", "--precision", "exact", "--threads", threads]);
    assert_eq!(greedy("1"), greedy("2"));
}

#[test]
fn a_prompt_can_come_from_everywhere() {
    let bench = Bench::new();
    fs::write(bench.directory.path().join("prompt.txt"), "the cat").unwrap();
    let expected = text_of(&bench, &["the cat"]);
    assert_eq!(text_of(&bench, &["-p", "the cat"]), expected);
    assert_eq!(text_of(&bench, &["-f", "prompt.txt"]), expected);
    let piped = |arguments: &[&str], input: &str| {
        bench.run_with(&[&["run"], arguments, FIXED].concat(), input.as_bytes()).success()
    };
    assert_eq!(piped(&["{model}"], "the cat"), expected);
    assert_eq!(piped(&["{model}", "-f", "-"], "the cat"), expected);
    assert_eq!(piped(&["-m", "{model}"], "the cat"), expected);
    // The newline that ends a file's last line is not part of the prompt.
    assert_eq!(piped(&["{model}", "--raw"], "the cat\n"), text_of(&bench, &["--raw", "-p", "the cat"]));
    assert_eq!(bench.run(&[&["run", "-m", "{model}", "the cat"], FIXED].concat()).success(), expected);
    // Prompt and pipe together: a blank line between them.
    assert_eq!(piped(&["{model}", "the"], "cat\n"), text_of(&bench, &["-p", "the\n\ncat"]));
    // A raw prompt is exactly the prompt.
    assert_eq!(piped(&["{model}", "--raw", "the"], "cat"), text_of(&bench, &["--raw", "-p", "the"]));
    assert_ne!(text_of(&bench, &["--raw", "the"]), text_of(&bench, &["the"]));
    assert_ne!(text_of(&bench, &["--system", "cat", "the"]), text_of(&bench, &["the"]));
}

#[test]
fn a_silent_pipe_does_not_hold_up_a_prompt() {
    let bench = Bench::new();
    let mut child = bench.start(&[&["run", "{model}", "the cat"], FIXED].concat());
    let open = child.stdin.take();
    let ended = Ended::new(child.wait_with_output().unwrap());
    drop(open);
    assert!(ended.stderr.contains("nothing came within"), "{ended:?}");
    assert_eq!(ended.success(), text_of(&bench, &["the cat"]));
}

#[test]
fn json_holds_what_was_generated_and_how() {
    let bench = Bench::new();
    let text = text_of(&bench, &["--json", "the cat"]);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["finish"], "length");
    assert_eq!(answer["seed"], 7);
    assert_eq!(answer["tokens"].as_array().unwrap().len(), 24);
    assert_eq!(answer["timings"]["generated_tokens"], 24);
    // <s> <|user|> ▁the ▁cat <|end|> <|assistant|>
    assert_eq!(answer["timings"]["prompt_tokens"], 6);
    let plain = text_of(&bench, &["the cat"]);
    assert_eq!(format!("{}\n", answer["text"].as_str().unwrap().trim_end_matches('\n')), plain);
    assert!(answer["timings"]["load_seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_stop_string_ends_the_answer_before_it() {
    let bench = Bench::new();
    let whole = text_of(&bench, &["--raw", "the cat"]);
    let stop: String = whole.chars().skip(3).take(2).collect();
    let before = &whole[..whole.find(&stop).unwrap()];
    let text = text_of(&bench, &["--raw", "the cat", "--json", "--stop", &stop]);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((answer["text"].as_str(), answer["finish"].as_str()), (Some(before), Some("stop-string")));
}

#[test]
fn a_full_context_ends_the_answer_or_shifts() {
    let bench = Bench::new();
    let run = |more: &[&str]| {
        let base = &["run", "{model}", "the cat", "--seed", "7", "--ignore-eos", "--ctx", "64", "--json", "-n", "100"];
        bench.run(&[base, more].concat())
    };
    let ended = run(&[]);
    assert!(ended.stderr.contains("--context-shift goes on"), "{ended:?}");
    let answer: serde_json::Value = serde_json::from_str(&ended.success()).unwrap();
    assert_eq!(answer["finish"], "context-full");
    let answer: serde_json::Value = serde_json::from_str(&run(&["--context-shift", "--keep", "4"]).success()).unwrap();
    assert_eq!((answer["finish"].as_str(), answer["tokens"].as_array().unwrap().len()), (Some("length"), 100));
}

#[test]
fn verbose_tells_plan_and_times_on_standard_error() {
    let bench = Bench::new();
    let ended = bench.run(&[&["run", "{model}", "the cat", "-v", "--threads", "1", "--isa", "scalar"], FIXED].concat());
    for part in ["llama, 2 layers", "threads 1, instruction set scalar", "memory ", "weights", "tokens/s", "seed 7"] {
        assert!(ended.stderr.contains(part), "no `{part}` in {ended:?}");
    }
    assert!(!ended.stderr.contains('\x1b') && !ended.stdout.contains('\x1b'), "colours outside of a terminal");
}

#[test]
#[cfg(target_os = "linux")]
fn threads_for_prompts_and_processors_change_no_answer() {
    let bench = Bench::new();
    let run = |more: &[&str]| bench.run(&[&["run", "{model}", "the cat", "-v"], FIXED, more].concat());
    let plain = run(&["--threads", "1"]);
    // Processor 0 is one that nearly every machine lets us use; where it is not, the error says so.
    let placed = run(&["--threads", "1", "--threads-batch", "3", "--cpu-mask", "1", "--cpu-strict"]);
    assert!(placed.stderr.contains("threads 1 (3 for prompts) on processors 0,"), "{placed:?}");
    assert_eq!(plain.success(), placed.success());
}

#[test]
fn a_model_without_template_completes_and_says_so() {
    let mut bench = Bench::new();
    bench.model = tiny_model(bench.directory.path(), Template::Absent);
    let ended = bench.run(&[&["run", "{model}", "the cat"], FIXED].concat());
    assert!(ended.stderr.contains("no chat template"), "{ended:?}");
    let raw = bench.run(&[&["run", "{model}", "--raw", "the cat"], FIXED].concat());
    assert_eq!(raw.stderr, "");
    assert_eq!(ended.stdout.trim_end(), raw.success().trim_end());
}

#[test]
fn output_into_a_closed_pipe_ends_quietly() {
    let bench = Bench::new();
    let endless = ["run", "{model}", "the cat", "--ignore-eos", "--context-shift", "-n", "-1"];
    let mut child = bench.start(&endless);
    drop(child.stdin.take());
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    drop(stdout);
    let ended = Ended::new(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_chat_through_a_pipe_is_a_line_a_turn() {
    let bench = Bench::new();
    let chat = |input: &str| bench.run_with(&[&["chat", "{model}"], FIXED].concat(), input.as_bytes());
    let ended = chat("the cat\n/stats\n/save talk.json\n/regen\n");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("1 exchanges") && ended.stderr.contains("2 messages written"), "{ended:?}");
    let talk: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(bench.directory.path().join("talk.json")).unwrap()).unwrap();
    assert_eq!(talk["messages"][0]["content"], "the cat");
    // The first answer is that of `run`, and the second is another one.
    let answer = talk["messages"][1]["content"].as_str().unwrap();
    assert_eq!(answer.trim(), text_of(&bench, &["the cat"]).trim());
    assert!(ended.stdout.starts_with(answer) && ended.stdout.len() > answer.len() + 10);
    // A loaded conversation goes on as if it had not been interrupted.
    let whole = chat("the cat\nthe the\n").success();
    let rest = chat("/load talk.json\nthe the\n").success();
    assert!(whole.ends_with(&rest) && rest.len() > 5, "{whole:?} does not end with {rest:?}");
    // Several lines in fences are one message; an unknown command fails a script.
    assert_eq!(chat("\"\"\"\nthe\ncat\n\"\"\"\n").success().trim(), text_of(&bench, &["-p", "the\ncat"]).trim());
    let wrong = chat("/bogus\nthe cat\n");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(1), ""));
}

#[test]
fn a_long_chat_forgets_its_oldest_turns() {
    let bench = Bench::new();
    let input = "the cat the cat the cat\n".repeat(12) + "/stats\n";
    let ended = bench.run_with(&[&["chat", "{model}", "--ctx", "128"], FIXED].concat(), input.as_bytes());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("no longer fit and were left out"), "{ended:?}");
    assert!(ended.stderr.contains("12 exchanges, the oldest"), "{ended:?}");
}

#[cfg(unix)]
mod signals {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process};
    use std::process::Child;

    const ENDLESS: &[&str] = &["--ignore-eos", "--context-shift", "-n", "-1"];

    fn interrupt(child: &Child) {
        kill_process(Pid::from_child(child), Signal::INT).unwrap();
    }

    #[test]
    fn ctrl_c_ends_an_answer_with_what_there_is() {
        let bench = Bench::new();
        let mut child = bench.start(&[&["run", "{model}", "-v", "the cat"], ENDLESS].concat());
        drop(child.stdin.take());
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 16]).unwrap();
        interrupt(&child);
        let mut rest = Vec::new();
        stdout.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"\n"));
        let ended = Ended::new(child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(130), "{ended:?}");
        assert!(ended.stderr.contains("answer "), "the times are still told: {ended:?}");
    }

    #[test]
    fn ctrl_c_stops_an_answer_of_a_chat_and_the_chat_goes_on() {
        let bench = Bench::new();
        // Without newlines of the model's own, a newline is the end of an answer.
        let no_newline = format!("{}-inf", support::FIRST_BYTE + u32::from(b'\n'));
        let mut child = bench.start(&[&["chat", "{model}", "--logit-bias", &no_newline], ENDLESS].concat());
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        for _ in 0..2 {
            stdin.write_all(b"the cat\n").unwrap();
            stdout.read_exact(&mut [0; 16]).unwrap();
            interrupt(&child);
            // What is printed meanwhile must be read, or the program waits for us.
            let mut stopped = String::new();
            std::thread::scope(|scope| {
                scope.spawn(|| stderr.read_line(&mut stopped).unwrap());
                let mut last = [0; 1];
                while last != *b"\n" {
                    stdout.read_exact(&mut last).unwrap();
                }
            });
            assert_eq!(stopped, "(stopped)\n");
        }
        stdin.write_all(b"/exit\n").unwrap();
        drop(stdout);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
