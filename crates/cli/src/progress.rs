//! The progress of a download, of work on a file, and of a long prompt: bars with speed and time left on a terminal;
//! elsewhere a line every tenth of a download or of a file, and nothing of a prompt.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use ascua_hub::{Phase, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;
use crate::quantity::bytes;

/// A terminal is redrawn this often.
const REDRAWS_PER_SECOND: u8 = 10;

/// What is done, the front, what is not done.
const BAR: &str = "━━ ";

/// Shows what a hub reports.
pub struct DownloadProgress {
    bar: Option<ProgressBar>,
    on_terminal: bool,
    stage: Option<(Phase, String)>,
    /// Tenths already told of.
    tenths: u64,
    /// When and where the current stage began.
    started: (Instant, u64),
}

impl DownloadProgress {
    /// Shows nothing until the first report.
    pub fn new() -> DownloadProgress {
        DownloadProgress {
            bar: None,
            on_terminal: stderr().is_terminal(),
            stage: None,
            tenths: 0,
            started: (Instant::now(), 0),
        }
    }

    /// Shows a report.
    pub fn report(&mut self, report: Progress<'_>) {
        let same = self.stage.as_ref().is_some_and(|(phase, file)| *phase == report.phase && file == report.file);
        if !same {
            self.stage = Some((report.phase, report.file.to_owned()));
            self.started = (Instant::now(), report.done);
            self.tenths = 0;
        }
        if self.on_terminal {
            self.draw(report, !same);
        } else {
            self.tell(report, !same);
        }
    }

    fn draw(&mut self, report: Progress<'_>, new_stage: bool) {
        let bar = self.bar.get_or_insert_with(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND))
        });
        if new_stage {
            bar.set_style(style(report.total.is_some()));
            bar.set_prefix(report.phase.to_string());
            bar.set_message(report.file.to_owned());
            bar.set_position(report.done);
            bar.reset_eta(); // what an earlier download brought says nothing about this one's speed
        }
        if bar.length() != report.total {
            match report.total {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
            bar.set_style(style(report.total.is_some()));
        }
        bar.set_position(report.done);
    }

    fn tell(&mut self, report: Progress<'_>, new_stage: bool) {
        let Progress { phase, file, done, total } = report;
        if new_stage {
            let size = total.map_or(String::new(), |total| format!(" ({})", bytes(total)));
            output::note(&format!("{phase} {file}{size}"));
        }
        let Some(total) = total.filter(|&total| total > 0) else { return };
        let tenths = (done as f64 / total as f64 * 10.0) as u64;
        if new_stage {
            self.tenths = tenths;
        }
        if tenths > self.tenths {
            self.tenths = tenths;
            if phase != Phase::Downloading {
                return; // the other stages take seconds
            }
            let (since, from) = self.started;
            let speed = (done - from.min(done)) as f64 / since.elapsed().as_secs_f64().max(1e-3);
            let left = Duration::from_secs_f64(((total.saturating_sub(done)) as f64 / speed.max(1.0)).min(1e9));
            output::note(&format!(
                "{phase} {file}: {} % of {}, {}/s, {} left",
                tenths * 10,
                bytes(total),
                bytes(speed as u64),
                indicatif::HumanDuration(left)
            ));
        }
    }
}

impl Drop for DownloadProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows how far a long prompt is, to whom watches a terminal.
#[derive(Default)]
pub struct PromptProgress {
    bar: Option<ProgressBar>,
}

impl PromptProgress {
    /// So many tokens of the prompt are done. A prompt of one step shows nothing.
    pub fn report(&mut self, done: usize, total: usize) {
        if done == total {
            self.clear();
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        } else if total - done > ascua::PROMPT_PIECE && stderr().is_terminal() {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(Some(total as u64), target);
            let template = "reading the prompt {wide_bar:.cyan/dim} {pos}/{len} tokens {eta}";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars(BAR));
            bar.set_position(done as u64);
            bar.reset_eta();
            self.bar = Some(bar);
        }
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Shows how far work on a file is: a bar on a terminal, elsewhere a line every tenth.
pub struct WorkProgress {
    verb: String,
    bar: Option<ProgressBar>,
    tenths: u64,
}

impl WorkProgress {
    /// Shows nothing until the first report.
    pub fn new(verb: impl Into<String>) -> WorkProgress {
        WorkProgress { verb: verb.into(), bar: None, tenths: 0 }
    }

    /// So many bytes are done, and this is at work.
    pub fn report(&mut self, name: &str, done: u64, total: u64) {
        if !stderr().is_terminal() {
            let tenths = (done as f64 / total.max(1) as f64 * 10.0) as u64;
            if tenths > self.tenths {
                self.tenths = tenths;
                output::note(&format!("{}: {} % of {}", self.verb, tenths * 10, bytes(total)));
            }
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(Some(total), target);
            bar.set_style(style(true));
            bar.set_prefix(self.verb.clone());
            bar
        });
        bar.set_message(name.to_owned());
        bar.set_position(done);
    }
}

impl Drop for WorkProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows how many of some things are done: a bar on a terminal, elsewhere a line every tenth.
pub struct CountProgress {
    verb: String,
    unit: &'static str,
    bar: Option<ProgressBar>,
    tenths: usize,
}

impl CountProgress {
    /// Shows nothing until the first report.
    pub fn new(verb: impl Into<String>, unit: &'static str) -> CountProgress {
        CountProgress { verb: verb.into(), unit, bar: None, tenths: 0 }
    }

    /// So many are done.
    pub fn report(&mut self, done: usize, total: usize) {
        let CountProgress { verb, unit, bar, tenths: told } = self;
        if !stderr().is_terminal() {
            let tenths = done * 10 / total.max(1);
            if tenths > *told {
                *told = tenths;
                output::note(&format!("{verb}: {done} of {total} {unit}"));
            }
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(Some(total as u64), target);
            let template = format!("{{prefix:>11}} {{wide_bar:.cyan/dim}} {{pos}}/{{len}} {unit} {{eta}}");
            let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars(BAR));
            bar.set_prefix(verb.clone());
            bar
        });
        bar.set_position(done as u64);
    }
}

impl Drop for CountProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(length_known: bool) -> ProgressStyle {
    let template = if length_known {
        "{prefix:>11} {msg} {wide_bar:.cyan/dim} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
    } else {
        "{prefix:>11} {msg} {spinner} {decimal_bytes} {decimal_bytes_per_sec}"
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars(BAR)
}
