//! Bars in an SVG file: one for each row, its length the median, a line from the slowest to the fastest run. What differs by
//! orders of magnitude, as prompts and generation do, stands in panels of its own.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::svg::escaped;

/// A bar.
pub struct Bar {
    /// What stands before it.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// Slowest and fastest run.
    pub spread: (f64, f64),
}

/// Height of a bar and the room below it.
const ROW: usize = 26;
/// Length of the longest bar.
const LENGTH: f64 = 420.0;
/// Room for the number behind a bar.
const NUMBER: usize = 90;
/// Width of a letter, about.
const LETTER: usize = 8;
/// Height of a panel's title.
const TITLE: usize = 36;
/// Room below a panel.
const BOTTOM: usize = 8;

/// Bars that share a scale.
pub struct Panel {
    /// What stands above them.
    pub title: String,
    /// The bars.
    pub bars: Vec<Bar>,
}

/// Writes the chart.
pub fn write(path: &Path, panels: &[Panel]) -> anyhow::Result<()> {
    std::fs::write(path, chart(panels)).with_context(|| format!("cannot write {}", path.display()))
}

/// The chart, one panel below the other. Its grey text and orange bars can be read on white and on black.
fn chart(panels: &[Panel]) -> String {
    let bars = panels.iter().flat_map(|panel| &panel.bars);
    let letters = bars.clone().map(|bar| bar.label.chars().count()).max().unwrap_or(0);
    let left = letters * LETTER + 16;
    let width = left + LENGTH as usize + NUMBER;
    let height = panels.len() * (TITLE + BOTTOM) + bars.count() * ROW;
    let title = panels.iter().map(|panel| panel.title.as_str()).collect::<Vec<_>>().join("; ");
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace, monospace\" font-size=\"13\" fill=\"#808080\" role=\"img\">\n\
         <title>{}</title>\n",
        escaped(&title)
    );
    let mut top = 0;
    for panel in panels {
        draw(&mut svg, panel, left, top);
        top += TITLE + panel.bars.len() * ROW + BOTTOM;
    }
    svg + "</svg>\n"
}

/// A panel whose bars begin at `left`.
fn draw(svg: &mut String, Panel { title, bars }: &Panel, left: usize, top: usize) {
    let longest = bars.iter().map(|bar| bar.value.max(bar.spread.1)).fold(f64::MIN_POSITIVE, f64::max);
    let length = |value: f64| value / longest * LENGTH;
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>", top + 22, escaped(title));
    for (index, bar) in bars.iter().enumerate() {
        let top = top + TITLE + index * ROW;
        let middle = top + 9;
        let end = length(bar.value.max(bar.spread.1)) + left as f64 + 8.0;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{left}\" y=\"{top}\" width=\"{:.1}\" height=\"18\" fill=\"#d9772b\"/>\n\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"#808080\" stroke-width=\"2\"/>\n\
             <text x=\"{end:.1}\" y=\"{}\">{:.2}</text>\n",
            left - 8,
            top + 13,
            escaped(&bar.label),
            length(bar.value),
            left as f64 + length(bar.spread.0),
            left as f64 + length(bar.spread.1),
            top + 13,
            bar.value,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(title: &str, bars: &[(&str, f64)]) -> Panel {
        let bars = bars.iter().map(|&(label, value)| Bar { label: label.into(), value, spread: (value, value) });
        Panel { title: title.into(), bars: bars.collect() }
    }

    #[test]
    fn bars_are_as_long_as_their_numbers_within_their_panel() {
        let svg = chart(&[
            panel("a < b", &[("one & only", 50.0), ("two", 100.0)]),
            panel("generation", &[("three", 2.0), ("four", 1.5)]),
        ]);
        for part in [
            "a &lt; b</text>",
            "one &amp; only",
            "y=\"36\" width=\"210.0\"",
            "y=\"62\" width=\"420.0\"",
            ">50.00<",
            "<title>a &lt; b; generation</title>",
            // Below the first panel, with its own scale.
            "y=\"132\" width=\"420.0\"",
            "y=\"158\" width=\"315.0\"",
            "height=\"192\"",
        ] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
    }
}
