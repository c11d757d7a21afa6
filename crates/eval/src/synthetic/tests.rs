use ascua::gguf::Gguf;
use ascua::{ContextChoice, Model, ModelOptions};

use super::*;
use crate::{BenchTest, ModelWork, bench};

/// A shape small enough for tests, wide enough for blocks of 256.
const TINY: Shape = Shape {
    name: "tiny",
    layers: 8,
    width: 256,
    heads: 8,
    key_value_heads: 2,
    feed_forward: 512,
    vocabulary: 300,
    tied: true,
    experts: 0,
    experts_used: 0,
};

fn written(shape: &Shape, file_type: FileType) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.gguf");
    write(shape, file_type, &path).expect("the model can be written");
    (directory, path)
}

fn options() -> ModelOptions {
    ModelOptions { context: ContextChoice::Tokens(64), sequences: 2, step_outputs: 2, ..ModelOptions::default() }
}

#[test]
fn every_mix_loads_and_gives_finite_logits() {
    let mixture = Shape { experts: 8, experts_used: 2, tied: false, ..TINY };
    for shape in [TINY, mixture] {
        for &file_type in FileType::ALL {
            if !ascua_quant::format(file_type.tensor_type()).can_encode() {
                write(&shape, file_type, Path::new("nowhere")).expect_err("the type cannot be written");
                continue;
            }
            let (_directory, path) = written(&shape, file_type);
            let mut model = Model::open(&path, &options()).expect("the model loads");
            let mut rows = Vec::new();
            crate::logits(&mut model, &[1, 2, 3], &mut |row| rows.extend_from_slice(row)).expect("logits");
            assert!(rows.iter().all(|x| x.is_finite()), "{file_type}");
            assert!(rows.iter().any(|x| x.abs() > 1e-3), "{file_type}: all logits are nearly zero");
        }
    }
}

#[test]
fn important_tensors_get_more_bits() {
    let (_directory, path) = written(&TINY, FileType::Q4_K_M);
    let file = Gguf::open(&path).expect("a file");
    for (name, wanted) in [
        ("token_embd", TensorType::Q6_K),
        ("blk.0.attn_v", TensorType::Q6_K),
        ("blk.1.attn_v", TensorType::Q4_K),
        ("blk.3.ffn_down", TensorType::Q6_K),
        ("blk.4.ffn_down", TensorType::Q4_K),
        ("blk.7.ffn_down", TensorType::Q6_K),
        ("blk.0.ffn_up", TensorType::Q4_K),
        ("blk.0.attn_norm", TensorType::F32),
    ] {
        let tensor = file.tensor(&format!("{name}.weight")).expect("a tensor");
        assert_eq!(tensor.tensor_type, wanted, "{name}");
    }
}

#[test]
fn tests_of_every_kind_run() {
    let (_directory, path) = written(&TINY, FileType::Q8_0);
    let mut model = Model::open(&path, &options()).expect("the model loads");
    for test in [
        BenchTest::prompt(16),
        BenchTest::generation(4),
        BenchTest { prompt: 8, generation: 4, depth: 20, sequences: 2 },
    ] {
        let mut told = 0;
        let result = bench(&mut model, test, 3, &mut |_| {
            told += 1;
            ascua::Flow::Continue
        });
        let result = result.expect("the test fits");
        assert_eq!((result.samples.len(), told), (3, 4), "{test}");
        assert!(result.samples.iter().all(|&speed| speed > 0.0), "{test}");
    }
    let too_long = BenchTest { depth: 64, ..BenchTest::generation(1) };
    bench(&mut model, too_long, 1, &mut |_| ascua::Flow::Continue).expect_err("the context is full");
    bench(&mut model, BenchTest::prompt(64), 1, &mut |_| ascua::Flow::Continue).expect("nothing was left behind");
}

#[test]
fn the_work_of_a_model_is_that_of_its_matrices() {
    let mixture = Shape { experts: 8, experts_used: 2, tied: false, ..TINY };
    let attention = 256 * (256 + 64 + 64 + 256);
    for (shape, weights, table) in
        [(TINY, attention + 3 * 256 * 512, 256 * 300), (mixture, attention + 2 * 3 * 256 * 512, 256 * 300)]
    {
        let (_directory, path) = written(&shape, FileType::F16);
        let model = Model::open(&path, &options()).expect("the model loads");
        let work = ModelWork::of(model.file());
        // The router is F32: 256 to 8.
        let router = if shape.experts > 0 { 256 * 8 } else { 0 };
        assert_eq!(work.operations_per_token(), f64::from(2 * 8 * (weights + router)));
        let bytes = work.bytes_per_step(1);
        assert!((bytes - f64::from(2 * (8 * weights + table) + 8 * 4 * router)).abs() < 1.0, "{bytes}");
        if shape.experts > 0 {
            assert!(work.bytes_per_step(64) < 4.0 * bytes && work.bytes_per_step(64) > 2.0 * bytes);
        }
    }
}

/// Sizes that users of the field know by heart, in GiB: Llama 2's with every matrix in one type.
#[test]
fn classic_sizes_are_known() {
    for (shape, file_type, gibibytes) in [
        ("7b", FileType::F16, 12.55),
        ("7b", FileType::Q8_0, 6.67),
        ("7b", FileType::Q5_1, 4.71),
        ("7b", FileType::Q5_0, 4.31),
        ("7b", FileType::Q4_1, 3.92),
        ("7b", FileType::Q4_0, 3.53),
        ("13b", FileType::F16, 24.24),
        ("13b", FileType::Q8_0, 12.88),
        ("13b", FileType::Q5_1, 9.09),
        ("13b", FileType::Q5_0, 8.34),
        ("13b", FileType::Q4_1, 7.58),
        ("13b", FileType::Q4_0, 6.82),
    ] {
        let options = Options { pure: true, ..Options::new(file_type) };
        let size = size(&Shape::find(shape).expect("a shape"), &options).expect("the types can be chosen");
        let found = size.bytes as f64 / (1u64 << 30) as f64;
        assert!((found - gibibytes).abs() < 0.01, "{shape} {file_type}: {found}");
    }
}
