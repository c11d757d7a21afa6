//! How far ahead of where a stream of weights is read its memory is asked for.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::isa::is_amd;

/// What a Cascade Lake reads most with: 512 cost it 3 to 5 %, 2048 gives no more.
const BYTES: usize = 1024;
/// With 1024 a Zen 4 reads 1 to 5 % less, with 256 about 1 %.
const BYTES_OF_AMD: usize = 512;

static AHEAD: AtomicUsize = AtomicUsize::new(BYTES);

/// Bytes from a place that is read to the one to ask for.
#[inline(always)]
pub(super) fn bytes() -> usize {
    AHEAD.load(Ordering::Relaxed)
}

/// Finds the distance for this machine's processor.
pub(super) fn tune() {
    static TUNED: Once = Once::new();
    TUNED.call_once(|| {
        if is_amd() {
            AHEAD.store(BYTES_OF_AMD, Ordering::Relaxed);
        }
    });
}
