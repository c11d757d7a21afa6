//! Ctrl-C: a flag while somebody watches it, the end of the process otherwise.
//!
//! Invariant: pressed often enough it always ends the process, so nothing that forgets to look at the flag can hold the
//! user.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::failure::INTERRUPTED;

/// So many presses during one watch end the process.
const INSISTENT: u32 = 3;

static RAISED: AtomicBool = AtomicBool::new(false);
static WATCHED: AtomicBool = AtomicBool::new(false);
static PRESSES: AtomicU32 = AtomicU32::new(0);

/// Takes over Ctrl-C; to be called once.
pub fn install() {
    let handler = || {
        let presses = PRESSES.fetch_add(1, Ordering::SeqCst) + 1;
        RAISED.store(true, Ordering::SeqCst);
        if !WATCHED.load(Ordering::SeqCst) || presses >= INSISTENT {
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
        PRESSES.store(0, Ordering::SeqCst);
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
