//! `ascua bench`: what it prints in each form, and its profile.

mod support;

use support::Bench;

const SHORT: &[&str] = &["bench", "{model}", "-p", "6", "-n", "3", "-r", "2", "-t", "1,2"];

#[test]
fn a_row_for_each_test_and_number_of_threads() {
    let bench = Bench::new();
    let table = bench.run(SHORT).success();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| tiny")).collect();
    let tests: Vec<Vec<&str>> = rows.iter().map(|row| row.split('|').map(str::trim).collect()).collect();
    let found: Vec<(&str, &str)> = tests.iter().map(|cells| (cells[2], cells[4])).collect();
    assert_eq!(found, [("1", "pp6"), ("1", "tg3"), ("2", "pp6"), ("2", "tg3")], "{table}");
    let csv = bench.run(&[SHORT, &["-o", "csv"]].concat()).success();
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert!(csv.starts_with("model,threads,ubatch,test,median"), "{csv}");
}

#[test]
fn a_profile_names_the_work_and_sums_to_one() {
    let bench = Bench::new();
    let text = bench.run(&[SHORT, &["--profile"]].concat()).success();
    for part in ["where the time went, tiny, pp6, 1 threads", "%  attention", "%  matmul "] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    let json = bench.run(&[SHORT, &["--profile", "--json"]].concat()).success();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(row["samples"].as_array().unwrap().len(), 2);
        let profile = row["profile"].as_array().unwrap();
        let sum: f64 = profile.iter().map(|share| share["share"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        let seconds: Vec<f64> = profile.iter().map(|share| share["seconds"].as_f64().unwrap()).collect();
        assert!(seconds.is_sorted_by(|a, b| a >= b) && seconds[0] > 0.0, "{seconds:?}");
        if row["threads"] == 1 {
            let waiting = profile.iter().find(|share| share["work"] == "waiting for other threads").unwrap();
            assert!(waiting["share"].as_f64().unwrap() < 0.5, "nobody to wait for: {waiting}");
        }
    }
    let plain: serde_json::Value = serde_json::from_str(&bench.run(&[SHORT, &["--json"]].concat()).success()).unwrap();
    assert_eq!(plain[0].get("profile"), None);
}

/// Where processors were named and no number of threads, all that the machine has were reported.
#[test]
fn the_threads_of_a_row_are_those_that_worked() {
    let bench = Bench::new();
    let flags = ["bench", "{model}", "-p", "4", "-n", "2", "-r", "1", "--json", "--cpu-mask", "1"];
    let threads = |more: &[&str]| -> Vec<u64> {
        let json = bench.run(&[&flags[..], more].concat()).success();
        let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        rows.iter().map(|row| row["threads"].as_u64().unwrap()).collect()
    };
    assert_eq!(threads(&[]), [1, 1]);
    assert_eq!(threads(&["--threads-batch", "3"]), [3, 1]);
}
