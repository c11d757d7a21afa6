//! Aligned memory that is taken once, at start, and can be refused.
//!
//! Every page is written when it is taken, so that the memory is really there before the first step runs.

use std::alloc::{Layout, alloc_zeroed, dealloc};

use ascua_graph::{ALIGNMENT, DeviceError};

/// A buffer shared by the workers of a program; who writes which part is settled by the program's steps.
pub(crate) struct Buffer {
    data: *mut u8,
    layout: Layout,
}

// SAFETY: the buffer is plain memory; the steps of a program give workers disjoint parts between two barriers.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// Smallest page size of the platforms we run on.
const PAGE: usize = 4096;

impl Buffer {
    /// Takes `bytes` of zeroed memory.
    pub fn new(purpose: &'static str, bytes: usize) -> Result<Buffer, DeviceError> {
        let refused = || DeviceError::OutOfMemory { device: "CPU".into(), purpose, bytes: bytes as u64 };
        let layout = Layout::from_size_align(bytes.max(ALIGNMENT), ALIGNMENT).map_err(|_| refused())?;
        // SAFETY: the size is not zero.
        let data = unsafe { alloc_zeroed(layout) };
        if data.is_null() {
            return Err(refused());
        }
        for offset in (0..layout.size()).step_by(PAGE) {
            // SAFETY: the offset is inside the allocation. Volatile, or the write of a known zero would be dropped.
            unsafe { data.add(offset).write_volatile(0) };
        }
        Ok(Buffer { data, layout })
    }

    /// Start of the memory, aligned to a cache line.
    pub fn start(&self) -> *mut u8 {
        self.data
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.data, self.layout) }
    }
}
