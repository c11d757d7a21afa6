//! Speed of the products on one thread, by type: `matmul_bench [TYPE,... [ISA [ROWS COLS [TOKENS]]]]`.
//!
//! Generation reads 64 MB or more of weights for 1 and 4 tokens (GB/s of weights), and 768 KB for 1 and 4 (hot);
//! prompts have 512 tokens, or as many as given, and 64 (GOPS); given 0, they are left out. The preparation of a
//! prompt's activations is in nanoseconds per thousand elements. Best of several runs in time on the processor, as
//! neighbours on the machine only ever slow one down.

use std::hint::black_box;
use std::time::Instant;

use ascua_cpu::isa::Isa;
use ascua_cpu::matmul::{InputRows, MatmulKernel, OutputRows, Precision};
use ascua_cpu::pool::Sharing;
use ascua_gguf::TensorType;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let types = arguments.next().unwrap_or_else(|| "Q4_0,Q4_1,Q5_0,Q8_0,Q4_K,Q5_K,Q6_K".to_owned());
    let isa = arguments.next().map_or(Isa::detect(), |name| name.parse().expect("a level of this machine"));
    let rows: usize = arguments.next().map_or(2048, |n| n.parse().expect("rows"));
    let cols: usize = arguments.next().map_or(2048, |n| n.parse().expect("cols"));
    let tokens: usize = arguments.next().map_or(512, |n| n.parse().expect("tokens"));
    println!("{isa}, {rows} rows of {cols}, one thread");
    println!(
        "{:<8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10}",
        "type", "tg GB/s", "tg4 GB/s", "hot GB/s", "hot4 GB/s", "pp GOPS", "pp64 GOPS", "prep ns/K"
    );
    for name in types.split(',') {
        let weight: TensorType = name.parse().expect("a tensor type");
        let row_bytes = weight.row_bytes(cols).expect("whole blocks");
        let gigabytes =
            |rows: usize, tokens: usize| (rows * row_bytes) as f64 / measure(weight, rows, cols, tokens, isa) / 1e9;
        let gops = |tokens: usize| 2.0 * (rows * cols * tokens) as f64 / measure(weight, rows, cols, tokens, isa) / 1e9;
        let (streamed, cached) = ((64 << 20) / row_bytes + 1, (768 << 10) / row_bytes);
        print!("{name:<8} {:>9.2} {:>9.2}", gigabytes(streamed, 1), gigabytes(streamed, 4));
        print!(" {:>9.2} {:>9.2}", gigabytes(cached, 1), gigabytes(cached, 4));
        if tokens > 0 {
            let nanoseconds = prepare(weight, cols, 512, isa) * 1e9 / (512 * cols) as f64 * 1e3;
            print!(" {:>9.1} {:>10.1} {nanoseconds:>10.1}", gops(tokens), gops(64));
        }
        println!();
    }
}

/// Seconds of the best preparation.
fn prepare(weight: TensorType, cols: usize, tokens: usize, isa: Isa) -> f64 {
    let kernel = MatmulKernel::new(weight, 1, cols, Precision::Quantised, isa).expect("supported");
    let layout = kernel.activation();
    let x: Vec<f32> = (0..tokens * cols).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let mut prepared = vec![0u8; layout.bytes(tokens) + 64];
    let skip = prepared.as_ptr().align_offset(64);
    let prepared = prepared[skip..].as_mut_ptr();
    let input = InputRows { data: x.as_ptr(), stride: cols, tokens, index: None };
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < 0.1 {
        let start = processor_seconds(begin);
        for piece in 0..layout.pieces(tokens) {
            // SAFETY: the input and the prepared bytes are as large as the layout asks.
            unsafe { layout.prepare(input, piece, prepared) };
        }
        best = best.min(processor_seconds(begin) - start);
    }
    best
}

/// Seconds of the best run.
fn measure(weight: TensorType, rows: usize, cols: usize, tokens: usize, isa: Isa) -> f64 {
    let kernel = MatmulKernel::new(weight, rows, cols, Precision::Quantised, isa).expect("supported");
    // Bytes of 0x20 to 0x3f give ordinary scales everywhere, 0.008 to 1.97 in half precision, and many lattice points.
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0x20 | (state >> 27) as u8
    };
    let mut weights = Vec::new();
    weights.resize_with(rows * weight.row_bytes(cols).expect("whole blocks"), &mut random);
    // Sums of twelve draws, less their mean: nearly normal, as activations are.
    let mut draw = || f32::from(random()) / 32.0 - 1.5;
    let x: Vec<f32> = (0..tokens * cols).map(|_| (0..12).map(|_| draw()).sum()).collect();
    let layout = kernel.activation();
    let mut prepared = vec![0u8; layout.bytes(tokens) + 64];
    let prepared = &mut prepared[..];
    let skip = prepared.as_ptr().align_offset(64);
    let prepared = prepared[skip..].as_mut_ptr();
    let input = InputRows { data: x.as_ptr(), stride: cols, tokens, index: None };
    for piece in 0..layout.pieces(tokens) {
        // SAFETY: the input and the prepared bytes are as large as the layout asks.
        unsafe { layout.prepare(input, piece, prepared) };
    }
    // On a line's boundary, as a step's memory is.
    let mut out = vec![[0f32; 16]; (tokens * rows).div_ceil(16) + 1];
    let out = out.as_mut_ptr().cast::<f32>();
    let out = out.wrapping_add(out.align_offset(64));
    let mut scratch = vec![0u8; kernel.scratch_bytes()];
    let chunk = match kernel.row_sharing(tokens) {
        Sharing::Chunks | Sharing::Free => kernel.row_chunk(tokens, 2),
        Sharing::Runs => rows,
    };
    let mut best = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < 0.5 {
        let start = processor_seconds(begin);
        for first in (0..rows).step_by(chunk) {
            let out = OutputRows { data: out, stride: rows, index: None };
            let rows = first..rows.min(first + chunk);
            // SAFETY: the activations were prepared above and `out` has all rows of all tokens.
            unsafe { kernel.run(black_box(&weights), prepared, tokens, rows, out, &mut scratch) };
        }
        best = best.min(processor_seconds(begin) - start);
    }
    black_box(out);
    best
}

/// Seconds this thread has run; where that is unknown, seconds since `begin`.
fn processor_seconds(begin: Instant) -> f64 {
    #[cfg(target_os = "linux")]
    {
        #[repr(C)]
        struct Time {
            seconds: i64,
            nanoseconds: i64,
        }
        unsafe extern "C" {
            fn clock_gettime(clock: i32, time: *mut Time) -> i32;
        }
        const THREAD_PROCESSOR_TIME: i32 = 3;
        let mut time = Time { seconds: 0, nanoseconds: 0 };
        // SAFETY: the pointer is to a structure of the layout 64-bit Linux uses.
        if cfg!(target_pointer_width = "64") && unsafe { clock_gettime(THREAD_PROCESSOR_TIME, &mut time) } == 0 {
            return time.seconds as f64 + time.nanoseconds as f64 * 1e-9;
        }
    }
    begin.elapsed().as_secs_f64()
}
