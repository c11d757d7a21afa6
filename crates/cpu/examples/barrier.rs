//! Latency of the pool's barrier and of starting a job: `cargo run --release -p ascua-cpu --example barrier -- 2`.

use std::time::Instant;

use ascua_cpu::pool::{ThreadPool, available_threads};

fn main() -> std::io::Result<()> {
    let threads = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or_else(available_threads);
    let pool = ThreadPool::new(threads)?;
    for _ in 0..5 {
        let barriers = 100_000;
        let start = Instant::now();
        pool.run(&|worker| (0..barriers).for_each(|_| worker.barrier()));
        let barrier = start.elapsed() / barriers;
        let runs = 10_000;
        let start = Instant::now();
        (0..runs).for_each(|_| pool.run(&|_| ()));
        println!("{threads} threads: barrier {barrier:?}, job {:?}", start.elapsed() / runs);
    }
    Ok(())
}
