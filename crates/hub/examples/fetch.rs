//! Fetches a model and prints its path: `cargo run -p ascua-hub --example fetch -- smollm2`.

use ascua_hub::{DEFAULT_MODEL, Hub, HubOptions, Progress, Source};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source: Source = std::env::args().nth(1).as_deref().unwrap_or(DEFAULT_MODEL).parse()?;
    let hub = Hub::new(HubOptions::from_variables(|name| std::env::var(name).ok()));
    let start = Instant::now();
    let mut last = Duration::ZERO;
    let mut report = |progress: Progress<'_>| {
        if start.elapsed() - last > Duration::from_millis(500) {
            last = start.elapsed();
            let total = progress.total.map_or("?".into(), |total| (total >> 20).to_string());
            eprintln!("{} {}: {} of {total} MiB", progress.phase, progress.file, progress.done >> 20);
        }
    };
    let path = hub.resolve(&source, &mut report, &AtomicBool::new(false))?;
    println!("{} ({:.1} s)", path.display(), start.elapsed().as_secs_f64());
    Ok(())
}
