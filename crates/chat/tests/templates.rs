//! Real models' templates, against the output of Jinja2 in the environment of Hugging Face's transformers.
//!
//! `data/expected.json` was made by `data/generate.py` from `data/cases.json` and the templates of `data/templates/`.

use std::collections::BTreeMap;
use std::path::Path;

use ascua_chat::{ChatError, ChatTemplate, LocalTime, Message, RenderOptions, SystemPlacement};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<serde_json::Value>,
    add_generation_prompt: bool,
    bos_token: String,
    eos_token: String,
    #[serde(default)]
    extra: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Text(String),
    Refused(String),
    Failed(String),
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> T {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Renders one case; a failure's words are this library's own and not compared.
fn render(template: &ChatTemplate, case: &Case) -> Outcome {
    let options = RenderOptions {
        add_generation_prompt: case.add_generation_prompt,
        bos_token: case.bos_token.clone(),
        eos_token: case.eos_token.clone(),
        tools: case.tools.clone(),
        extra: case.extra.clone(),
        // 2026-11-23 14:05:09
        now: Some(LocalTime::from_unix_seconds(1_795_442_709)),
    };
    match template.render(&case.messages, &options) {
        Ok(text) => Outcome::Text(text),
        Err(ChatError::Refused { message }) => Outcome::Refused(message),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Compares all templates of a directory; gives the differences.
fn check(directory: &Path) -> Vec<String> {
    let cases: BTreeMap<String, Case> = read(&directory.join("cases.json"));
    let expected: BTreeMap<String, BTreeMap<String, Outcome>> = read(&directory.join("expected.json"));
    let mut differences = Vec::new();
    for (name, outcomes) in &expected {
        let source = std::fs::read_to_string(directory.join("templates").join(format!("{name}.jinja"))).unwrap();
        let template = match ChatTemplate::parse(&source) {
            Ok(template) => template,
            Err(error) => {
                differences.push(format!("{name}: {error}"));
                continue;
            }
        };
        for (case, outcome) in outcomes {
            // Jinja2 fails in some places where minijinja is lenient, as at a loop over `None`; both are right. And where
            // the system's message is folded into the user's, there is nothing to compare with.
            let system_first = cases[case].messages.first().is_some_and(|message| message.role.name() == "system");
            let folded = system_first && template.system_placement() == SystemPlacement::FoldedIntoUser;
            if folded || matches!(outcome, Outcome::Failed(_)) {
                continue;
            }
            let found = render(&template, &cases[case]);
            if *outcome != found {
                differences.push(format!("{name}, {case}:\n  expected {outcome:?}\n  found    {found:?}"));
            }
        }
    }
    differences
}

#[test]
fn real_templates_render_as_in_python() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let differences = check(&data);
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn long_conversations_stay_within_the_budget() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let cases: BTreeMap<String, Case> = read(&data.join("cases.json"));
    let turns = ["turns", "tool_turns_closed"].map(|name| &cases[name]);
    for entry in std::fs::read_dir(data.join("templates")).unwrap() {
        let path = entry.unwrap().path();
        let template = ChatTemplate::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for case in turns {
            // The first messages over and over, between which the roles alternate as in the original.
            let messages: Vec<Message> =
                case.messages.iter().skip_while(|m| m.role.name() == "system").cloned().collect();
            let messages = &messages[..messages.len() - 1];
            let short = Case {
                messages: messages.to_vec(),
                tools: case.tools.clone(),
                add_generation_prompt: false,
                bos_token: String::new(),
                eos_token: String::new(),
                extra: serde_json::Map::new(),
            };
            let short_renders = matches!(render(&template, &short), Outcome::Text(_));
            let long =
                Case { messages: messages.iter().cycle().take(messages.len() * 500).cloned().collect(), ..short };
            let found = render(&template, &long);
            assert_eq!(matches!(found, Outcome::Text(_)), short_renders, "{}: {found:.200?}", path.display());
        }
    }
}
