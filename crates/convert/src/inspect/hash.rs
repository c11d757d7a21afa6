//! Hashes of a file's tensors, one by one and together; what is in the header does not count.
//!
//! As llama-gguf-hash has it: the hash of the file is that of all tensors' bytes one after the other, without padding.

use std::ops::ControlFlow;
use std::str::FromStr;

use ascua_gguf::Gguf;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh64::Xxh64;

use super::parallel::in_parallel;
use super::{Report, Stopped};

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashKind {
    /// xxHash of 64 bits: fast, and no protection from intent.
    Xxh64,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// A UUID of version 5 in llama.cpp's name space, of the file alone.
    Uuid,
}

impl HashKind {
    /// Every kind, the weakest first.
    pub const ALL: [HashKind; 4] = [HashKind::Xxh64, HashKind::Sha1, HashKind::Sha256, HashKind::Uuid];

    /// Its name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            HashKind::Xxh64 => "xxh64",
            HashKind::Sha1 => "sha1",
            HashKind::Sha256 => "sha256",
            HashKind::Uuid => "uuid",
        }
    }
}

impl FromStr for HashKind {
    type Err = ();

    fn from_str(name: &str) -> Result<HashKind, ()> {
        HashKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// A hash as text: hexadecimal digits, those of a UUID in groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The function.
    pub kind: HashKind,
    /// The digits.
    pub text: String,
}

/// The hashes of a file.
#[derive(Clone, Debug)]
pub struct FileHashes {
    /// Of each tensor, in the order of the file.
    pub tensors: Vec<TensorHashes>,
    /// Of all of them.
    pub whole: Vec<Digest>,
}

/// The hashes of a tensor.
#[derive(Clone, Debug)]
pub struct TensorHashes {
    /// The tensor.
    pub name: String,
    /// One of each kind asked for, but for UUIDs.
    pub digests: Vec<Digest>,
}

/// Bytes hashed before the caller is told.
const PIECE_BYTES: usize = 16 << 20;

/// llama.cpp's name space, `ef001206-dadc-5f6d-a15f-3359e577d4e5`.
const NAME_SPACE: [u8; 16] =
    [0xef, 0x00, 0x12, 0x06, 0xda, 0xdc, 0x5f, 0x6d, 0xa1, 0x5f, 0x33, 0x59, 0xe5, 0x77, 0xd4, 0xe5];

/// Hashes of the tensors of `gguf` and of all of them, of the kinds asked for.
///
/// # Errors
/// `report` asked to stop.
pub fn hash(gguf: &Gguf, kinds: &[HashKind], report: &mut Report<'_>) -> Result<FileHashes, Stopped> {
    let total = gguf.tensors().iter().map(|tensor| tensor.bytes()).sum();
    let of_tensors: Vec<HashKind> = kinds.iter().copied().filter(|&kind| kind != HashKind::Uuid).collect();
    let mut whole: Vec<State> = kinds.iter().map(|&kind| State::new(kind)).collect();
    let mut tensors = Vec::with_capacity(gguf.tensors().len());
    let mut done = 0;
    for tensor in gguf.tensors() {
        let data = gguf.data(tensor);
        let mut own: Vec<State> = of_tensors.iter().map(|&kind| State::new(kind)).collect();
        for piece in data.chunks(PIECE_BYTES) {
            update(&mut whole, &mut own, piece);
            data.release();
            done += piece.len() as u64;
            if let ControlFlow::Break(()) = report(&tensor.name, done, total) {
                return Err(Stopped);
            }
        }
        let digests = own.into_iter().map(State::finish).collect();
        tensors.push(TensorHashes { name: tensor.name.clone(), digests });
    }
    Ok(FileHashes { tensors, whole: whole.into_iter().map(State::finish).collect() })
}

/// Every state takes the piece, each on its own thread where there are enough.
fn update(whole: &mut [State], own: &mut [State], piece: &[u8]) {
    let states: Vec<std::sync::Mutex<&mut State>> = whole.iter_mut().chain(own).map(std::sync::Mutex::new).collect();
    in_parallel(0..states.len(), |i| {
        states[i].lock().unwrap_or_else(|poisoned| poisoned.into_inner()).update(piece);
    });
}

/// A hash on its way.
enum State {
    Xxh64(Box<Xxh64>),
    Sha1(Sha1),
    Sha256(Sha256),
    Uuid(Sha1),
}

impl State {
    fn new(kind: HashKind) -> State {
        match kind {
            HashKind::Xxh64 => State::Xxh64(Box::new(Xxh64::new(0))),
            HashKind::Sha1 => State::Sha1(Sha1::new()),
            HashKind::Sha256 => State::Sha256(Sha256::new()),
            HashKind::Uuid => State::Uuid(Sha1::new_with_prefix(NAME_SPACE)),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            State::Xxh64(state) => state.update(bytes),
            State::Sha1(state) | State::Uuid(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        let (kind, text) = match self {
            State::Xxh64(state) => (HashKind::Xxh64, hexadecimal(&state.digest().to_be_bytes())),
            State::Sha1(state) => (HashKind::Sha1, hexadecimal(&state.finalize())),
            State::Sha256(state) => (HashKind::Sha256, hexadecimal(&state.finalize())),
            State::Uuid(state) => (HashKind::Uuid, uuid(&state.finalize())),
        };
        Digest { kind, text }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A UUID of version 5 (RFC 9562) from the SHA-1 of name space and name.
fn uuid(sha1: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sha1[..16]);
    bytes[6] = bytes[6] & 0x0F | 0x50;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let text = hexadecimal(&bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}
