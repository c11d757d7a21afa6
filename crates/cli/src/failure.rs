//! How a command ends: its exit code, and for failures the `error:` and `hint:` lines.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use ascua::chat::ChatError;
use ascua::engine::EngineError;
use ascua::gguf::{GgufError, Malformed, TargetError};
use ascua::models::{AdapterError, AdapterProblem, ModelError};
use ascua::tokenizer::TokenizerError;
use ascua_convert::checkpoint::CheckpointError;
use ascua_convert::convert::{ConvertError, PeftError};
use ascua_convert::quantize::QuantizeError;
use ascua_convert::vocabulary::VocabularyError;
use ascua_hub::HubError;

use crate::terminal::Style;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It did what was asked.
    Done,
    /// Ctrl-C ended it.
    Interrupted,
    /// It did what was asked, and the answer is no: files differ, a file is damaged, a hash is another.
    No,
}

/// Exit code after Ctrl-C: 128 + SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;
/// Exit code of wrong usage, the same as clap's.
const USAGE: u8 = 2;
/// Exit code of a no, told apart from not knowing.
const NO: u8 = 3;

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        match status {
            Status::Done => ExitCode::SUCCESS,
            Status::Interrupted => ExitCode::from(INTERRUPTED),
            Status::No => ExitCode::from(NO),
        }
    }
}

/// Flags that do not go together, or something needed that was not given.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct UsageError {
    message: String,
    hint: Option<String>,
}

/// An error of usage with a hint.
pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    UsageError { message: message.into(), hint: Some(hint.into()) }.into()
}

/// Says what went wrong and what can be done about it.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS; // whoever read our output has seen enough
    }
    if matches!(find(error), Some(HubError::Cancelled)) {
        crate::output::note("stopped; the next call goes on where this one ended");
        return Status::Interrupted.into();
    }
    let style = Style::of_stderr();
    crate::output::note(&format!("{} {}", style.error("error:"), one_line_each(error)));
    if let Some(hint) = hint(error) {
        crate::output::note(&format!("{} {hint}", style.hint("hint:")));
    }
    match find::<UsageError>(error) {
        Some(_) => ExitCode::from(USAGE),
        None => ExitCode::FAILURE,
    }
}

/// The message with its causes, those left out that the message repeats.
fn one_line_each(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(&format!("\n  because: {cause}"));
        }
    }
    text
}

fn find<E: Error + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.chain().find_map(|cause| cause.downcast_ref::<E>())
}

/// Whether nobody reads our output any more.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(usage) = find::<UsageError>(error) {
        return usage.hint.clone();
    }
    if let Some(error) = find::<HubError>(error)
        && !matches!(error, HubError::Make { .. })
    {
        return error.hint();
    }
    if let Some(hint) = find::<ConvertError>(error).and_then(convert_hint) {
        return Some(hint);
    }
    if let Some(hint) = find::<VocabularyError>(error).and_then(vocabulary_hint) {
        return Some(hint.into());
    }
    if let Some(hint) = find::<AdapterError>(error).and_then(adapter_hint) {
        return Some(hint);
    }
    if let Some(hint) = find::<QuantizeError>(error).and_then(quantize_hint) {
        return Some(hint.into());
    }
    if let Some(error) = find::<TargetError>(error).or_else(|| match find::<QuantizeError>(error)? {
        QuantizeError::Target(error) => Some(error),
        _ => None,
    }) {
        return Some(target_hint(error).into());
    }
    let facade = find::<ascua::Error>(error);
    let engine = match facade {
        Some(ascua::Error::Engine(error)) => Some(error),
        _ => find::<EngineError>(error),
    };
    if let Some(hint) = engine.and_then(engine_hint) {
        return Some(hint);
    }
    let file = match facade {
        Some(ascua::Error::File(error)) => Some(error),
        _ => find::<GgufError>(error),
    };
    if let Some(hint) = file.and_then(file_hint) {
        return Some(hint);
    }
    match facade? {
        ascua::Error::PromptTooLong { tokens, .. } => {
            Some(format!("--ctx {} holds the prompt and an answer of 512 tokens", (tokens + 512).next_multiple_of(256)))
        }
        ascua::Error::Tokenizer(TokenizerError::UnknownOverride { .. }) => {
            Some(format!("known are: {}", ascua::tokenizer::pre_tokenizer_names().collect::<Vec<_>>().join(", ")))
        }
        ascua::Error::Chat(ChatError::Refused { .. } | ChatError::Render { .. } | ChatError::Parse { .. }) => {
            Some("--raw gives the prompt to the model without its template".into())
        }
        _ => None,
    }
}

fn engine_hint(error: &EngineError) -> Option<String> {
    match error {
        EngineError::DoesNotFit { largest_context: 0, .. } => {
            Some("not even the weights fit: take a smaller model or a smaller quantisation of it".into())
        }
        EngineError::DoesNotFit { largest_context, .. } => {
            Some(format!("--ctx {largest_context} fits; --cache-type-k q8_0 --cache-type-v q8_0 takes half the cache"))
        }
        EngineError::CacheType { block, head_size, .. } => Some(format!(
            "f16 and bf16 always work; {head_size} elements are not a multiple of the type's block of {block}"
        )),
        EngineError::ContextFull { .. } => Some("give a longer --ctx, or --context-shift".into()),
        EngineError::Model(ModelError::UnknownArchitecture { .. }) => {
            Some("`ascua info` still shows what is in the file".into())
        }
        EngineError::Model(ModelError::IsAdapter) => {
            Some("ascua run MODEL --lora FILE, with the model it was made for".into())
        }
        EngineError::Model(ModelError::Adapter(error)) => adapter_hint(error),
        _ => None,
    }
}

fn adapter_hint(error: &AdapterError) -> Option<String> {
    match *error.problem {
        AdapterProblem::Architecture { .. } | AdapterProblem::Shape { .. } | AdapterProblem::Unused { .. } => {
            Some("an adapter works with the model it was made for, in any type, and with no other".into())
        }
        AdapterProblem::Kind { key: "general.type", .. } => {
            Some("the model goes first: ascua run MODEL --lora FILE".into())
        }
        _ => None,
    }
}

fn quantize_hint(error: &QuantizeError) -> Option<&'static str> {
    match error {
        QuantizeError::Requantise { .. } => Some("take the original in F16, BF16 or F32, or --allow-requantize"),
        QuantizeError::NeedsImportance { .. } => Some("give one with --imatrix, or take a larger type"),
        QuantizeError::Codec { .. } => Some("`ascua quantize --list-types` shows the types that can be written"),
        _ => None,
    }
}

fn convert_hint(error: &ConvertError) -> Option<String> {
    match error {
        ConvertError::NoConfig { .. } => {
            Some("a checkpoint is a directory as Hugging Face has it, with config.json".into())
        }
        ConvertError::UnknownTensor { .. } | ConvertError::Model(_) => {
            Some("does config.json belong to these weights? It may also be a variant that is not known yet".into())
        }
        ConvertError::Peft(error) => match **error {
            PeftError::NoBase { .. } => {
                Some("ascua convert ADAPTER --base DIR -o lora.gguf, where DIR has the base model's config.json".into())
            }
            ref error if error.is_mergeable() => {
                Some("merge the adapter into its model with PEFT (`merge_and_unload`) and convert that model".into())
            }
            _ => None,
        },
        ConvertError::Checkpoint(error) => match &**error {
            CheckpointError::MissingPart { .. } | CheckpointError::MissingNumber { .. } => {
                Some("fetch the parts that are missing".into())
            }
            CheckpointError::Refused { .. } => {
                Some("it may be hostile; take the model's safetensors where it has some".into())
            }
            _ => None,
        },
        _ => None,
    }
}

fn vocabulary_hint(error: &VocabularyError) -> Option<&'static str> {
    match error {
        VocabularyError::NoTokenizer { .. } => Some("ascua convert DIR --no-tokenizer leaves it out"),
        VocabularyError::UnknownPreTokenizer { .. } => Some("ascua convert DIR --pre-tokenizer NAME names it"),
        VocabularyError::NoPreTokenizer { .. } => Some("leave --pre-tokenizer out"),
        _ => None,
    }
}

fn target_hint(error: &TargetError) -> &'static str {
    match error {
        TargetError::Exists { .. } => "--force replaces it",
        TargetError::Same { .. } => "give the output another name",
    }
}

fn file_hint(error: &GgufError) -> Option<String> {
    match error {
        GgufError::Malformed { problem: Malformed::Empty | Malformed::Zeros, .. } => {
            Some("fetch the file again; `ascua pull` checks what it fetches".into())
        }
        GgufError::Malformed { problem: Malformed::TensorPastEnd { .. } | Malformed::Truncated { .. }, .. } => {
            Some("the file was cut, as by an interrupted download: fetch it again".into())
        }
        GgufError::Malformed { problem: Malformed::Magic { .. }, .. } => {
            Some("models are read from GGUF files only; other formats have to be converted".into())
        }
        _ => None,
    }
}
