//! `--shape`: the sizes of well-known models in each type, computed from their shapes.

use ascua_convert::quantize::{FileType, Options};
use ascua_eval::synthetic::{Shape, Size, size};
use serde::Serialize;

use crate::failure::{Status, usage};
use crate::output;

const GIBIBYTE: f64 = (1u64 << 30) as f64;

#[derive(Serialize)]
struct Row {
    shape: &'static str,
    file_type: &'static str,
    /// As `ascua quantize` writes it: what suffers more has more bits.
    bytes: u64,
    bits_per_weight: f64,
    /// With every matrix in the type of the name.
    pure_bytes: u64,
    pure_bits_per_weight: f64,
}

pub fn run(shapes: &[String], types: &[FileType], json: bool) -> anyhow::Result<Status> {
    let mut rows = Vec::new();
    for name in shapes {
        let shape = Shape::find(name.trim()).map_err(|error| usage(error.to_string(), "--shape 7b"))?;
        for &file_type in types {
            let of = |pure: bool| size(&shape, &Options { pure, ..Options::new(file_type) });
            let (mixed, pure): (Size, Size) = (of(false)?, of(true)?);
            rows.push(Row {
                shape: shape.name,
                file_type: file_type.name(),
                bytes: mixed.bytes,
                bits_per_weight: mixed.bits_per_weight(),
                pure_bytes: pure.bytes,
                pure_bits_per_weight: pure.bits_per_weight(),
            });
        }
    }
    if json {
        output::json(&rows)?;
        return Ok(Status::Done);
    }
    let mut lines = vec![
        "| shape | type | size | bits per weight | all matrices alike | bits per weight |".to_owned(),
        "|---|---|---:|---:|---:|---:|".to_owned(),
    ];
    for row in &rows {
        lines.push(format!(
            "| {} | {} | {} | {:.2} | {} | {:.2} |",
            row.shape,
            row.file_type,
            gibibytes(row.bytes),
            row.bits_per_weight,
            gibibytes(row.pure_bytes),
            row.pure_bits_per_weight
        ));
    }
    output::lines(&lines)?;
    Ok(Status::Done)
}

/// As the field's tables have it, in GiB: a tenth below ten, whole numbers rounded up (as `ls -lh` does) from there on.
fn gibibytes(bytes: u64) -> String {
    let size = bytes as f64 / GIBIBYTE;
    let tenths = (size * 10.0).round() / 10.0;
    if tenths < 10.0 { format!("{tenths:.1}G") } else { format!("{:.0}G", size.ceil()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of llama.cpp's first years, from the shapes.
    #[test]
    fn sizes_are_those_users_know() {
        use FileType::{F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
        for (shape, sizes) in [
            ("7b", [(F16, "13G"), (Q4_0, "3.5G"), (Q4_1, "3.9G"), (Q5_0, "4.3G"), (Q5_1, "4.7G"), (Q8_0, "6.7G")]),
            ("13b", [(F16, "25G"), (Q4_0, "6.8G"), (Q4_1, "7.6G"), (Q5_0, "8.3G"), (Q5_1, "9.1G"), (Q8_0, "13G")]),
        ] {
            for (file_type, expected) in sizes {
                let shape = Shape::find(shape).unwrap();
                let found = size(&shape, &Options { pure: true, ..Options::new(file_type) }).unwrap();
                assert_eq!(gibibytes(found.bytes), expected, "{} {file_type}", shape.name);
            }
        }
    }
}
