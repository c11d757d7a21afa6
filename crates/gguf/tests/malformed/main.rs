//! The reader and files that are wrong: each hand-made file gets its own error, none makes the reader panic, hang or
//! take more memory than the file justifies.

mod allocator;
mod cases;
mod raw;

use std::sync::Arc;

use ascua_gguf::{Gguf, GgufError, GgufWriter};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// Memory a reader may take for a file of so many bytes: tiny keys and tensors become structures some times their
/// size; the constant is for error texts and tables with a least size.
fn memory_allowed(file: usize) -> usize {
    16 * file + (1 << 16)
}

/// Opens `bytes` in both ways and does all that can be done with what was read; gives the error of the whole file.
fn open(bytes: &[u8]) -> Option<GgufError> {
    let shared: Arc<[u8]> = bytes.into();
    let (header, taken) = allocator::peak_of(|| Gguf::header_from_bytes(shared.clone()));
    assert!(taken <= memory_allowed(bytes.len()), "header: {taken} bytes of memory for {} of file", bytes.len());
    let (whole, taken) = allocator::peak_of(|| Gguf::from_bytes(shared.clone()));
    assert!(taken <= memory_allowed(bytes.len()), "whole: {taken} bytes of memory for {} of file", bytes.len());
    if let Ok(header) = header {
        assert!(header.tensors().iter().all(|tensor| header.data(tensor).is_empty()));
    }
    let gguf = match whole {
        Err(error) => {
            assert!(error.to_string().len() < 1000, "an endless message: {error}");
            return Some(error);
        }
        Ok(gguf) => gguf,
    };
    for tensor in gguf.tensors() {
        assert_eq!(gguf.data(tensor).len() as u64, tensor.bytes());
        assert_eq!(gguf.tensor(&tensor.name), Some(tensor));
    }
    // What was read can be written, and is then read as the same.
    let mut again = Vec::new();
    GgufWriter::copy_of(&gguf).unwrap().write_to(&mut again).unwrap();
    let again = Gguf::from_bytes(again).unwrap();
    assert_eq!(again.tensors().len(), gguf.tensors().len());
    for (before, after) in gguf.tensors().iter().zip(again.tensors()) {
        assert_eq!((&before.name, &before.shape, before.tensor_type), (&after.name, &after.shape, after.tensor_type));
        assert_eq!(*gguf.data(before), *again.data(after));
    }
    None
}

#[test]
fn each_malformed_file_gets_its_own_error() {
    let cases = cases::all();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let wanted = format!("<memory>: {}", case.error);
        let found = open(&case.file).map_or_else(|| "no error".to_owned(), |error| error.to_string());
        if found != wanted {
            wrong.push(format!("case {index}\n  wanted {wanted}\n  found  {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn the_sample_is_sound() {
    assert!(open(&raw::rich()).is_none());
    assert!(open(&raw::raw().bytes()).is_none(), "a file of nothing is a sound file");
    let version_two = raw::raw().begins(b"GGUF\x02\0\0\0").key("x", 0, [1]).bytes();
    assert_eq!(Gguf::from_bytes(version_two).unwrap().version(), 2);
}

#[test]
fn every_truncation_is_an_error() {
    let sample = raw::rich();
    // The last tensor ends 54 bytes before the file does.
    let needed = sample.len() - 54;
    for length in 0..sample.len() {
        let error = open(&sample[..length]);
        assert_eq!(error.is_some(), length < needed, "{length} bytes: {error:?}");
    }
}

#[test]
fn every_changed_byte_is_read_or_refused() {
    let sample = raw::rich();
    let header = sample.len() - 640;
    for at in 0..header {
        for value in [0, 1, 0x7f, 0x80, 0xff, sample[at] ^ 1, sample[at].wrapping_add(1)] {
            let mut changed = sample.clone();
            changed[at] = value;
            open(&changed);
        }
    }
}

#[test]
fn random_damage_is_read_or_refused() {
    let sample = raw::rich();
    let mut random = SplitMix(0x5eed);
    for _ in 0..20_000 {
        let mut damaged = sample.clone();
        for _ in 0..random.below(6) + 1 {
            let at = random.below(damaged.len());
            match random.below(5) {
                0 => damaged[at] ^= 1 << random.below(8),
                1 => damaged[at] = random.next() as u8,
                2 => {
                    let extreme = [0, 1, u64::MAX, 1 << 63, i64::MAX as u64, 1 << 32, 0xffff_ffff][random.below(7)];
                    let end = damaged.len().min(at + 8);
                    damaged[at..end].copy_from_slice(&extreme.to_le_bytes()[..end - at]);
                }
                3 => {
                    let end = damaged.len().min(at + random.below(40));
                    damaged.drain(at..end);
                }
                _ => {
                    let piece = sample[random.below(sample.len())..].iter().take(random.below(60)).copied();
                    damaged.splice(at..at, piece.collect::<Vec<_>>());
                }
            }
            if damaged.is_empty() {
                break;
            }
        }
        open(&damaged);
    }
}

#[test]
fn many_small_things_stay_within_memory() {
    let mut keys = raw::raw();
    let mut tensors = raw::raw();
    for index in 0..20_000u32 {
        keys = keys.key(format!("{index:x}"), 0, [1]);
        tensors = tensors.tensor(format!("{index:x}"), &[], 24, u64::from(index) * 32);
    }
    assert!(open(&keys.bytes()).is_none());
    let tensors = tensors.bytes();
    let (header, taken) = allocator::peak_of(|| Gguf::header_from_bytes(tensors.as_slice()));
    assert_eq!(header.unwrap().tensors().len(), 20_000);
    assert!(taken <= memory_allowed(tensors.len()), "{taken} bytes of memory for {}", tensors.len());
    let nested = [raw::array(9, 50_000), raw::array(0, 0).repeat(50_000)].concat();
    assert!(open(&raw::raw().key("nested", 9, nested).bytes()).is_none());
    let empty_strings = [raw::array(8, 100_000), vec![0; 800_000]].concat();
    assert!(open(&raw::raw().key("strings", 9, empty_strings).bytes()).is_none());
}

/// Sebastiano Vigna's SplitMix64: the same damage on every run.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
