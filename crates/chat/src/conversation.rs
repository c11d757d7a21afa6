//! [`Conversation`]: the turns so far, and which end of the next prompt is new to the model.
//!
//! The model's cache holds the text of the last prompt and of the answer. When the next rendering begins with exactly that
//! text, only its end must be processed. Some templates rewrite history (they drop the thoughts of earlier answers, say);
//! then the text differs somewhere inside and the whole of it is new.

use crate::message::{Message, Role};
use crate::template::{ChatError, ChatTemplate, RenderOptions};

/// Where a template puts a system prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemPlacement {
    /// The template takes a system message.
    AsMessage,
    /// The template refuses or drops system messages: the prompt is put in front of the first user message.
    FoldedIntoUser,
}

/// What the model must process to go on from the text it has processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation<'a> {
    /// This text, after what has been processed.
    Suffix(&'a str),
    /// All of this text, from an empty state.
    Whole(&'a str),
}

/// Compares what has been processed with what is wanted.
pub fn continuation<'a>(processed: &str, wanted: &'a str) -> Continuation<'a> {
    match wanted.strip_prefix(processed) {
        Some(suffix) if !processed.is_empty() => Continuation::Suffix(suffix),
        _ => Continuation::Whole(wanted),
    }
}

/// A rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole prompt.
    pub text: String,
    /// How many bytes at its beginning have been processed; 0 when all of it is new.
    pub processed: usize,
    /// Where the system prompt went, if there is one.
    pub system: Option<SystemPlacement>,
}

impl Rendered {
    /// What the model must process.
    pub fn continuation(&self) -> Continuation<'_> {
        match self.text.get(self.processed..) {
            Some(suffix) if self.processed > 0 => Continuation::Suffix(suffix),
            _ => Continuation::Whole(&self.text),
        }
    }
}

/// The turns of a chat.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    system: Option<String>,
    turns: Vec<Message>,
    /// The text that the model has processed: the last prompt and what was generated after it.
    processed: String,
}

impl Conversation {
    /// An empty conversation under a system prompt, or none.
    pub fn new(system: Option<String>) -> Self {
        Self { system, ..Self::default() }
    }

    /// The system prompt.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Replaces the system prompt; the turns stay.
    pub fn set_system(&mut self, system: Option<String>) {
        self.system = system;
    }

    /// The turns, without the system prompt.
    pub fn turns(&self) -> &[Message] {
        &self.turns
    }

    /// Adds a turn of any role.
    pub fn push(&mut self, message: Message) {
        self.turns.push(message);
    }

    /// Takes the last turn back, to ask or answer anew.
    pub fn pop(&mut self) -> Option<Message> {
        self.turns.pop()
    }

    /// Forgets all turns; the system prompt stays.
    pub fn clear(&mut self) {
        self.turns.clear();
    }

    /// The system prompt and the turns, as one list.
    pub fn messages(&self) -> Vec<Message> {
        let system = self.system.iter().map(|text| Message::new(Role::System, text.as_str()));
        system.chain(self.turns.iter().cloned()).collect()
    }

    /// Renders the conversation, and compares it with what the model has processed.
    pub fn render(&self, template: &ChatTemplate, options: &RenderOptions) -> Result<Rendered, ChatError> {
        let text = template.render(&self.messages(), options)?;
        let processed = match continuation(&self.processed, &text) {
            Continuation::Suffix(_) => self.processed.len(),
            Continuation::Whole(_) => 0,
        };
        let system = self.system.is_some().then(|| template.system_placement());
        Ok(Rendered { text, processed, system })
    }

    /// Notes the text whose tokens are in the model's cache now: the prompt, and all that was generated after it,
    /// including special tokens. An empty text says that the cache holds nothing to build on.
    pub fn set_processed(&mut self, text: impl Into<String>) {
        self.processed = text.into();
    }

    /// Adds the model's answer to a rendered prompt as a turn, and notes both as processed.
    pub fn push_answer(&mut self, prompt: &Rendered, answer: &str) {
        self.turns.push(Message::new(Role::Assistant, answer));
        self.processed.clear();
        self.processed.push_str(&prompt.text);
        self.processed.push_str(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                          {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    fn prompt() -> RenderOptions {
        RenderOptions { add_generation_prompt: true, ..RenderOptions::default() }
    }

    #[test]
    fn only_the_new_end_is_processed() {
        let template = ChatTemplate::parse(CHATML).unwrap();
        let mut chat = Conversation::new(Some("Be brief.".to_owned()));
        chat.push(Message::new(Role::User, "Hi"));
        let first = chat.render(&template, &prompt()).unwrap();
        assert_eq!(first.system, Some(SystemPlacement::AsMessage));
        assert_eq!(first.continuation(), Continuation::Whole(&first.text));
        chat.push_answer(&first, "Hello!");
        chat.push(Message::new(Role::User, "Bye"));
        let second = chat.render(&template, &prompt()).unwrap();
        let suffix = "<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(second.continuation(), Continuation::Suffix(suffix));
        // Asking the same anew, from the same state: the old text still is a beginning.
        assert_eq!(second.text[..second.processed], format!("{}Hello!", first.text));
        // Another system prompt changes the beginning.
        chat.set_system(Some("Rhyme.".to_owned()));
        assert_eq!(chat.render(&template, &prompt()).unwrap().processed, 0);
        chat.clear();
        chat.set_processed("");
        assert_eq!((chat.turns().len(), chat.system()), (0, Some("Rhyme.")));
    }

    #[test]
    fn a_template_that_rewrites_history_starts_anew() {
        let forgetful = CHATML.replace("m.content", "m.content.split('</think>')[-1]");
        let template = ChatTemplate::parse(&forgetful).unwrap();
        let mut chat = Conversation::new(None);
        chat.push(Message::new(Role::User, "Hi"));
        let first = chat.render(&template, &prompt()).unwrap();
        chat.push_answer(&first, "<think>Hm.</think>Hello!");
        chat.push(Message::new(Role::User, "Bye"));
        let second = chat.render(&template, &prompt()).unwrap();
        assert_eq!(second.continuation(), Continuation::Whole(&second.text));
        assert!(!second.text.contains("Hm."));
    }

    #[test]
    fn a_system_prompt_without_a_place_is_folded() {
        let refusing = format!(
            "{{% if messages[0].role == 'system' %}}{{{{ raise_exception('no system') }}}}{{% endif %}}{CHATML}"
        );
        let dropping = CHATML.replace(
            "<|im_start|>{{ m.role }}\n{{ m.content }}",
            "{% if m.role != 'system' %}{{ m.content }}{% endif %}",
        );
        for source in [refusing, dropping] {
            let template = ChatTemplate::parse(&source).unwrap();
            assert_eq!(template.system_placement(), SystemPlacement::FoldedIntoUser);
            let mut chat = Conversation::new(Some("Be brief.".to_owned()));
            assert!(chat.render(&template, &prompt()).unwrap().text.contains("Be brief."));
            chat.push(Message::new(Role::User, "Hi"));
            let rendered = chat.render(&template, &prompt()).unwrap();
            assert_eq!(rendered.system, Some(SystemPlacement::FoldedIntoUser));
            assert!(rendered.text.contains("Be brief.\n\nHi<|im_end|>"), "{}", rendered.text);
        }
        // A template that fails on everything is not said to refuse the system's messages.
        let broken = ChatTemplate::parse("{{ raise_exception('never') }}").unwrap();
        assert_eq!(broken.system_placement(), SystemPlacement::AsMessage);
    }
}
