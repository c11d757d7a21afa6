//! What the tests share: a tiny model of random weights, and where the real one is.

#![allow(dead_code)] // each test binary uses a part

use std::path::PathBuf;

use ascua_convert::quantize::FileType;
use ascua_eval::synthetic::{self, Shape};

pub const TINY: Shape = Shape {
    name: "tiny",
    layers: 2,
    width: 64,
    heads: 4,
    key_value_heads: 2,
    feed_forward: 96,
    vocabulary: 301,
    tied: true,
    experts: 0,
    experts_used: 0,
};

/// Writes a model; it is there as long as the directory is kept.
pub fn written(shape: &Shape, file_type: FileType) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.gguf");
    synthetic::write(shape, file_type, &path).unwrap();
    (directory, path)
}

/// SmolLM2-135M-Instruct in Q4_1, as `.ci/assets.py` fetches it.
pub fn real_model() -> PathBuf {
    let assets = std::env::var_os("ASCUA_TEST_ASSETS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-assets"), PathBuf::from);
    let path = assets.join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(path.exists(), "{} is missing; `python3 .ci/assets.py --all` fetches it", path.display());
    path
}
