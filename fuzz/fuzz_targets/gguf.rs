//! Any bytes as a GGUF file: read or refused, never a panic; what was read can be written and reads the same.

#![no_main]

use ascua_gguf::{Gguf, GgufWriter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Gguf::header_from_bytes(bytes) {
        for tensor in header.tensors() {
            assert!(header.data(tensor).is_empty());
        }
    }
    let Ok(gguf) = Gguf::from_bytes(bytes) else { return };
    for tensor in gguf.tensors() {
        assert_eq!(gguf.data(tensor).len() as u64, tensor.bytes());
    }
    // A wide alignment makes a small file large: left out, for speed.
    if gguf.metadata().unsigned("general.alignment").is_ok_and(|alignment| alignment.unwrap_or(32) > 4096) {
        return;
    }
    let mut first = Vec::new();
    GgufWriter::copy_of(&gguf)
        .and_then(|mut writer| writer.write_to(&mut first))
        .expect("what can be read can be written");
    let again = Gguf::from_bytes(first.as_slice()).expect("what was written can be read");
    let mut second = Vec::new();
    GgufWriter::copy_of(&again)
        .and_then(|mut writer| writer.write_to(&mut second))
        .expect("what can be read can be written");
    assert_eq!(first, second);
});
