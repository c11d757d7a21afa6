//! What can be wrong with a file of tasks, and with a task.

use ascua::Error;

/// A file of tasks that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TaskFileError {
    /// It holds no task.
    #[error("no task in it")]
    Empty,
    /// HellaSwag: some task is cut or has lines too many.
    #[error("{found} lines; a file of HellaSwag tasks has {wanted} for each")]
    Lines {
        /// Lines of the file.
        found: usize,
        /// Lines of a task.
        wanted: usize,
    },
    /// HellaSwag: not the number of an ending.
    #[error("line {line}: `{found}` is not the number of an ending, 0 to {last}")]
    Ending {
        /// The line, from 1.
        line: usize,
        /// What it says.
        found: String,
        /// The greatest number.
        last: usize,
    },
    /// WinoGrande: columns are missing.
    #[error("line {line}: {found} columns, wanted 5: number, sentence, two names, answer")]
    Columns {
        /// The line, from 1.
        line: usize,
        /// Columns found.
        found: usize,
    },
    /// WinoGrande: nowhere to put a name.
    #[error("line {line}: the sentence has no `_`")]
    NoGap {
        /// The line, from 1.
        line: usize,
    },
    /// WinoGrande: not the number of a name.
    #[error("line {line}: the answer is `{found}`, wanted 1 or 2")]
    Name {
        /// The line, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// Multiple choice: the file does not hold what it says.
    #[error("task {task} at byte {at}: {what} ends behind the file's {length} bytes")]
    Cut {
        /// The task, from 1; 0: the table of the tasks' places.
        task: usize,
        /// Where it begins.
        at: usize,
        /// What is cut.
        what: &'static str,
        /// The file's length.
        length: usize,
    },
    /// Multiple choice: the table of tasks does not fit in the file.
    #[error(
        "{found} tasks, but the file's {length} bytes hold at most {most}: not a file of multiple-choice tasks, or cut"
    )]
    TaskCount {
        /// Tasks the file says it has.
        found: usize,
        /// The file's length.
        length: usize,
        /// So many fit.
        most: usize,
    },
    /// Multiple choice: too many choices.
    #[error("task {task} at byte {at}: {found} choices, at most {most} are read")]
    Choices {
        /// The task, from 1.
        task: usize,
        /// Where it begins.
        at: usize,
        /// Choices it says it has.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Multiple choice: a text is missing.
    #[error("task {task} at byte {at}: {what}")]
    NoText {
        /// The task, from 1.
        task: usize,
        /// Where it begins.
        at: usize,
        /// What is missing.
        what: &'static str,
    },
}

/// A task that cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// It does not fit.
    #[error("task {number} has {tokens} tokens, the context holds {context}")]
    TooLong {
        /// The task, from 1.
        number: usize,
        /// Tokens of its longest choice.
        tokens: usize,
        /// The context.
        context: usize,
    },
    /// Nothing stands before what is to be scored.
    #[error("task {number}: nothing stands before its choices, so nothing says how likely their first token is")]
    NoBeginning {
        /// The task, from 1.
        number: usize,
    },
    /// The model failed.
    #[error(transparent)]
    Model(#[from] Error),
}
