//! `--kl-divergence`: how far a model is from the one whose probabilities are in a file.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use ascua::Flow;
use ascua_eval::{BaseLogits, DivergenceEstimate, KlDivergence, Measured, kl_divergence};
use serde::Serialize;

use super::Arguments;
use crate::failure::Status;
use crate::interrupt::Watch;
use crate::output;
use crate::progress::CountProgress;

/// Percentiles shown, with the names they are shown by.
const PERCENTILES: &[(&str, f64)] = &[
    ("maximum", 1.0),
    ("99.9 %", 0.999),
    ("99 %", 0.99),
    ("95 %", 0.95),
    ("90 %", 0.9),
    ("75 %", 0.75),
    ("median", 0.5),
    ("25 %", 0.25),
    ("10 %", 0.1),
    ("5 %", 0.05),
    ("1 %", 0.01),
    ("0.1 %", 0.001),
    ("minimum", 0.0),
];

#[derive(Serialize)]
struct Report {
    tokens: usize,
    ppl: Number,
    ppl_base: Number,
    ppl_ratio: Number,
    ppl_difference: Number,
    log_ppl_ratio: Number,
    correlation: f64,
    kl_divergence: Number,
    kl_divergence_percentiles: BTreeMap<String, f64>,
    probability_change: Number,
    probability_change_rms: Number,
    probability_change_percentiles: BTreeMap<String, f64>,
    same_top: Number,
}

#[derive(Serialize)]
struct Number {
    value: f64,
    stderr: f64,
}

impl From<Measured> for Number {
    fn from(Measured { value, standard_error }: Measured) -> Number {
        Number { value, stderr: standard_error }
    }
}

impl Report {
    fn new(found: &KlDivergence) -> Report {
        let DivergenceEstimate { perplexity, base_perplexity, log_ratio, divergence, rms_change, same_top } =
            found.estimate;
        let percentiles = |of: &dyn Fn(f64) -> f64| {
            PERCENTILES.iter().map(|&(_, fraction)| (format!("{}", fraction * 100.0), of(fraction))).collect()
        };
        Report {
            tokens: found.divergences.len(),
            ppl: Number { value: perplexity.perplexity, stderr: perplexity.standard_error },
            ppl_base: base_perplexity.into(),
            ppl_ratio: found.ratio.into(),
            ppl_difference: found.difference.into(),
            log_ppl_ratio: log_ratio.into(),
            correlation: found.correlation,
            kl_divergence: divergence.into(),
            kl_divergence_percentiles: percentiles(&|fraction| found.divergence_percentile(fraction)),
            probability_change: found.mean_change.into(),
            probability_change_rms: rms_change.into(),
            probability_change_percentiles: percentiles(&|fraction| found.change_percentile(fraction)),
            same_top: same_top.into(),
        }
    }
}

pub fn run(arguments: &Arguments, base: &Path) -> anyhow::Result<Status> {
    let mut base = BaseLogits::open(base)?;
    let mut model = arguments.flags.load_with(&arguments.model, &arguments.options(base.window())?)?.model;
    let watch = Watch::new();
    let mut written = Ok(());
    let mut progress = CountProgress::new("comparing", "chunks");
    let mut on_chunk = |estimate: DivergenceEstimate| {
        let (done, total) = (estimate.perplexity.chunks, estimate.perplexity.total);
        if arguments.json {
            progress.report(done, total);
        } else {
            written = running(&estimate).and_then(|()| std::io::stdout().flush());
        }
        if watch.is_raised() || written.is_err() { Flow::Stop } else { Flow::Continue }
    };
    let found = kl_divergence(&mut model, &mut base, arguments.chunks, &mut on_chunk)?;
    drop(progress);
    written?;
    match found {
        Some(found) if arguments.json => output::json(&Report::new(&found))?,
        Some(found) => show(&found)?,
        None => {}
    }
    Ok(if watch.is_raised() { Status::Interrupted } else { Status::Done })
}

fn running(estimate: &DivergenceEstimate) -> std::io::Result<()> {
    let DivergenceEstimate { perplexity, log_ratio, divergence, rms_change, same_top, .. } = estimate;
    if perplexity.chunks == 1 {
        output::line(&format!(
            "{:<10} {:>20} {:>22} {:>20} {:>18} {:>18}",
            "chunk", "perplexity", "ln(PPL / base's)", "KL divergence", "Δp RMS", "same top"
        ))?;
    }
    output::line(&format!(
        "{:<10} {:>20} {:>22} {:>20} {:>18} {:>18}",
        format!("[{}/{}]", perplexity.chunks, perplexity.total),
        format!("{:.4} ± {:.4}", perplexity.perplexity, perplexity.standard_error),
        format!("{:.5} ± {:.5}", log_ratio.value, log_ratio.standard_error),
        format!("{:.5} ± {:.5}", divergence.value, divergence.standard_error),
        percent(rms_change),
        percent(same_top),
    ))
}

fn percent(measured: &Measured) -> String {
    format!("{:.3} ± {:.3} %", measured.value * 100.0, measured.standard_error * 100.0)
}

fn show(found: &KlDivergence) -> anyhow::Result<()> {
    let DivergenceEstimate { perplexity, base_perplexity, log_ratio, divergence, rms_change, same_top } =
        &found.estimate;
    let number = |name: &str, measured: &Measured| {
        format!("{name:<26} {:>11.6} ± {:.6}", measured.value, measured.standard_error)
    };
    let share = |name: &str, measured: &Measured| {
        format!("{name:<26} {:>11.3} ± {:.3} %", measured.value * 100.0, measured.standard_error * 100.0)
    };
    let own = Measured { value: perplexity.perplexity, standard_error: perplexity.standard_error };
    let mut lines = vec![
        String::new(),
        number("perplexity", &own),
        number("perplexity of the base", base_perplexity),
        number("ratio", &found.ratio),
        number("difference", &found.difference),
        number("ln of the ratio", log_ratio),
        format!("{:<26} {:>11.2} %", "correlation of the ln", found.correlation * 100.0),
        number("KL divergence", divergence),
        share("Δp, mean", &found.mean_change),
        share("Δp, root mean square", rms_change),
        share("same top", same_top),
        String::new(),
        format!("{:<10} {:>14} {:>12}", "", "KL divergence", "Δp"),
    ];
    for &(name, fraction) in PERCENTILES {
        let (divergence, change) = (found.divergence_percentile(fraction), found.change_percentile(fraction));
        lines.push(format!("{name:<10} {divergence:>14.6} {:>10.3} %", change * 100.0));
    }
    Ok(output::lines(&lines)?)
}
