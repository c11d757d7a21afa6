//! The plot of a report: size against perplexity, each type a point with its name beside it.

use std::fmt::Write as _;

use super::row::{Report, Row};
use crate::svg::escaped;

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 500.0;
/// Room around the points: left, top, right, bottom.
const MARGINS: [f64; 4] = [76.0, 64.0, 30.0, 58.0];
/// Size of a name.
const FONT: f64 = 12.5;
/// Width of a letter of a name, about.
const LETTER: f64 = 7.4;
/// Radius of a point.
const RADIUS: f64 = 5.0;
/// Least room between a name and other names and points.
const PADDING: f64 = 3.0;
/// A perplexity this many times the least asks for a logarithmic axis.
const LOGARITHMIC: f64 = 3.0;

/// Kinds of types, in the order of the legend: name, colour (to be read on white and on black), what names begin with.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("floats", "#8a8f98", &["F", "BF"]),
    ("legacy", "#3b82c4", &["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]),
    ("importance (IQ)", "#2f9e6e", &["IQ"]),
    ("others", "#a05fc2", &["MXFP4", "NVFP4", "TQ", "Q1_0", "Q2_0"]),
    ("K-quants", "#d9772b", &["Q"]),
];

fn kind(name: &str) -> usize {
    KINDS.iter().position(|(_, _, starts)| starts.iter().any(|start| name.starts_with(start))).unwrap_or(0)
}

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rectangle([f64; 4]);

impl Rectangle {
    fn overlaps(&self, other: &Rectangle) -> bool {
        let (a, b) = (self.0, other.0);
        a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
    }

    /// With so much more on every side.
    fn grown(&self, by: f64) -> Rectangle {
        let [left, top, right, bottom] = self.0;
        Rectangle([left - by, top - by, right + by, bottom + by])
    }

    fn inside(&self, other: &Rectangle) -> bool {
        let (a, b) = (self.0, other.0);
        a[0] >= b[0] && a[1] >= b[1] && a[2] <= b[2] && a[3] <= b[3]
    }
}

/// One of the two axes.
struct Axis {
    least: f64,
    most: f64,
    logarithmic: bool,
    /// Pixels of the least and the most.
    pixels: (f64, f64),
}

impl Axis {
    /// An axis with some room beyond the values.
    fn new(values: &[f64], logarithmic: bool, pixels: (f64, f64)) -> Axis {
        let scale = |value: f64| if logarithmic { value.ln() } else { value };
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let room = ((scale(most) - scale(least)) * 0.08).max(1e-3 * scale(most).abs().max(1e-3));
        let back = |value: f64| if logarithmic { value.exp() } else { value };
        Axis { least: back(scale(least) - room), most: back(scale(most) + room), logarithmic, pixels }
    }

    fn pixel(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.ln() } else { value };
        let part = (scale(value) - scale(self.least)) / (scale(self.most) - scale(self.least));
        self.pixels.0 + part * (self.pixels.1 - self.pixels.0)
    }

    /// Round numbers along it.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let first = self.least.log10().floor() as i32;
            let last = self.most.log10().ceil() as i32;
            let round = (first..=last).flat_map(|power| [1.0, 2.0, 3.0, 5.0, 7.0].map(|n| n * 10f64.powi(power)));
            return round.filter(|&value| value >= self.least && value <= self.most).collect();
        }
        let wanted = (self.most - self.least) / 6.0;
        let power = 10f64.powf(wanted.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|n| n * power).into_iter().find(|&step| step >= wanted);
        let step = step.unwrap_or(power * 10.0);
        let (first, last) = ((self.least / step).ceil() as i64, (self.most / step).floor() as i64);
        (first..=last).map(|number| number as f64 * step).collect()
    }
}

/// A number as short as it can be read.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The plot.
pub fn draw(report: &Report) -> String {
    let [left, top, right, bottom] = MARGINS;
    let area = Rectangle([left, top, WIDTH - right, HEIGHT - bottom]);
    let sizes: Vec<f64> = report.rows.iter().map(|row| row.bytes as f64 / 1e9).collect();
    let perplexities: Vec<f64> = report.rows.iter().map(|row| row.ppl.value).collect();
    let least = perplexities.iter().copied().fold(f64::INFINITY, f64::min);
    let logarithmic = perplexities.iter().any(|&value| value > least * LOGARITHMIC);
    let x = Axis::new(&sizes, false, (left, WIDTH - right));
    let y = Axis::new(&perplexities, logarithmic, (HEIGHT - bottom, top));
    let points: Vec<(f64, f64)> =
        sizes.iter().zip(&perplexities).map(|(&size, &perplexity)| (x.pixel(size), y.pixel(perplexity))).collect();
    let settings = &report.settings;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"system-ui, 'Helvetica Neue', Arial, sans-serif\" font-size=\"{FONT}\" fill=\"#7d838c\" role=\"img\">\n\
         <title>Size and perplexity of {0}</title>\n\
         <text x=\"{left}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{0}: size and perplexity</text>\n",
        escaped(&settings.model)
    );
    grid(&mut svg, &x, &y, &area);
    if let Some(source) = report.rows.iter().find(|row| row.source) {
        line(&mut svg, (left, y.pixel(source.ppl.value)), (WIDTH - right, y.pixel(source.ppl.value)), Some("5 4"));
    }
    for ((x1, y1), (x2, y2)) in best_segments(&report.rows, &points) {
        let _ = writeln!(
            svg,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#d9772b\" stroke-opacity=\"0.45\" \
             stroke-width=\"2\"/>"
        );
    }
    for (row, &(x, y)) in report.rows.iter().zip(&points) {
        let colour = KINDS[kind(&row.file_type)].1;
        let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{RADIUS}\" fill=\"{colour}\"/>");
    }
    for (row, (label, point)) in report.rows.iter().zip(places(&report.rows, &points, &area).iter().zip(&points)) {
        name(&mut svg, row, label, *point);
    }
    legend(&mut svg, &report.rows);
    svg + "</svg>\n"
}

/// Lines at round numbers, the numbers, and what they are.
fn grid(svg: &mut String, x: &Axis, y: &Axis, area: &Rectangle) {
    let [left, top, right, bottom] = area.0;
    for value in x.ticks() {
        let at = x.pixel(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\" stroke=\"#7d838c\" stroke-opacity=\"0.2\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            short(value)
        );
    }
    for value in y.ticks() {
        let at = y.pixel(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#7d838c\" stroke-opacity=\"0.2\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            at + 4.0,
            short(value)
        );
    }
    let (middle_x, middle_y) = (f64::midpoint(left, right), f64::midpoint(top, bottom));
    let scale = if y.logarithmic { "perplexity, logarithmic" } else { "perplexity" };
    let _ = writeln!(
        svg,
        "<text x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\">size in GB</text>\
         <text x=\"20\" y=\"{middle_y}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {middle_y})\">{scale} (less is \
         better)</text>",
        bottom + 42.0
    );
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), dashes: Option<&str>) {
    let dashes = dashes.map_or(String::new(), |dashes| format!(" stroke-dasharray=\"{dashes}\""));
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#7d838c\" stroke-opacity=\"0.8\"{dashes}/>",
        from.0, from.1, to.0, to.1
    );
}

/// The line through the types that no smaller one beats.
fn best_segments(rows: &[Row], points: &[(f64, f64)]) -> Vec<((f64, f64), (f64, f64))> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&index| rows[index].bytes);
    let mut least = f64::INFINITY;
    order.retain(|&index| {
        let better = rows[index].ppl.value < least;
        least = least.min(rows[index].ppl.value);
        better
    });
    order.windows(2).map(|pair| (points[pair[0]], points[pair[1]])).collect()
}

/// Small rectangles along a line.
fn along((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> impl Iterator<Item = Rectangle> {
    const STEP: f64 = 4.0;
    let steps = ((x2 - x1).hypot(y2 - y1) / STEP).ceil().max(1.0);
    (0..=steps as u32).map(move |step| {
        let part = f64::from(step) / steps;
        let (x, y) = (x1 + (x2 - x1) * part, y1 + (y2 - y1) * part);
        Rectangle([x - 1.0, y - 1.0, x + 1.0, y + 1.0])
    })
}

/// Where each name stands: as near to its point as there is room.
fn places(rows: &[Row], points: &[(f64, f64)], area: &Rectangle) -> Vec<Rectangle> {
    let mut lines = best_segments(rows, points);
    let source = rows.iter().zip(points).find(|(row, _)| row.source).map(|(_, &(_, y))| y);
    lines.extend(source.map(|y| ((area.0[0], y), (area.0[2], y))));
    let inked: Vec<Rectangle> = lines.iter().flat_map(|&(from, to)| along(from, to)).collect();
    let discs: Vec<Rectangle> = points.iter().map(|&(x, y)| Rectangle([x, y, x, y]).grown(RADIUS)).collect();
    let mut placed: Vec<Rectangle> = Vec::new();
    for (row, &(x, y)) in rows.iter().zip(points) {
        let (width, height) = (row.file_type.chars().count() as f64 * LETTER, FONT + 2.0);
        let at = |distance: f64, angle: f64| {
            // The middle of the name lies on an ellipse around the point that leaves the name's own size free.
            let middle_x = x + angle.cos() * (distance + width / 2.0);
            let middle_y = y - angle.sin() * (distance + height / 2.0);
            let (half_width, half_height) = (width / 2.0, height / 2.0);
            Rectangle([middle_x - half_width, middle_y - half_height, middle_x + half_width, middle_y + half_height])
        };
        let distances = (0..12).map(|ring| RADIUS + 4.0 + f64::from(ring) * 9.0);
        let candidates = distances.flat_map(|distance| {
            // To the right and up first: below and left of the points the curve comes from.
            [0, 2, 1, 3, 15, 14, 4, 13, 5, 12, 8, 6, 7, 11, 10, 9].map(|step| (distance, f64::from(step)))
        });
        let candidates = candidates.map(|(distance, step)| at(distance, step * std::f64::consts::TAU / 16.0));
        let free = |label: &Rectangle| {
            let wanted = label.grown(PADDING);
            label.inside(area) && !placed.iter().chain(&discs).any(|other| other.overlaps(&wanted))
        };
        let clear = |label: &Rectangle| free(label) && !inked.iter().any(|ink| ink.overlaps(label));
        // Rather on a line than on another name, and rather far than on a line.
        let chosen = candidates.clone().find(clear).or_else(|| candidates.clone().find(free));
        let chosen = chosen.unwrap_or_else(|| at(RADIUS + 4.0, 0.0));
        placed.push(chosen);
    }
    placed
}

/// A name, with a line to its point where it stands far from it.
fn name(svg: &mut String, row: &Row, label: &Rectangle, (x, y): (f64, f64)) {
    let [left, top, right, bottom] = label.0;
    let nearest = (x.clamp(left, right), y.clamp(top, bottom));
    let distance = (nearest.0 - x).hypot(nearest.1 - y);
    if distance > 3.0 * RADIUS {
        line(svg, (x, y), nearest, None);
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(left, right),
        bottom - 3.5,
        escaped(&row.file_type)
    );
}

/// The kinds there are, above the plot on the right.
fn legend(svg: &mut String, rows: &[Row]) {
    let mut x = MARGINS[0];
    for (index, (name, colour, _)) in KINDS.iter().enumerate() {
        if rows.iter().any(|row| kind(&row.file_type) == index) {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"42\" r=\"{RADIUS}\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"46\">{name}</text>",
                x + RADIUS,
                x + 3.0 * RADIUS
            );
            x += 4.0 * RADIUS + 16.0 + name.len() as f64 * LETTER;
        }
    }
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"42\" y2=\"42\" stroke=\"#7d838c\" stroke-dasharray=\"5 4\"/>\
         <text x=\"{:.1}\" y=\"46\">source</text>",
        x + 22.0,
        x + 28.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::report::row::{Number, Settings};

    fn row(name: &str, bytes: u64, perplexity: f64) -> Row {
        Row {
            file_type: name.into(),
            source: name == "F16",
            bytes,
            bits_per_weight: 0.0,
            ppl: Number { value: perplexity, stderr: 0.1 },
            kl_divergence: None,
            same_top: None,
            prompt_tokens_per_second: None,
            generation_tokens_per_second: None,
            quantise_seconds: None,
        }
    }

    fn report(rows: Vec<Row>) -> Report {
        let settings = Settings {
            model: "a & b".into(),
            model_bytes: 0,
            text: "text".into(),
            text_bytes: 0,
            imatrix: None,
            window: 512,
            chunks: None,
            prompt: 0,
            generation: 0,
            runs: 1,
            threads: 1,
            prompt_threads: None,
            isa: "scalar".into(),
            precision: "exact".into(),
        };
        Report { settings, rows }
    }

    #[test]
    fn names_keep_away_from_each_other_and_from_points() {
        let crowd: Vec<Row> = ["Q4_0", "Q4_1", "Q4_K_M", "Q4_K_S", "IQ4_XS", "IQ4_NL", "Q5_0", "Q5_1", "Q5_K_M"]
            .iter()
            .zip(0..)
            .map(|(name, place)| row(name, 1_000_000 + place * 3000, 10.0 + place as f64 * 0.001))
            .chain([row("F16", 3_000_000, 9.0), row("Q2_K", 700_000, 14.0)])
            .collect();
        let area = Rectangle([76.0, 64.0, 790.0, 442.0]);
        let points: Vec<(f64, f64)> = crowd
            .iter()
            .map(|row| (76.0 + row.bytes as f64 / 3e6 * 600.0, 442.0 - (row.ppl.value - 8.0) * 50.0))
            .collect();
        let labels = places(&crowd, &points, &area);
        for (index, label) in labels.iter().enumerate() {
            assert!(label.inside(&area), "{}", crowd[index].file_type);
            // Three pixels of room, less what rounding takes.
            let wanted = label.grown(2.99);
            assert!(labels[..index].iter().all(|other| !other.overlaps(&wanted)), "{}", crowd[index].file_type);
            let covered =
                points.iter().any(|&(x, y)| wanted.overlaps(&Rectangle([x - 5.0, y - 5.0, x + 5.0, y + 5.0])));
            assert!(!covered, "{}", crowd[index].file_type);
        }
    }

    #[test]
    fn the_plot_is_whole_for_one_row_and_for_far_values() {
        let one = draw(&report(vec![row("F16", 1_000_000_000, 9.0)]));
        assert!(one.contains("a &amp; b") && one.ends_with("</svg>\n") && !one.contains("NaN"), "{one}");
        let far = draw(&report(vec![row("F16", 3_000_000_000, 9.0), row("Q2_K", 1_000_000_000, 900.0)]));
        assert!(far.contains("logarithmic") && !far.contains("NaN"), "{far}");
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::new(&[0.9, 3.1], false, (0.0, 100.0));
        assert_eq!(axis.ticks(), [1.0, 1.5, 2.0, 2.5, 3.0]);
        assert_eq!(short(2.5), "2.5");
        assert_eq!(short(20.0), "20");
    }

    #[test]
    fn every_type_has_its_kind() {
        for (name, expected) in [
            ("F16", "floats"),
            ("BF16", "floats"),
            ("Q8_0", "legacy"),
            ("Q6_K", "K-quants"),
            ("IQ4_XS", "importance (IQ)"),
        ] {
            assert_eq!(KINDS[kind(name)].0, expected);
        }
    }
}
