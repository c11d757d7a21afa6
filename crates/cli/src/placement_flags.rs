//! The flags that say how many threads work on prompts, and on which processors.

use anyhow::Context as _;
use ascua::Placement;
use clap::{Args, ValueEnum};

use crate::model_flags::threads;

/// Processors that a mask or a range can name.
const MOST: usize = 1024;

/// Threads for prompts, and where all threads run.
#[derive(Args, Clone, Debug)]
pub struct PlacementFlags {
    /// Worker threads for prompts and other steps of several tokens [default: as --threads]
    #[arg(long, value_name = "N", value_parser = threads, help_heading = "Model")]
    pub threads_batch: Option<usize>,

    /// Processors to run on, as the bits of a hexadecimal number: f is the first four
    #[arg(long, value_name = "HEX", value_parser = mask, help_heading = "Model")]
    cpu_mask: Option<Processors>,

    /// Processors to run on, the first and the last of them, counted from 0; adds to --cpu-mask
    #[arg(long, value_name = "FIRST-LAST", value_parser = range, help_heading = "Model")]
    cpu_range: Option<Processors>,

    /// Give each thread a processor of its own among them
    #[arg(long, value_name = "0|1", num_args = 0..=1, default_missing_value = "1", default_value = "0", hide_default_value = true, value_parser = ["0", "1"], help_heading = "Model")]
    cpu_strict: String,

    /// On machines with several memory nodes: `distribute` threads over them, `isolate` them on the one the program
    /// started on, or leave that to `numactl`
    #[arg(long, value_enum, hide_possible_values = true, value_name = "HOW", conflicts_with_all = ["cpu_mask", "cpu_range"], help_heading = "Model")]
    numa: Option<Numa>,
}

/// `--numa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Numa {
    /// Threads take turns among the nodes
    Distribute,
    /// Threads stay on the node they started on
    Isolate,
    /// Threads run where the program that started us lets them
    Numactl,
}

/// Numbers of processors, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Processors(Vec<usize>);

impl PlacementFlags {
    /// The same as the library takes it.
    pub fn placement(&self) -> anyhow::Result<Placement> {
        let named = [&self.cpu_mask, &self.cpu_range].into_iter().flatten().flat_map(|list| &list.0);
        let mut named: Vec<usize> = named.copied().collect();
        named.sort_unstable();
        named.dedup();
        let strict = self.cpu_strict == "1";
        match (self.numa, named.is_empty()) {
            (Some(Numa::Distribute), _) => Placement::over_nodes().context("--numa distribute"),
            (Some(Numa::Isolate), _) => Placement::on_this_node().context("--numa isolate"),
            (_, true) => Ok(Placement::default()),
            (_, false) if strict => Placement::one_each(&named).context("--cpu-mask, --cpu-range"),
            (_, false) => Placement::within(&named).context("--cpu-mask, --cpu-range"),
        }
    }
}

fn mask(text: &str) -> Result<Processors, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > MOST / 4 {
        return Err(format!("more than {} digits: at most {MOST} processors can be named", MOST / 4));
    }
    let mut processors = Vec::new();
    for (place, digit) in digits.chars().rev().enumerate() {
        let bits = digit.to_digit(16).ok_or("a hexadecimal number is needed, such as f or 0x3c")?;
        processors.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| 4 * place + bit));
    }
    if processors.is_empty() { Err("no bit is set".into()) } else { Ok(Processors(processors)) }
}

fn range(text: &str) -> Result<Processors, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last && last < MOST => Ok(Processors((first..=last).collect())),
        _ => Err(format!("two numbers below {MOST}, the smaller first, are needed, such as 0-3")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_name_processors_by_their_bits() {
        assert_eq!(mask("f"), Ok(Processors(vec![0, 1, 2, 3])));
        assert_eq!(mask("0xA1"), Ok(Processors(vec![0, 5, 7])));
        assert_eq!(mask(&format!("8{}", "0".repeat(255))), Ok(Processors(vec![1023])));
        for wrong in ["", "0", "0x", "g", "-1", &"1".repeat(257)] {
            assert!(mask(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_hold_both_ends() {
        assert_eq!(range("2-4"), Ok(Processors(vec![2, 3, 4])));
        assert_eq!(range("7"), Ok(Processors(vec![7])));
        for wrong in ["", "-", "4-2", "0-1024", "a-b", "1-2-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
