//! Multiple choice (ARC, MMLU, TruthfulQA …): which of some answers follows a question.
//!
//! The file is binary, its numbers of 32 bits, little-endian: the number of tasks, for each the place where it begins, then
//! the tasks: question, choices of which one is correct, choices of which several may be (not used). A text is its length and
//! its bytes; choices are their number, their texts, and for each 1 where it is correct and 0 where not.

use ascua::tokenizer::Tokenizer;

use super::mersenne_twister::MersenneTwister;
use super::{Task, TaskFileError};

/// More choices than this are not believed.
const MOST_CHOICES: usize = 100;
/// Bytes of a number.
const NUMBER: usize = 4;
/// Question and two empty lists of choices take a number each, the place in the table another.
const LEAST_TASK: usize = 4 * NUMBER;

#[derive(Debug, PartialEq)]
struct RawTask<'a> {
    number: usize,
    question: &'a [u8],
    choices: Vec<(&'a [u8], bool)>,
}

/// Reads the tasks of a file; at most `most` of them, drawn as llama.cpp draws them.
///
/// # Errors
/// The file is cut, or a number in it is impossible.
pub fn tasks(file: &[u8], tokenizer: &Tokenizer, most: Option<usize>) -> Result<Vec<Task>, TaskFileError> {
    let task = |task: &RawTask<'_>| {
        let texts = task.choices.iter();
        let texts = texts.map(|&(choice, correct)| ([task.question, b" ", choice].concat(), correct));
        Task::of_texts(task.number, tokenizer, texts)
    };
    Ok(read(file, most)?.iter().map(task).collect())
}

fn read(file: &[u8], most: Option<usize>) -> Result<Vec<RawTask<'_>>, TaskFileError> {
    let length = file.len();
    let start = file.first_chunk::<NUMBER>().ok_or(TaskFileError::Empty)?;
    let count = u32::from_le_bytes(*start) as usize;
    let holds = (length - NUMBER) / LEAST_TASK;
    match count {
        0 => return Err(TaskFileError::Empty),
        _ if count > holds => return Err(TaskFileError::TaskCount { found: count, length, most: holds }),
        _ => {}
    }
    let (table, _) = file[NUMBER..].as_chunks::<NUMBER>();
    let task = |index: usize, at: usize| Reader { file, at, task: index + 1, begin: at }.task();
    match most {
        Some(most) if most < count => {
            let order = MersenneTwister::new(1).choose(count, most).into_iter();
            order.map(|index| Ok(task(index, u32::from_le_bytes(table[index]) as usize)?.0)).collect()
        }
        // Where all are wanted the table is not asked: they stand one behind the other.
        _ => {
            let mut at = NUMBER * (1 + count);
            let mut next = |index: usize| {
                let (found, end) = task(index, at)?;
                at = end;
                Ok(found)
            };
            (0..count).map(&mut next).collect()
        }
    }
}

/// Reads a task from its beginning on.
struct Reader<'a> {
    file: &'a [u8],
    at: usize,
    task: usize,
    begin: usize,
}

impl<'a> Reader<'a> {
    /// The task and where it ends.
    fn task(mut self) -> Result<(RawTask<'a>, usize), TaskFileError> {
        let question = self.text("its question")?;
        let choices = self.choices()?;
        self.choices()?;
        let missing = |what| Err(TaskFileError::NoText { task: self.task, at: self.begin, what });
        if question.is_empty() {
            return missing("its question is empty");
        }
        if choices.is_empty() {
            return missing("it has no choices");
        }
        if choices.iter().any(|(choice, _)| choice.is_empty()) {
            return missing("one of its choices is empty");
        }
        Ok((RawTask { number: self.task, question, choices }, self.at))
    }

    fn choices(&mut self) -> Result<Vec<(&'a [u8], bool)>, TaskFileError> {
        let found = self.number("the number of its choices")?;
        if found > MOST_CHOICES {
            return Err(TaskFileError::Choices { task: self.task, at: self.begin, found, most: MOST_CHOICES });
        }
        let texts: Vec<&[u8]> = (0..found).map(|_| self.text("a choice")).collect::<Result<_, _>>()?;
        let mut choices = Vec::with_capacity(found);
        for text in texts {
            choices.push((text, self.number("the labels of its choices")? == 1));
        }
        Ok(choices)
    }

    fn text(&mut self, what: &'static str) -> Result<&'a [u8], TaskFileError> {
        let length = self.number(what)?;
        self.take(length, what)
    }

    fn number(&mut self, what: &'static str) -> Result<usize, TaskFileError> {
        let bytes = self.take(NUMBER, what)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], TaskFileError> {
        let taken = self.file.get(self.at..).and_then(|rest| rest.get(..length));
        let cut = TaskFileError::Cut { task: self.task, at: self.begin, what, length: self.file.len() };
        let taken = taken.ok_or(cut)?;
        self.at += length;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &mut Vec<u8>, text: &str) {
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    }

    fn choices(out: &mut Vec<u8>, choices: &[(&str, u32)]) {
        out.extend((choices.len() as u32).to_le_bytes());
        choices.iter().for_each(|(choice, _)| text(out, choice));
        choices.iter().for_each(|(_, correct)| out.extend(correct.to_le_bytes()));
    }

    fn file(questions: &[&str]) -> Vec<u8> {
        let mut tasks = Vec::new();
        let mut file = (questions.len() as u32).to_le_bytes().to_vec();
        for question in questions {
            file.extend(((1 + questions.len()) as u32 * 4 + tasks.len() as u32).to_le_bytes());
            text(&mut tasks, question);
            choices(&mut tasks, &[("Yes", 1), ("No", 0), ("Maybe", 2)]);
            choices(&mut tasks, &[]);
        }
        file.extend(tasks);
        file
    }

    #[test]
    fn all_tasks_are_read_in_order_and_some_are_drawn() {
        let file = file(&["Is ice cold?", "Is fire?", "Is snow?", "Is the sun?", "Is iron?"]);
        let all = read(&file, None).unwrap();
        assert_eq!(all.iter().map(|task| task.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(all[1].question, b"Is fire?");
        assert_eq!(all[0].choices, [(&b"Yes"[..], true), (b"No", false), (b"Maybe", false)]);
        // What std::mt19937(1) draws where what was drawn is replaced by the last.
        let drawn = read(&file, Some(3)).unwrap();
        assert_eq!(drawn.iter().map(|task| task.number).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(drawn.iter().all(|task| *task == all[task.number - 1]));
    }

    #[test]
    fn cut_files_are_refused() {
        let file = file(&["Is ice cold?", "Is fire?"]);
        for length in 0..file.len() {
            assert!(read(&file[..length], None).is_err(), "{length} bytes of {}", file.len());
        }
        let message = read(&file[..file.len() - 1], None).unwrap_err().to_string();
        assert!(
            message.starts_with("task 2 at byte ") && message.contains(": the number of its choices ends behind"),
            "{message}"
        );
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let one = |bytes: &[&[u8]]| [&[1, 0, 0, 0, 8, 0, 0, 0][..], &bytes.concat(), &[0; 16]].concat();
        for (bytes, message) in [
            (vec![0; 64], "no task in it"),
            (vec![255; 64], "4294967295 tasks, but the file's 64 bytes hold at most 3"),
            (one(&[&[255; 4]]), "task 1 at byte 8: its question ends behind the file's 28 bytes"),
            (one(&[&[1, 0, 0, 0], b"q", &[101, 0, 0, 0]]), "task 1 at byte 8: 101 choices, at most 100 are read"),
            (one(&[&[1, 0, 0, 0], b"q"]), "task 1 at byte 8: it has no choices"),
            (one(&[]), "task 1 at byte 8: its question is empty"),
            (one(&[&[1, 0, 0, 0], b"q", &[1, 0, 0, 0]]), "task 1 at byte 8: one of its choices is empty"),
        ] {
            let found = read(&bytes, None).unwrap_err().to_string();
            assert!(found.starts_with(message), "{found}");
        }
        // A place behind the file.
        let mut file = file(&["Is ice cold?", "Is fire?"]);
        file[4..12].fill(0xff);
        let found = read(&file, Some(1)).unwrap_err().to_string();
        assert!(found.contains("at byte 4294967295: its question ends behind"), "{found}");
        assert!(read(&file, None).is_ok(), "where all are wanted the places are not asked");
    }
}
