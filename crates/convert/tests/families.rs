//! Each family's checkpoints, converted to F32, answer as Transformers does (Qwen 1 and Baichuan: as their published
//! definitions do), however the weights are stored and shared among files; and the files have llama.cpp's keys.

mod support;

use std::ops::ControlFlow;
use std::path::Path;

use ascua_convert::checkpoint::DType;
use ascua_convert::convert::Conversion;
use ascua_convert::quantize::{FileType, Options, Overwrite, Plan};
use ascua_engine::ModelFile;
use ascua_gguf::{Gguf, Metadata};
use support::{Fixture, normalised_error};

/// The largest error, relative to the size of the logits.
const TOLERANCE: f64 = 1e-6;

/// Converts the checkpoint in a directory to F32.
fn convert(directory: &Path) -> Gguf {
    let conversion = Conversion::open(directory, &Metadata::new()).unwrap_or_else(|error| panic!("{error}"));
    let path = directory.join("out.gguf");
    let plan = Plan::new(&conversion, Options::new(FileType::F32)).expect("every tensor has a type");
    plan.write(&path, Overwrite::Never, &mut |_| ControlFlow::Continue(())).unwrap_or_else(|error| panic!("{error}"));
    Gguf::open(path).expect("what was written is read")
}

fn logits(model: Gguf, context: usize) -> Vec<f32> {
    support::logits(&ModelFile::new(model).expect("the file is a model"), context)
}

/// Converts the checkpoint as its tensors are stored and compares the logits.
fn check(name: &str, fixture: &Fixture, dtype: DType, parts: usize) {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    fixture.write_config(directory.path());
    support::write_parts(directory.path(), &fixture.stored(dtype), parts);
    let error = normalised_error(&logits(convert(directory.path()), 64), &support::expected(name));
    println!("{name}, {dtype} in {parts}: {error:.2e}");
    assert!(error < TOLERANCE, "{name}, {dtype} in {parts} files: error {error:.2e}, allowed {TOLERANCE:.0e}");
}

#[test]
fn every_family_answers_as_its_definition_does() {
    for name in [
        "llama",
        "llama3",
        "llama-linear",
        "mistral",
        "mixtral",
        "qwen",
        "qwen2",
        "qwen2-yarn",
        "qwen2moe",
        "qwen3",
        "qwen3moe",
        "baichuan-7b",
        "baichuan2-13b",
        "gemma3",
        "gemma3-new",
        "phi3",
        "phi3-longrope",
    ] {
        check(name, &Fixture::new(name), DType::F32, 1);
    }
}

#[test]
fn weights_of_every_type_in_any_number_of_files_give_the_same_answers() {
    let llama = Fixture::new("llama");
    for (dtype, parts) in [(DType::BF16, 1), (DType::F16, 3), (DType::F64, 2), (DType::F32, 5)] {
        check("llama", &llama, dtype, parts);
    }
    check("qwen3-fp8", &Fixture::new("qwen3-fp8"), DType::F8E4M3, 2);
    check("mixtral", &Fixture::new("mixtral"), DType::BF16, 7);
}
