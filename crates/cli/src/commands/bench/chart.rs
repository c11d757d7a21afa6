//! Bars in an SVG file: one for each row, its length the median, a line from the slowest to the fastest run.

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
/// Height of the title.
const TOP: usize = 36;

/// Writes the chart.
pub fn write(path: &Path, title: &str, bars: &[Bar]) -> anyhow::Result<()> {
    std::fs::write(path, chart(title, bars)).with_context(|| format!("cannot write {}", path.display()))
}

/// The chart. Its grey text and orange bars can be read on white and on black.
fn chart(title: &str, bars: &[Bar]) -> String {
    let letters = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(0);
    let left = letters * LETTER + 16;
    let longest = bars.iter().map(|bar| bar.value.max(bar.spread.1)).fold(f64::MIN_POSITIVE, f64::max);
    let (width, height) = (left + LENGTH as usize + NUMBER, TOP + bars.len() * ROW + 8);
    let length = |value: f64| value / longest * LENGTH;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace, monospace\" font-size=\"13\" fill=\"#808080\" role=\"img\">\n\
         <title>{0}</title>\n<text x=\"{left}\" y=\"22\" font-weight=\"bold\">{0}</text>\n",
        escaped(title)
    );
    for (index, bar) in bars.iter().enumerate() {
        let (top, middle) = (TOP + index * ROW, TOP + index * ROW + 9);
        let end = length(bar.value.max(bar.spread.1)) + left as f64 + 8.0;
        // Writing to a string cannot fail.
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
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let bar = |label: &str, value| Bar { label: label.into(), value, spread: (value, value) };
        let svg = chart("a < b", &[bar("one & only", 50.0), bar("two", 100.0)]);
        for part in ["a &lt; b", "one &amp; only", "width=\"210.0\"", "width=\"420.0\"", ">50.00<", ">100.00<"] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
    }
}
