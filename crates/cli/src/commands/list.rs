//! `ascua list`: the models in the cache, and those with a short name.

use ascua_hub::CATALOGUE;
use clap::Args;
use serde::Serialize;

use crate::failure::Status;
use crate::model_source::{self, SourceFlags};
use crate::output;
use crate::quantity::bytes;
use crate::terminal::Style;

const AFTER_HELP: &str = "\
Examples:
  ascua list
  ascua list --all            also the short names that could be fetched
  ascua list --json | jq -r '.[].path'

Exit codes: 0 success, 1 failure, 2 wrong usage";

/// List the models in the cache
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Also list the models with a short name that are not in the cache
    #[arg(long, short)]
    all: bool,

    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// A model for `--json`.
#[derive(Serialize)]
struct Entry {
    name: String,
    size: u64,
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fetched: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'static str>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Status> {
    let mut entries = cached();
    if arguments.all {
        let known: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        entries.extend(CATALOGUE.iter().filter(|model| !known.iter().any(|name| name == model.name)).map(|model| {
            Entry {
                name: model.name.to_owned(),
                size: model.size,
                cached: false,
                path: None,
                sha256: Some(model.sha256.to_owned()),
                fetched: None,
                licence: Some(model.licence.to_owned()),
                about: Some(model.about),
            }
        }));
    }
    if arguments.json {
        output::json(&entries)?;
        return Ok(Status::Done);
    }
    if entries.is_empty() {
        output::note("no models yet; `ascua pull smollm2` fetches one, `ascua list --all` shows the short names");
        return Ok(Status::Done);
    }
    let style = Style::of_stdout();
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
    for entry in &entries {
        let name = format!("{:<width$}", entry.name);
        let rest = match (&entry.path, entry.about) {
            (Some(path), _) => path.clone(),
            (None, about) => format!("not fetched; {}", about.unwrap_or_default()),
        };
        let day = entry.fetched.as_deref().and_then(|time| time.get(..10)).unwrap_or("-");
        let line = format!("{}  {:>9}  {day:<10}  {}", style.strong(&name), bytes(entry.size), style.faint(&rest));
        output::line(&line)?;
    }
    Ok(Status::Done)
}

fn cached() -> Vec<Entry> {
    let models = model_source::hub(&SourceFlags::default()).list();
    let entry = |model: ascua_hub::CachedModel| Entry {
        about: CATALOGUE.iter().find(|known| known.name == model.name).map(|known| known.about),
        name: model.name,
        size: model.size,
        cached: true,
        path: Some(model.path.display().to_string()),
        sha256: Some(model.sha256),
        fetched: Some(model.fetched),
        licence: model.licence,
    };
    models.into_iter().map(entry).collect()
}
