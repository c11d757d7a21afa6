//! CHAT: messages and Jinja templates.
//!
//! The flow: a model's own template text → [`ChatTemplate::parse`]; [`Message`]s → [`ChatTemplate::render`] → the text that
//! is tokenised (with special tokens recognised, and without adding a second beginning-of-text). [`Conversation`] keeps
//! the turns and tells which end of each rendering is new; [`StopMatcher`] cuts the streamed answer at stop strings.
//!
//! Templates come from strangers' files. Invariant: no template, however hostile, makes rendering panic, run on without
//! end, or take memory without measure; what a template cannot do ends as a [`ChatError`]. minijinja's own limits (fuel,
//! recursion) do most of that; `namespace`, `multiplication`, `dialect` and `deep_stack` cover what they leave open.

mod clock;
mod conversation;
mod deep_stack;
mod dialect;
mod environment;
mod json;
mod message;
mod multiplication;
mod namespace;
mod python_methods;
mod stop;
mod template;

pub use clock::LocalTime;
pub use conversation::{Continuation, Conversation, Rendered, SystemPlacement, continuation};
pub use message::{Message, Role};
pub use stop::{StopMatcher, StopStep};
pub use template::{ChatError, ChatTemplate, RenderOptions};
