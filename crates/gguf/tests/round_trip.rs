//! What is written is what is read: any metadata, any tensors, whole, streamed, split.

use ascua_gguf::{
    Array, Gguf, GgufWriter, Malformed, Metadata, SplitLimit, StringArray, TensorSource, TensorType, Value, WriteError,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn any_array() -> impl Strategy<Value = Array> {
    let flat = prop_oneof![
        vec(any::<u8>(), 0..20).prop_map(Array::U8),
        vec(any::<i8>(), 0..20).prop_map(Array::I8),
        vec(any::<u16>(), 0..20).prop_map(Array::U16),
        vec(any::<i16>(), 0..20).prop_map(Array::I16),
        vec(any::<u32>(), 0..20).prop_map(Array::U32),
        vec(any::<i32>(), 0..20).prop_map(Array::I32),
        vec(any::<f32>(), 0..20).prop_map(Array::F32),
        vec(any::<bool>(), 0..20).prop_map(Array::Bool),
        vec(vec(any::<u8>(), 0..12), 0..20).prop_map(|strings| Array::String(StringArray::from_iter(strings))),
        vec(any::<u64>(), 0..20).prop_map(Array::U64),
        vec(any::<i64>(), 0..20).prop_map(Array::I64),
        vec(any::<f64>(), 0..20).prop_map(Array::F64),
    ];
    flat.prop_recursive(3, 20, 4, |inner| vec(inner, 0..4).prop_map(Array::Array))
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<f32>().prop_map(Value::F32),
        any::<bool>().prop_map(Value::Bool),
        any::<String>().prop_map(Value::String),
        any_array().prop_map(Value::Array),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        any::<f64>().prop_map(Value::F64),
    ]
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let keys = vec(("[a-zµ語._0-9]{1,20}", any_value()), 0..12);
    (keys, proptest::option::of(3u32..13)).prop_map(|(pairs, alignment)| {
        let mut metadata: Metadata = pairs.into_iter().collect();
        // The keys with a meaning of their own get values of their own.
        metadata.remove("general.alignment");
        if let Some(alignment) = alignment {
            metadata.insert("general.alignment", 1u32 << alignment);
        }
        metadata
    })
}

#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    shape: Vec<u64>,
    tensor_type: TensorType,
    data: Vec<u8>,
}

fn any_tensors() -> impl Strategy<Value = Vec<Tensor>> {
    let tensor = ("[a-z0-9._é]{1,60}", vec(1u64..5, 0..=4), 0..TensorType::ALL.len(), any::<u8>());
    vec(tensor, 0..8).prop_map(|tensors| {
        let describe = |(index, (name, mut shape, tensor_type, fill)): (usize, (String, Vec<u64>, usize, u8))| {
            let tensor_type = TensorType::ALL[tensor_type];
            if let Some(row) = shape.first_mut() {
                *row *= tensor_type.block_len() as u64;
            }
            let tensor_type = if shape.is_empty() { TensorType::F32 } else { tensor_type };
            let blocks = shape.iter().product::<u64>() as usize / tensor_type.block_len();
            let data = (0..blocks * tensor_type.block_bytes()).map(|at| (at as u8).wrapping_mul(fill)).collect();
            Tensor { name: format!("{index}.{name}"), shape, tensor_type, data }
        };
        tensors.into_iter().enumerate().map(describe).collect()
    })
}

fn writer<'a>(metadata: &Metadata, tensors: &'a [Tensor]) -> GgufWriter<'a> {
    let mut writer = GgufWriter::new(metadata.clone());
    for (index, Tensor { name, shape, tensor_type, data }) in tensors.iter().enumerate() {
        let source = match index % 3 {
            0 => TensorSource::from(data),
            1 => TensorSource::from(data.clone()),
            _ => TensorSource::stream(|out| data.chunks(7).try_for_each(|piece| out.write_all(piece))),
        };
        writer.add(name, shape.as_slice(), *tensor_type, source).unwrap();
    }
    writer
}

fn check(gguf: &Gguf, tensors: &[Tensor]) {
    assert_eq!(gguf.tensors().len(), tensors.len());
    for (found, wanted) in gguf.tensors().iter().zip(tensors) {
        assert_eq!((&found.name, &found.shape, found.tensor_type), (&wanted.name, &wanted.shape, wanted.tensor_type));
        assert_eq!(*gguf.data(found), *wanted.data);
        assert_eq!(found.bytes() as usize, wanted.data.len());
        assert_eq!(found.elements(), wanted.shape.iter().product());
        assert_eq!(found.rows() * found.row_elements(), found.elements());
    }
}

proptest! {
    #[test]
    fn a_file_reads_as_it_was_written(metadata in any_metadata(), tensors in any_tensors()) {
        let mut bytes = Vec::new();
        let count = writer(&metadata, &tensors).write_to(&mut bytes).unwrap();
        prop_assert_eq!(count, bytes.len() as u64);
        let alignment = metadata.unsigned("general.alignment").unwrap().unwrap_or(32) as usize;
        prop_assert_eq!(bytes.len() % alignment, 0);
        let gguf = Gguf::from_bytes(bytes.as_slice()).unwrap();
        prop_assert_eq!(gguf.metadata(), &metadata);
        prop_assert_eq!(gguf.version(), 3);
        check(&gguf, &tensors);

        let mut again = Vec::new();
        GgufWriter::copy_of(&gguf).unwrap().write_to(&mut again).unwrap();
        prop_assert_eq!(&again, &bytes);

        let mut header = Vec::new();
        writer(&metadata, &tensors).write_header_to(&mut header).unwrap();
        prop_assert_eq!(&header, &bytes[..header.len()]);
        let header = Gguf::header_from_bytes(header).unwrap();
        prop_assert_eq!(header.tensors(), gguf.tensors());
        prop_assert!(!header.has_data());
    }

    #[test]
    fn a_split_model_reads_as_one(
        metadata in any_metadata(),
        tensors in any_tensors(),
        limit in prop_oneof![
            (0u64..4096).prop_map(SplitLimit::Bytes),
            (0usize..4).prop_map(SplitLimit::Tensors),
        ],
    ) {
        let directory = tempfile::tempdir().unwrap();
        let paths = writer(&metadata, &tensors).write_split(directory.path().join("model"), limit).unwrap();
        prop_assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), paths.len());
        let gguf = Gguf::open(&paths[0]).unwrap();
        prop_assert_eq!(gguf.paths().collect::<Vec<_>>(), paths.iter().collect::<Vec<_>>());
        check(&gguf, &tensors);
        if let SplitLimit::Tensors(most) = limit {
            for part in 0..paths.len() {
                let held = gguf.tensors().iter().filter(|tensor| tensor.part() == part).count();
                prop_assert!(held <= most.max(1));
            }
        }
        let mut merged = Vec::new();
        GgufWriter::copy_of(&gguf).unwrap().write_to(&mut merged).unwrap();
        let mut whole = Vec::new();
        writer(&metadata, &tensors).write_to(&mut whole).unwrap();
        prop_assert_eq!(merged, whole);
    }
}

/// Runs `write` and compares the text of its error.
fn check_refused(write: impl FnOnce() -> Result<(), WriteError>, wanted: &str) {
    assert_eq!(write().unwrap_err().to_string(), wanted);
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let with = |key: &str, value: Value| Metadata::from_iter([(key, value)]);
    let write = |metadata: Metadata| GgufWriter::new(metadata).write_to(Vec::new()).map(drop);
    let add = |shape: &[u64], tensor_type, bytes: usize| {
        GgufWriter::new(Metadata::new()).add("t", shape, tensor_type, vec![0; bytes])
    };
    check_refused(|| write(with("", Value::F64(1.0))), "metadata key 0 is empty");
    check_refused(
        || write(with("general.alignment", Value::U32(33))),
        "`general.alignment` is 33; it must be a power of two from 8 to 16777216",
    );
    let deep = (0..4).fold(Array::U8(vec![1]), |inner, _| Array::Array(vec![inner]));
    check_refused(|| write(with("deep", deep.into())), "metadata key `deep` has arrays nested deeper than 4");
    check_refused(|| add(&[0], TensorType::F32, 0), "tensor `t` has dimension 0 of size 0");
    check_refused(
        || add(&[33], TensorType::Q4_0, 18),
        "tensor `t` of type Q4_0 has rows of 33 elements, not a multiple of the block's 32",
    );
    check_refused(|| add(&[4], TensorType::F32, 15), "tensor `t` was given 15 bytes, its shape and type need 16");
    check_refused(
        || {
            let mut writer = GgufWriter::new(Metadata::new());
            writer.add("t", [4], TensorType::F32, TensorSource::stream(|out| out.write_all(&[0; 12])))?;
            writer.write_to(Vec::new()).map(drop)
        },
        "tensor `t` was given 12 bytes, its shape and type need 16",
    );
    check_refused(
        || {
            let mut writer = GgufWriter::new(Metadata::new());
            writer.add("t", [1], TensorType::I8, vec![1])?;
            writer.add("t", [1], TensorType::I8, vec![2])
        },
        "tensor `t` is there twice",
    );
    check_refused(
        || {
            let mut writer = GgufWriter::new(Metadata::new());
            writer.add("n".repeat(256), [1], TensorType::I8, vec![1])?;
            writer.write_to(Vec::new()).map(drop)
        },
        "tensor 0 has a name of 256 bytes; at most 255 are allowed",
    );
}

#[test]
fn a_failed_write_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    std::fs::write(&path, b"precious").unwrap();
    let mut writer = GgufWriter::new(Metadata::new());
    let fails = TensorSource::stream(|_| Err(std::io::Error::other("source went away")));
    writer.add("t", [4], TensorType::F32, fails).unwrap();
    let error = writer.write_file(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: source went away", path.display()));
    let prefix = directory.path().join("parts");
    assert!(writer.write_split(&prefix, SplitLimit::Tensors(1)).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    let mut good = GgufWriter::new(Metadata::new());
    good.add("t", [4], TensorType::F32, vec![0; 16]).unwrap();
    let bytes = good.write_file(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
    assert!(Gguf::open(&path).is_ok());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn tensors_outlive_their_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    let mut writer = GgufWriter::new(Metadata::new());
    writer.add("t", [4], TensorType::I8, vec![1, 2, 3, 4]).unwrap();
    writer.write_file(&path).unwrap();
    let gguf = Gguf::open(&path).unwrap();
    gguf.prefetch();
    let data = gguf.data(&gguf.tensors()[0]);
    assert_eq!(data.as_ptr() as usize % 32, 0, "a mapped tensor is as aligned as in the file");
    drop(gguf);
    let copy = data.clone();
    let elsewhere = std::thread::spawn(move || data.to_vec()).join().unwrap();
    assert_eq!(elsewhere, [1, 2, 3, 4]);
    assert_eq!(*copy, *elsewhere);
}

#[test]
fn another_models_tensor_has_no_data() {
    let model = |bytes: usize| {
        let mut writer = GgufWriter::new(Metadata::new());
        writer.add("t", [bytes as u64], TensorType::I8, vec![7; bytes]).unwrap();
        let mut out = Vec::new();
        writer.write_to(&mut out).unwrap();
        Gguf::from_bytes(out).unwrap()
    };
    let (small, large) = (model(1), model(1 << 16));
    assert!(small.data(&large.tensors()[0]).is_empty());
}

#[test]
fn a_write_error_carries_its_condition() {
    let mut writer = GgufWriter::new(Metadata::new());
    let error = writer.add("t", [1, 1, 1, 1, 1], TensorType::F32, vec![0; 4]).unwrap_err();
    assert!(matches!(error, WriteError::Malformed(Malformed::Dimensions { found: 5, .. })));
}
