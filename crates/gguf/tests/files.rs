//! Paths that are no model, and split models with something wrong: a clear error each.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ascua_gguf::{Gguf, GgufWriter, Metadata, SplitLimit, TensorType, Value};

/// Opens `path` and compares the text of the error, in which `{path}` stands for `named`.
fn check(path: &Path, named: &Path, wanted: &str) {
    let error = Gguf::open(path).expect_err(wanted).to_string();
    assert_eq!(error, wanted.replace("{path}", &named.display().to_string()));
}

#[test]
fn paths_that_are_no_model() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    check(directory.path(), directory.path(), "{path}: is a directory, wanted a GGUF file");
    let absent = fs::metadata(at("none.gguf")).unwrap_err();
    check(&at("none.gguf"), &at("none.gguf"), &format!("{{path}}: {absent}"));

    File::create(at("empty.gguf")).unwrap();
    check(&at("empty.gguf"), &at("empty.gguf"), "{path}: the file is empty");

    fs::write(at("text.gguf"), "Once upon a time").unwrap();
    check(&at("text.gguf"), &at("text.gguf"), "{path}: the file begins with `Once`, not with `GGUF`");
}

/// A file of ten gigabytes, of which only the first bytes take room on the disk.
fn sparse(path: &Path, start: &[u8]) -> PathBuf {
    let mut file = File::create(path).unwrap();
    file.write_all(start).unwrap();
    file.set_len(10 << 30).unwrap();
    path.to_owned()
}

#[test]
fn sparse_files() {
    let directory = tempfile::tempdir().unwrap();
    let zeros = sparse(&directory.path().join("zeros"), b"");
    check(
        &zeros,
        &zeros,
        "{path}: the file begins with zero bytes, not with `GGUF`: a download that was never filled in?",
    );
    let start = |tensors: u64, keys: u64| [b"GGUF\x03\0\0\0", &tensors.to_le_bytes()[..], &keys.to_le_bytes()].concat();
    let keys = sparse(&directory.path().join("keys"), &start(0, 1000));
    check(&keys, &keys, "{path}: metadata key 0 is empty");
    let tensors = sparse(&directory.path().join("tensors"), &start(1_000_000, 0));
    check(&tensors, &tensors, "{path}: tensor 0 has an empty name");
    let count = sparse(&directory.path().join("count"), &start(10_000_000, 0));
    check(&count, &count, "{path}: the file announces 10000000 tensors; at most 1048576 can be in it");

    let key = |rest: &[u8]| [&start(0, 1)[..], &1u64.to_le_bytes(), b"k", rest].concat();
    let string = [&8u32.to_le_bytes()[..], &(9u64 << 30).to_le_bytes()].concat();
    let string = sparse(&directory.path().join("string"), &key(&string));
    check(
        &string,
        &string,
        "{path}: metadata key `k` announces a string of 9663676416 bytes; at most 268435456 can be in the file",
    );
    let array = [&9u32.to_le_bytes()[..], &12u32.to_le_bytes(), &(1u64 << 30).to_le_bytes()].concat();
    let array = sparse(&directory.path().join("array"), &key(&array));
    check(
        &array,
        &array,
        "{path}: metadata key `k` announces 1073741824 elements of type f64; at most 268435456 can be in the file",
    );
}

#[cfg(unix)]
#[test]
fn devices_are_refused() {
    let null = Path::new("/dev/null");
    check(null, null, "{path}: is not a regular file, and only those can be mapped");
}

/// A model of three parts with two tensors each.
fn split_model(directory: &Path) -> Vec<PathBuf> {
    let mut writer = GgufWriter::new(Metadata::from_iter([("general.architecture", Value::from("llama"))]));
    for index in 0..6u8 {
        writer.add(format!("t{index}"), [4], TensorType::I8, vec![index; 4]).unwrap();
    }
    let paths = writer.write_split(directory.join("tiny"), SplitLimit::Tensors(2)).unwrap();
    assert_eq!(paths.len(), 3);
    assert!(paths[1].ends_with("tiny-00002-of-00003.gguf"));
    paths
}

/// Writes a part again with one of its keys changed, or without it.
fn change(path: &Path, key: &str, value: Option<Value>) {
    let part = Gguf::open_header(path).unwrap();
    let mut metadata = part.metadata().clone();
    match value {
        Some(value) => metadata.insert(key, value),
        None => metadata.remove(key),
    };
    let mut writer = GgufWriter::new(metadata);
    for tensor in part.tensors() {
        writer.add(&tensor.name, tensor.shape.as_slice(), tensor.tensor_type, vec![0; 4]).unwrap();
    }
    writer.write_file(path).unwrap();
}

#[test]
fn a_split_model_opens_by_its_first_part() {
    let directory = tempfile::tempdir().unwrap();
    let paths = split_model(directory.path());
    let gguf = Gguf::open(&paths[0]).unwrap();
    assert_eq!(gguf.metadata().architecture(), Ok("llama"));
    let parts: Vec<usize> = gguf.tensors().iter().map(|tensor| tensor.part()).collect();
    assert_eq!(parts, [0, 0, 1, 1, 2, 2]);
    assert_eq!(*gguf.data(gguf.tensor("t5").unwrap()), [5; 4]);
    let bytes: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(gguf.file_bytes(), bytes);
    // For the header alone, the other parts are not looked for.
    fs::remove_file(&paths[2]).unwrap();
    assert_eq!(Gguf::open_header(&paths[0]).unwrap().tensors().len(), 2);
}

#[test]
fn split_models_with_something_wrong() {
    type Damage = fn(&[PathBuf]);
    let table: &[(Damage, usize, usize, &str)] = &[
        (|_| {}, 1, 1, "{path}: is part 2 of 3 of a split model; give the first part, {first}"),
        (|paths| fs::remove_file(&paths[1]).unwrap(), 0, 1, "{path}: part 2 of 3 is missing"),
        (|paths| fs::write(&paths[2], b"").unwrap(), 0, 2, "{path}: the file is empty"),
        (
            |paths| assert!(fs::copy(&paths[1], &paths[2]).is_ok()),
            0,
            2,
            "{path}: says it is part 2 of 3, wanted part 3 of 3",
        ),
        (
            |paths| change(&paths[1], "split.count", Some(Value::U16(4))),
            0,
            1,
            "{path}: says it is part 2 of 4, wanted part 2 of 3",
        ),
        (|paths| change(&paths[1], "split.count", None), 0, 1, "{path}: says it is part 1 of 1, wanted part 2 of 3"),
        (
            |paths| change(&paths[0], "split.tensors.count", Some(Value::I32(7))),
            0,
            0,
            "{path}: the 3 parts hold 6 tensors, but `split.tensors.count` is 7",
        ),
        (
            |paths| change(&paths[0], "split.count", Some(Value::U16(4))),
            0,
            0,
            "{path}: is one of 4 parts, but its name does not end in `-00001-of-00004.gguf`, so the others cannot be found",
        ),
        (
            |paths| {
                // Part 2 again, as part 3: the same tensors twice.
                fs::copy(&paths[1], &paths[2]).unwrap();
                change(&paths[2], "split.no", Some(Value::U16(2)));
            },
            0,
            2,
            "{path}: tensor `t2` is there twice",
        ),
    ];
    for &(damage, opened, named, wanted) in table {
        let directory = tempfile::tempdir().unwrap();
        let paths = split_model(directory.path());
        damage(&paths);
        check(&paths[opened], &paths[named], &wanted.replace("{first}", &paths[0].display().to_string()));
    }
    let directory = tempfile::tempdir().unwrap();
    let paths = split_model(directory.path());
    let renamed = directory.path().join("renamed.gguf");
    fs::rename(&paths[0], &renamed).unwrap();
    check(
        &renamed,
        &renamed,
        "{path}: is one of 3 parts, but its name does not end in `-00001-of-00003.gguf`, so the others cannot be found",
    );
}
