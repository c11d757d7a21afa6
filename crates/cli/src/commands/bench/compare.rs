//! `--compare`: two settings or two builds measured in turn, so that what slows the machine down slows both.
//!
//! Each measurement is a process of its own (`bench … -r 1 --json`), A B A B …; a pair of neighbours gives a ratio. The
//! first line of a program's JSON has been stable since the first version, so old builds can be compared.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use ascua_eval::median;
use clap::{Arg, Args as _};
use serde::{Deserialize, Serialize};

use super::Arguments;
use super::chart::{self, Bar, Panel};
use super::report::Format;
use crate::commands::spelled_out;
use crate::failure::{Status, usage};
use crate::interrupt::Watch;
use crate::output;

/// Flags of the comparison itself, which the measurements do not get.
const OWN: &[&str] = &["compare", "runs", "json", "output", "plot"];

/// What is measured.
struct Side {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// What a measurement prints; builds before the comparison print the first two only.
#[derive(Deserialize)]
struct Measured {
    test: String,
    tokens_per_second: f64,
    #[serde(default)]
    model: String,
    #[serde(default)]
    threads: usize,
}

/// Speeds of a test on both sides, pair by pair.
#[derive(Default, Serialize)]
struct Pairs {
    test: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    model: String,
    a: Vec<f64>,
    b: Vec<f64>,
}

impl Pairs {
    /// B's speed over A's: median, least and greatest of the pairs.
    fn ratio(&self) -> (f64, f64, f64) {
        let ratios: Vec<f64> = self.a.iter().zip(&self.b).map(|(a, b)| b / a).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        (median(&ratios), least, ratios.iter().copied().fold(0.0, f64::max))
    }
}

/// Measures `pairs` times on both sides and prints the ratios.
pub fn run(other: &str, pairs: usize, format: Format, plot: Option<&Path>) -> anyhow::Result<Status> {
    let given: Vec<OsString> = std::env::args_os().collect();
    let sides = sides(other, given)?;
    if format == Format::Markdown {
        output::line(&format!("A: as given; B: {other}"))?;
    }
    let watch = Watch::new();
    let mut order = Vec::new();
    let mut found: HashMap<String, Pairs> = HashMap::new();
    for _ in 0..pairs {
        let [a, b] = [sides[0].measure()?, sides[1].measure()?];
        if watch.is_raised() {
            break;
        }
        if a.len() != b.len() {
            bail!("A has {} rows and B {}: compare settings that have the same tests", a.len(), b.len());
        }
        // The rows of both sides stand in the same order; numbers of threads may be what differs.
        for (index, (a, b)) in a.into_iter().zip(b).enumerate() {
            let key = format!("{index} {} {} {}", a.test, a.model, a.threads);
            let entry = found.entry(key.clone()).or_insert_with(|| {
                order.push(key);
                let test = if a.test == b.test { a.test.clone() } else { format!("{} / {}", a.test, b.test) };
                Pairs { test, model: a.model.clone(), ..Pairs::default() }
            });
            entry.a.push(a.tokens_per_second);
            entry.b.push(b.tokens_per_second);
        }
    }
    let found: Vec<Pairs> = order.iter().filter_map(|key| found.remove(key)).collect();
    print(&found, format)?;
    if let Some(path) = plot {
        let bar = |pairs: &Pairs| {
            let (value, least, most) = pairs.ratio();
            Bar { label: format!("{} {}", pairs.model, pairs.test), value, spread: (least, most) }
        };
        let title = format!("speed with {other} over speed without");
        chart::write(path, &[Panel { title, bars: found.iter().map(bar).collect() }])?;
    }
    Ok(if watch.is_raised() { Status::Interrupted } else { Status::Done })
}

fn print(found: &[Pairs], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => return output::json(&found),
        Format::Csv => output::line("model,test,a,b,ratio,least,greatest,pairs")?,
        Format::Markdown => {
            output::line(
                "| model | test | A t/s | B t/s | B / A | least – greatest | pairs |\n|---|---|---:|---:|---:|---:|---:|",
            )?;
        }
    }
    for pairs in found {
        let (ratio, least, most) = pairs.ratio();
        let (a, b, count) = (median(&pairs.a), median(&pairs.b), pairs.a.len());
        let Pairs { model, test, .. } = pairs;
        output::line(&match format {
            Format::Csv => format!("{model},{test},{a},{b},{ratio},{least},{most},{count}"),
            _ => format!("| {model} | {test} | {a:.2} | {b:.2} | {ratio:.3} | {least:.3} – {most:.3} | {count} |"),
        })?;
    }
    Ok(())
}

/// The two sides: the command line as it is, and the same with another program or other flags.
fn sides(other: &str, given: Vec<OsString>) -> anyhow::Result<[Side; 2]> {
    let this = std::env::current_exe().context("cannot find this program")?;
    let given = spelled_out(given.into_iter());
    let mut words: Vec<&str> = other.split_whitespace().collect();
    // The whole text may be a path with blanks in it.
    let program = match (Path::new(other).is_file(), words.first()) {
        (true, _) => {
            words.clear();
            PathBuf::from(other)
        }
        (false, Some(first)) if Path::new(first).is_file() && !first.ends_with(".gguf") => {
            PathBuf::from(words.remove(0))
        }
        (false, Some(first)) if first.starts_with('-') => this.clone(),
        (false, _) => return Err(usage(format!("`{other}` is neither flags nor a program"), "--compare '-t 1'")),
    };
    let flags = Flags::new();
    let own = flags.without(&given[1..], |name| OWN.contains(&name));
    let changed = ["ascua", "bench"].iter().chain(&words).map(OsString::from);
    let changed = spelled_out(changed).split_off(2);
    let names = flags.names(&changed);
    let mut arguments = flags.without(&own, |name| names.iter().any(|changed| changed == name));
    arguments.extend(changed);
    Ok([Side { program: this, arguments: own }, Side { program, arguments }])
}

impl Side {
    fn measure(&self) -> anyhow::Result<Vec<Measured>> {
        let name = self.program.display();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(["-r", "1", "--json"]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().with_context(|| format!("cannot start {name}"))?;
        if !output.status.success() {
            bail!("{name} ended with {}", output.status);
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{name} printed something else than a benchmark"))
    }
}

/// The flags of `bench`, to find them among words.
struct Flags(clap::Command);

impl Flags {
    fn new() -> Flags {
        Flags(Arguments::augment_args(clap::Command::new("bench")))
    }

    /// The flag a word begins, and whether its value is the next word.
    fn find(&self, word: &OsString) -> Option<(&str, bool)> {
        let word = word.to_str()?;
        let (arg, attached) = if let Some(long) = word.strip_prefix("--") {
            let (name, attached) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
            let is = |arg: &&Arg| {
                arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
            };
            (self.0.get_arguments().find(is)?, attached)
        } else {
            let mut letters = word.strip_prefix('-')?.chars();
            let letter = letters.next()?;
            let is = |arg: &&Arg| {
                arg.get_short() == Some(letter) || arg.get_all_short_aliases().is_some_and(|all| all.contains(&letter))
            };
            (self.0.get_arguments().find(is)?, !letters.as_str().is_empty())
        };
        Some((arg.get_id().as_str(), arg.get_action().takes_values() && !attached))
    }

    /// The flags among the words.
    fn names(&self, words: &[OsString]) -> Vec<String> {
        words.iter().filter_map(|word| Some(self.find(word)?.0.to_owned())).collect()
    }

    /// The words without the flags called so, and without their values.
    fn without(&self, words: &[OsString], dropped: impl Fn(&str) -> bool) -> Vec<OsString> {
        let mut kept = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some((name, next_is_value)) = self.find(word) else {
                kept.push(word.clone());
                continue;
            };
            let value = if next_is_value { words.next() } else { None };
            if !dropped(name) {
                kept.push(word.clone());
                kept.extend(value.cloned());
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_side_has_the_other_flags_instead() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for (given, other, a, b) in [
            ("bench m.gguf -p 64 -t 2 --json -r 9", "-t 1", "bench m.gguf -p 64 -t 2", "bench m.gguf -p 64 -t 1"),
            ("bench -t2 m.gguf --plot=x.svg", "--threads=1", "bench -t2 m.gguf", "bench m.gguf --threads=1"),
            ("bench m.gguf -ub 512", "-ub 64", "bench m.gguf --ubatch 512", "bench m.gguf --ubatch 64"),
            ("bench m.gguf --compare -v", "--isa avx2", "bench m.gguf", "bench m.gguf --isa avx2"),
        ] {
            let given: Vec<OsString> = [words("ascua"), words(given)].concat();
            let [first, second] = sides(other, given).expect("flags");
            assert_eq!((first.arguments, second.arguments), (words(a), words(b)), "{other}");
        }
    }

    #[test]
    fn a_word_that_is_neither_flag_nor_program_is_refused() {
        let error = sides("nowhere", vec!["ascua".into()]).err().expect("an error").to_string();
        assert_eq!(error, "`nowhere` is neither flags nor a program");
    }

    #[test]
    fn ratios_are_of_neighbours() {
        let pairs = Pairs { a: vec![1.0, 2.0, 4.0], b: vec![2.0, 3.0, 4.0], ..Pairs::default() };
        assert_eq!(pairs.ratio(), (1.5, 1.0, 2.0));
    }
}
