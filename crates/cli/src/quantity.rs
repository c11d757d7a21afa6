//! Numbers as people read them.

use std::time::Duration;

/// Bytes in the decimal units that disks and networks are counted in.
pub fn bytes(count: u64) -> String {
    scaled(count as f64, &[" B", " kB", " MB", " GB", " TB"])
}

/// A count: 134.5 M.
pub fn count(count: u64) -> String {
    scaled(count as f64, &["", " k", " M", " G", " T"])
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0}{}", units[0]) } else { format!("{value:.1}{}", units[unit]) }
}

/// Tokens per second; 0 where no time passed.
pub fn rate(tokens: usize, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { tokens as f64 / time.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_decimal_and_a_unit() {
        for (value, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (98_362_432, "98.4 MB"),
            (999_960_000, "1.0 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(bytes(value), expected);
        }
        assert_eq!(count(134_515_008), "134.5 M");
        assert_eq!(rate(10, Duration::ZERO), 0.0);
    }
}
