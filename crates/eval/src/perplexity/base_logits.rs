//! The file of a model's probabilities, in llama.cpp's format, so that a smaller model can be compared with a larger one
//! that does not run at the same time.
//!
//! Little-endian: `_logits_`, window, vocabulary, chunks (32 bits each), the tokens of all chunks (32 bits), then for each
//! scored token a row: scale and smallest log-probability (F32), and for each token of the vocabulary a number of 16 bits,
//! with one more where the vocabulary is odd. A chunk has `window - 1 - window / 2` rows.
//! Source: llama.cpp, `tools/perplexity/perplexity.cpp`.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::log_softmax::LogSoftmax;

const MAGIC: &[u8; 8] = b"_logits_";
/// Magic and three numbers.
const HEADER_BYTES: u64 = 20;
/// Log-probabilities further below the greatest than this are all the same.
const RANGE: f32 = 16.0;
/// Longest window that is believed.
const LONGEST_WINDOW: u32 = 1 << 24;

/// A file of probabilities that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It is something else.
    #[error("{}: not a file of log-probabilities (`_logits_` is not at its start)", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// A number is impossible.
    #[error("{}: {what} is {found}, wanted {wanted}", path.display())]
    Number {
        /// The file.
        path: PathBuf,
        /// What it is of.
        what: &'static str,
        /// The number.
        found: u32,
        /// What it must be.
        wanted: String,
    },
    /// It ends too early.
    #[error("{}: {found} bytes, {chunks} chunks of {window} tokens take {wanted}: the file is cut", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The length it must have.
        wanted: u64,
        /// Chunks.
        chunks: u32,
        /// Tokens of a chunk.
        window: u32,
    },
}

/// Rows scored in a window.
fn scored(window: usize) -> usize {
    window - 1 - window / 2
}

/// 16-bit numbers of a row.
fn row_numbers(vocabulary: usize) -> usize {
    vocabulary.next_multiple_of(2) + 4
}

/// A row as the file has it.
pub(crate) struct EncodedRow {
    pub negative_log_likelihood: f64,
    bytes: Vec<u8>,
}

impl EncodedRow {
    /// The probabilities of a row of logits; `token` is the one that came.
    pub(crate) fn new(logits: &[f32], token: u32) -> EncodedRow {
        let row = LogSoftmax::new(logits);
        let min = logits.iter().copied().fold(f32::INFINITY, f32::min).max(row.max - RANGE);
        let scale = (row.max - min) / f32::from(u16::MAX);
        let least = min - row.max - row.log_sum as f32;
        let mut bytes = Vec::with_capacity(row_numbers(logits.len()) * 2);
        bytes.extend_from_slice(&scale.to_le_bytes());
        bytes.extend_from_slice(&least.to_le_bytes());
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        for logit in logits {
            // Saturating: what lies below the range is 0.
            let number = (inverse * (logit - min)).round_ties_even() as u16;
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.resize(row_numbers(logits.len()) * 2, 0);
        EncodedRow { negative_log_likelihood: -row.log_probability(token), bytes }
    }
}

/// Writes the file row by row.
pub(crate) struct BaseWriter<'a> {
    out: &'a mut dyn Write,
}

impl<'a> BaseWriter<'a> {
    /// Writes what comes before the rows.
    pub(crate) fn new(
        out: &'a mut dyn Write,
        window: usize,
        vocabulary: usize,
        tokens: &[u32],
    ) -> io::Result<BaseWriter<'a>> {
        out.write_all(MAGIC)?;
        for number in [window, vocabulary, tokens.len() / window] {
            out.write_all(&(number as u32).to_le_bytes())?;
        }
        for token in tokens {
            out.write_all(&token.to_le_bytes())?;
        }
        Ok(BaseWriter { out })
    }

    pub(crate) fn write(&mut self, row: &EncodedRow) -> io::Result<()> {
        self.out.write_all(&row.bytes)
    }
}

/// A file of probabilities, opened: its header is checked, the rows are read as they are needed.
#[derive(Debug)]
pub struct BaseLogits {
    path: PathBuf,
    file: BufReader<File>,
    window: usize,
    vocabulary: usize,
    tokens: Vec<u32>,
}

impl BaseLogits {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, is something else, or is cut.
    pub fn open(path: impl AsRef<Path>) -> Result<BaseLogits, BaseError> {
        let path = path.as_ref().to_owned();
        let failed = |source| BaseError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut header = [0; HEADER_BYTES as usize];
        let read = length >= HEADER_BYTES && file.read_exact(&mut header).is_ok();
        if !read || &header[..MAGIC.len()] != MAGIC {
            return Err(BaseError::Magic { path });
        }
        let [window, vocabulary, chunks] =
            [8, 12, 16].map(|at| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes are four bytes")));
        let number = |what, found, least: u32, most: u32| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(BaseError::Number { path: path.clone(), what, found, wanted: format!("{least} to {most}") })
        };
        number("the window", window, 4, LONGEST_WINDOW)?;
        number("the vocabulary", vocabulary, 1, 1 << 24)?;
        number("the number of chunks", chunks, 1, i32::MAX as u32)?;
        let row = row_numbers(vocabulary as usize) as u64 * 2;
        let chunk = u128::from(window) * 4 + scored(window as usize) as u128 * u128::from(row);
        let wanted = u128::from(HEADER_BYTES) + u128::from(chunks) * chunk;
        if u128::from(length) < wanted {
            let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
            return Err(BaseError::Truncated { path, found: length, wanted, chunks, window });
        }
        let mut bytes = vec![0; window as usize * chunks as usize * 4];
        file.read_exact(&mut bytes).map_err(|source| BaseError::Io { path: path.clone(), source })?;
        let tokens: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        if let Some(&found) = tokens.iter().find(|&&token| token >= vocabulary) {
            return Err(BaseError::Number { path, what: "a token", found, wanted: format!("less than {vocabulary}") });
        }
        Ok(BaseLogits { path, file, window: window as usize, vocabulary: vocabulary as usize, tokens })
    }

    /// Tokens of a window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tokens of all windows, as the text has them.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Checks that the file is of a model with so many tokens.
    pub(crate) fn check_vocabulary(&self, vocabulary: usize) -> Result<(), BaseError> {
        if self.vocabulary == vocabulary {
            return Ok(());
        }
        let (path, found) = (self.path.clone(), self.vocabulary as u32);
        Err(BaseError::Number {
            path,
            what: "the vocabulary",
            found,
            wanted: format!("{vocabulary}, as the model has"),
        })
    }

    /// The rows of the next window.
    pub(crate) fn next_window(&mut self) -> Result<BaseRows, BaseError> {
        let row_bytes = row_numbers(self.vocabulary) * 2;
        let mut bytes = vec![0; scored(self.window) * row_bytes];
        let read = self.file.read_exact(&mut bytes);
        read.map_err(|source| BaseError::Io { path: self.path.clone(), source })?;
        Ok(BaseRows { bytes, row_bytes, vocabulary: self.vocabulary })
    }
}

/// The rows of a window.
pub(crate) struct BaseRows {
    bytes: Vec<u8>,
    row_bytes: usize,
    vocabulary: usize,
}

impl BaseRows {
    /// A row; 0 is the first that is scored.
    pub(crate) fn row(&self, index: usize) -> BaseRow<'_> {
        let bytes = &self.bytes[index * self.row_bytes..][..self.row_bytes];
        let float = |at: usize| f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let numbers = &bytes[8..][..self.vocabulary * 2];
        BaseRow { scale: float(0), least: float(4), numbers: numbers.as_chunks::<2>().0 }
    }
}

/// Log-probabilities of a row.
#[derive(Clone, Copy)]
pub(crate) struct BaseRow<'a> {
    scale: f32,
    least: f32,
    numbers: &'a [[u8; 2]],
}

impl BaseRow<'_> {
    pub(crate) fn log_probability(&self, token: usize) -> f32 {
        self.scale * f32::from(u16::from_le_bytes(self.numbers[token])) + self.least
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = f32> + '_ {
        self.numbers.iter().map(|&number| self.scale * f32::from(u16::from_le_bytes(number)) + self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(window: u32, vocabulary: u32, chunks: u32, rest: usize) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        for number in [window, vocabulary, chunks] {
            file.extend(number.to_le_bytes());
        }
        file.resize(file.len() + rest, 0);
        file
    }

    #[test]
    fn rows_come_back_within_their_steps() {
        let vocabulary = 7;
        let row = |seed: usize| -> Vec<f32> { (0..vocabulary).map(|i| ((i * 37 + seed * 11) % 23) as f32).collect() };
        let (window, tokens) = (8, [1, 2, 3, 4, 5, 6, 0, 1]);
        let mut bytes = Vec::new();
        let mut writer = BaseWriter::new(&mut bytes, window, vocabulary, &tokens).unwrap();
        (0..scored(window)).for_each(|seed| writer.write(&EncodedRow::new(&row(seed), 0)).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("base");
        std::fs::write(&path, &bytes).unwrap();
        let mut base = BaseLogits::open(&path).unwrap();
        assert_eq!((base.window(), base.vocabulary(), base.tokens()), (window, vocabulary, &tokens[..]));
        let rows = base.next_window().unwrap();
        for seed in 0..scored(window) {
            let logits = row(seed);
            let exact = LogSoftmax::new(&logits);
            for (token, found) in rows.row(seed).iter().enumerate() {
                let wanted = exact.log_probability(token as u32).max(exact.log_probability(top(&logits)) - 16.0);
                assert!((f64::from(found) - wanted).abs() < 16.0 / 65535.0, "{seed} {token}: {found} for {wanted}");
                assert_eq!(found, rows.row(seed).log_probability(token));
            }
        }
        assert!(base.next_window().is_err(), "there is one window");
    }

    fn top(logits: &[f32]) -> u32 {
        (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32
    }

    #[test]
    fn equal_logits_have_no_steps() {
        let row = EncodedRow::new(&[2.0; 4], 1);
        assert!((row.negative_log_likelihood - 4f64.ln()).abs() < 1e-6);
        assert_eq!(row.bytes.len(), 16);
        assert_eq!(row.bytes[..4], [0; 4]);
    }

    #[test]
    fn what_is_no_file_of_probabilities_is_refused() {
        let mut alien = file(4, 2, 1, 64);
        alien[20] = 9;
        for (bytes, message) in [
            (Vec::new(), "not a file of log-probabilities"),
            (b"GGUF".repeat(9), "not a file of log-probabilities"),
            (file(4, 2, 1, 0), "20 bytes, 1 chunks of 4 tokens take 48: the file is cut"),
            (file(3, 2, 1, 64), "the window is 3, wanted 4 to 16777216"),
            (file(u32::MAX, 2, 1, 64), "the window is 4294967295"),
            (file(4, 0, 1, 64), "the vocabulary is 0"),
            (file(4, 2, 0, 64), "the number of chunks is 0"),
            (file(1 << 24, 1 << 24, i32::MAX as u32, 64), "the file is cut"),
            (alien, "a token is 9, wanted less than 2"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("base");
            std::fs::write(&path, bytes).unwrap();
            let error = BaseLogits::open(&path).unwrap_err().to_string();
            assert!(error.contains(message), "{error} for {message}");
        }
    }
}
