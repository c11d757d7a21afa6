//! HellaSwag (Zellers et al. 2019): which of four endings goes on with a scene.
//!
//! The file has six lines a task: the scene, the number of the correct ending from 0, the four endings.

use ascua::tokenizer::Tokenizer;

use super::mersenne_twister::MersenneTwister;
use super::{Task, TaskFileError};

const ENDINGS: usize = 4;
const LINES: usize = ENDINGS + 2;

/// Reads the tasks of a file, in an order drawn as llama.cpp draws it, at most `most` of them.
///
/// # Errors
/// The file does not have six lines a task, or a number is none of an ending.
pub fn tasks(file: &[u8], tokenizer: &Tokenizer, most: Option<usize>) -> Result<Vec<Task>, TaskFileError> {
    let drawn = drawn(file, most)?.into_iter();
    Ok(drawn.map(|(number, texts)| Task::of_texts(number, tokenizer, texts.into_iter())).collect())
}

type Texts = Vec<(Vec<u8>, bool)>;

fn drawn(file: &[u8], most: Option<usize>) -> Result<Vec<(usize, Texts)>, TaskFileError> {
    let mut lines: Vec<&[u8]> = file.split(|&byte| byte == b'\n').collect();
    // The end of the last line begins no other.
    lines.pop_if(|line| line.is_empty());
    for line in &mut lines {
        *line = line.strip_suffix(b"\r").unwrap_or(line);
    }
    if lines.is_empty() {
        return Err(TaskFileError::Empty);
    }
    if !lines.len().is_multiple_of(LINES) {
        return Err(TaskFileError::Lines { found: lines.len(), wanted: LINES });
    }
    let mut tasks = Vec::with_capacity(lines.len() / LINES);
    for (index, lines) in lines.chunks_exact(LINES).enumerate() {
        let number = String::from_utf8_lossy(lines[1]);
        let correct = number.trim().parse::<usize>().ok().filter(|&correct| correct < ENDINGS);
        let correct = correct.ok_or_else(|| TaskFileError::Ending {
            line: index * LINES + 2,
            found: number.into_owned(),
            last: ENDINGS - 1,
        })?;
        let endings = lines[2..].iter().enumerate();
        tasks.push((
            index + 1,
            endings.map(|(at, ending)| ([lines[0], b" ", ending].concat(), at == correct)).collect(),
        ));
    }
    let mut random = MersenneTwister::new(1);
    let wanted = most.unwrap_or(usize::MAX).min(tasks.len());
    Ok((0..wanted).map(|_| tasks.remove(random.below(tasks.len() as u32) as usize)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tasks `0`, `1` … with endings `a` to `d`, of which the one with the task's number modulo 4 is correct.
    fn file(tasks: usize) -> String {
        (0..tasks).map(|task| format!("{task}\n{}\na\nb\nc\nd\n", task % 4)).collect()
    }

    #[test]
    fn tasks_are_drawn_as_libstdcxx_draws_them() {
        // The order std::mt19937(1) with std::uniform_int_distribution gives, each drawn task taken out.
        const ORDER: [usize; 7] = [3, 7, 5, 6, 1, 2, 4];
        let file = file(7);
        let numbers = |most| drawn(file.as_bytes(), most).unwrap().iter().map(|task| task.0).collect::<Vec<_>>();
        assert_eq!(numbers(None), ORDER);
        assert_eq!(numbers(Some(3)), ORDER[..3]);
        let (number, texts) = drawn(file.as_bytes(), Some(1)).unwrap().remove(0);
        let correct = (number - 1) % ENDINGS;
        assert_eq!(texts[correct], (format!("{} {}", number - 1, ["a", "b", "c", "d"][correct]).into(), true));
        assert_eq!(texts.iter().filter(|text| text.1).count(), 1);
    }

    #[test]
    fn ends_of_lines_may_be_windows() {
        let plain = file(2);
        assert_eq!(drawn(plain.replace('\n', "\r\n").as_bytes(), None), drawn(plain.as_bytes(), None));
        assert_eq!(drawn(plain.trim_end().as_bytes(), None), drawn(plain.as_bytes(), None));
    }

    #[test]
    fn what_is_no_file_of_tasks_is_refused() {
        let long = file(1) + "one more\n";
        for (text, message) in [
            ("", "no task in it"),
            (long.as_str(), "7 lines; a file of HellaSwag tasks has 6 for each"),
            ("scene\n4\na\nb\nc\nd\n", "line 2: `4` is not the number of an ending, 0 to 3"),
            ("scene\n-1\na\nb\nc\nd\n", "line 2: `-1` is not the number of an ending, 0 to 3"),
        ] {
            assert_eq!(drawn(text.as_bytes(), None).unwrap_err().to_string(), message);
        }
    }
}
