//! Runs the template engine on a thread whose stack is large enough for the deepest recursion that it can be led into.
//!
//! minijinja limits the recursion of blocks, macros and brackets, but not that of long operator chains in its parser nor
//! that of nested values when they are printed or dropped. How deep those can go is bounded by the template's length, and
//! the memory of a stack is taken only where it is touched. A panic in the engine ends that thread alone.

use std::thread;

/// The thread could not be started, or the engine panicked.
#[derive(Debug)]
pub(crate) enum Failure {
    NoThread(std::io::Error),
    Panicked,
}

/// What any template gets.
const BASE_BYTES: usize = 16 << 20;

/// Runs `work` with a stack in proportion to the length of the template's source.
pub(crate) fn run<T: Send>(
    source_bytes: usize,
    bytes_of_stack_per_byte: usize,
    work: impl FnOnce() -> T + Send,
) -> Result<T, Failure> {
    let stack = BASE_BYTES.saturating_add(source_bytes.saturating_mul(bytes_of_stack_per_byte));
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("chat template".to_owned()).stack_size(stack);
        let handle = builder.spawn_scoped(scope, work).map_err(Failure::NoThread)?;
        handle.join().map_err(|_| Failure::Panicked)
    })
}
