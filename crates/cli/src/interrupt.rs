//! Ctrl-C: a flag while somebody watches it, the end of the process otherwise.
//!
//! Invariant: a second Ctrl-C always ends the process, so nothing that forgets to look at the flag can hold the user.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::INTERRUPTED;

static RAISED: AtomicBool = AtomicBool::new(false);
static WATCHED: AtomicBool = AtomicBool::new(false);

/// Takes over Ctrl-C; to be called once.
pub fn install() {
    let handler = || {
        if !WATCHED.load(Ordering::SeqCst) || RAISED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    };
    // Where the system refuses, Ctrl-C ends the process as it does by default.
    let _ = ctrlc::set_handler(handler);
}

/// While this lives, Ctrl-C raises a flag instead of ending the process.
pub struct Watch(());

impl Watch {
    /// Starts watching, with the flag lowered.
    pub fn new() -> Watch {
        RAISED.store(false, Ordering::SeqCst);
        WATCHED.store(true, Ordering::SeqCst);
        Watch(())
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_raised(&self) -> bool {
        RAISED.load(Ordering::SeqCst)
    }

    /// The flag itself, for those who poll it.
    pub fn flag(&self) -> &'static AtomicBool {
        &RAISED
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.store(false, Ordering::SeqCst);
    }
}
