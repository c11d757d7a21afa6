//! Chat templates: in `tokenizer_config.json`, or in files beside it.

use ascua_gguf::{StringArray, Value as Metadata};
use serde_json::Value;

use super::directory::Directory;
use super::{VocabularyError, VocabularyWarning};

const KEY: &str = "tokenizer.chat_template";

/// The keys of all templates.
pub(super) fn read(
    directory: &Directory<'_>,
    config: Option<&Value>,
    warnings: &mut Vec<VocabularyWarning>,
) -> Result<Vec<(String, Metadata)>, VocabularyError> {
    let within = config.and_then(|config| config.get("chat_template")).filter(|template| !template.is_null());
    let template = match within {
        Some(template) => Some(template.clone()),
        None => beside(directory)?,
    };
    Ok(match template {
        None => Vec::new(),
        Some(Value::String(text)) => vec![(KEY.to_owned(), text.into())],
        Some(Value::Array(list)) => named(&list),
        Some(_) => {
            let reason = "it is neither a text nor a list";
            let field = "chat_template".to_owned();
            warnings.push(VocabularyWarning::Ignored { file: "tokenizer_config.json", field, reason });
            Vec::new()
        }
    })
}

/// `chat_template.jinja` with `additional_chat_templates/*.jinja`, or `chat_template.json`.
fn beside(directory: &Directory<'_>) -> Result<Option<Value>, VocabularyError> {
    let Some(default) = directory.text("chat_template.jinja")? else {
        let file = directory.json::<Value>("chat_template.json")?;
        return Ok(file
            .and_then(|mut file| file.get_mut("chat_template").map(Value::take))
            .filter(|value| !value.is_null()));
    };
    const FOLDER: &str = "additional_chat_templates";
    let entries = std::fs::read_dir(directory.path(FOLDER)).into_iter().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    let mut list = Vec::new();
    for file in names {
        let Some(name) = file.strip_suffix(".jinja") else { continue };
        if let Some(text) = directory.text(&format!("{FOLDER}/{file}"))? {
            list.push(serde_json::json!({ "name": name, "template": text }));
        }
    }
    if list.is_empty() {
        return Ok(Some(default.into()));
    }
    list.insert(0, serde_json::json!({ "name": "default", "template": default }));
    Ok(Some(list.into()))
}

/// A list of templates with names.
fn named(list: &[Value]) -> Vec<(String, Metadata)> {
    let (mut keys, mut names, mut default) = (Vec::new(), StringArray::default(), None);
    for choice in list {
        let field = |name: &str| choice.get(name).and_then(Value::as_str);
        let (Some(name), Some(text)) = (field("name"), field("template")) else { continue };
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let name: String = name.chars().map(plain).collect();
        match name.as_str() {
            "" => {}
            "default" => default = Some(text),
            _ => {
                let key = format!("{KEY}.{name}");
                if !keys.iter().any(|(known, _)| *known == key) {
                    names.push(&name);
                    keys.push((key, text.into()));
                }
            }
        }
    }
    if !names.is_empty() {
        keys.push((format!("{KEY}s"), names.into()));
    }
    keys.extend(default.map(|text| (KEY.to_owned(), text.into())));
    keys
}
