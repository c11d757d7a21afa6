//! FACADE: open a model, talk to it, get tokens; the public Rust API, and the only place that names backends.
//!
//! ```no_run
//! use ascua::{Flow, Model, ModelOptions, Request, Session};
//! use ascua::sampler::SamplerSettings;
//!
//! let mut model = Model::open("model.gguf", &ModelOptions::default())?;
//! let mut session = Session::new(&mut model)?;
//! let prompt = model.encode_prompt("Why is the sky blue?")?;
//! let mut sampler = model.sampler(&SamplerSettings::default())?;
//! let request = Request::new(&prompt);
//! session.generate(&mut model, &request, &mut sampler, &mut |event| {
//!     if let ascua::Event::Text(text) = event {
//!         print!("{text}");
//!     }
//!     Flow::Continue
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a LoRA adapter, half as strong as it was trained:
//!
//! ```no_run
//! use ascua::{Adapter, Model, ModelOptions};
//!
//! let adapters = vec![Adapter::open("style.gguf")?.scaled(0.5)?];
//! let model = Model::open("model.gguf", &ModelOptions { adapters, ..ModelOptions::default() })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod generate;
mod memory;
mod model;
mod prompt;

pub use ascua_chat as chat;
pub use ascua_cpu::isa::{Isa, IsaError};
pub use ascua_cpu::pool::{Placement, PlacementError, Workers, available_threads};
pub use ascua_cpu::roofline;
pub use ascua_engine as engine;
pub use ascua_gguf as gguf;
pub use ascua_graph::{MemoryPlan, Precision, TimeShare};
pub use ascua_models as models;
pub use ascua_models::{Adapter, AdapterError, AdapterProblem, OpenAdapterError};
pub use ascua_sampler as sampler;
pub use ascua_tokenizer as tokenizer;
pub use error::Error;
pub use generate::{ContextFull, EndTokens, Event, Finish, Flow, PROMPT_PIECE, Request, Session, Summary};
pub use memory::available_memory;
pub use model::{ContextChoice, Model, ModelOptions, Opened};
