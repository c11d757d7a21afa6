//! FACADE: open a model, talk to it, get tokens; the public Rust API.
