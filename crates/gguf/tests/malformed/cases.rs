//! The table: a hand-made file, and what the reader must say about it.

use crate::raw::{Raw, array, raw, rich, string};

/// A file and the exact text of its error.
#[derive(Clone)]
pub struct Case {
    pub file: Vec<u8>,
    pub error: String,
}

pub fn all() -> Vec<Case> {
    [header(), keys(), values(), tensors(), places()].concat()
}

fn case(file: impl Into<Bytes>, error: impl Into<String>) -> Case {
    Case { file: file.into().0, error: error.into() }
}

struct Bytes(Vec<u8>);

impl From<Raw> for Bytes {
    fn from(raw: Raw) -> Bytes {
        Bytes(raw.bytes())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes(bytes.to_vec())
    }
}

fn header() -> Vec<Case> {
    let begins = |bytes: &[u8]| raw().begins(bytes).bytes();
    let magic = |bytes: &[u8], hint: &str| {
        let error = format!("the file begins with `{}`{hint}, not with `GGUF`", bytes[..4].escape_ascii());
        case([bytes, &[0; 40]].concat(), error)
    };
    vec![
        case(&b""[..], "the file is empty"),
        case(&b"G"[..], "the header's magic needs 4 bytes at byte 0, but the file has 1"),
        case(&b"GGU"[..], "the header's magic needs 4 bytes at byte 0, but the file has 3"),
        case(&b"GGUF"[..], "the header's version needs 4 bytes at byte 4, but the file has 4"),
        case(&b"GGUF\x03\0"[..], "the header's version needs 4 bytes at byte 4, but the file has 6"),
        case(&b"GGUF\x03\0\0\0"[..], "the header's tensor count needs 8 bytes at byte 8, but the file has 8"),
        case(&rich()[..15], "the header's tensor count needs 8 bytes at byte 8, but the file has 15"),
        case(&rich()[..16], "the header's metadata count needs 8 bytes at byte 16, but the file has 16"),
        case(&rich()[..23], "the header's metadata count needs 8 bytes at byte 16, but the file has 23"),
        case(vec![0; 4096], "the file begins with zero bytes, not with `GGUF`: a download that was never filled in?"),
        magic(b"gguf", ""),
        magic(b"FUGG", ""),
        magic(b"\xef\xbb\xbfG", ""),
        magic(b"lmgg", " (the format before GGUF)"),
        magic(b"tjgg", " (the format before GGUF)"),
        magic(b"PK\x03\x04", " (a zip archive or PyTorch file)"),
        magic(b"version https://git-lfs", " (a Git LFS pointer: the file itself was not downloaded?)"),
        magic(b"<!DOCTYPE html>", " (a web page)"),
        magic(b"<html>", " (a web page)"),
        magic(b"\x1f\x8b\x08\0", " (a gzip archive)"),
        case(begins(b"GGUF\0\0\0\0"), "the file is GGUF version 0; versions 2 and 3 are read"),
        case(
            begins(b"GGUF\x01\0\0\0"),
            "the file is GGUF version 1, which had 32-bit lengths and is no longer read; convert it to version 3",
        ),
        case(begins(b"GGUF\x04\0\0\0"), "the file is GGUF version 4; versions 2 and 3 are read"),
        case(begins(b"GGUF\xff\xff\xff\xff"), "the file is GGUF version 4294967295; versions 2 and 3 are read"),
        case(begins(b"GGUF\0\0\0\x03"), "the file is big-endian GGUF version 3; only little-endian files are read"),
        case(begins(b"GGUF\0\0\0\x02"), "the file is big-endian GGUF version 2; only little-endian files are read"),
        case(raw().tensor_count(1), "the file announces 1 tensors; at most 0 can be in it"),
        case(
            raw().tensor_count(u64::MAX).data(500),
            "the file announces 18446744073709551615 tensors; at most 20 can be in it",
        ),
        case(
            raw().tensor_count(i64::MIN as u64),
            "the file announces 9223372036854775808 tensors; at most 0 can be in it",
        ),
        case(raw().key_count(1), "the file announces 1 metadata keys; at most 0 can be in it"),
        case(
            raw().key_count(u64::MAX).data(500),
            "the file announces 18446744073709551615 metadata keys; at most 36 can be in it",
        ),
        case(
            raw().key_count(1 << 32).data(1 << 20),
            "the file announces 4294967296 metadata keys; at most 65536 can be in it",
        ),
    ]
}

fn keys() -> Vec<Case> {
    let pad = [0; 64];
    vec![
        case(raw().key("", 0, [1]).key_bytes(pad), "metadata key 0 is empty"),
        case(
            raw().key_count(1).key_bytes(u64::MAX.to_le_bytes()).key_bytes(pad),
            "metadata key 0 has 18446744073709551615 bytes; at most 65535 are allowed",
        ),
        case(raw().key("k".repeat(65_536), 0, [1]), "metadata key 0 has 65536 bytes; at most 65535 are allowed"),
        case(
            raw().key_count(1).key_bytes(1000u64.to_le_bytes()).key_bytes(pad),
            "metadata key 0 needs 1000 bytes at byte 32, but the file has 96",
        ),
        case(raw().key(b"ab\xff", 0, [1]), "metadata key 0 is not UTF-8 at its byte 2"),
        case(raw().key("x", 0, [1]).key(b"\xc3", 0, [1]), "metadata key 1 is not UTF-8 at its byte 0"),
        case(raw().key("twice", 0, [1]).key("twice", 0, [1]), "metadata key `twice` is there twice"),
        case(
            raw().key("general.architecture", 8, string("a")).key("x", 0, [1]).key("general.architecture", 0, [1]),
            "metadata key `general.architecture` is there twice",
        ),
        case(
            raw().key("an\x1b[31m\nugly", 13, [0]),
            "metadata key `an\\u{1b}[31m\\nugly` has value type 13; 0 to 12 are known",
        ),
        case(
            raw().key("k".repeat(3000), 99, [0]),
            format!("metadata key `{}…` has value type 99; 0 to 12 are known", "k".repeat(100)),
        ),
        case(raw().key("x", u32::MAX, [0]), "metadata key `x` has value type 4294967295; 0 to 12 are known"),
        case(raw().key("x", 0, [1]).key_count(2).key_bytes(vec![0; 5]).tensor_bytes([0; 9]), "metadata key 1 is empty"),
        case(
            raw().key_count(1).key_bytes(string("long.key.x")),
            "the value of metadata key `long.key.x` needs 4 bytes at byte 42, but the file has 42",
        ),
    ]
}

fn values() -> Vec<Case> {
    let mut cases = Vec::new();
    // A scalar of each type, cut one byte short.
    for (value_type, bytes) in
        [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8), (11, 8), (12, 8)]
    {
        let file = raw().key("long.key", value_type, vec![0; bytes - 1]);
        let length = 24 + 8 + 8 + 4 + bytes - 1;
        cases.push(case(
            file,
            format!("the value of metadata key `long.key` needs {bytes} bytes at byte 44, but the file has {length}"),
        ));
    }
    // An array of each type that announces one element more than the file can hold.
    for (element, name, bytes) in [
        (0, "u8", 1),
        (1, "i8", 1),
        (2, "u16", 2),
        (3, "i16", 2),
        (4, "u32", 4),
        (5, "i32", 4),
        (6, "f32", 4),
        (7, "bool", 1),
        (8, "string", 8),
        (9, "array", 12),
        (10, "u64", 8),
        (11, "i64", 8),
        (12, "f64", 8),
    ] {
        let limit = 48 / bytes;
        for found in [limit + 1, u64::MAX / bytes, u64::MAX] {
            cases.push(case(
                raw().key("list", 9, [array(element, found), vec![0; 48]].concat()),
                format!(
                    "metadata key `list` announces {found} elements of type {name}; at most {limit} can be in the file"
                ),
            ));
        }
    }
    let nest = |depth: u32| array(9, 1).repeat(depth as usize - 1);
    cases.extend([
        case(raw().key("b", 7, [2]), "metadata key `b` holds 2 as a boolean; 0 and 1 are known"),
        case(raw().key("b", 7, [255]), "metadata key `b` holds 255 as a boolean; 0 and 1 are known"),
        case(
            raw().key("b", 9, [array(7, 3), vec![0, 1, 7]].concat()),
            "metadata key `b` holds 7 as a boolean; 0 and 1 are known",
        ),
        case(
            raw().key("s", 8, u64::MAX.to_le_bytes()).key_bytes([0; 10]),
            "metadata key `s` announces a string of 18446744073709551615 bytes; at most 10 can be in the file",
        ),
        case(
            raw().key("s", 8, 11u64.to_le_bytes()).key_bytes([0; 10]),
            "metadata key `s` announces a string of 11 bytes; at most 10 can be in the file",
        ),
        case(
            raw().key("long.key", 8, [0; 7]),
            "the value of metadata key `long.key` needs 8 bytes at byte 44, but the file has 51",
        ),
        case(raw().key("s", 8, string(b"good\x80")), "metadata key `s` holds a string that is not UTF-8 at its byte 4"),
        case(
            raw().key("list", 9, [array(8, 2), string("fine"), 100u64.to_le_bytes().to_vec()].concat()),
            "metadata key `list` announces a string of 100 bytes; at most 0 can be in the file",
        ),
        case(
            raw().key("list", 9, [array(8, 2), string("too long")].concat()),
            "the value of metadata key `list` needs 8 bytes at byte 68, but the file has 68",
        ),
        case(
            raw().key("list", 9, [array(13, 1), vec![0; 8]].concat()),
            "metadata key `list` is an array with element type 13; 0 to 12 are known",
        ),
        case(
            raw().key("list", 9, [array(9, 1), array(77, 1)].concat()),
            "metadata key `list` is an array with element type 77; 0 to 12 are known",
        ),
        case(
            raw().key("list", 9, [nest(5), array(0, 1), vec![0]].concat()),
            "metadata key `list` has arrays nested deeper than 4",
        ),
        case(
            raw().key("list", 9, [nest(10_000), array(0, 1), vec![0]].concat()),
            "metadata key `list` has arrays nested deeper than 4",
        ),
        case(
            raw().key("list", 9, [array(9, (1 << 20) + 1), vec![0; 12 * ((1 << 20) + 1)]].concat()),
            "metadata key `list` has more than 1048576 arrays inside its array",
        ),
        case(
            raw().key("list", 9, [array(9, 2), array(0, 100), vec![0; 50]].concat()),
            "metadata key `list` announces 100 elements of type u8; at most 50 can be in the file",
        ),
        case(
            raw().key("list", 9, array(4, 0)).key_count(2).key_bytes([1; 4]),
            "metadata key 1 needs 8 bytes at byte 52, but the file has 56",
        ),
        case(
            raw().key("list", 9, [0; 3]),
            "the value of metadata key `list` needs 4 bytes at byte 40, but the file has 43",
        ),
    ]);
    cases
}

fn tensors() -> Vec<Case> {
    let odd = |shape: &[u64], tensor_type| raw().tensor("odd", shape, tensor_type, 0).data(64);
    let mut cases = vec![
        case(raw().tensor("", &[1], 0, 0).data(64), "tensor 0 has an empty name"),
        case(
            raw().tensor("n".repeat(256), &[1], 0, 0).data(64),
            "tensor 0 has a name of 256 bytes; at most 255 are allowed",
        ),
        case(
            raw().tensor_count(1).tensor_bytes([255; 40]),
            "tensor 0 has a name of 18446744073709551615 bytes; at most 255 are allowed",
        ),
        case(
            raw().tensor_count(1).tensor_bytes(200u64.to_le_bytes()).tensor_bytes([0; 40]),
            "the name of tensor 0 needs 200 bytes at byte 32, but the file has 72",
        ),
        case(raw().tensor(b"\xf0\x9f", &[1], 0, 0).data(64), "tensor 0 has a name that is not UTF-8 at its byte 0"),
        case(raw().tensor("same", &[1], 0, 0).tensor("same", &[2], 0, 32).data(64), "tensor `same` is there twice"),
        case(
            raw().tensor("n".repeat(26), &[], 0, 0).tensor_count(2),
            "the name of tensor 1 needs 8 bytes at byte 74, but the file has 74",
        ),
        case(odd(&[1; 5], 0), "tensor `odd` has 5 dimensions; at most 4 are allowed"),
        case(
            raw().tensor_count(1).tensor_bytes(string("odd")).tensor_bytes([255; 40]),
            "tensor `odd` has 4294967295 dimensions; at most 4 are allowed",
        ),
        case(odd(&[0], 0), "tensor `odd` has dimension 0 of size 0"),
        case(odd(&[32, 4, 0, 1], 0), "tensor `odd` has dimension 2 of size 0"),
        case(odd(&[u64::MAX, 0], 0), "tensor `odd` has dimension 1 of size 0"),
        case(odd(&[u64::MAX], 24), "tensor `odd` of shape [18446744073709551615] has more elements than fit 63 bits"),
        case(
            odd(&[1 << 32, 1 << 32], 0),
            "tensor `odd` of shape [4294967296, 4294967296] has more elements than fit 63 bits",
        ),
        case(
            odd(&[1 << 31, 1 << 31, 2], 24),
            "tensor `odd` of shape [2147483648, 2147483648, 2] has more elements than fit 63 bits",
        ),
        case(
            odd(&[1 << 20, 1 << 20, 1 << 20, 1 << 4], 0),
            "tensor `odd` of shape [1048576, 1048576, 1048576, 16] has more elements than fit 63 bits",
        ),
        case(
            odd(&[1 << 31, 1 << 31], 0),
            "tensor `odd` of shape [2147483648, 2147483648] and type F32 has more bytes than fit 63 bits",
        ),
        case(
            odd(&[1 << 31, 1 << 31], 9),
            format!("tensor `odd` ends at byte {}, but the file has 160", (1u64 << 62) / 32 * 36 + 96),
        ),
        case(odd(&[31], 2), "tensor `odd` of type Q4_0 has rows of 31 elements, not a multiple of the block's 32"),
        case(odd(&[], 8), "tensor `odd` of type Q8_0 has rows of 1 elements, not a multiple of the block's 32"),
        case(
            odd(&[128, 2], 12),
            "tensor `odd` of type Q4_K has rows of 128 elements, not a multiple of the block's 256",
        ),
        case(odd(&[32, 2], 40), "tensor `odd` of type NVFP4 has rows of 32 elements, not a multiple of the block's 64"),
        case(odd(&[64], 43), "tensor `odd` has type 43, which is unknown"),
        case(odd(&[64], u32::MAX), "tensor `odd` has type 4294967295, which is unknown"),
    ];
    for (id, was) in [
        (4, "Q4_2"),
        (5, "Q4_3"),
        (31, "Q4_0_4_4"),
        (32, "Q4_0_4_8"),
        (33, "Q4_0_8_8"),
        (36, "IQ4_NL_4_4"),
        (37, "IQ4_NL_4_8"),
        (38, "IQ4_NL_8_8"),
    ] {
        cases.push(case(
            odd(&[256], id),
            format!("tensor `odd` has type {id} ({was}), which was withdrawn from the format"),
        ));
    }
    // The description, cut inside each of its fields: dimension count, shape, type, offset.
    let whole = raw().tensor("blk.0.attn_q.weight", &[64, 2], 0, 0).bytes();
    let start = whole.len() - (4 + 16 + 4 + 8);
    for (field, bytes, kept) in [(0, 4, 1), (4, 16, 15), (20, 4, 3), (24, 8, 7)] {
        let length = start + field + kept;
        cases.push(case(
            &whole[..length],
            format!(
                "the description of tensor `blk.0.attn_q.weight` needs {bytes} bytes at byte {}, but the file has {length}",
                start + field
            ),
        ));
    }
    cases
}

fn places() -> Vec<Case> {
    let two =
        |first: u64, second: u64| raw().tensor("first", &[16], 0, first).tensor("second", &[16], 0, second).data(256);
    let alignment = |value_type, value: &[u8]| raw().key("general.alignment", value_type, value);
    let bad_alignment =
        |found: u64| format!("`general.alignment` is {found}; it must be a power of two from 8 to 16777216");
    vec![
        case(alignment(4, &[0; 4]), bad_alignment(0)),
        case(alignment(4, &1u32.to_le_bytes()), bad_alignment(1)),
        case(alignment(4, &4u32.to_le_bytes()), bad_alignment(4)),
        case(alignment(4, &48u32.to_le_bytes()), bad_alignment(48)),
        case(alignment(4, &u32::MAX.to_le_bytes()), bad_alignment(u32::MAX.into())),
        case(alignment(4, &(1u32 << 31).to_le_bytes()), bad_alignment(1 << 31)),
        case(alignment(10, &(1u64 << 63).to_le_bytes()), bad_alignment(1 << 63)),
        case(
            alignment(5, &(-32i32).to_le_bytes()),
            "metadata key `general.alignment` holds -32, which is not an unsigned integer",
        ),
        case(
            alignment(8, &string("32")),
            "metadata key `general.alignment` holds a value of type string, wanted an unsigned integer",
        ),
        case(
            alignment(9, &[array(4, 1), vec![32, 0, 0, 0]].concat()),
            "metadata key `general.alignment` holds an array of u32, wanted an unsigned integer",
        ),
        case(two(0, 65), "tensor `second` starts at offset 65, not a multiple of the alignment 32"),
        case(two(16, 64), "tensor `first` starts at offset 16, not a multiple of the alignment 32"),
        case(
            raw().aligned(4096).tensor("t", &[16], 0, 32).data(8192),
            "tensor `t` starts at offset 32, not a multiple of the alignment 4096",
        ),
        case(two(0, 32), "tensor `second` starts at byte 160, but tensor `first` before it ends at byte 192"),
        case(two(32, 0), "tensor `first` starts at byte 160, but tensor `second` before it ends at byte 192"),
        case(two(64, 64), "tensor `second` starts at byte 192, but tensor `first` before it ends at byte 256"),
        case(two(0, 224), "tensor `second` ends at byte 416, but the file has 384"),
        case(two(256, 0), "tensor `first` ends at byte 448, but the file has 384"),
        case(two(0, 1 << 40), "tensor `second` ends at byte 1099511627968, but the file has 384"),
        case(
            two(0, u64::MAX - 31),
            "tensor `second` with 64 bytes at offset 18446744073709551584 ends past what 64 bits can count",
        ),
        case(
            two(0, u64::MAX - 159),
            "tensor `second` with 64 bytes at offset 18446744073709551456 ends past what 64 bits can count",
        ),
        case(raw().tensor("t", &[16], 0, 0), "tensor `t` ends at byte 128, but the file has 57"),
        case(raw().tensor("t", &[16], 0, 0).data(63), "tensor `t` ends at byte 128, but the file has 127"),
        case(raw().aligned(1 << 24).tensor("t", &[16], 0, 0), "tensor `t` ends at byte 16777280, but the file has 90"),
        case(
            raw().tensor("huge", &[1 << 40, 256], 0, 0).data(64),
            "tensor `huge` ends at byte 1125899906842720, but the file has 160",
        ),
        case(
            raw().key("split.no", 2, [0, 0]).key("split.count", 2, [3, 0]),
            "the file is one of 3 parts of a split model, and was given without its path",
        ),
        case(raw().key("split.count", 2, [3, 0]), "metadata key `split.no` is missing"),
        case(
            raw().key("split.no", 2, [3, 0]).key("split.count", 2, [3, 0]),
            "metadata key `split.no` holds 3, which is not below `split.count`",
        ),
        case(
            raw().key("split.no", 2, [0, 0]).key("split.count", 4, [0, 0, 1, 0]),
            "metadata key `split.count` holds 65536, which is not a number of parts up to 65535",
        ),
        case(
            raw().key("split.count", 8, string("3")),
            "metadata key `split.count` holds a value of type string, wanted an unsigned integer",
        ),
    ]
}
