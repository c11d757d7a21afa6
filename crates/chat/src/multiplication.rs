//! Multiplication without lists.
//!
//! minijinja repeats lists on demand: `[[1] * 99999] * 99999` costs nothing until it is printed, and then its fuel does
//! not cover it. Templates multiply numbers, and repeat texts; so each factor passes through a filter that refuses
//! lists. The filter is written behind both operands of every `*` in a tag's code.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// The filter's name.
pub(crate) const FACTOR: &str = "__factor__";

/// The filter.
pub(crate) fn factor(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            Err(Error::new(ErrorKind::InvalidOperation, "a list cannot be multiplied in a chat template"))
        }
        _ => Ok(value),
    }
}

/// The code with its factors filtered; `None` if nothing is multiplied.
pub(crate) fn filter_factors(code: &str) -> Option<String> {
    let bytes = code.as_bytes();
    let mut ends = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' | b'"' => at = string_end(bytes, at),
            b'*' if bytes.get(at + 1) == Some(&b'*') => at += 2,
            b'*' => {
                let left = code[..at].trim_end();
                // Behind a bracket or a comma it spreads a list over the arguments of a call.
                if !left.is_empty() && !left.ends_with(['(', ',']) {
                    ends.extend([left.len(), operand_end(bytes, at + 1)]);
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    if ends.is_empty() {
        return None;
    }
    ends.sort_unstable();
    ends.dedup();
    let mut filtered = String::new();
    let mut copied = 0;
    for end in ends {
        filtered.push_str(&code[copied..end]);
        filtered.push('|');
        filtered.push_str(FACTOR);
        copied = end;
    }
    filtered.push_str(&code[copied..]);
    Some(filtered)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Behind the string that starts at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut at = at + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Behind the bracket that closes the one at `at`.
fn brackets_end(bytes: &[u8], mut at: usize) -> usize {
    let mut open = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' | b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if open == 0 {
            break;
        }
    }
    at
}

fn past(bytes: &[u8], mut at: usize, skip: impl Fn(u8) -> bool) -> usize {
    while bytes.get(at).is_some_and(|&byte| skip(byte)) {
        at += 1;
    }
    at
}

/// Behind the operand that starts at `at`: signs, a name, number, string or bracket, and what is applied to it.
fn operand_end(bytes: &[u8], at: usize) -> usize {
    let space = |byte: u8| byte.is_ascii_whitespace();
    let start = past(bytes, at, |byte| space(byte) || byte == b'-' || byte == b'+');
    let mut end = match bytes.get(start) {
        Some(b'\'' | b'"') => string_end(bytes, start),
        Some(b'(' | b'[' | b'{') => brackets_end(bytes, start),
        _ => past(bytes, start, is_word),
    };
    loop {
        let next = past(bytes, end, space);
        end = match bytes.get(next) {
            Some(b'.' | b'|') => past(bytes, past(bytes, next + 1, space), is_word),
            Some(b'(' | b'[') => brackets_end(bytes, next),
            _ => return end,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::filter_factors;

    #[test]
    fn both_operands_are_filtered() {
        let cases = [
            ("a * b", "aF * bF"),
            ("2*x.y[0](1)|f('*', ')') + 3", "2F*x.y[0](1)|f('*', ')')F + 3"),
            ("a * b * -c ** d", "aF * bF * -cF ** d"),
            ("'x' * (a * [1, 2]) if b", "'x'F * (aF * [1, 2]F)F if b"),
            ("a * 'b' | f . g ~ c", "aF * 'b' | f . gF ~ c"),
            ("a *", "aF *F"),
            ("a * (", "aF * (F"),
            ("a * 'é", "aF * 'éF"),
        ];
        for (code, expected) in cases {
            assert_eq!(filter_factors(code), Some(expected.replace('F', "|__factor__")), "{code}");
        }
        for code in ["", "*", "f(*a, *b, **c)", "'a * b'", "a ** b", "'\\"] {
            assert_eq!(filter_factors(code), None, "{code}");
        }
    }
}
