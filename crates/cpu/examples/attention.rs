//! Speed of the attention kernels on one thread: `cargo run --release -p ascua-cpu --example attention -- avx2`,
//! or `-- avx2 exact` with products in F32 only.
//!
//! Prints the shortest of many times, so that other load on the machine matters little.

use std::time::{Duration, Instant};

use ascua_cpu::attention::{Attend, AttentionKernel, AttentionSpec, KvLayer, ValueSource};
use ascua_cpu::isa::Isa;
use ascua_cpu::matmul::{InputRows, OutputRows, Precision};
use ascua_gguf::TensorType;
use ascua_graph::Run;

/// Heads, key heads, head size, tokens before the step, tokens of the step, type of the cache.
type Case = (usize, usize, usize, usize, usize, TensorType);

const BLOCK_TOKENS: usize = 32;

const CASES: [Case; 14] = [
    (9, 3, 64, 511, 1, TensorType::F16),
    (14, 2, 64, 511, 1, TensorType::F16),
    (32, 8, 64, 511, 1, TensorType::F16),
    (32, 8, 128, 4095, 1, TensorType::F16),
    (32, 8, 128, 4095, 1, TensorType::Q8_0),
    (32, 8, 128, 4095, 1, TensorType::F32),
    (32, 32, 128, 4095, 1, TensorType::F16),
    (4, 1, 256, 4095, 1, TensorType::F16),
    (9, 3, 64, 0, 512, TensorType::F16),
    (14, 2, 64, 0, 512, TensorType::F16),
    (32, 8, 64, 0, 512, TensorType::F16),
    (32, 8, 128, 0, 512, TensorType::F16),
    (32, 8, 128, 0, 512, TensorType::Q8_0),
    (4, 1, 256, 0, 512, TensorType::F16),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = std::env::args().nth(1).map_or(Ok(Isa::detect()), |name| name.parse())?;
    let precision = match std::env::args().nth(2).as_deref() {
        Some("exact") => Precision::Exact,
        _ => Precision::Quantised,
    };
    for case in CASES {
        measure(isa, precision, case)?;
    }
    Ok(())
}

fn measure(isa: Isa, precision: Precision, case: Case) -> Result<(), Box<dyn std::error::Error>> {
    let (heads, kv_heads, size, history, tokens, cache_type) = case;
    let spec = AttentionSpec {
        heads,
        kv_heads,
        key_size: size,
        value_size: size,
        scale: 0.1,
        window: None,
        softcap: None,
        alibi_max_bias: None,
        sinks: None,
        key_type: cache_type,
        values: ValueSource::Cache(cache_type),
        block_tokens: BLOCK_TOKENS,
    };
    let kernel = AttentionKernel::new(spec, precision, isa)?;
    let blocks: Vec<u32> = (0..(history + tokens).div_ceil(BLOCK_TOKENS) as u32).collect();
    let mut keys = vec![0u8; blocks.len() * kernel.key_block_bytes()];
    let mut values = vec![0u8; blocks.len() * kernel.value_block_bytes()];
    let cache = KvLayer { keys: keys.as_mut_ptr(), values: values.as_mut_ptr() };
    let numbers = |width: usize, rows: usize| -> Vec<f32> {
        (0..rows * width).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 504.0).collect()
    };
    let input = |data: &[f32], width, tokens| InputRows { data: data.as_ptr(), stride: width, tokens, index: None };

    let all = numbers(kv_heads * size, history + tokens);
    let rows = input(&all, kv_heads * size, history + tokens);
    let everything = [Run { tokens: 0..history + tokens, first_position: 0, blocks: &blocks, slot: 0 }];
    let start = Instant::now();
    // SAFETY: rows for all tokens, blocks for all positions.
    unsafe { kernel.store(&cache, &everything, rows, rows, 0..history + tokens) };
    let stored = start.elapsed();

    let queries = numbers(heads * size, tokens);
    let mut out = vec![0.0f32; tokens * heads * size];
    let mut shared = vec![0u64; kernel.shared_bytes() / 8 + 8];
    let mut scratch = vec![0u8; kernel.scratch_bytes()];
    let runs = [Run { tokens: 0..tokens, first_position: history, blocks: &blocks, slot: 0 }];
    let step = Attend {
        cache,
        runs: &runs,
        query: input(&queries, heads * size, tokens),
        out: OutputRows { data: out.as_mut_ptr(), stride: heads * size, index: None },
        shared: shared.as_mut_ptr().wrapping_byte_add(shared.as_ptr().align_offset(64) * 8).cast(),
    };
    let pieces = kernel.pieces(&runs);
    // Each piece by itself: short enough to fit between the interruptions of a busy machine.
    let mut best = vec![Duration::MAX; pieces];
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(300) {
        for (piece, best) in best.iter_mut().enumerate() {
            let start = Instant::now();
            // SAFETY: rows, cache, shared memory and scratch are of the kernel's sizes.
            unsafe { kernel.run(&step, piece, &mut scratch) };
            *best = start.elapsed().min(*best);
        }
    }
    let seconds = best.iter().sum::<Duration>().as_secs_f64();
    // Keys that each token sees, over all tokens.
    let seen = tokens * history + tokens * (tokens + 1) / 2;
    let gflops = 4.0 * (seen * heads * size) as f64 / seconds / 1e9;
    let bytes = (2 * (history + tokens) * kv_heads) as f64 * cache_type.row_bytes(size).unwrap_or(0) as f64;
    println!(
        "{isa} {heads:2}/{kv_heads:2} heads of {size:3} {cache_type:4} {history:4}+{tokens:3}: {:8.1} µs in {pieces:3} pieces, {gflops:6.1} GFLOPS, cache {:5.1} GB/s, store {:.1} µs",
        seconds * 1e6,
        bytes / seconds / 1e9,
        stored.as_secs_f64() * 1e6,
    );
    Ok(())
}
