//! The conversation with a loaded model: turns in, answers out, as much of the cache re-used as possible.
//!
//! Invariant: the turns end with the assistant's answer, or are empty; a message that could not be answered is taken
//! back. When the context runs out, the oldest exchanges are no longer shown to the model, but stay in the turns.

use std::time::Duration;

use ascua::chat::{Message, Role};
use ascua::sampler::SamplerSettings;
use ascua::{Error, Event, Finish, Flow, Model, Session, Summary};

use crate::generation_flags::GenerationFlags;
use crate::interrupt::Watch;
use crate::output;
use crate::progress::PromptProgress;
use crate::timings::Timings;

/// An answer needs this part of the context.
const ROOM_FOR_ANSWER: usize = 4;

/// How an answer ended.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Why.
    pub finish: Finish,
    /// How long it took.
    pub timings: Timings,
    /// Exchanges that were left out for the first time, to make room.
    pub newly_forgotten: usize,
}

/// A conversation.
pub struct Dialogue {
    model: Model,
    session: Session,
    settings: SamplerSettings,
    generation: GenerationFlags,
    system: Option<String>,
    turns: Vec<Message>,
    /// Turns at the beginning that the model is no longer shown.
    forgotten: usize,
    /// Answers made anew so far: each gets another seed.
    regenerations: i64,
    last: Option<Timings>,
}

impl Dialogue {
    /// An empty conversation.
    pub fn new(
        mut model: Model,
        settings: SamplerSettings,
        generation: GenerationFlags,
        system: Option<String>,
    ) -> Result<Dialogue, Error> {
        let session = Session::new(&mut model)?;
        let (turns, last) = (Vec::new(), None);
        Ok(Dialogue { model, session, settings, generation, system, turns, forgotten: 0, regenerations: 0, last })
    }

    /// The system prompt.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Replaces the system prompt.
    pub fn set_system(&mut self, system: Option<String>) {
        self.system = system;
    }

    /// Forgets all turns.
    pub fn clear(&mut self) {
        self.turns.clear();
        self.forgotten = 0;
    }

    /// The system prompt and all turns.
    pub fn messages(&self) -> Vec<Message> {
        self.shown(0)
    }

    /// Goes on with another conversation; a last message without an answer is left out.
    pub fn replace(&mut self, system: Option<String>, mut turns: Vec<Message>) {
        while turns.last().is_some_and(|last| last.role != Role::Assistant) {
            turns.pop();
        }
        self.forgotten = 0;
        self.system = system;
        self.turns = turns;
    }

    /// Answers a message; the answer goes to standard output as it comes.
    pub fn answer(&mut self, message: String) -> anyhow::Result<Answered> {
        self.turns.push(Message::new(Role::User, message));
        let answered = self.generate();
        if answered.is_err() {
            self.turns.pop();
        }
        answered
    }

    /// Answers the last message anew, by another seed; nothing where there is none.
    pub fn regenerate(&mut self) -> anyhow::Result<Option<Answered>> {
        let Some(old) = self.turns.pop() else { return Ok(None) };
        self.regenerations += 1;
        let answered = self.generate();
        if answered.is_err() {
            self.turns.push(old);
        }
        answered.map(Some)
    }

    /// Numbers for `/stats`.
    pub fn stats(&mut self) -> Vec<String> {
        let used = self.encode(self.forgotten).map_or(0, |tokens| tokens.len());
        let exchanges = self.turns.len().div_ceil(2);
        let forgotten = match self.forgotten.div_ceil(2) {
            0 => String::new(),
            count => format!(", the oldest {count} no longer shown to the model"),
        };
        let mut lines = vec![
            format!("context {used} of {} tokens in use; {exchanges} exchanges{forgotten}", self.model.context()),
            format!("memory  {}", crate::quantity::bytes(self.model.memory().total())),
        ];
        lines.extend(self.last.iter().flat_map(Timings::lines));
        lines
    }

    /// The system prompt and the turns from `first` on.
    fn shown(&self, first: usize) -> Vec<Message> {
        let system = self.system.iter().map(|text| Message::new(Role::System, text.as_str()));
        system.chain(self.turns.iter().skip(first).cloned()).collect()
    }

    fn encode(&self, first: usize) -> Result<Vec<u32>, Error> {
        let messages = self.shown(first);
        match self.model.encode_chat(&messages)? {
            Some(tokens) => Ok(tokens),
            // Plain completion: one text, continued by both sides.
            None => {
                let texts: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
                self.model.encode_prompt(&texts.join("\n"))
            }
        }
    }

    /// The tokens to continue, as many old exchanges left out as it takes.
    fn prompt(&mut self) -> Result<(Vec<u32>, usize), Error> {
        let context = self.model.context();
        let mut tokens = self.encode(self.forgotten)?;
        let before = self.forgotten;
        if tokens.len() + context / ROOM_FOR_ANSWER <= context {
            return Ok((tokens, 0));
        }
        // Down to the half, so that not every further turn has to begin anew.
        while tokens.len() > context / 2 {
            let later = self.turns.iter().skip(self.forgotten + 1).position(|turn| turn.role == Role::User);
            let Some(step) = later else { break };
            self.forgotten += step + 1;
            tokens = self.encode(self.forgotten)?;
        }
        Ok((tokens, (self.forgotten - before).div_ceil(2)))
    }

    fn generate(&mut self) -> anyhow::Result<Answered> {
        let (tokens, newly_forgotten) = self.prompt()?;
        let mut settings = self.settings.clone();
        if settings.draw.seed >= 0 {
            settings.draw.seed = settings.draw.seed.saturating_add(self.regenerations);
        }
        let mut sampler = self.model.sampler(&settings)?;
        let request = self.generation.request(&tokens);
        let watch = Watch::new();
        let (mut answer, mut failed) = (String::new(), None);
        let mut progress = PromptProgress::default();
        let on_event = &mut |event: Event<'_>| {
            if let Event::Prompt { done, total } = event {
                progress.report(done, total);
            }
            if let Event::Text(text) = event {
                // The space that a vocabulary puts before a text is not part of an answer.
                let text = if answer.is_empty() { text.trim_start() } else { text };
                answer.push_str(text);
                failed = output::piece(text).err();
            }
            if watch.is_raised() || failed.is_some() { Flow::Stop } else { Flow::Continue }
        };
        let summary: Summary = self.session.generate(&mut self.model, &request, &mut sampler, on_event)?;
        progress.clear();
        drop(watch);
        if let Some(error) = failed {
            return Err(error.into());
        }
        let end = if answer.ends_with('\n') { "" } else { "\n" };
        output::piece(end)?;
        self.turns.push(Message::new(Role::Assistant, answer));
        let timings = Timings::new(&summary, Duration::ZERO);
        self.last = Some(timings);
        Ok(Answered { finish: summary.finish, timings, newly_forgotten })
    }
}
