//! Checkpoints as they should be are read; of damaged, incomplete and hostile ones the file and the tensor are named.

mod support;

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use ascua_convert::checkpoint::{Checkpoint, CheckpointError, DType};
use serde_json::json;
use support::{Stored, safetensors, values, with_header, write_parts};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn stored(name: &str, shape: &[u64]) -> Stored {
    Stored::new(name, shape, DType::F32, &values(name, shape))
}

/// What is wrong with the checkpoint that `write` makes.
fn problem(write: impl FnOnce(&Path)) -> String {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    write(directory.path());
    let error = Checkpoint::open(directory.path()).expect_err("it is damaged").to_string();
    error.replace(&format!("{}/", directory.path().display()), "")
}

fn check(expected: &str, write: impl FnOnce(&Path)) {
    let found = problem(write);
    assert!(found.contains(expected), "found `{found}`, expected `{expected}`");
}

#[test]
fn a_file_as_pytorch_writes_it_is_read_where_it_lies() {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    fs::copy(support::data("torch.bin"), directory.path().join("pytorch_model.bin")).expect("it is there");
    let checkpoint = Checkpoint::open(directory.path()).expect("it is a checkpoint");
    let read = |name: &str| checkpoint.tensor(name).unwrap_or_else(|| panic!("{name} is missing"));
    for (name, dtype, shape) in [
        ("f32", DType::F32, vec![3, 5]),
        ("f16", DType::F16, vec![4, 6]),
        ("bf16", DType::BF16, vec![2, 3, 4]),
        ("f64", DType::F64, vec![7]),
    ] {
        let tensor = read(name);
        assert_eq!((tensor.dtype, &tensor.shape), (dtype, &shape), "{name}");
        assert_eq!(tensor.values(), values(name, &shape), "{name}");
    }
    assert_eq!(read("shared").values(), read("f32").values());
    let whole = values("transposed", &[6, 4]);
    let transposed: Vec<f32> = (0..24).map(|i| whole[i % 6 * 4 + i / 6]).collect();
    assert_eq!((read("transposed").shape.clone(), read("transposed").values()), (vec![4, 6], transposed));
    let whole = values("rows", &[8, 3]);
    let rows: Vec<f32> = [2, 4, 6].into_iter().flat_map(|row| whole[row * 3..][..3].to_vec()).collect();
    assert_eq!(read("rows").values(), rows);
    assert_eq!((read("scalar").shape.len(), read("scalar").values()), (0, vec![0.5]));
    assert_eq!((read("fp8").dtype, read("fp8").values()), (DType::F8E4M3, vec![1.0, -1.5, 448.0]));
    assert_eq!(read("ids").dtype, DType::I64);
    assert_eq!(checkpoint.tensors().len(), 10);
}

#[test]
fn parts_of_a_checkpoint_that_do_not_fit_together_are_named() {
    let all = || vec![stored("a", &[2, 2]), stored("b", &[2, 2]), stored("c", &[2]), stored("d", &[2])];
    let first = "model-00001-of-00002.safetensors";
    let second = "model-00002-of-00002.safetensors";
    let index = "model.safetensors.index.json";
    check("part is missing; `model.safetensors.index.json` says that it holds 2 tensors, such as `c`", |at| {
        write_parts(at, &all(), 2);
        fs::remove_file(at.join(second)).unwrap();
    });
    check("model-00002-of-00002.safetensors: part 2 of 2 is missing", |at| {
        write_parts(at, &all(), 2);
        fs::remove_file(at.join(second)).unwrap();
        fs::remove_file(at.join(index)).unwrap();
    });
    check("model-00002-of-00002.safetensors: has no tensor `d`, but `model.safetensors.index.json` says so", |at| {
        write_parts(at, &all(), 2);
        fs::write(at.join(second), safetensors(&all()[2..3])).unwrap();
    });
    check("model-00001-of-00002.safetensors: tensor `b` has no entry in", |at| {
        write_parts(at, &all(), 2);
        let map = json!({"weight_map": {"a": first, "c": second, "d": second}});
        fs::write(at.join(index), map.to_string()).unwrap();
    });
    check("part is missing", |at| {
        let map = json!({"weight_map": {"a": "../elsewhere.safetensors"}});
        fs::write(at.join(index), map.to_string()).unwrap();
    });
    check("model.safetensors.index.json: missing field `weight_map`", |at| fs::write(at.join(index), "{}").unwrap());
    check("model.safetensors.index.json: EOF", |at| fs::write(at.join(index), "{\"weight_map\": {").unwrap());
    check("tensor `a` is in", |at| {
        for name in ["model-a.safetensors", "model-b.safetensors"] {
            fs::write(at.join(name), safetensors(&all()[..1])).unwrap();
        }
    });
    check("no weights", |_| ());
    let error = Checkpoint::open("/nonexistent").unwrap_err();
    assert!(matches!(error, CheckpointError::NotDirectory { .. }), "{error}");
}

#[test]
fn damaged_safetensors_are_refused_with_the_tensor_named() {
    let header = |entries: serde_json::Value| with_header(&entries.to_string(), &[0; 16]);
    let entry = |dtype: &str, shape: &[u64], from: u64, to: u64| json!({"dtype": dtype, "shape": shape, "data_offsets": [from, to]});
    let whole = safetensors(&[stored("weight", &[4, 4])]);
    let cases: [(Vec<u8>, &str); 16] = [
        (Vec::new(), "the file has 0 bytes, fewer than the length of a header"),
        (whole[..whole.len() - 3].to_vec(), "tensor `weight` ends at byte 64, but the file has 61: was it cut?"),
        (whole[..20].to_vec(), "but the file ends after 12: was it cut?"),
        (u64::MAX.to_le_bytes().to_vec(), "the header would have 18446744073709551615 bytes"),
        (b"version https://git-lfs.github.com/spec/v1".to_vec(), "Git LFS pointer"),
        (with_header("[1]", &[]), "the header is wrong"),
        (with_header("{\"a\": 1}", &[]), "the header is wrong"),
        (with_header(&"[".repeat(100_000), &[]), "the header is wrong"),
        (header(json!({"a": entry("F32", &[2, 2], 0, 8)})), "tensor `a` of shape [2, 2] and type F32 needs 16 bytes"),
        (header(json!({"a": entry("F32", &[4], 16, 0)})), "has the bytes 16 to 0"),
        (header(json!({"a": entry("F9", &[4], 0, 16)})), "tensor `a` has type F9"),
        (header(json!({"a": entry("F32", &[1 << 40, 1 << 40], 0, 16)})), "more than 63 bits can count"),
        (header(json!({"a": entry("U8", &[0, u64::MAX, u64::MAX], 0, 0)})), "more than 63 bits can count"),
        (header(json!({"a": entry("U8", &[1; 9], 0, 1)})), "tensor `a` has 9 dimensions"),
        (
            header(json!({"a": entry("F32", &[3], 0, 12), "b": entry("F32", &[2], 8, 16)})),
            "tensor `b` starts at byte 8, inside of tensor `a`",
        ),
        (
            with_header(
                "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\
                  \"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                &[0; 2],
            ),
            "tensor `a` is there twice",
        ),
    ];
    for (bytes, expected) in cases {
        check(expected, |at| fs::write(at.join("model.safetensors"), bytes).unwrap());
    }
}

/// A file as PyTorch writes it, with this pickle and one storage of 16 bytes.
fn archive(pickle: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in [("model/data.pkl", pickle), ("model/byteorder", b"little"), ("model/data/0", &[0; 16])] {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// `{"w": tensor}` of a storage, an offset, a shape and strides, written as instructions.
fn pickled(key: char, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let tuple = |sizes: &[u8]| {
        [b"(", sizes.iter().flat_map(|&size| [b'K', size]).collect::<Vec<_>>().as_slice(), b"t"].concat()
    };
    let storage = format!("(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0{key}X\x03\0\0\0cpuK\x04tQ");
    [
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n(",
        storage.as_bytes(),
        &[b'K', offset],
        &tuple(shape),
        &tuple(strides),
        b"N}tRs.",
    ]
    .concat()
}

#[test]
fn damaged_and_hostile_pytorch_files_are_refused_and_nothing_runs() {
    let marker = std::env::temp_dir().join(format!("ascua-pickle-{}", std::process::id()));
    let hostile = format!("cos\nsystem\n(X{}\0\0\0touch {}tR.", '\x06', marker.display());
    let cases: [(Vec<u8>, &str); 14] = [
        (archive(hostile.as_bytes(), CompressionMethod::Stored), "the pickle asks for `os.system`"),
        (archive(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", CompressionMethod::Stored), "asks for `builtins.eval`"),
        (archive(b"\x80\x02ctorch\nload\n.", CompressionMethod::Stored), "asks for `torch.load`"),
        (archive(b"i", CompressionMethod::Stored), "instruction 0x69 is not one that tensors need"),
        (archive(b"\x80\x02}", CompressionMethod::Stored), "it ends too early"),
        (archive(b"RRR.", CompressionMethod::Stored), "its stack is empty"),
        (archive(&[b'('; 100_000], CompressionMethod::Stored), "it ends too early"),
        (archive(b"}r\xff\xff\xff\xff.", CompressionMethod::Stored), "it stores at a place far past the last one"),
        (archive(b"}.", CompressionMethod::Stored), "it holds no tensors"),
        (archive(&pickled('0', 0, &[2, 2], &[2, 1]), CompressionMethod::Deflated), "is compressed"),
        (archive(&pickled('1', 0, &[2], &[1]), CompressionMethod::Stored), "storage `1`, which is not"),
        (
            archive(&pickled('0', 1, &[2, 2], &[2, 1]), CompressionMethod::Stored),
            "tensor `w` has strides [2, 1] for shape [2, 2] and lies outside of its storage of 4 elements",
        ),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), "the format before PyTorch 1.6"),
        (b"not a zip".to_vec(), "is no zip archive"),
    ];
    for (bytes, expected) in cases {
        check(expected, |at| fs::write(at.join("pytorch_model.bin"), bytes).unwrap());
    }
    assert!(!marker.exists(), "the command was run");
    let whole = archive(&pickled('0', 0, &[2, 2], &[2, 1]), CompressionMethod::Stored);
    for length in 0..whole.len() {
        check("pytorch_model.bin", |at| fs::write(at.join("pytorch_model.bin"), &whole[..length]).unwrap());
    }
    // Deep nesting and cycles cost nothing.
    let deep = [b")".as_slice(), &b"\x85".repeat(1_000_000), b"."].concat();
    check("it is no dictionary of tensors", |at| {
        fs::write(at.join("pytorch_model.bin"), archive(&deep, CompressionMethod::Stored)).unwrap();
    });
}

#[test]
fn a_part_of_a_training_state_is_found() {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let inner = pickled('0', 0, &[2, 2], &[2, 1]);
    let pickle = [b"\x80\x02}X\x0a\0\0\0state_dict".as_slice(), &inner[2..inner.len() - 1], b"s."].concat();
    fs::write(directory.path().join("last.pt"), archive(&pickle, CompressionMethod::Stored)).unwrap();
    let checkpoint = Checkpoint::open(directory.path()).expect("it is a checkpoint");
    assert_eq!(checkpoint.tensor("w").map(|tensor| tensor.values()), Some(vec![0.0; 4]));
}
