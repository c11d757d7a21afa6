//! [`ChatTemplate`]: a model's own Jinja template, and the rendering of messages through it.
//!
//! Rendering is bounded: the template gets fuel in proportion to the messages, and minijinja charges it for every
//! instruction and every byte made, so neither time nor memory can run away.

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value};
use serde::Serialize;

use crate::clock::LocalTime;
use crate::conversation::SystemPlacement;
use crate::deep_stack::{self, Failure};
use crate::dialect::{LongTag, rewrite};
use crate::environment::{Raised, environment};
use crate::message::{Message, Role};

/// The longest template that is parsed; the longest known one has an eighth of it.
const MAX_TEMPLATE_BYTES: usize = 128 << 10;
/// Fuel for any rendering: some tens of milliseconds, and at most 64 MB of text made on the way.
const BASE_FUEL: u64 = 1_000_000;
/// Fuel for each message: templates may well look at all messages for each of them.
const FUEL_PER_MESSAGE: u64 = 20_000;
/// Fuel for each byte of the messages and tools, each of which may be copied from filter to filter.
const FUEL_PER_BYTE: u64 = 4;

/// Stack for parsing, per byte of the source: a chain of two-byte operators recurses once for each.
const PARSING_STACK_PER_BYTE: usize = 4096;
/// Stack for rendering, per byte of the source: each statement can wrap a value once more, in each of several macro calls.
const RENDERING_STACK_PER_BYTE: usize = 4096;

const NAME: &str = "chat template";

/// Why a template could not be parsed or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The template is longer than any honest one.
    #[error("the chat template has {bytes} bytes; at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// The template is not valid Jinja.
    #[error("the chat template cannot be parsed, line {line}: {message}")]
    Parse {
        /// The line, from 1; 0 where it is not known.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The template itself objects to the messages (`raise_exception`).
    #[error("the chat template refuses these messages: {message}")]
    Refused {
        /// The template's own words.
        message: String,
    },
    /// The template fails on these messages.
    #[error("the chat template fails, line {line}: {message}")]
    Render {
        /// The line, from 1; 0 where it is not known.
        line: usize,
        /// What went wrong.
        message: String,
    },
    /// The template engine itself failed: it could not get its stack, or panicked.
    #[error("the chat template cannot be run: {message}")]
    Engine {
        /// What happened.
        message: String,
    },
    /// The template works longer, or makes more text, than these messages justify.
    #[error("the chat template was stopped after {limit} steps: it does more work than {messages} messages justify")]
    TooMuchWork {
        /// The steps it was granted.
        limit: u64,
        /// The number of messages.
        messages: usize,
    },
}

/// What a rendering depends on besides the messages.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RenderOptions {
    /// Whether to end with the opening of an assistant message, for the model to continue.
    pub add_generation_prompt: bool,
    /// The text of the beginning-of-text token; empty if the model has none.
    pub bos_token: String,
    /// The text of the end-of-text token; empty if the model has none.
    pub eos_token: String,
    /// Tool definitions, in OpenAI's shape.
    pub tools: Vec<serde_json::Value>,
    /// Further variables for the template, such as `enable_thinking`.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// The time that `strftime_now` tells; without it templates fall back to the date written in them.
    pub now: Option<LocalTime>,
}

/// A parsed template.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source_bytes: usize,
    system_placement: SystemPlacement,
}

impl ChatTemplate {
    /// Parses a template, and tries out whether it takes system messages.
    pub fn parse(source: &str) -> Result<Self, ChatError> {
        if source.len() > MAX_TEMPLATE_BYTES {
            return Err(ChatError::TooLong { bytes: source.len(), limit: MAX_TEMPLATE_BYTES });
        }
        let rewritten = rewrite(source).map_err(|LongTag { line, bytes, limit }| ChatError::Parse {
            line,
            message: format!("a tag has {bytes} bytes of code; at most {limit} are read"),
        })?;
        let parsed = deep_stack::run(source.len(), PARSING_STACK_PER_BYTE, || {
            let mut environment = environment()?;
            environment.add_template_owned(NAME, rewritten.into_owned())?;
            Ok(environment)
        });
        let environment = parsed?.map_err(|error: minijinja::Error| ChatError::Parse {
            line: error.line().unwrap_or(0),
            message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
        })?;
        let source_bytes = source.len();
        let mut template = Self { environment, source_bytes, system_placement: SystemPlacement::AsMessage };
        template.system_placement = template.try_system_message();
        Ok(template)
    }

    /// Parses the template that a model brings, if it brings one; a model without one is for plain completion.
    pub fn from_metadata(template: Option<&str>) -> Result<Option<Self>, ChatError> {
        template.filter(|source| !source.trim().is_empty()).map(Self::parse).transpose()
    }

    /// Where a system prompt goes: templates that have no place for it get it in front of the first user message.
    pub fn system_placement(&self) -> SystemPlacement {
        self.system_placement
    }

    /// Renders messages to the text of a prompt.
    ///
    /// A first message of the system is folded into the first user message if the template has no place for it, see
    /// [`ChatTemplate::system_placement`].
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<String, ChatError> {
        match (self.system_placement, messages) {
            (SystemPlacement::FoldedIntoUser, [system, rest @ ..]) if system.role == Role::System => {
                self.render_as_is(&folded(&system.content, rest), options)
            }
            _ => self.render_as_is(messages, options),
        }
    }

    fn render_as_is(&self, messages: &[Message], options: &RenderOptions) -> Result<String, ChatError> {
        // All values live and die on that thread, whose stack is deep enough to drop them.
        deep_stack::run(self.source_bytes, RENDERING_STACK_PER_BYTE, || {
            let bytes = json_bytes(messages).saturating_add(json_bytes(&options.tools));
            let limit = BASE_FUEL
                .saturating_add(FUEL_PER_MESSAGE.saturating_mul(messages.len() as u64))
                .saturating_add(FUEL_PER_BYTE.saturating_mul(bytes));
            let mut environment = self.environment.clone();
            environment.set_fuel(Some(limit));
            let rendered =
                environment.get_template(NAME).and_then(|template| template.render(variables(messages, options)));
            rendered.map_err(|error| describe(&error, limit, messages.len()))
        })?
    }

    fn try_system_message(&self) -> SystemPlacement {
        const SYSTEM: &str = "system prompt on trial";
        let options = RenderOptions { add_generation_prompt: true, ..RenderOptions::default() };
        let messages = [Message::new(Role::System, SYSTEM), Message::new(Role::User, "Hello.")];
        let taken = self.render_as_is(&messages, &options).is_ok_and(|text| text.contains(SYSTEM));
        // A template that fails on the user's message alone as well fails for other reasons.
        if taken || self.render_as_is(&messages[1..], &options).is_err() {
            SystemPlacement::AsMessage
        } else {
            SystemPlacement::FoldedIntoUser
        }
    }
}

impl From<Failure> for ChatError {
    fn from(failure: Failure) -> Self {
        let message = match failure {
            Failure::NoThread(error) => format!("no thread could be started for it ({error})"),
            Failure::Panicked => "the template engine panicked".to_owned(),
        };
        ChatError::Engine { message }
    }
}

/// What a template can see.
fn variables(messages: &[Message], options: &RenderOptions) -> Value {
    let mut variables = vec![
        ("messages", Value::from(Serde(messages))),
        ("tools", if options.tools.is_empty() { Value::from(()) } else { Value::from(Serde(&options.tools)) }),
        ("documents", Value::from(())),
        ("add_generation_prompt", Value::from(options.add_generation_prompt)),
        ("bos_token", Value::from(&options.bos_token)),
        ("eos_token", Value::from(&options.eos_token)),
    ];
    if let Some(now) = options.now {
        variables.push(("strftime_now", Value::from_function(move |format: &str| now.format(format))));
    }
    let own: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
    let extra = options.extra.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let extra = extra.map(|(name, value)| (name.as_str(), Value::from(Serde(value))));
    Value::from_pairs(extra.chain(variables.iter().cloned()))
}

/// The messages after the system's, with the system prompt in front of the first user message.
fn folded(system: &str, rest: &[Message]) -> Vec<Message> {
    let mut messages = rest.to_vec();
    match messages.iter_mut().find(|message| message.role == Role::User) {
        Some(user) if user.content.is_empty() => user.content = system.to_owned(),
        Some(user) => user.content = format!("{system}\n\n{}", user.content),
        None => messages.insert(0, Message::new(Role::User, system)),
    }
    messages
}

/// The length of a value's JSON, without making it.
fn json_bytes(value: &(impl Serialize + ?Sized)) -> u64 {
    struct Counter(u64);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len() as u64);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Counting cannot fail, and a value that is not JSON costs nothing.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

fn describe(error: &minijinja::Error, limit: u64, messages: usize) -> ChatError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut innermost = error;
    while let Some(cause) = source {
        if let Some(Raised(message)) = cause.downcast_ref::<Raised>() {
            return ChatError::Refused { message: message.clone() };
        }
        if let Some(inner) = cause.downcast_ref::<minijinja::Error>() {
            if inner.kind() == ErrorKind::OutOfFuel {
                return ChatError::TooMuchWork { limit, messages };
            }
            innermost = inner;
        }
        source = cause.source();
    }
    let kind = innermost.kind();
    let message = innermost.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}"));
    ChatError::Render { line: innermost.line().or(error.line()).unwrap_or(0), message }
}
