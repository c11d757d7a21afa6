//! The generation loop: evaluate, sample, decode, hand out text; until something says stop.
//!
//! A [`Session`] keeps its sequence between calls: the next prompt re-uses as much of the cache as it begins with.

use std::time::{Duration, Instant};

use ascua_engine::{Entry, SequenceId, Wanted};

use crate::chat::StopMatcher;
use crate::error::Error;
use crate::model::Model;
use crate::sampler::SamplerChain;
use crate::tokenizer::{SpecialRendering, StreamDecoder};

/// Tokens of a prompt evaluated between two looks at whether to go on.
pub const PROMPT_PIECE: usize = 512;

/// What to do when the context is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ContextFull {
    /// Stop.
    #[default]
    Stop,
    /// Forget the older half of what follows the first `keep` tokens, and go on.
    Shift {
        /// Tokens never forgotten.
        keep: usize,
    },
}

/// What an end-of-generation token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EndTokens {
    /// It ends the answer.
    #[default]
    Stop,
    /// It is a token like any other.
    Ignore,
}

/// What to generate.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// All tokens of the prompt, those of earlier turns included.
    pub prompt: &'a [u32],
    /// Most tokens to generate; `None`: until the context is full.
    pub max_tokens: Option<usize>,
    /// Strings that end the answer; they are not part of it.
    pub stops: Vec<String>,
    /// What an end-of-generation token does.
    pub end_tokens: EndTokens,
    /// What a full context does.
    pub context_full: ContextFull,
    /// Whether control tokens show in the text.
    pub special: SpecialRendering,
}

impl<'a> Request<'a> {
    /// Generate after `prompt` until the model ends its answer.
    pub fn new(prompt: &'a [u32]) -> Request<'a> {
        Request {
            prompt,
            max_tokens: None,
            stops: Vec::new(),
            end_tokens: EndTokens::Stop,
            context_full: ContextFull::Stop,
            special: SpecialRendering::Hide,
        }
    }
}

/// What happens during a generation.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// So many tokens of the prompt are done.
    Prompt {
        /// Tokens done, re-used ones included.
        done: usize,
        /// Tokens in all.
        total: usize,
    },
    /// A token was chosen; its text may follow later.
    Token(u32),
    /// More text of the answer.
    Text(&'a str),
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop now; what was generated stays.
    Stop,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended its answer.
    EndToken,
    /// A stop string was met.
    StopString,
    /// As many tokens as asked for.
    Length,
    /// The context is full.
    ContextFull,
    /// The caller said stop.
    Cancelled,
}

impl Finish {
    /// Name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            Finish::EndToken => "end-token",
            Finish::StopString => "stop-string",
            Finish::Length => "length",
            Finish::ContextFull => "context-full",
            Finish::Cancelled => "cancelled",
        }
    }
}

/// A finished generation.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt that had to be computed.
    pub prompt_tokens: usize,
    /// Tokens of the prompt found in the cache.
    pub reused_tokens: usize,
    /// Time for the prompt.
    pub prompt_time: Duration,
    /// Tokens generated, a final end token included.
    pub tokens: Vec<u32>,
    /// Time for them.
    pub generation_time: Duration,
}

/// One sequence of a model, kept between prompts.
pub struct Session {
    sequence: SequenceId,
}

impl Session {
    /// An empty session.
    ///
    /// # Errors
    /// All sequences of the model are in use.
    pub fn new(model: &mut Model) -> Result<Session, Error> {
        Ok(Session { sequence: model.engine().create_sequence()? })
    }

    /// Ends the session; its part of the cache becomes free.
    pub fn end(self, model: &mut Model) {
        model.engine().release_sequence(self.sequence);
    }

    /// Generates after a prompt; `on_event` sees everything as it happens and may stop it.
    ///
    /// # Errors
    /// The prompt is empty or longer than the context, or a step fails.
    pub fn generate(
        &mut self,
        model: &mut Model,
        request: &Request<'_>,
        sampler: &mut SamplerChain,
        on_event: &mut dyn FnMut(Event<'_>) -> Flow,
    ) -> Result<Summary, Error> {
        let context = model.context();
        if request.prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if request.prompt.len() > context {
            return Err(Error::PromptTooLong { tokens: request.prompt.len(), context });
        }
        let started = Instant::now();
        let reused = self.reuse(model, request.prompt)?;
        sampler.reset();
        request.prompt.iter().for_each(|&token| sampler.accept(token));
        let mut summary = Summary {
            finish: Finish::Cancelled,
            prompt_tokens: request.prompt.len() - reused,
            reused_tokens: reused,
            prompt_time: Duration::ZERO,
            tokens: Vec::new(),
            generation_time: Duration::ZERO,
        };
        let mut logits = Vec::new();
        let mut done = reused;
        while done < request.prompt.len() {
            if on_event(Event::Prompt { done, total: request.prompt.len() }) == Flow::Stop {
                return Ok(summary);
            }
            let end = (done + PROMPT_PIECE).min(request.prompt.len());
            let wanted = if end == request.prompt.len() { Wanted::Last } else { Wanted::Nothing };
            self.evaluate(model, &request.prompt[done..end], wanted, &mut logits)?;
            done = end;
        }
        summary.prompt_time = started.elapsed();
        let mut flow = on_event(Event::Prompt { done, total: done });
        let started = Instant::now();
        let mut stream = TextStream::new(model, request);
        summary.finish = loop {
            if flow == Flow::Stop {
                break Finish::Cancelled;
            }
            if request.max_tokens.is_some_and(|most| summary.tokens.len() >= most) {
                break Finish::Length;
            }
            let token = sampler.sample(&logits)?;
            sampler.accept(token);
            summary.tokens.push(token);
            flow = on_event(Event::Token(token));
            let ends = model.tokenizer().is_ok_and(|tokenizer| tokenizer.is_end_of_generation(token));
            if ends && request.end_tokens == EndTokens::Stop {
                break Finish::EndToken;
            }
            if stream.push(model, token, on_event, &mut flow) {
                break Finish::StopString;
            }
            if request.max_tokens.is_some_and(|most| summary.tokens.len() >= most) {
                break Finish::Length; // its logits would not be looked at
            }
            if !self.make_room(model, request, &mut logits)? {
                break Finish::ContextFull;
            }
            self.evaluate(model, &[token], Wanted::Last, &mut logits)?;
        };
        if summary.finish != Finish::StopString {
            stream.finish(on_event);
        }
        summary.generation_time = started.elapsed();
        Ok(summary)
    }

    /// Rolls the sequence back to what the prompt begins with; at least one token is left to evaluate.
    fn reuse(&self, model: &mut Model, prompt: &[u32]) -> Result<usize, Error> {
        let known = model.engine().cache().tokens(self.sequence)?;
        let common = known.iter().zip(prompt).take_while(|(a, b)| a == b).count().min(prompt.len() - 1);
        model.engine().truncate_sequence(self.sequence, common)?;
        Ok(common)
    }

    fn evaluate(&self, model: &mut Model, tokens: &[u32], wanted: Wanted, logits: &mut Vec<f32>) -> Result<(), Error> {
        let entry = Entry { sequence: self.sequence, tokens, wanted };
        model.engine().evaluate(&[entry], &mut |row| {
            logits.clear();
            logits.extend_from_slice(row.values);
        })?;
        Ok(())
    }

    /// Makes sure one more token fits; says whether it does.
    fn make_room(&self, model: &mut Model, request: &Request<'_>, logits: &mut Vec<f32>) -> Result<bool, Error> {
        let context = model.context();
        let tokens = model.engine().cache().tokens(self.sequence)?;
        if tokens.len() < context {
            return Ok(true);
        }
        let ContextFull::Shift { keep } = request.context_full else { return Ok(false) };
        let keep = keep.min(tokens.len() / 2);
        let kept_from = keep + (tokens.len() - keep).div_ceil(2);
        let rest = tokens[kept_from..].to_vec();
        // The positions of what is kept change, so it is computed again.
        model.engine().truncate_sequence(self.sequence, keep)?;
        for piece in rest.chunks(PROMPT_PIECE) {
            self.evaluate(model, piece, Wanted::Nothing, logits)?;
        }
        Ok(true)
    }
}

/// Tokens to text, through the stop strings.
struct TextStream {
    decoder: StreamDecoder,
    stops: StopMatcher,
    has_tokenizer: bool,
}

impl TextStream {
    fn new(model: &Model, request: &Request<'_>) -> TextStream {
        TextStream {
            decoder: StreamDecoder::new(request.special),
            stops: StopMatcher::new(request.stops.iter().cloned()),
            has_tokenizer: model.tokenizer().is_ok(),
        }
    }

    /// Hands out the text a token completes; says whether a stop string was met.
    fn push(
        &mut self,
        model: &Model,
        token: u32,
        on_event: &mut dyn FnMut(Event<'_>) -> Flow,
        flow: &mut Flow,
    ) -> bool {
        let Ok(tokenizer) = model.tokenizer() else { return false };
        let step = self.stops.push(self.decoder.push(tokenizer, token));
        if !step.text.is_empty() && on_event(Event::Text(&step.text)) == Flow::Stop {
            *flow = Flow::Stop;
        }
        step.stopped.is_some()
    }

    /// Hands out what was held back.
    fn finish(&mut self, on_event: &mut dyn FnMut(Event<'_>) -> Flow) {
        if !self.has_tokenizer {
            return;
        }
        let mut rest = self.stops.push(self.decoder.finish()).text;
        rest.push_str(&self.stops.finish());
        if !rest.is_empty() {
            // The answer is over: nothing is left to stop.
            let _ = on_event(Event::Text(&rest));
        }
    }
}
