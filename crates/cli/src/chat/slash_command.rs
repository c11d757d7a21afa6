//! What a user can ask of the program instead of the model: a line that begins with `/`.

use std::path::PathBuf;

/// A command of the chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlashCommand {
    /// List the commands.
    Help,
    /// Forget all turns.
    Clear,
    /// Show the system prompt.
    ShowSystem,
    /// Replace the system prompt, or remove it.
    SetSystem(Option<String>),
    /// Write the conversation to a file.
    Save(PathBuf),
    /// Go on with the conversation of a file.
    Load(PathBuf),
    /// Answer the last message anew.
    Regenerate,
    /// Show numbers.
    Stats,
    /// Leave.
    Exit,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// For the model.
    Message(String),
    /// For the program.
    Command(SlashCommand),
    /// Nothing.
    Nothing,
    /// A command that does not exist or lacks something; the text says what.
    Wrong(String),
}

/// The commands, for `/help`.
pub const HELP: &[(&str, &str)] = &[
    ("/help", "this list"),
    ("/clear", "forget the conversation; the system prompt stays"),
    ("/system [TEXT]", "show the system prompt, or set it; `/system -` removes it"),
    ("/save FILE", "write the conversation to a JSON file"),
    ("/load FILE", "go on with the conversation of a file"),
    ("/regen", "answer the last message anew"),
    ("/stats", "tokens, context, speed and memory"),
    ("/exit", "leave; Ctrl-D does the same"),
    ("//TEXT", "a message that begins with a slash"),
    ("\"\"\"", "begin and end a message of several lines; a \\ at the end of a line goes on, too"),
    ("Ctrl-C", "stop the answer"),
];

impl Input {
    /// Reads what was typed.
    pub fn parse(text: &str) -> Input {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Input::Nothing;
        }
        if let Some(escaped) = text.strip_prefix("//") {
            return Input::Message(format!("/{escaped}"));
        }
        // A path at the beginning of several lines is no command.
        let Some(line) =
            trimmed.strip_prefix('/').filter(|_| !trimmed.contains('\n') || trimmed.starts_with("/system"))
        else {
            return Input::Message(text.to_owned());
        };
        let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = argument.trim();
        let file = |command: fn(PathBuf) -> SlashCommand| match argument {
            "" => Input::Wrong(format!("/{name} needs a file name")),
            path => Input::Command(command(PathBuf::from(path))),
        };
        let command = match name.to_ascii_lowercase().as_str() {
            "help" | "h" | "?" => SlashCommand::Help,
            "clear" | "reset" => SlashCommand::Clear,
            "system" => match argument {
                "" => SlashCommand::ShowSystem,
                "-" => SlashCommand::SetSystem(None),
                text => SlashCommand::SetSystem(Some(text.to_owned())),
            },
            "save" => return file(SlashCommand::Save),
            "load" => return file(SlashCommand::Load),
            "regen" | "retry" | "regenerate" => SlashCommand::Regenerate,
            "stats" => SlashCommand::Stats,
            "exit" | "quit" | "bye" | "q" => SlashCommand::Exit,
            _ => return Input::Wrong(format!("there is no command /{name}; /help lists them, //{name} is a message")),
        };
        Input::Command(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_messages() {
        let message = |text: &str| Input::Message(text.to_owned());
        for (typed, expected) in [
            ("hello", message("hello")),
            ("  ", Input::Nothing),
            ("/help", Input::Command(SlashCommand::Help)),
            (" /CLEAR ", Input::Command(SlashCommand::Clear)),
            ("/system", Input::Command(SlashCommand::ShowSystem)),
            ("/system -", Input::Command(SlashCommand::SetSystem(None))),
            ("/system Be brief.", Input::Command(SlashCommand::SetSystem(Some("Be brief.".into())))),
            ("/save my file.json", Input::Command(SlashCommand::Save("my file.json".into()))),
            ("/load", Input::Wrong("/load needs a file name".into())),
            ("/quit", Input::Command(SlashCommand::Exit)),
            ("//etc/passwd?", message("/etc/passwd?")),
            ("/usr/bin\nis a path", message("/usr/bin\nis a path")),
            ("a /help", message("a /help")),
        ] {
            assert_eq!(Input::parse(typed), expected, "{typed}");
        }
        assert!(matches!(Input::parse("/nonsense"), Input::Wrong(text) if text.contains("//nonsense")));
    }
}
