//! Parts of `ascua chat`: reading messages, slash commands, the dialogue itself, saved files.
//!
//! The flow: [`input`] gives whole messages → [`slash_command`] tells commands from text → [`dialogue`] answers.

pub mod dialogue;
pub mod input;
pub mod saved;
pub mod slash_command;
