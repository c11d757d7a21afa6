//! WinoGrande (Sakaguchi et al. 2019): which of two names belongs in a gap, by how likely what follows the gap is then.
//!
//! The file is CSV without a header: number, sentence with a `_`, two names, the number of the correct one (1 or 2). Only
//! the sentence may stand in quotes. Unlike llama.cpp, the last line counts also where no empty line follows it, a line that
//! cannot be read is an error, and short texts are scored by the logits of their own beginning (llama.cpp takes those of the
//! other text for the second name).

use ascua::tokenizer::{EncodeOptions, Tokenizer};

use super::mersenne_twister::MersenneTwister;
use super::{Choice, Task, TaskFileError, common_length};

/// Texts with no more tokens of their own than this are scored with the name, not only after it.
const LEAST_AFTER: usize = 3;
const COLUMNS: usize = 5;

#[derive(Debug, PartialEq)]
struct Line<'a> {
    before: &'a [u8],
    after: &'a [u8],
    names: [&'a [u8]; 2],
    correct: usize,
}

/// Reads the tasks of a file; at most `most` of them, drawn as llama.cpp draws them.
///
/// # Errors
/// A line does not have five columns, no gap, or a wrong answer.
pub fn tasks(file: &[u8], tokenizer: &Tokenizer, most: Option<usize>) -> Result<Vec<Task>, TaskFileError> {
    let lines = file.split(|&byte| byte == b'\n').zip(1..).filter(|(line, _)| !line.trim_ascii().is_empty());
    let lines: Vec<Line<'_>> = lines.map(|(line, number)| read(line, number)).collect::<Result<_, _>>()?;
    if lines.is_empty() {
        return Err(TaskFileError::Empty);
    }
    let order = match most {
        Some(most) if most < lines.len() => MersenneTwister::new(1).choose(lines.len(), most),
        _ => (0..lines.len()).collect(),
    };
    Ok(order.into_iter().map(|index| task(index + 1, &lines[index], tokenizer)).collect())
}

fn read(text: &[u8], line: usize) -> Result<Line<'_>, TaskFileError> {
    let [_, sentence, first, second, answer] = columns(text).map_err(|found| TaskFileError::Columns { line, found })?;
    let sentence = sentence.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(sentence);
    let gap = sentence.iter().position(|&byte| byte == b'_').ok_or(TaskFileError::NoGap { line })?;
    let correct = match answer.trim_ascii() {
        b"1" => 0,
        b"2" => 1,
        other => return Err(TaskFileError::Name { line, found: String::from_utf8_lossy(other).into_owned() }),
    };
    Ok(Line { before: &sentence[..gap], after: &sentence[gap + 1..], names: [first, second], correct })
}

/// The columns of a line, or how many there are; commas between quotes divide none, and the last column takes the rest.
fn columns(line: &[u8]) -> Result<[&[u8]; COLUMNS], usize> {
    let mut quoted = false;
    let columns: Vec<&[u8]> = line
        .splitn(COLUMNS, |&byte| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        })
        .collect();
    columns.try_into().map_err(|columns: Vec<&[u8]>| columns.len())
}

fn task(number: usize, line: &Line<'_>, tokenizer: &Tokenizer) -> Task {
    let encode = |parts: &[&[u8]]| tokenizer.encode_bytes(&parts.concat(), EncodeOptions::default());
    let whole = line.names.map(|name| encode(&[line.before, name, line.after]));
    let until = line.names.map(|name| encode(&[line.before, name]).len());
    let common = common_length(whole.iter().map(Vec::as_slice));
    // The names themselves are as likely as they are; what follows tells them apart.
    let after_name = whole.iter().all(|tokens| tokens.len() - common > LEAST_AFTER);
    let choices = whole.into_iter().zip(until).enumerate().map(|(index, (tokens, until))| {
        let last = tokens.len().saturating_sub(1);
        let start = if after_name { until.clamp(common, last) } else { common };
        // The full stop is left out, unless it is all there is.
        let end = if tokens.len() - start > 1 { last } else { tokens.len() };
        Choice { tokens, scored: start..end, correct: index == line.correct }
    });
    Task { number, choices: choices.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_sentence_may_hold_commas() {
        let line = read(b"7,\"Ann, not Bea, paid _ because she was rich.\",Ann,Bea,2\r", 1).unwrap();
        assert_eq!(
            line,
            Line {
                before: b"Ann, not Bea, paid ",
                after: b" because she was rich.",
                names: [b"Ann", b"Bea"],
                correct: 1
            }
        );
    }

    #[test]
    fn what_is_no_task_is_refused() {
        for (line, message) in [
            ("1,a _ b,c,1", "line 4: 4 columns, wanted 5: number, sentence, two names, answer"),
            ("1,\"a _ b,c,d,1", "line 4: 2 columns, wanted 5: number, sentence, two names, answer"),
            ("1,a b,c,d,1", "line 4: the sentence has no `_`"),
            ("1,a _ b,c,d,3", "line 4: the answer is `3`, wanted 1 or 2"),
            ("1,a _ b,c,d,1,2", "line 4: the answer is `1,2`, wanted 1 or 2"),
        ] {
            assert_eq!(read(line.as_bytes(), 4).unwrap_err().to_string(), message);
        }
    }
}
