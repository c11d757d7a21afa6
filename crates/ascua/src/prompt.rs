//! From messages or text to the tokens of a prompt, and the sampler that knows the model's vocabulary.
//!
//! Sits between a program's input and [`crate::Session`]. Invariant: a rendered template gives the tokens llama.cpp gives
//! (`common_chat_template_direct_apply` in `common/chat.cpp`): control tokens written out are tokens, and the one that
//! the tokenizer adds at the beginning or end is not there twice.

use crate::chat::{Message, RenderOptions};
use crate::error::Error;
use crate::model::Model;
use crate::sampler::{SamplerChain, SamplerSettings, TokenText};
use crate::tokenizer::{AddSpecial, EncodeOptions, ParseSpecial, Tokenizer};

impl Model {
    /// Tokens of a plain prompt, with the special tokens the model wants around a text.
    ///
    /// # Errors
    /// There is no tokenizer.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, Error> {
        let options = EncodeOptions { add_special: AddSpecial::Yes, parse_special: ParseSpecial::Yes };
        Ok(self.tokenizer()?.encode(text, options))
    }

    /// Tokens of messages in the model's chat template, up to where the assistant's answer begins; `None` where the model
    /// has no template.
    ///
    /// # Errors
    /// The template is broken or refuses the messages, or there is no tokenizer.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Option<Vec<u32>>, Error> {
        let Some(template) = self.template().map_err(|error| Error::Chat(error.clone()))? else { return Ok(None) };
        let tokenizer = self.tokenizer()?;
        let written = |token: Option<u32>| {
            token.map_or(String::new(), |token| String::from_utf8_lossy(tokenizer.token_bytes(token)).into_owned())
        };
        let options = RenderOptions {
            add_generation_prompt: true,
            bos_token: written(tokenizer.bos()),
            eos_token: written(tokenizer.eos()),
            ..RenderOptions::default()
        };
        let text = template.render(messages, &options)?;
        let mut prompt = text.as_str();
        if tokenizer.add_bos() {
            prompt = prompt.strip_prefix(options.bos_token.as_str()).unwrap_or(prompt);
        }
        if tokenizer.add_eos() {
            prompt = prompt.strip_suffix(options.eos_token.as_str()).unwrap_or(prompt);
        }
        self.encode_prompt(prompt).map(Some)
    }

    /// A sampler for this model.
    ///
    /// # Errors
    /// A setting is out of its range.
    pub fn sampler(&self, settings: &SamplerSettings) -> Result<SamplerChain, Error> {
        Ok(match self.tokenizer() {
            Ok(tokenizer) => SamplerChain::new(settings, &Vocabulary(tokenizer))?,
            Err(_) => SamplerChain::new(settings, &crate::sampler::NoTokenText)?,
        })
    }
}

/// What samplers may ask of a tokenizer.
struct Vocabulary<'a>(&'a Tokenizer);

impl TokenText for Vocabulary<'_> {
    fn token_count(&self) -> u32 {
        u32::try_from(self.0.vocabulary_size()).unwrap_or(u32::MAX)
    }

    fn append_text(&self, token: u32, text: &mut Vec<u8>) {
        text.extend_from_slice(self.0.token_bytes(token));
    }

    fn tokenize(&self, text: &str) -> Vec<u32> {
        let options = EncodeOptions { add_special: AddSpecial::No, parse_special: ParseSpecial::No };
        self.0.encode(text, options)
    }
}
