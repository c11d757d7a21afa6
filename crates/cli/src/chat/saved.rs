//! A conversation in a file: JSON with the messages in the shape of OpenAI's chat format, which `/load` also reads bare.

use std::path::Path;

use anyhow::Context as _;
use ascua::chat::{Message, Role};
use serde::{Deserialize, Serialize};

/// The file of `/save`.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    #[serde(default)]
    model: String,
    messages: Vec<Message>,
}

/// What a file may hold.
#[derive(Deserialize)]
#[serde(untagged)]
enum Readable {
    Saved(Saved),
    Messages(Vec<Message>),
}

/// Writes the messages, a system prompt first; the file appears whole or not at all.
pub fn save(path: &Path, model: &str, messages: &[Message]) -> anyhow::Result<()> {
    let saved = Saved { model: model.to_owned(), messages: messages.to_vec() };
    let text = serde_json::to_string_pretty(&saved)?;
    let write = || {
        let mut file = ascua::gguf::AtomicFile::create(path)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        std::io::Write::write_all(&mut file, b"\n")?;
        file.commit()
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Reads messages: the system prompt, and the turns.
pub fn load(path: &Path) -> anyhow::Result<(Option<String>, Vec<Message>)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let readable = serde_json::from_str(&text)
        .map_err(|_| anyhow::anyhow!("`{}` holds no conversation: a list of messages is expected", path.display()))?;
    let mut messages = match readable {
        Readable::Saved(saved) => saved.messages,
        Readable::Messages(messages) => messages,
    };
    let system = messages.first().is_some_and(|first| first.role == Role::System).then(|| messages.remove(0).content);
    Ok((system, messages))
}
