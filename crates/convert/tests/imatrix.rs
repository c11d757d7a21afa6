//! Importance matrices: both formats read and written, several as one, and what is wrong with files that are none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ascua_convert::imatrix::{Entry, ImatrixFormat, ImportanceMatrix};
use ascua_gguf::{Array, GgufWriter, Metadata, StringArray, TensorType, Value};

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert("general.type", "imatrix");
    metadata.insert("imatrix.datasets", Value::Array(Array::String(StringArray::from_iter(["a.txt", "b.txt"]))));
    metadata.insert("imatrix.chunk_count", 3u32);
    metadata.insert("imatrix.chunk_size", 512u32);
    metadata
}

/// Tensors by name, shape and values; keys as `edit` leaves them.
fn gguf(tensors: &[(&str, &[u64], &[f32])], edit: impl FnOnce(&mut Metadata)) -> Vec<u8> {
    let mut metadata = metadata();
    edit(&mut metadata);
    let mut writer = GgufWriter::new(metadata);
    for (name, shape, values) in tensors {
        writer.add(*name, *shape, TensorType::F32, bytes(values)).unwrap();
    }
    let mut file = Vec::new();
    writer.write_to(&mut file).unwrap();
    file
}

fn record(name: &str, calls: i32, values: &[f32]) -> Vec<u8> {
    let mut record = (name.len() as i32).to_le_bytes().to_vec();
    record.extend_from_slice(name.as_bytes());
    record.extend_from_slice(&calls.to_le_bytes());
    record.extend_from_slice(&(values.len() as i32).to_le_bytes());
    record.extend(bytes(values));
    record
}

fn legacy(count: i32, records: &[Vec<u8>]) -> Vec<u8> {
    let mut file = count.to_le_bytes().to_vec();
    records.iter().for_each(|record| file.extend_from_slice(record));
    file
}

fn written(file: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("matrix");
    std::fs::write(&path, file).unwrap();
    (directory, path)
}

#[test]
fn a_gguf_matrix_gives_means_for_each_expert() {
    let file = gguf(
        &[
            ("a.weight.in_sum2", &[2, 2], &[2.0, 4.0, 6.0, 8.0]),
            ("a.weight.counts", &[1, 2], &[2.0, 0.0]),
            ("b.weight.counts", &[1], &[4.0]),
            ("b.weight.in_sum2", &[2], &[1.0, 2.0]),
        ],
        |_| {},
    );
    let (_directory, path) = written(&file);
    let matrix = ImportanceMatrix::open(&path).unwrap();
    assert_eq!((matrix.chunk_count, matrix.chunk_size), (3, 512));
    assert_eq!(matrix.datasets, ["a.txt", "b.txt"]);
    assert_eq!(matrix.entries["a.weight"], Entry { sums: vec![2.0, 4.0, 6.0, 8.0], counts: vec![2, 0] });
    // An expert that met nothing is neither important nor unimportant.
    assert_eq!(matrix.entries["a.weight"].means(), [1.0, 2.0, 1.0, 1.0]);
    assert_eq!(matrix.entries["b.weight"].means(), [0.25, 0.5]);
}

#[test]
fn a_legacy_matrix_gives_the_same_means() {
    let records = [record("a.weight", 2, &[2.0, 4.0]), record("b.weight", 0, &[3.0])];
    let mut file = legacy(2, &records);
    let (_directory, path) = written(&file);
    let matrix = ImportanceMatrix::open(&path).unwrap();
    assert_eq!(matrix.entries["a.weight"].means(), [1.0, 2.0]);
    assert_eq!(matrix.entries["b.weight"].means(), [3.0]);
    assert!(matrix.datasets.is_empty());

    file.extend(7i32.to_le_bytes());
    file.extend(5i32.to_le_bytes());
    file.extend(b"a.txt");
    let (_directory, path) = written(&file);
    let matrix = ImportanceMatrix::open(&path).unwrap();
    assert_eq!((matrix.chunk_count, matrix.datasets), (7, vec!["a.txt".to_owned()]));
}

/// A file and what its error says after the path.
fn check_refused(file: &[u8], message: &str) {
    let (_directory, path) = written(file);
    let error = ImportanceMatrix::open(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{}: {message}", path.display()));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let sums: (&str, &[u64], &[f32]) = ("a.in_sum2", &[3], &[1.0, 2.0, 3.0]);
    let counts: (&str, &[u64], &[f32]) = ("a.counts", &[2], &[1.0, 1.0]);
    check_refused(b"", "no entry: not an importance matrix");
    check_refused(b"<!DOCTYPE html>", "no entry: not an importance matrix");
    check_refused(&legacy(0, &[]), "no entry: not an importance matrix");
    check_refused(&legacy(-1, &[]), "no entry: not an importance matrix");
    check_refused(&gguf(&[], |_| {}), "no entry: not an importance matrix");
    check_refused(&gguf(&[sums], |_| {}), "`a`: there is no tensor `a.counts`");
    check_refused(&gguf(&[sums, counts], |_| {}), "`a`: 3 sums cannot be shared by 2 counts");
    let infinite: (&str, &[u64], &[f32]) = ("a.in_sum2", &[2], &[1.0, f32::INFINITY]);
    check_refused(&gguf(&[infinite, counts], |_| {}), "`a` holds inf, which is not a finite number");
    check_refused(
        &gguf(&[infinite, counts], |metadata| drop(metadata.remove("imatrix.chunk_size"))),
        "the key `imatrix.chunk_size` of an importance matrix is missing or is not a 32-bit number",
    );
    let good = record("a", 1, &[1.0, 2.0]);
    check_refused(
        &legacy(1, &[good[..good.len() - 1].to_vec(), vec![]]),
        "entry 1 of 1: `a`: its 2 values do not fit in the file",
    );
    check_refused(&legacy(2, &[good.clone(), record("b", 1, &[])]), "entry 2 of 2: `b` has no values");
    check_refused(
        &legacy(2, &[good, [&i32::MAX.to_le_bytes()[..], &[0; 40]].concat()]),
        "entry 2 of 2: its name of 2147483647 bytes does not fit in the file",
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("none");
    let error = ImportanceMatrix::open(&path).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
}

/// A dense weight and one with two experts, one of which saw nothing.
fn two_weights(counts: [u64; 3]) -> ImportanceMatrix {
    let entry = |sums: &[f32], counts: &[u64]| Entry { sums: sums.to_vec(), counts: counts.to_vec() };
    ImportanceMatrix {
        entries: BTreeMap::from([
            ("blk.0.a.weight".to_owned(), entry(&[8.0, 16.0], &counts[..1])),
            ("blk.0.b_exps.weight".to_owned(), entry(&[4.0, 2.0, 0.0, 0.0], &counts[1..])),
        ]),
        datasets: vec!["a.txt".to_owned()],
        chunk_count: (counts[0] / 4) as u32,
        chunk_size: 4,
    }
}

#[test]
fn what_is_written_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("matrix");
    let matrix = two_weights([8, 4, 0]);
    matrix.write(&path, ImatrixFormat::Gguf).unwrap();
    assert_eq!(ImportanceMatrix::open(&path).unwrap(), matrix);

    matrix.write(&path, ImatrixFormat::Legacy).unwrap();
    let read = ImportanceMatrix::open(&path).unwrap();
    assert_eq!((&read.datasets, read.chunk_count), (&matrix.datasets, 2));
    for (name, entry) in &matrix.entries {
        assert_eq!(read.entries[name].means(), entry.means(), "{name}");
    }
    assert_eq!(read.entries["blk.0.a.weight"].counts, [2], "pieces of four tokens, not tokens");

    let mut unseen = matrix;
    unseen.entries.values_mut().for_each(|entry| entry.counts.fill(0));
    unseen.write(&path, ImatrixFormat::Legacy).unwrap();
    ImportanceMatrix::open(&path).expect_err("a weight that saw nothing has no record");
}

#[test]
fn merged_matrices_count_by_their_tokens() {
    let mut sum = two_weights([8, 4, 0]);
    sum.merge(two_weights([4, 0, 4])).unwrap();
    assert_eq!(sum.entries["blk.0.a.weight"], Entry { sums: vec![16.0, 32.0], counts: vec![12] });
    assert_eq!(sum.entries["blk.0.b_exps.weight"].counts, [4, 4]);
    assert_eq!((sum.chunk_count, sum.chunk_size, sum.datasets.len()), (3, 4, 2));

    // The older format of the same: two pieces of four tokens.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("matrix.dat");
    two_weights([8, 4, 8]).write(&path, ImatrixFormat::Legacy).unwrap();
    let mut with_legacy = two_weights([8, 4, 0]);
    with_legacy.merge(ImportanceMatrix::open(&path).unwrap()).unwrap();
    assert_eq!(with_legacy.entries["blk.0.a.weight"], Entry { sums: vec![16.0, 32.0], counts: vec![16] });

    // Into nothing: the pieces get the size asked for.
    let mut first = ImportanceMatrix { chunk_size: 2, ..ImportanceMatrix::default() };
    first.merge(two_weights([8, 4, 0])).unwrap();
    assert_eq!((first.chunk_count, first.chunk_size), (4, 2));
}

#[test]
fn matrices_of_different_models_are_not_merged() {
    let mut sum = two_weights([8, 4, 0]);
    let mut other = two_weights([8, 4, 0]);
    other.entries.get_mut("blk.0.a.weight").unwrap().sums.push(1.0);
    assert_eq!(
        sum.merge(other).unwrap_err().to_string(),
        "`blk.0.a.weight` has sums 2 in one matrix and 3 in another: they are not of the same model"
    );
}
